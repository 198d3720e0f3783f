//! Calls to a cluster: over one connection, to another member when one fails, and never longer
//! than the deadline.

use std::{fmt, sync::Arc, time::Duration};

use http::uri::PathAndQuery;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, timeout};
use tonic::{
    Status,
    client::Grpc,
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint},
};
use tonic_prost::ProstCodec;

use super::{
    errors::{CallError, Verdict},
    messages::{AUTHENTICATE, AuthenticateRequest, Call},
};

/// How long to wait before all members are tried again.
const PAUSE: Duration = Duration::from_millis(50);
/// How often a cluster is tried of which no member takes connections.
const ROUNDS: usize = 3;

/// Whether a request may be sent again when nobody knows what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    /// It changes nothing, or nothing more when it is done twice.
    Harmless,
    /// It may only be sent again when it was certainly not done.
    IfNotDone,
}

/// Name and password.
#[derive(Clone)]
pub(super) struct Login {
    pub(super) user: String,
    pub(super) password: String,
}

/// Without the password.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

/// A cluster.
pub(super) struct Client {
    endpoints: Vec<Endpoint>,
    login: Option<Login>,
    deadline: Duration,
    state: Mutex<State>,
}

/// The member that is spoken to.
struct State {
    link: Link,
    token: Option<Token>,
}

type Token = MetadataValue<Ascii>;

/// A connection to one member, or the attempt to have one.
#[derive(Clone, Debug)]
pub(super) struct Link {
    /// Which member of [`Client::endpoints`].
    member: usize,
    /// Counts the connections of a client.
    number: u64,
    channel: Channel,
    name: Arc<str>,
}

impl Link {
    fn new(endpoints: &[Endpoint], member: usize, number: u64) -> Self {
        let endpoint = &endpoints[member];
        let name = endpoint.uri().authority().map_or("", |authority| authority.as_str()).into();
        Self { member, number, channel: endpoint.connect_lazy(), name }
    }

    /// The member's host and port.
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

impl Client {
    /// `endpoints` has at least one. Connects when it is first used.
    pub(super) fn new(endpoints: Vec<Endpoint>, login: Option<Login>, deadline: Duration) -> Self {
        let state = State { link: Link::new(&endpoints, 0, 0), token: None };
        Self { endpoints, login, deadline, state: Mutex::new(state) }
    }

    /// How long a call takes at most.
    pub(super) fn deadline(&self) -> Duration {
        self.deadline
    }

    /// The members' hosts and ports.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let authorities = self.endpoints.iter().filter_map(|endpoint| endpoint.uri().authority());
        authorities.map(http::uri::Authority::as_str)
    }

    /// The connection that calls are made over now.
    pub(super) fn link(&self) -> Link {
        self.state.lock().link.clone()
    }

    /// A connection of its own to the member that was found to work last, or, after `failed`, to
    /// the one after it.
    pub(super) fn separate(&self, failed: Option<&Link>) -> Link {
        let member = match failed {
            Some(link) => (link.member + 1) % self.endpoints.len(),
            None => self.state.lock().link.member,
        };
        Link::new(&self.endpoints, member, 0)
    }

    /// Calls whichever member answers.
    pub(super) async fn call<Q, A>(
        &self,
        call: &Call<Q, A>,
        request: Q,
        repeat: Repeat,
    ) -> Result<A, CallError>
    where
        Q: prost::Message + Clone + 'static,
        A: prost::Message + Default + 'static,
    {
        let end = Instant::now() + self.deadline;
        let mut unsent = 0;
        for attempt in 1_usize.. {
            let left = end.saturating_duration_since(Instant::now());
            // What may be sent again need not wait for a member that is silent.
            let patience = match repeat {
                Repeat::Harmless if attempt == 1 => left / 2,
                _ => left,
            };
            let link = self.link();
            let error = match self.ask(&link, call, request.clone(), patience).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let again = match error.verdict {
                Verdict::Unsent => {
                    unsent += 1;
                    unsent < ROUNDS * self.endpoints.len()
                }
                Verdict::NotNow | Verdict::BadToken => true,
                Verdict::Unknown => repeat == Repeat::Harmless,
                _ => return Err(error),
            };
            if error.verdict != Verdict::BadToken {
                self.leave(&link);
            }
            if !again || Instant::now() + PAUSE >= end {
                return Err(error);
            }
            if attempt % self.endpoints.len() == 0 {
                sleep(PAUSE).await;
            }
        }
        Err(CallError::silent("every endpoint", self.deadline))
    }

    /// Asks the member of `link`, and no other.
    pub(super) async fn ask<Q, A>(
        &self,
        link: &Link,
        call: &Call<Q, A>,
        request: Q,
        patience: Duration,
    ) -> Result<A, CallError>
    where
        Q: prost::Message + Clone + 'static,
        A: prost::Message + Default + 'static,
    {
        let asked = async {
            let request = self.authorized(link, request).await?;
            unary(link, call.path, request).await
        };
        match timeout(patience, asked).await {
            Ok(answer) => answer.map_err(|status| self.failed(status, link)),
            Err(_) => Err(CallError::silent(link.name(), patience)),
        }
    }

    /// Opens a stream both ways. `requests` must begin with something, or no answer ever comes.
    pub(super) async fn stream<Q, A>(
        &self,
        link: &Link,
        path: &'static str,
        requests: impl futures_util::Stream<Item = Q> + Send + 'static,
    ) -> Result<tonic::Streaming<A>, CallError>
    where
        Q: prost::Message + 'static,
        A: prost::Message + Default + 'static,
    {
        let opened = async {
            let request = self.authorized(link, requests).await?;
            let mut grpc = ready(link).await?;
            let codec = ProstCodec::<Q, A>::default();
            Ok(grpc.streaming(request, PathAndQuery::from_static(path), codec).await?.into_inner())
        };
        match timeout(self.deadline, opened).await {
            Ok(stream) => stream.map_err(|status| self.failed(status, link)),
            Err(_) => Err(CallError::silent(link.name(), self.deadline)),
        }
    }

    /// Adds what every request has: whoever asked, and that a member which has lost the others
    /// should say so at once instead of trying.
    async fn authorized<Q>(&self, link: &Link, message: Q) -> Result<tonic::Request<Q>, Status> {
        let mut request = tonic::Request::new(message);
        let metadata = request.metadata_mut();
        metadata.insert("hasleader", MetadataValue::from_static("true"));
        if let Some(login) = &self.login {
            metadata.insert("token", self.token(link, login).await?);
        }
        Ok(request)
    }

    async fn token(&self, link: &Link, login: &Login) -> Result<Token, Status> {
        let known = self.state.lock().token.clone();
        if let Some(token) = known {
            return Ok(token);
        }
        let (name, password) = (login.user.clone(), login.password.clone());
        let request = tonic::Request::new(AuthenticateRequest { name, password });
        let answer = unary(link, AUTHENTICATE.path, request).await.map_err(not_sent)?;
        let answer: super::messages::AuthenticateResponse = answer;
        let token = Token::try_from(answer.token)
            .map_err(|_| Status::unauthenticated("the token of etcd is not ASCII"))?;
        self.state.lock().token = Some(token.clone());
        Ok(token)
    }

    fn failed(&self, status: Status, link: &Link) -> CallError {
        let error = CallError::new(status, link.name());
        if error.verdict == Verdict::BadToken {
            self.state.lock().token = None;
        }
        error
    }

    /// Speaks to another member from now on, or over another connection if there is only one.
    /// Once only for all calls that failed on the same connection.
    fn leave(&self, link: &Link) {
        let mut state = self.state.lock();
        if state.link.number == link.number {
            let next = (link.member + 1) % self.endpoints.len();
            state.link = Link::new(&self.endpoints, next, link.number + 1);
        }
    }
}

/// Logging in failed, so what was to be done after it was not done: not even if the answer of the
/// login was lost.
fn not_sent(status: Status) -> Status {
    match status.code() {
        tonic::Code::Unavailable | tonic::Code::Unknown | tonic::Code::Cancelled => {
            let mut unsent = Status::unavailable(format!("cannot log in: {}", status.message()));
            unsent.set_source(Arc::new(tonic::ConnectError(Box::new(status))));
            unsent
        }
        _ => status,
    }
}

async fn unary<Q, A>(
    link: &Link,
    path: &'static str,
    request: tonic::Request<Q>,
) -> Result<A, Status>
where
    Q: prost::Message + 'static,
    A: prost::Message + Default + 'static,
{
    let mut grpc = ready(link).await?;
    let codec = ProstCodec::<Q, A>::default();
    Ok(grpc.unary(request, PathAndQuery::from_static(path), codec).await?.into_inner())
}

/// Answers may be as large as etcd makes them: what is asked for is limited instead.
async fn ready(link: &Link) -> Result<Grpc<Channel>, Status> {
    let mut grpc = Grpc::new(link.channel.clone()).max_decoding_message_size(usize::MAX);
    grpc.ready().await.map_err(|error| Status::from_error(error.into()))?;
    Ok(grpc)
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.names().collect();
        f.debug_struct("Client").field("endpoints", &names).finish_non_exhaustive()
    }
}

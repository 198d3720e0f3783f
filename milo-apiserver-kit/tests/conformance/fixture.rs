//! The server that the cases talk to, and what a case knows of it.

use std::sync::Arc;

use milo_apiserver_kit::{authn::StaticTokens, testing::TestServer};
use milo_core::{
    identity::UserInfo,
    storage::{Memory, Storage},
};

use crate::{
    server,
    support::{self, Call, Sender},
    vars::Vars,
};

pub(crate) const GROUP: &str = "/apis/conformance.milo.test/v1";
/// The token of a user who may do nothing.
pub(crate) const TOKEN: &str = "conformance-token";

/// A server, and an administrator's connection to it.
pub(crate) struct Shared {
    pub(crate) server: TestServer,
    admin: Sender,
}

impl Shared {
    pub(crate) async fn start() -> Self {
        Self::start_on(Arc::new(Memory::new())).await
    }

    pub(crate) async fn start_on(storage: Arc<dyn Storage>) -> Self {
        let tokens = StaticTokens::single(TOKEN, UserInfo::new("bearer"));
        let server =
            TestServer::start_with_tokens(storage, Some(tokens), server::assemble).await.unwrap();
        let admin = support::connect(&server, Some(server.pki().admin())).await;
        Self { server, admin }
    }
}

/// What one case has: a server, and names that no other case uses.
#[derive(Clone)]
pub(crate) struct Cx {
    pub(crate) shared: Arc<Shared>,
    pub(crate) vars: Vars,
    /// A namespace of the case's own.
    pub(crate) namespace: String,
}

impl Cx {
    pub(crate) fn new(shared: Arc<Shared>, number: usize) -> Self {
        let (namespace, mut vars) = (format!("ns{number}"), Vars::default());
        vars.set("ns", namespace.as_str());
        // For objects without a namespace.
        vars.set("id", format!("c{number}"));
        Self { shared, vars, namespace }
    }

    /// A path: as it is when it begins with a slash, else relative to the case's namespace or, for
    /// kinds without one, to the group.
    pub(crate) fn url(&self, text: &str) -> String {
        let text = self.vars.text(text);
        let text = match text.split(['/', '?']).next().unwrap_or_default() {
            "" => text,
            "gadgets" => format!("{GROUP}/{text}"),
            "configmaps" => format!("/api/v1/namespaces/{}/{text}", self.namespace),
            "others" | "jobs" | "tasks" | "readings" => {
                format!(
                    "/apis/more.conformance.milo.test/v1alpha1/namespaces/{}/{text}",
                    self.namespace
                )
            }
            _ => format!("{GROUP}/namespaces/{}/{text}", self.namespace),
        };
        encoded(&text)
    }

    /// A request of the administrator.
    pub(crate) fn call(&self, method: &str, url: &str) -> Call {
        Call::new(&self.shared.admin, method, &self.url(url))
    }

    /// A request of someone else, on a connection of its own.
    pub(crate) async fn call_as(&self, who: &str, method: &str, url: &str) -> Call {
        let server = &self.shared.server;
        let sender = match who {
            "nobody" => support::connect(server, None).await,
            user => {
                let pair = server.pki().issue_client(user, &[]).unwrap();
                support::connect(server, Some(&pair)).await
            }
        };
        Call::new(&sender, method, &self.url(url))
    }
}

/// Spaces and the like, percent-encoded; what is encoded already stays as it is.
fn encoded(url: &str) -> String {
    let mut text = String::with_capacity(url.len());
    for byte in url.bytes() {
        match byte {
            b' ' | b'<' | b'>' | b'"' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | 128.. => {
                text.push_str(&format!("%{byte:02X}"));
            }
            byte => text.push(byte.into()),
        }
    }
    text
}

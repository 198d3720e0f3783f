//! What etcd's errors mean for a call: above all whether it may have happened.

use std::{error::Error, fmt};

use tonic::{Code, Status};

use crate::storage::Cause;

/// What follows from an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nobody got the request.
    Unsent,
    /// The member cannot serve now, and has done nothing.
    NotNow,
    /// The request was sent, and nobody knows what came of it.
    Unknown,
    /// The token is no longer valid; nothing was done.
    BadToken,
    /// The revision has been compacted.
    Compacted,
    /// The revision has not been reached yet.
    Future,
    /// The request has more bytes than etcd takes.
    TooLarge,
    /// The transaction has more operations than etcd takes.
    TooManyOperations,
    /// The database is as large as it may be.
    NoSpace,
    /// Members of the cluster do not agree on the data.
    Corrupt,
    /// The request was refused for another reason; nothing was done.
    Refused,
}

/// A call that failed.
#[derive(Debug, thiserror::Error)]
pub(super) struct CallError {
    pub(super) verdict: Verdict,
    endpoint: String,
    #[source]
    cause: Cause,
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "etcd at {}: {}", self.endpoint, self.cause)?;
        match self.verdict {
            Verdict::NoSpace => f.write_str(
                ": compact and defragment it, or raise --quota-backend-bytes, and then disarm the \
                 alarm (etcdctl alarm disarm)",
            ),
            Verdict::Corrupt => f.write_str(": see `etcdctl alarm list`"),
            _ => Ok(()),
        }
    }
}

/// The text of a status, and what the transport says about it.
#[derive(Debug, thiserror::Error)]
struct Told(Status);

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.message())?;
        // The transport's first words are seldom enough.
        let last = causes(&self.0).skip(1).last().map(ToString::to_string);
        match last {
            Some(last) if !self.0.message().contains(&last) => write!(f, ": {last}"),
            _ => Ok(()),
        }
    }
}

impl CallError {
    pub(super) fn new(status: Status, endpoint: &str) -> Self {
        let verdict = verdict(&status);
        Self { verdict, endpoint: endpoint.to_owned(), cause: Told(status).into() }
    }

    /// There was no answer in time.
    pub(super) fn silent(endpoint: &str, waited: std::time::Duration) -> Self {
        let cause = format!("no answer within {waited:?}").into();
        Self { verdict: Verdict::Unknown, endpoint: endpoint.to_owned(), cause }
    }
}

fn verdict(status: &Status) -> Verdict {
    if unsent(status) {
        return Verdict::Unsent;
    }
    let says = |text: &str| status.message().contains(text);
    let known = [
        ("required revision has been compacted", Verdict::Compacted),
        ("required revision is a future revision", Verdict::Future),
        ("request is too large", Verdict::TooLarge),
        ("received message larger than max", Verdict::TooLarge),
        ("too many operations in txn request", Verdict::TooManyOperations),
        ("database space exceeded", Verdict::NoSpace),
        ("corrupt cluster", Verdict::Corrupt),
        ("invalid auth token", Verdict::BadToken),
        ("revision of auth store is old", Verdict::BadToken),
        ("etcdserver: no leader", Verdict::NotNow),
        ("etcdserver: too many requests", Verdict::NotNow),
    ];
    if let Some((_, verdict)) = known.iter().find(|(text, _)| says(text)) {
        return *verdict;
    }
    match status.code() {
        Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::Unauthenticated => Verdict::Refused,
        _ => Verdict::Unknown,
    }
}

/// Whether the connection was not there, or was given up before the request was written to it.
fn unsent(status: &Status) -> bool {
    causes(status).any(|cause| {
        cause.is::<tonic::ConnectError>()
            || cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled)
    })
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_etcd_did_not_begin_counts_as_not_done() {
        let verdict_of = |code, text: &str| verdict(&Status::new(code, text));
        for (code, text, expected) in [
            (Code::Unavailable, "etcdserver: no leader", Verdict::NotNow),
            (Code::Unavailable, "etcdserver: request timed out", Verdict::Unknown),
            (Code::Unavailable, "etcdserver: leader changed", Verdict::Unknown),
            (Code::Unavailable, "transport is closing", Verdict::Unknown),
            (Code::Unknown, "etcdserver: server stopped", Verdict::Unknown),
            (
                Code::ResourceExhausted,
                "etcdserver: mvcc: database space exceeded",
                Verdict::NoSpace,
            ),
            (
                Code::OutOfRange,
                "etcdserver: mvcc: required revision has been compacted",
                Verdict::Compacted,
            ),
            (Code::PermissionDenied, "etcdserver: permission denied", Verdict::Refused),
            (Code::Unauthenticated, "etcdserver: invalid auth token", Verdict::BadToken),
        ] {
            assert_eq!(verdict_of(code, text), expected, "{text}");
        }
    }
}

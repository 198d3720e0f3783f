//! How it is proven that a watch has told everything up to a revision.

use std::time::Duration;

use super::{
    client::{Client, Link},
    errors::CallError,
    messages::{STATUS, StatusRequest},
};

/// How an [`Etcd`](super::Etcd) proves that it has seen every change up to a revision.
///
/// Etcd can be asked how far a watch is. Before 3.4.31, and before 3.5.13 in the 3.5 series, its
/// answer may overtake events that are still on their way, so that it proves nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum EtcdProgress {
    /// As the version of the member allows that the watch is connected to.
    #[default]
    Detect,
    /// By asking. Only right if all members keep their answers in order.
    Request,
    /// By writing a key below the prefix, which no object can have, and waiting for its event:
    /// the events of one watch are always in order. Costs a write when a reader wants to know,
    /// and nothing that is written otherwise has told already.
    Marker,
}

/// Which of them it is for one watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    Request,
    Marker,
}

impl EtcdProgress {
    /// What serves for watches of the member of `link`.
    pub(super) async fn proof(self, client: &Client, link: &Link) -> Result<Proof, CallError> {
        Ok(match self {
            Self::Request => Proof::Request,
            Self::Marker => Proof::Marker,
            Self::Detect => {
                let patience: Duration = client.deadline();
                let status = client.ask(link, &STATUS, StatusRequest {}, patience).await?;
                if keeps_order(&status.version) { Proof::Request } else { Proof::Marker }
            }
        })
    }
}

/// Whether progress never overtakes events in this version of etcd. What cannot be read, or is not
/// a release, does not count.
fn keeps_order(version: &str) -> bool {
    let mut numbers = version.split('.').map(|part| part.parse::<u64>().ok());
    let (Some(Some(major)), Some(Some(minor)), Some(Some(patch)), None) =
        (numbers.next(), numbers.next(), numbers.next(), numbers.next())
    else {
        return false;
    };
    match (major, minor) {
        (3, 4) => patch >= 31,
        (3, 5) => patch >= 13,
        _ => (major, minor) >= (3, 6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_believed_from_the_versions_on_that_keep_the_order() {
        for version in ["3.4.31", "3.4.40", "3.5.13", "3.5.21", "3.6.0", "3.10.0", "4.0.0"] {
            assert!(keeps_order(version), "{version}");
        }
        for version in
            ["3.3.27", "3.4.23", "3.4.30", "3.5.0", "3.5.12", "3.6.0-rc.1", "2.3.8", "", "x", "3.6"]
        {
            assert!(!keeps_order(version), "{version}");
        }
    }
}

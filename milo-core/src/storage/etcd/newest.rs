//! The newest revision, asked for once for all who want to know it at the same time.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::Mutex;

use crate::storage::{ReadError, Revision};

/// Answers that callers share. Who waits while one is on its way gets the next: the one on its way
/// may be older than the call.
#[derive(Debug, Default)]
pub(super) struct Newest {
    /// Questions begun so far.
    begun: AtomicU64,
    last: Mutex<Last>,
}

/// The last answer.
#[derive(Debug, Default)]
struct Last {
    question: u64,
    answer: Option<Result<Revision, Failed>>,
}

/// Why the question that a caller shares was not answered.
#[derive(Clone, Debug, thiserror::Error)]
#[error(transparent)]
struct Failed(Arc<ReadError>);

impl Newest {
    /// `ask` asks etcd.
    pub(super) async fn get(
        &self,
        ask: impl Future<Output = Result<Revision, ReadError>>,
    ) -> Result<Revision, ReadError> {
        let before = self.begun.load(Ordering::SeqCst);
        let mut last = self.last.lock().await;
        if last.question > before
            && let Some(answer) = &last.answer
        {
            return answer.clone().map_err(|error| ReadError::Unavailable(error.into()));
        }
        let question = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let answer = ask.await;
        let shared = answer.map_err(|error| Failed(Arc::new(error)));
        *last = Last { question, answer: Some(shared.clone()) };
        shared.map_err(|error| ReadError::Unavailable(error.into()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn an_answer_is_never_older_than_its_call() {
        let newest = Newest::default();
        let (release, held) = oneshot::channel::<()>();
        let first = newest.get(async {
            let _released = held.await;
            Ok(Revision::new(1))
        });
        let second = newest.get(async { Ok(Revision::new(2)) });
        let third = newest.get(async { Ok(Revision::new(3)) });
        let released = async {
            tokio::task::yield_now().await;
            release.send(()).unwrap();
        };
        let (first, second, third, ()) = tokio::join!(first, second, third, released);
        assert_eq!(first.unwrap(), Revision::new(1));
        // The second came while the first was on its way, and the third shares its question.
        assert_eq!(second.unwrap(), Revision::new(2));
        assert_eq!(third.unwrap(), Revision::new(2));
    }
}

//! Bringing records into a store through ordinary commits: each gets a new revision, in the order
//! of the old ones.

use super::{
    Observer,
    order::{Commits, SetAside},
    restore::RestoreError,
};
use crate::{
    key::{InvalidKey, Key, KeyRange},
    storage::{
        CommitError, ListOptions, OpenLocationError, Operation, Page, Precondition, ReadError,
        Record, Revision, Storage, StorageLocation, Transaction, unfinished,
    },
};

/// Objects in one transaction: etcd takes 128 operations.
const AT_ONCE: usize = 100;

/// Sees to it that nothing is in the store. What an interrupted copy left is removed if `restart`
/// says so; nothing else ever is.
pub(super) async fn empty(location: &StorageLocation, restart: bool) -> Result<(), RestoreError> {
    let storage = location.connect().await?;
    Target { storage: &*storage, location }.empty(restart).await
}

/// Commits all records to an empty store. While that is so, a mark says that the store is not
/// complete.
pub(super) async fn fill(
    location: &StorageLocation,
    source: &str,
    set_aside: SetAside,
    observer: &Observer,
) -> Result<Revision, RestoreError> {
    let storage = location.connect().await?;
    Target { storage: &*storage, location }.fill(source, set_aside, observer).await
}

/// A store to be filled.
#[derive(Debug)]
struct Target<'a> {
    storage: &'a dyn Storage,
    /// Named in errors.
    location: &'a StorageLocation,
}

impl Target<'_> {
    async fn empty(&self, restart: bool) -> Result<(), RestoreError> {
        let unfinished = unfinished::find(self.storage).await;
        if let Some(source_name) = unfinished.map_err(|error| self.unreadable(error))? {
            if !restart {
                let location = self.location.clone();
                return Err(OpenLocationError::Unfinished { location, source_name }.into());
            }
            self.remove_all().await?;
        }
        let page = self.first(1).await?;
        match page.records.first() {
            None => Ok(()),
            Some(record) => Err(RestoreError::NotEmpty {
                target: self.location.clone(),
                objects: page.remaining + 1,
                example: record.key.to_string(),
            }),
        }
    }

    async fn fill(
        &self,
        source: &str,
        set_aside: SetAside,
        observer: &Observer,
    ) -> Result<Revision, RestoreError> {
        let expected = set_aside.summary.objects;
        let mark = self.mark()?;
        let begin = Transaction::new()
            .require(Precondition::Absent(mark.clone()))
            .put(mark.clone(), unfinished::value(source));
        self.commit(begin).await?;
        self.commit_all(set_aside.into_commits(), expected, observer).await?;
        let end = Transaction::new().require(Precondition::Exists(mark.clone())).delete(mark);
        self.commit(end).await
    }

    async fn commit_all(
        &self,
        mut commits: Commits,
        expected: u64,
        observer: &Observer,
    ) -> Result<(), RestoreError> {
        let (mut objects, mut bytes) = (0, 0);
        // Reads of a file that was just written: too short to be worth another thread.
        while let Some(records) = commits.next().map_err(RestoreError::Temporary)? {
            objects += records.len() as u64;
            bytes += records.iter().map(size).sum::<u64>();
            for records in records.chunks(AT_ONCE) {
                let new = records.iter().cloned().fold(Transaction::new(), create);
                self.commit(new).await?;
            }
            observer.tell("restoring", objects, bytes, expected);
        }
        Ok(())
    }

    /// Removes everything, the mark last.
    async fn remove_all(&self) -> Result<(), RestoreError> {
        let mark = self.mark()?;
        loop {
            let page = self.first(AT_ONCE).await?;
            let last = page.remaining == 0;
            let keys = page.records.into_iter().map(|record| record.key);
            let removed = keys.filter(|key| last || *key != mark);
            self.commit(removed.fold(Transaction::new(), Transaction::delete)).await?;
            if last {
                return Ok(());
            }
        }
    }

    async fn first(&self, limit: usize) -> Result<Page, RestoreError> {
        let page = self.storage.list(&KeyRange::all(), ListOptions::default().limit(limit)).await;
        page.map_err(|error| self.unreadable(error))
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, RestoreError> {
        let failed = |error: CommitError| self.failed(error.into());
        self.storage.commit(transaction).await.map_err(failed)
    }

    fn mark(&self) -> Result<Key, RestoreError> {
        unfinished::key().map_err(|error: InvalidKey| self.failed(error.into()))
    }

    fn failed(&self, cause: crate::storage::Cause) -> RestoreError {
        RestoreError::Write { target: self.location.clone(), cause }
    }

    fn unreadable(&self, error: ReadError) -> RestoreError {
        RestoreError::Open(self.location.unreadable(error))
    }
}

fn create(transaction: Transaction, record: Record) -> Transaction {
    let Record { key, value, .. } = record;
    let mut transaction = transaction.require(Precondition::Absent(key.clone()));
    transaction.add_operation(Operation::Put(key, value));
    transaction
}

fn size(record: &Record) -> u64 {
    (record.key.as_bytes().len() + record.value.len()) as u64
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    };

    use async_trait::async_trait;

    use super::*;
    use crate::{
        key::GroupResource,
        scope::Scope,
        storage::{
            Memory, Watch, WatchError,
            snapshot::{Source, order},
        },
    };

    fn key(name: &str) -> Key {
        let widgets = GroupResource::new("demo.example.com", "widgets");
        Key::object(&widgets, &Scope::Platform, "", name).unwrap()
    }

    fn put(names: &[&str], value: &str) -> Transaction {
        let put = |transaction: Transaction, name: &&str| {
            transaction.put(key(name), value.to_owned().into())
        };
        names.iter().fold(Transaction::new(), put)
    }

    async fn everything(storage: &dyn Storage) -> Vec<Record> {
        storage.list(&KeyRange::all(), ListOptions::default()).await.unwrap().records
    }

    /// A store whose objects changed last in another order than that of their keys, some of them
    /// together.
    async fn shuffled() -> Arc<Memory> {
        let storage = Memory::new();
        for number in 0..250 {
            let name = format!("n{:03}", number * 7 % 250);
            storage.commit(put(&[&name], "first")).await.unwrap();
        }
        storage.commit(put(&["n003", "n200", "n100"], "together")).await.unwrap();
        let many: Vec<String> = (0..150).map(|number| format!("many{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        storage.commit(put(&many, "many")).await.unwrap();
        storage.commit(put(&["n001"], "last")).await.unwrap();
        Arc::new(storage)
    }

    async fn fill(
        from: &Arc<Memory>,
        to: &dyn Storage,
        restart: bool,
    ) -> Result<Revision, RestoreError> {
        let location = StorageLocation::memory();
        let target = Target { storage: to, location: &location };
        target.empty(restart).await?;
        let source = Source::storage(Arc::<Memory>::clone(from));
        let set_aside = order::set_aside(source, Observer::none()).await?;
        target.fill("somewhere", set_aside, &Observer::none()).await
    }

    /// Keys in the order of their revisions; those of one revision together.
    fn order_of(records: &[Record]) -> Vec<Vec<&Key>> {
        let mut sorted: Vec<&Record> = records.iter().collect();
        sorted.sort_by_key(|record| (record.revision, record.key.clone()));
        let commits = sorted.chunk_by(|a, b| a.revision == b.revision);
        commits.map(|commit| commit.iter().map(|record| &record.key).collect()).collect()
    }

    async fn assert_copied(from: &Memory, to: &dyn Storage) {
        let (old, new) = (everything(from).await, everything(to).await);
        let content = |records: &[Record]| -> Vec<_> {
            records.iter().map(|record| (record.key.clone(), record.value.clone())).collect()
        };
        assert_eq!(content(&old), content(&new));
        let (old, new) = (order_of(&old), order_of(&new));
        assert_eq!(old.concat(), new.concat());
        // What is more than a transaction may hold comes in several.
        let small = |commits: Vec<Vec<_>>| -> Vec<Vec<_>> {
            commits.into_iter().filter(|commit| commit.len() < 50).collect()
        };
        assert_eq!(small(old), small(new));
    }

    #[tokio::test]
    async fn objects_keep_the_order_of_their_last_changes() {
        let (from, to) = (shuffled().await, Memory::new());
        let revision = fill(&from, &to, false).await.unwrap();
        assert_copied(&from, &to).await;
        assert_eq!(revision, to.revision().await.unwrap());
        assert_eq!(unfinished::find(&to).await.unwrap(), None);
        let error = fill(&from, &to, true).await.unwrap_err();
        assert!(matches!(error, RestoreError::NotEmpty { objects: 400, .. }), "{error}");
    }

    /// A store that takes so many commits.
    #[derive(Debug)]
    struct Failing {
        memory: Memory,
        left: AtomicI64,
    }

    #[async_trait]
    impl Storage for Failing {
        async fn get(&self, key: &Key) -> Result<Option<Record>, ReadError> {
            self.memory.get(key).await
        }

        async fn list(&self, range: &KeyRange, options: ListOptions) -> Result<Page, ReadError> {
            self.memory.list(range, options).await
        }

        async fn commit(&self, transaction: Transaction) -> Result<Revision, CommitError> {
            if self.left.fetch_sub(1, Ordering::SeqCst) <= 0 {
                return Err(CommitError::Unavailable("the plug was pulled".into()));
            }
            self.memory.commit(transaction).await
        }

        async fn watch(&self, range: &KeyRange, after: Revision) -> Result<Watch, WatchError> {
            self.memory.watch(range, after).await
        }

        async fn revision(&self) -> Result<Revision, ReadError> {
            self.memory.revision().await
        }

        async fn compact(&self, floor: Revision) -> Result<(), ReadError> {
            self.memory.compact(floor).await
        }

        async fn ping(&self) -> Result<(), ReadError> {
            self.memory.ping().await
        }
    }

    #[tokio::test]
    async fn what_was_interrupted_is_recognised_and_done_again() {
        let from = shuffled().await;
        for commits in [0, 1, 2, 100, 250, 251] {
            let to = Failing { memory: Memory::new(), left: AtomicI64::new(commits) };
            let error = fill(&from, &to, false).await.unwrap_err();
            assert!(error.to_string().contains("the plug was pulled"), "{commits}: {error}");
            to.left.store(i64::MAX, Ordering::SeqCst);
            let marked = unfinished::find(&to).await.unwrap();
            assert_eq!(marked.as_deref(), (commits > 0).then_some("somewhere"), "{commits}");
            if commits > 0 {
                let error = fill(&from, &to, false).await.unwrap_err().to_string();
                assert!(error.contains("of somewhere: copy again with --restart"), "{error}");
                // Interrupted again, while what is there is removed.
                to.left.store(1, Ordering::SeqCst);
                let _may_fail = fill(&from, &to, true).await;
                to.left.store(i64::MAX, Ordering::SeqCst);
            }
            fill(&from, &to, true).await.unwrap();
            assert_copied(&from, &to).await;
        }
    }
}

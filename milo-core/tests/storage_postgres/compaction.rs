//! Old history goes, whoever erases it, and nobody is told anything wrong meanwhile.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use milo_core::storage::{Postgres, ReadError, Revision, Storage};

use crate::{servers::*, storage_support::*};

async fn forgetful(url: &str) -> Arc<Postgres> {
    let builder = Postgres::builder(url).retention(Duration::from_millis(200));
    Arc::new(builder.connect().await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_replicas_erase_what_nobody_may_read() {
    const KEYS: u64 = 20;
    let Some(server) = shared() else { return };
    let url = server.create_database().unwrap();
    let replicas = [forgetful(&url).await, forgetful(&url).await];
    let (mut states, mut state) = (BTreeMap::new(), BTreeMap::new());
    for number in 0..600_u64 {
        let name = format!("{:02}", (number * 7) % KEYS);
        let storage = &replicas[usize::try_from(number % 2).unwrap()];
        let revision = if number % 5 == 4 && state.contains_key(&name) {
            state.remove(&name);
            commit(&**storage, delete(&key("ns", &name))).await
        } else {
            let revision = commit(&**storage, put(&key("ns", &name), &number.to_string())).await;
            state.insert(name, (revision, number.to_string()));
            revision
        };
        states.insert(revision, state.clone());
        if number % 10 == 0 {
            check_states(&replicas[0], &states).await;
        }
    }
    // The newest change stays, whatever it is: it says what the newest revision is.
    commit(&*replicas[0], put(&key("other", "last"), "1")).await;
    let expected = (state.len() + 1).to_string();
    soon(async {
        while server.sql(database(&url), "SELECT count(*) FROM milo.log").unwrap() != expected {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let page = replicas[1].list(&namespace("ns"), all()).await.unwrap();
    check_page(&page.records, &state);
}

type State = BTreeMap<String, (Revision, String)>;

/// Every old state is exact, or said to be gone.
async fn check_states(storage: &Postgres, states: &BTreeMap<Revision, State>) {
    for (revision, state) in states.iter().rev().step_by(13).take(20) {
        match storage.list(&namespace("ns"), all().at(*revision)).await {
            Ok(page) => check_page(&page.records, state),
            Err(ReadError::Expired { compacted, .. }) => assert!(compacted > *revision),
            Err(error) => panic!("{error}"),
        }
    }
}

fn check_page(records: &[milo_core::storage::Record], state: &State) {
    let expected: Vec<_> = state
        .iter()
        .map(|(name, (revision, value))| record(&key("ns", name), *revision, value))
        .collect();
    assert_eq!(records, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_removal_at_the_end_keeps_the_revision() {
    let Some(server) = shared() else { return };
    let url = server.create_database().unwrap();
    let storage = forgetful(&url).await;
    let a = key("ns", "a");
    commit(&*storage, put(&a, "1")).await;
    let last = commit(&*storage, delete(&a)).await;
    storage.compact(last).await.unwrap();
    // The value that was removed may go only when the removal is not the newest any more.
    soon(async {
        let floor = "SELECT erased FROM milo.floor";
        while server.sql(database(&url), floor).unwrap() != (last.get() - 1).to_string() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    drop(storage);
    let again = connect(&url).await;
    assert_eq!(again.revision().await.unwrap(), last);
    assert_eq!(commit(&*again, put(&a, "2")).await, last.next());
}

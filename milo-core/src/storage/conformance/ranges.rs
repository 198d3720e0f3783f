//! Which keys a range holds, and which bytes a key may have.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::{
    failure::{Failure, Outcome},
    lab::Lab,
    random::seeded,
    vocabulary::*,
};
use crate::{
    key::{GroupResource, Key, KeyRange},
    scope::{Scope, Tenant},
    storage::{Event, Record, Storage, Transaction},
};

pub(super) async fn ranges_end_at_segments(lab: Lab) -> Outcome {
    let storage = lab.storage();
    let keys = [key("a", "x"), key("ab", "x"), key("b", "x"), key("", "x")];
    let mut revisions = Vec::new();
    for key in &keys {
        revisions.push(storage.commit(put(key, "1")).await?);
    }
    let found = storage.list(&namespace("a"), all()).await?;
    ensure_eq!(found.records, [record(&keys[0], revisions[0], "1")]);
    let one = storage.list(&KeyRange::key(&keys[1]), all()).await?;
    ensure_eq!(one.records, [record(&keys[1], revisions[1], "1")]);
    let everything = storage.list(&KeyRange::all(), all()).await?;
    ensure_eq!(everything.records.len(), 4);
    ensure!(everything.records.is_sorted_by(|a, b| a.key < b.key), "not in key order");
    let nothing = storage.list(&namespace("c"), all()).await?;
    ensure_eq!(nothing.records, []);
    ensure!(nothing.revision >= revisions[3], "an empty list at {}", nothing.revision);
    Ok(())
}

/// Groups, resources, scopes, namespaces and names of which some begin with others.
pub(super) async fn ranges_are_of_paths_not_of_prefixes(lab: Lab) -> Outcome {
    let resources = [("a.io", "pods"), ("a.io", "pods.apps"), ("a.io.b", "pods"), ("", "pods")]
        .map(|(group, resource)| GroupResource::new(group, resource));
    let scopes = [
        Scope::Platform,
        Scope::Organization(Tenant::new("one", "u-1")?),
        Scope::Organization(Tenant::new("ten", "u-10")?),
        Scope::User(Tenant::new("one", "u-1")?),
    ];
    let (mut keys, mut ranges) = (Vec::new(), vec![KeyRange::all()]);
    for resource in &resources {
        ranges.push(KeyRange::resource(resource)?);
        for scope in &scopes {
            ranges.push(KeyRange::scope(resource, scope)?);
            for namespace in ["", "n", "nn"] {
                ranges.push(KeyRange::namespace(resource, scope, namespace)?);
                for name in ["n", "n-n", "nn"] {
                    keys.push(Key::object(resource, scope, namespace, name)?);
                }
            }
        }
    }
    ranges.extend(keys.iter().step_by(7).map(KeyRange::key));
    check(&**lab.storage(), &keys, &ranges).await
}

/// Keys are bytes: NUL, no UTF-8, and keys that are the beginning of others.
pub(super) async fn keys_may_be_any_bytes(lab: Lab) -> Outcome {
    let mut keys: BTreeSet<Key> = BTreeSet::new();
    for text in [
        &b"\0"[..],
        b"\0\0",
        b"\x01",
        b"a",
        b"a\0",
        b"a\0\0",
        b"a\0b",
        b"a\x01",
        b"a/",
        b"a/b",
        b"a0",
        b"A",
        b"\xc3\xa4",
        b"\xc3",
        b"\x80",
        b"\xfe",
        b"\xfe\xfe",
        b"%",
        b"_",
        b"\\",
        b"'",
        b"\"",
        b"\n",
        b" ",
        b"a ",
        b"/",
        b"//",
    ] {
        keys.insert(Key::from_storage(Bytes::copy_from_slice(text)));
    }
    for byte in 0..=0xfe_u8 {
        keys.insert(Key::from_storage(vec![b'k', byte, b'k'].into()));
    }
    check_with_parts(&**lab.storage(), keys).await
}

pub(super) async fn keys_may_be_long_and_random(lab: Lab) -> Outcome {
    seeded(|mut random| async move {
        let mut keys = BTreeSet::new();
        for length in [1, 2, 3, 17, 63, 64, 65, 253, 255, 256, 257, 511, 700, 1023, 1024] {
            for _ in 0..4 {
                let key: Vec<u8> = (0..length).map(|_| random.below(0xff) as u8).collect();
                keys.insert(Key::from_storage(key.into()));
            }
        }
        check_with_parts(&**lab.storage(), keys).await
    })
    .await
}

/// Also with the ranges that hold one key, and those that begin at one.
async fn check_with_parts(storage: &dyn Storage, keys: BTreeSet<Key>) -> Outcome {
    let keys: Vec<Key> = keys.into_iter().collect();
    let mut ranges = vec![KeyRange::all()];
    for key in keys.iter().step_by(5) {
        ranges.push(KeyRange::key(key));
        ranges.extend(KeyRange::all().starting_at(key.to_bytes()));
    }
    check(storage, &keys, &ranges).await
}

/// Writes all keys, each with another value, and reads every range in all ways.
async fn check(storage: &dyn Storage, keys: &[Key], ranges: &[KeyRange]) -> Outcome {
    let start = storage.revision().await?;
    let mut records = Vec::new();
    for (part, keys) in keys.chunks(100).enumerate() {
        let value = |number: usize| format!("{part}-{number}");
        let values = || keys.iter().enumerate().map(|(number, key)| (key, value(number)));
        let transaction =
            values().fold(Transaction::new(), |t, (key, value)| t.put(key.clone(), bytes(&value)));
        let revision = storage.commit(transaction).await?;
        records.extend(values().map(|(key, value)| record(key, revision, &value)));
    }
    records.sort_by(|a, b| a.key.cmp(&b.key));
    let last = storage.commit(delete(&records[0].key)).await?;
    let removed = records.remove(0);
    ensure_eq!(storage.get(&removed.key).await?, None);
    for record in &records {
        ensure_eq!(storage.get(&record.key).await?.as_ref(), Some(record));
    }
    let events = history(storage, &KeyRange::all(), start, last).await?;
    for range in ranges {
        check_range(storage, range, &records).await?;
        let expected: Vec<&Event> =
            events.iter().filter(|event| range.contains(event.key())).collect();
        let found = history(storage, range, start, last).await?;
        ensure_eq!(found.iter().collect::<Vec<_>>(), expected, "a watch of {range:?}");
    }
    ensure_eq!(events.len(), records.len() + 2);
    Ok(())
}

async fn check_range(storage: &dyn Storage, range: &KeyRange, records: &[Record]) -> Outcome {
    let expected: Vec<&Record> =
        records.iter().filter(|record| range.contains(&record.key)).collect();
    let page = storage.list(range, all()).await?;
    ensure_eq!(page.records.iter().collect::<Vec<_>>(), expected, "{range:?}");
    for at in [all(), all().at(page.revision)] {
        let page = storage.list(range, at.limit(2)).await?;
        let shown = expected.len().min(2);
        ensure_eq!(page.records.iter().collect::<Vec<_>>(), expected[..shown], "{range:?}");
        ensure_eq!(page.remaining as usize, expected.len() - shown, "what remains of {range:?}");
    }
    Ok::<_, Failure>(())
}

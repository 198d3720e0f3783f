//! What objects are filed by on demand, against looking at all of them.

use std::collections::BTreeMap;

use milo_core::selector::{FieldOperator, FieldRequirement, FieldSelector};
use proptest::prelude::*;

use super::{
    super::{
        attribute::{Attribute, Filing},
        indexes::IN_VAIN,
        objects::Objects,
    },
    *,
};

/// An object with the labels `tier` and `zone`.
fn labelled(key: &Key, revision: u64, (tier, zone): (u8, Option<u8>)) -> Arc<Cached> {
    let mut labels = BTreeMap::from([("tier", format!("t{tier}"))]);
    labels.extend(zone.map(|zone| ("zone", format!("z{zone}"))));
    let value = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"labels": labels}});
    let record = Record {
        key: key.clone(),
        revision: Revision::new(revision),
        value: value.to_string().into(),
    };
    Arc::new(Cached::new(record, &definition()).unwrap())
}

fn label(key: &str) -> Attribute {
    Attribute::Label(key.into())
}

fn selecting(labels: &str) -> Filter {
    let labels = LabelSelector::parse(labels).unwrap();
    Filter::default().selecting(Selection { labels, ..Selection::default() })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_is_filed_is_what_looking_at_all_finds(
        steps in prop::collection::vec(
            (any::<bool>(), 0_u8..12, prop::option::weighted(0.8, (0_u8..3, prop::option::of(0_u8..3)))),
            1..80,
        ),
        (taken, added, asked) in (0_usize..40, 0_usize..40, 0_u64..80),
    ) {
        let mut state = State::default();
        state.reset(Vec::new(), Vec::new(), Revision::ZERO, &definition());
        let mut filed = None;
        for (number, (in_a, name, labels)) in steps.iter().enumerate() {
            let revision = number as u64 + 1;
            let key = key(if *in_a { "a" } else { "b" }, &format!("o{name:02}"));
            put(&mut state, &key, revision, labels.map(|labels| labelled(&key, revision, labels)));
            if number == taken {
                let (objects, at, life) = state.to_index();
                let objects = objects.walk(&KeyRange::all());
                filed = Some((Objects::filed_by(label("zone"), objects), at, life));
            }
            if number == taken + added && let Some((filed, at, life)) = filed.take() {
                state.add_index(filed, at, life);
                prop_assert_eq!(state.indexes(), 1);
            }
        }
        let ranges = [KeyRange::all(), namespace("a"), KeyRange::key(&key("b", "o03"))];
        for range in ranges {
            for selector in ["zone=z0", "zone=z2,tier=t1", "zone in (z1)", "zone=none", "tier=t0", "!zone"] {
                let filter = selecting(selector);
                let filings = filter.filings(&definition());
                let select = |walk: Walk| {
                    let found = walk.filter(|object| filter.matches(object, &definition()));
                    found.map(|object| (object.key().clone(), object.revision())).collect::<Vec<_>>()
                };
                let all = select(state.now(&range, &[]).walk(&range));
                prop_assert_eq!(select(state.now(&range, &filings).walk(&range)), all);
                let asked = Revision::new(asked);
                let then = |filings: &[Filing]| state.at(&range, filings, asked).map(|m| select(m.walk(&range)));
                prop_assert_eq!(then(&filings), then(&[]));
            }
        }
    }
}

#[test]
fn only_single_values_are_filed_under() {
    let filings = |labels| selecting(labels).filings(&definition());
    for text in ["a", "!a", "a!=b", "a in (b,c)", "a notin (b)", "a>1", "a="] {
        assert_eq!(filings(text), [], "{text}");
    }
    let expected = [
        Filing { attribute: label("a"), value: "b".into() },
        Filing { attribute: label("c"), value: "d".into() },
    ];
    assert_eq!(filings("a=b,c in (d)"), expected);
    let name = FieldRequirement::new("metadata.name", FieldOperator::Equals, "x");
    let other = FieldRequirement::new("metadata.namespace", FieldOperator::NotEquals, "y");
    let fields: FieldSelector = [name, other].into_iter().collect();
    let filter = Filter::default().selecting(Selection { fields, ..Selection::default() });
    let expected = [Filing { attribute: Attribute::Name, value: "x".into() }];
    assert_eq!(filter.filings(&definition()), expected);
}

#[tokio::test]
async fn what_is_selected_often_is_filed_and_forgotten_again() {
    let memory = Arc::new(Memory::new());
    for block in 0..6 {
        let mut transaction = Transaction::new();
        for number in block * 1000..(block + 1) * 1000_u32 {
            let key = key("ns", &format!("{number:05}"));
            let object = labelled(&key, 0, (u8::from(number % 500 == 0), None));
            let mut bytes = bytes::BytesMut::new();
            object.write_to(&mut bytes);
            transaction.add_operation(milo_core::storage::Operation::Put(key, bytes.freeze()));
        }
        memory.commit(transaction).await.unwrap();
    }
    const { assert!(6000 - 12 > IN_VAIN) };
    let cache = Cache::new(definition(), memory.clone()).unwrap();
    let feed = cache.spawn();
    cache.filled().await;
    let (range, filter) = (namespace("ns"), selecting("tier=t1"));
    let select = async || {
        let listing = cache.list(&range, &filter, None, None).await.unwrap().unwrap();
        listing.objects.map(|object| object.key().clone()).collect::<Vec<_>>()
    };
    let all = select().await;
    assert_eq!(all.len(), 12);
    assert_eq!(cache.state.read().indexes(), 0, "once is not often");
    assert_eq!(select().await, all);
    while cache.state.read().indexes() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(select().await, all);
    let filings = filter.filings(&definition());
    let walk = cache.state.read().now(&range, &filings).walk(&range);
    assert_eq!(walk.len(), 12, "nothing is looked at in vain");
    for _ in 0..10 {
        let _used = cache.state.read().now(&range, &filings);
        cache.state.write().tidy();
    }
    assert_eq!(cache.state.read().indexes(), 1, "it is in use");
    for _ in 0..11 {
        cache.state.write().tidy();
    }
    assert_eq!(cache.state.read().indexes(), 0);
    feed.abort();
}

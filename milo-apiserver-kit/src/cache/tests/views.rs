//! What tenants see, against a filter that looks at everything.

use std::collections::{BTreeMap, BTreeSet};

use milo_core::{
    definition::View,
    scope::{ScopeKind, Tenant},
};
use proptest::prelude::*;

use super::*;

const TENANTS: [&str; 3] = ["t0", "t1", "t2"];

/// Seen through organizations by one label, and through users by another.
fn viewed() -> Arc<ResourceDefinition> {
    static DEFINITION: LazyLock<Arc<ResourceDefinition>> = LazyLock::new(|| {
        let definition = ResourceDefinition::of_resource::<ConfigMap>().unwrap();
        let definition = definition
            .seen_from(ScopeKind::Organization, View::LabelUid("org".into()))
            .seen_from(ScopeKind::User, View::Label("user".into()));
        Arc::new(definition)
    });
    DEFINITION.clone()
}

/// Every way to see, and the label that it goes by.
fn filters() -> Vec<(Filter, Option<(&'static str, &'static str)>)> {
    let mut filters = vec![(Filter::default(), None)];
    for tenant in TENANTS {
        let as_uid = Tenant::new("name", tenant).unwrap();
        let as_name = Tenant::new(tenant, "uid").unwrap();
        for (label, scope) in [("org", Scope::Organization(as_uid)), ("user", Scope::User(as_name))]
        {
            let filter = Filter::seen_from(&scope, &viewed()).unwrap();
            filters.push((filter, Some((label, tenant))));
        }
    }
    filters
}

fn ranges() -> Vec<KeyRange> {
    let platform = KeyRange::scope(viewed().group_resource(), &Scope::Platform).unwrap();
    vec![platform, namespace("a"), namespace("b"), KeyRange::key(&key("a", "o1"))]
}

/// An object as the test knows it: its labels.
type Labels = (Option<usize>, Option<usize>);

fn carries(labels: Labels, wanted: Option<(&str, &str)>) -> bool {
    let value = |at: Option<usize>| at.map(|at| TENANTS[at]);
    match wanted {
        None => true,
        Some(("org", tenant)) => value(labels.0) == Some(tenant),
        Some((_, tenant)) => value(labels.1) == Some(tenant),
    }
}

fn labelled_object(key: &Key, revision: u64, labels: Labels) -> Arc<Cached> {
    let mut all = BTreeMap::new();
    for (label, at) in [("org", labels.0), ("user", labels.1)] {
        all.extend(at.map(|at| (label, TENANTS[at])));
    }
    let value = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"labels": all}});
    let revision = Revision::new(revision);
    let record = Record { key: key.clone(), revision, value: value.to_string().into() };
    Arc::new(Cached::new(record, &viewed()).unwrap())
}

fn tenant() -> impl Strategy<Value = Option<usize>> {
    prop::option::weighted(0.8, 0..TENANTS.len())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn tenants_see_what_is_theirs_and_are_woken_for_nothing_else(
        steps in prop::collection::vec(
            (any::<bool>(), 0_u8..8, prop::option::weighted(0.8, (tenant(), tenant()))),
            1..60,
        ),
        reset in 0_usize..20,
        asked in 0_u64..60,
    ) {
        let (mut state, mut model) = (State::default(), BTreeMap::<Key, (u64, Labels)>::new());
        state.reset(Vec::new(), Vec::new(), Revision::ZERO, &viewed());
        let (mut watchers, mut states) = (Vec::new(), Vec::new());
        for (number, (in_a, name, labels)) in steps.into_iter().enumerate() {
            if number == reset {
                let all = model.iter().map(|(k, (r, l))| labelled_object(k, *r, *l)).collect();
                state.reset(all, Vec::new(), Revision::new(number as u64), &viewed());
                for range in ranges() {
                    for (filter, wanted) in filters() {
                        let cursor = state.cursor(&range, filter.seen());
                        watchers.push((range.clone(), filter, wanted, cursor));
                    }
                }
            }
            let revision = number as u64 + 1;
            let key = key(if in_a { "a" } else { "b" }, &format!("o{name}"));
            let before = model.get(&key).map(|(_, labels)| *labels);
            let object = labels.map(|labels| labelled_object(&key, revision, labels));
            let mut woken = state.waking();
            let at = Revision::new(revision);
            state.apply(&key, at, Ok(object), &viewed(), &mut woken);
            state.revision = at;
            woken.tell();
            match labels {
                Some(labels) => model.insert(key.clone(), (revision, labels)),
                None => model.remove(&key),
            };
            for (range, filter, wanted, cursor) in &mut watchers {
                let was = before.is_some_and(|labels| carries(labels, *wanted));
                let is = labels.is_some_and(|labels| carries(labels, *wanted));
                let concerned = range.contains(&key) && (was || is);
                prop_assert_eq!(cursor.is_signalled(), concerned, "{:?} {:?}", range, wanted);
                let told: Vec<_> = state.read(cursor).unwrap();
                let told: Vec<_> =
                    told.iter().map(|change| change.event_type(filter, &viewed())).collect();
                let expected = match (was, is) {
                    (false, true) => EventType::Added,
                    (true, true) => EventType::Modified,
                    _ => EventType::Deleted,
                };
                prop_assert_eq!(told, vec![Some(expected); usize::from(concerned)]);
            }
            states.push(model.clone());
        }
        // What was seen at any moment that is remembered, and what is seen now.
        let asked = asked.min(states.len() as u64);
        let (old, now) = (states.get(asked.wrapping_sub(1) as usize), states.last().unwrap());
        for range in ranges() {
            for (filter, wanted) in filters() {
                let seen = |model: &BTreeMap<Key, (u64, Labels)>| {
                    let inside = model.iter().filter(|(key, _)| range.contains(key));
                    let mine = inside.filter(|(_, (_, labels))| carries(*labels, wanted));
                    mine.map(|(key, (revision, _))| (key.clone(), *revision)).collect::<BTreeSet<_>>()
                };
                let walked = |walk: Walk| {
                    walk.map(|object| (object.key().clone(), object.revision().get()))
                        .collect::<BTreeSet<_>>()
                };
                let filings = filter.filings(&viewed());
                let moment = state.now(&range, &filings);
                prop_assert_eq!(walked(moment.walk(&range)), seen(now));
                let moment = state.at(&range, &filings, Revision::new(asked));
                if let (Some(moment), Some(old)) = (moment, old) {
                    prop_assert_eq!(walked(moment.walk(&range)), seen(old));
                }
            }
        }
    }
}

//! Feeding, freshness, publication, and the evaluator as an authorizer.

#![expect(clippy::unwrap_used, reason = "tests say what they expect by unwrapping")]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use milo_core::{
    authorization::{Authorizer, Decision},
    identity::{SYSTEM_AUTHENTICATED, UserInfo},
    key::GroupResource,
    request::{RequestAttributes, ResourceAttributes, Verb},
    scope::{Scope, Tenant},
};
use milo_iam::{
    Evaluator, FeedError, IamAuthorizer, Principal, Question, Within,
    world::{Body, Change, Fact, Key, KindName, World, WorldBuilder},
};
use support::{binding_key, object_of, user};

const LONG: Duration = Duration::from_secs(30);

fn world() -> World {
    WorldBuilder::new()
        .organization("acme")
        .project("web", "acme")
        .user("ada")
        .user("bob")
        .group("acme", "staff", &["bob"])
        .kind("g.io", "Thing", "things", &["get", "list"], &["Project"])
        .role("", "viewer", &["g.io/things.get", "g.io/things.list"], &[])
        .bind_on_project("acme", "b", "viewer", "ada", "web")
        .build()
}

fn question(who: &str) -> Question {
    Question::new(Principal::new(who), "g.io/things.get".parse().unwrap())
        .within(Within::project("web"))
        .name("a")
}

fn revoke() -> Change {
    Change::Remove(binding_key("b", "organization-acme"))
}

fn grant() -> Change {
    Change::Put(world().get(&binding_key("b", "organization-acme")).unwrap())
}

#[test]
fn changes_come_in_order_and_after_a_list() {
    let evaluator = Evaluator::new();
    assert_eq!(evaluator.apply(1, [grant()]), Err(FeedError::NotListed));
    assert!(!evaluator.snapshot().check(&question("ada")));
    evaluator.relist(5, world()).unwrap();
    assert!(evaluator.snapshot().check(&question("ada")));
    let late = FeedError::OutOfOrder { offered: 5, known: 5 };
    assert_eq!(evaluator.apply(5, [revoke()]), Err(late));
    assert_eq!(
        evaluator.relist(4, World::new()).unwrap_err().to_string(),
        "revision 4 does not come after 5: feed changes in order, or relist"
    );
    assert!(evaluator.snapshot().check(&question("ada")), "what is refused changes nothing");
    evaluator.apply(6, [revoke()]).unwrap();
    assert!(!evaluator.snapshot().check(&question("ada")));
    evaluator.bookmark(9).unwrap();
    assert_eq!(evaluator.snapshot().revision(), 9);
}

/// S11: nothing is remembered. With the change, the answer changes; older snapshots stay.
#[test]
fn s11_revocation_is_visible_with_its_commit() {
    let evaluator = Evaluator::new();
    evaluator.relist(1, world()).unwrap();
    let before = evaluator.snapshot();
    let role = |permissions: &[&str]| {
        let world = WorldBuilder::new().role("", "viewer", permissions, &[]).build();
        let key = Key::new(KindName::new("iam.miloapis.com", "Role"), "viewer");
        Change::Put(world.get(&key.namespace("milo-system")).unwrap())
    };
    let checked = |evaluator: &Evaluator| evaluator.snapshot().check(&question("ada"));
    evaluator.apply(2, [role(&["g.io/things.list"])]).unwrap();
    assert!(!checked(&evaluator), "a role that is edited");
    evaluator.apply(3, [role(&["g.io/things.get"])]).unwrap();
    assert!(checked(&evaluator));
    let registration = |verbs: &[&str]| {
        let world =
            WorldBuilder::new().kind("g.io", "Thing", "things", verbs, &["Project"]).build();
        let kind = KindName::new("iam.miloapis.com", "ProtectedResource");
        Change::Put(world.get(&Key::new(kind, "g.io-things")).unwrap())
    };
    evaluator.apply(4, [registration(&["list"])]).unwrap();
    assert!(!checked(&evaluator), "a verb that is no longer registered");
    evaluator.apply(5, [registration(&["get"])]).unwrap();
    assert!(checked(&evaluator), "and one that is again");
    evaluator.apply(6, [revoke()]).unwrap();
    assert!(!checked(&evaluator));
    assert!(before.check(&question("ada")));
}

#[tokio::test]
async fn a_write_is_waited_for() {
    let evaluator = Arc::new(Evaluator::new());
    evaluator.relist(1, world()).unwrap();
    let stale = evaluator.at_least(2, Duration::ZERO).await.unwrap_err();
    assert_eq!((stale.wanted, stale.known), (2, 1));
    let waiting = tokio::spawn({
        let evaluator = evaluator.clone();
        async move { evaluator.at_least(3, LONG).await.unwrap().check(&question("ada")) }
    });
    evaluator.apply(2, []).unwrap();
    evaluator.apply(3, [revoke()]).unwrap();
    assert!(!waiting.await.unwrap());
}

#[tokio::test]
async fn changes_of_decisions_are_told() {
    let evaluator = Evaluator::new();
    evaluator.relist(1, world()).unwrap();
    let mut changes = evaluator.decision_changes();
    // An object that nobody is granted anything on changes nothing.
    let thing = Key::new(KindName::new("g.io", "Thing"), "x").in_project("web-uid");
    evaluator.apply(2, [Change::put(Fact::new(thing, "x", Body::Other))]).unwrap();
    evaluator.apply(3, [revoke()]).unwrap();
    let change = changes.next().await;
    assert_eq!((change.from, change.to), (1, 3));
    assert_eq!(
        change.difference.to_string(),
        "ada\n  - g.io/things.get on Project web\n  - g.io/things.list on Project web"
    );
    evaluator.apply(4, [grant()]).unwrap();
    let change = changes.next().await;
    assert_eq!((change.from, change.to), (3, 4));
    assert_eq!(change.difference.changes.len(), 2);
}

#[test]
fn answers_read_well_and_travel_as_json() {
    let snapshot = milo_iam::Snapshot::of(
        WorldBuilder::new()
            .organization("acme")
            .project("web", "acme")
            .user("ada")
            .user("bob")
            .group("acme", "staff", &["bob"])
            .kind("g.io", "Thing", "things", &["get", "update"], &["Project"])
            .role("", "viewer", &["g.io/things.get"], &[])
            .role("", "editor", &["g.io/things.update"], &["viewer"])
            .bind(
                "acme",
                "b",
                "editor",
                vec![milo_iam::world::Subject::Group {
                    namespace: "organization-acme".into(),
                    name: "staff".into(),
                    uid: "staff-uid".into(),
                }],
                object_of(&world(), "Organization", "acme"),
            )
            .build(),
    );
    let allowed = snapshot.explain(&question("bob"));
    assert_eq!(
        allowed.to_string(),
        "\
allowed: may bob g.io/things.get a within project web
└─ PolicyBinding organization-acme/b
   ├─ to Group organization-acme/staff
   │  └─ GroupMembership organization-acme/staff-bob has bob
   ├─ on Organization acme, within organization acme
   └─ Role milo-system/editor
      └─ Role milo-system/viewer
         └─ g.io/things.get"
    );
    let denied = snapshot.explain(&question("ada"));
    assert_eq!(
        denied.to_string(),
        "\
denied: may ada g.io/things.get a within project web
├─ would be allowed: bind Role milo-system/viewer to User ada on Project web, with organization acme
├─ would be allowed: bind Role milo-system/viewer to User ada on Organization acme, with organization acme
├─ would be allowed: bind Role milo-system/viewer to User ada on every Thing there is, with the platform
└─ would be allowed: put ada into Group organization-acme/staff"
    );
    for explanation in [allowed, denied] {
        let json = serde_json::to_string(&explanation).unwrap();
        assert_eq!(serde_json::from_str::<milo_iam::Explanation>(&json).unwrap(), explanation);
    }
    let unregistered =
        Question { permission: "g.io/things.burn".parse().unwrap(), ..question("ada") };
    assert_eq!(
        snapshot.explain(&unregistered).to_string(),
        "denied: may ada g.io/things.burn a within project web\n\
         └─ no ProtectedResource registers g.io/things.burn"
    );
    let nowhere = question("ada").within(Within::project("nowhere"));
    assert!(
        snapshot
            .explain(&nowhere)
            .to_string()
            .ends_with("└─ project nowhere does not exist, or does not hold what is asked about")
    );
    let json = serde_json::to_string(&question("ada")).unwrap();
    assert_eq!(serde_json::from_str::<Question>(&json).unwrap(), question("ada"));
}

fn request(user: UserInfo, verb: &str) -> RequestAttributes {
    let tenant = |name: &str| Tenant::new(name, format!("{name}-uid")).unwrap();
    RequestAttributes {
        user: Arc::new(user),
        scope: Scope::Project { project: tenant("web"), organization: tenant("acme") },
        verb: Verb::of_resource(verb),
        resource: Some(ResourceAttributes {
            resource: GroupResource::new("g.io", "things"),
            version: "v1".into(),
            subresource: String::new(),
            namespace: "default".into(),
            name: "a".into(),
        }),
        path: String::new(),
    }
}

#[tokio::test]
async fn requests_are_decided() {
    let evaluator = Arc::new(Evaluator::new());
    let authorizer = IamAuthorizer::new(evaluator.clone());
    let ada = || UserInfo::new("Ada").with_uid("ada").with_group(SYSTEM_AUTHENTICATED);
    let error = authorizer.authorize(&request(ada(), "get")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "authorization could not be decided: access cannot be decided yet: revision 1 was not there \
         in time: 0 is the newest known"
    );
    evaluator.relist(1, world()).unwrap();
    let decide = async |user: UserInfo, verb: &str| {
        authorizer.authorize(&request(user, verb)).await.unwrap()
    };
    assert_eq!(decide(ada(), "get").await, Decision::Allow);
    let by_name = UserInfo::new("ada").with_group(SYSTEM_AUTHENTICATED);
    assert_eq!(decide(by_name, "get").await, Decision::NoOpinion(String::new()));
    assert_eq!(
        decide(ada(), "burn").await,
        Decision::NoOpinion("no ProtectedResource registers g.io/things.burn".into())
    );
    let fresh = IamAuthorizer::new(evaluator).at_least(2, Duration::ZERO);
    assert!(fresh.authorize(&request(ada(), "get")).await.is_err());
}

#[test]
fn only_who_may_bind_can_grant_more_than_they_have() {
    let base = |bind: bool| {
        let mut builder = WorldBuilder::new()
            .organization("acme")
            .project("web", "acme")
            .user("ada")
            .kind("g.io", "Thing", "things", &["get"], &["Project"])
            .kind("iam.miloapis.com", "Role", "roles", &["bind"], &[])
            .role("", "viewer", &["g.io/things.get"], &[])
            .role("", "binder", &["iam.miloapis.com/roles.bind"], &[]);
        if bind {
            let roles = milo_iam::world::Target::Kind(KindName::new("iam.miloapis.com", "Role"));
            builder = builder.bind("", "b", "binder", vec![user("ada")], roles);
        }
        milo_iam::Snapshot::of(builder.build())
    };
    let binding = world().get(&binding_key("b", "organization-acme")).unwrap();
    let ada = Principal::new("ada");
    assert_eq!(base(true).can_grant(&ada, &binding), Ok(()));
    assert_eq!(
        base(false).can_grant(&ada, &binding).unwrap_err().to_string(),
        "ada may not bind Role milo-system/viewer on Project web: that would grant g.io/things.get, \
         which ada does not hold there; hold them or iam.miloapis.com/roles.bind on the role"
    );
}

/// Readers and writers at once, for `MILO_SOAK_SECONDS`, two by default: a reader sees no state
/// that no revision had. Every revision moves one grant from one user to another.
#[test]
fn soak() {
    let seconds = std::env::var("MILO_SOAK_SECONDS").ok().and_then(|text| text.parse().ok());
    let end = Instant::now() + Duration::from_secs(seconds.unwrap_or(2));
    let evaluator = Evaluator::new();
    let target = object_of(&world(), "Project", "web");
    let for_user = |name: &str| {
        WorldBuilder::new().bind("acme", "b", "viewer", vec![user(name)], target.clone()).build()
    };
    let holder = |revision: u64| if revision.is_multiple_of(2) { "ada" } else { "bob" };
    let move_to = |name: &str| {
        Change::Put(for_user(name).get(&binding_key("b", "organization-acme")).unwrap())
    };
    evaluator.relist(2, world()).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = || {
            let (mut reads, mut last) = (0u64, 0);
            while !done.load(Ordering::Relaxed) {
                let snapshot = evaluator.snapshot();
                let revision = snapshot.revision();
                assert!(revision >= last);
                last = revision;
                for name in ["ada", "bob"] {
                    assert_eq!(snapshot.check(&question(name)), name == holder(revision));
                }
                reads += 1;
            }
            reads
        };
        let readers = [scope.spawn(reader), scope.spawn(reader)];
        let mut revision = 2u64;
        while Instant::now() < end {
            revision += 1;
            if revision.is_multiple_of(50) {
                evaluator.relist(revision, world().with([move_to(holder(revision))])).unwrap();
            } else {
                evaluator.apply(revision, [revoke(), move_to(holder(revision))]).unwrap();
            }
        }
        done.store(true, Ordering::Relaxed);
        let reads = readers.map(|reader| reader.join().unwrap());
        println!("{} revisions, {reads:?} reads", revision - 2);
    });
}

//! What keeps tenants apart: whose projects and memberships are whose, also when names are used
//! again.

#![expect(clippy::unwrap_used, reason = "helpers of tests say what they expect by unwrapping")]

mod support;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use milo_apiserver_kit::ServerBuilder;
use milo_core::{
    admission::{Admission, AdmissionRequest, Operation},
    key::{GroupResource, Key, KeyRange},
    object::Object,
    resourcemanager::{GROUP, labels},
    scope::Scope,
    status::StatusError,
    storage::{ListOptions, Memory, Storage, Transaction},
};
use serde_json::{Value, json};
use support::{Wire, membership, names, organization, soon, version};
use tokio::{sync::Notify, task::JoinSet};

const UID: &str = labels::ORGANIZATION_UID;
const NAME: &str = labels::ORGANIZATION_NAME;

/// A resource in the control plane of an organization.
fn within(organization: &str, resource: &str) -> String {
    format!("/organizations/{organization}/control-plane{}/{resource}", support::GROUP)
}

fn project(name: &str, owner: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"ownerRef": {"kind": "Organization", "name": owner}}})
}

/// Whether a project can be entered.
async fn enterable(wire: &Wire, name: &str) -> bool {
    let answer = wire.get(&format!("/projects/{name}/control-plane/apis")).await;
    assert!(matches!(answer.code, 200 | 404), "{}", answer.text());
    answer.code == 200
}

/// Removes an organization behind the server's back, whatever it still has.
async fn remove(storage: &Memory, name: &str) {
    let organizations = GroupResource::new(GROUP, "organizations");
    let key = Key::object(&organizations, &Scope::Platform, "", name).unwrap();
    storage.commit(Transaction::new().delete(key)).await.unwrap();
}

#[tokio::test]
async fn a_name_that_is_used_again_brings_no_projects() {
    let storage = Arc::new(Memory::new());
    let wire = Wire::on(storage.clone()).await;
    wire.organization("acme").await;
    let projects = within("acme", "projects");
    let old = wire.post(&projects, &project("secret", "acme")).await.created();
    assert!(enterable(&wire, "secret").await);
    let mut before = wire.watch(&format!("{projects}?watch=true&resourceVersion=0")).await;
    assert_eq!(before.expect("ADDED").await["metadata"]["name"], "secret");

    remove(&storage, "acme").await;
    assert!(!enterable(&wire, "secret").await, "its organization is gone");
    let acme = wire.organization("acme").await;
    assert!(!enterable(&wire, "secret").await, "another organization has the name");

    assert_eq!(names(&wire.get(&projects).await.ok()), [""; 0], "list");
    let selected = format!("{projects}?fieldSelector=metadata.name%3Dsecret");
    assert_eq!(names(&wire.get(&selected).await.ok()), [""; 0], "list of one");
    let one = within("acme", "projects/secret");
    let missing = "projects.resourcemanager.miloapis.com \"secret\" not found";
    wire.get(&one).await.refused("get", 404, "NotFound", missing);
    wire.put(&one, &old).await.refused("update", 404, "NotFound", missing);
    let claim = json!({"metadata": {"labels": {UID: acme["metadata"]["uid"]}}});
    wire.merge(&one, &claim).await.refused("patch", 404, "NotFound", missing);
    wire.delete(&one).await.refused("delete", 404, "NotFound", missing);
    assert_eq!(names(&wire.delete(&projects).await.ok()), [""; 0], "deletecollection");

    // Watches tell each organization of its own projects only: of what was there, and of what comes.
    let mut after = wire.watch(&format!("{projects}?watch=true&resourceVersion=0")).await;
    let mut since =
        wire.watch(&format!("{projects}?watch=true&resourceVersion={}", version(&old))).await;
    wire.merge("projects/secret", &json!({"metadata": {"annotations": {"x": "y"}}})).await.ok();
    assert_eq!(before.expect("MODIFIED").await["metadata"]["name"], "secret");
    wire.post(&projects, &project("fresh", "acme")).await.created();
    for events in [&mut after, &mut since] {
        assert_eq!(events.expect("ADDED").await["metadata"]["name"], "fresh");
    }
    wire.delete("projects/secret").await.ok();
    assert_eq!(before.expect("DELETED").await["metadata"]["name"], "secret", "and not fresh");
    assert!(enterable(&wire, "fresh").await);
}

#[tokio::test]
async fn a_project_keeps_its_organization() {
    let wire = Wire::start().await;
    let acme = wire.organization("acme").await;
    let beta = wire.organization("beta").await;
    let mut sent = project("p", "beta");
    sent["metadata"]["labels"] = json!({UID: beta["metadata"]["uid"], NAME: "beta"});
    let made = wire.post(&within("acme", "projects"), &sent).await.created();
    let uid = &acme["metadata"]["uid"];
    assert_eq!(made["metadata"]["labels"], json!({UID: uid, NAME: "acme"}));
    assert_eq!(made["metadata"]["ownerReferences"][0]["uid"], *uid);
    assert_eq!(made["spec"]["ownerRef"]["name"], "acme");
    sent["metadata"] = json!({"name": "bare", "labels": null});
    let bare = wire.post("projects", &sent).await.created();
    assert_eq!(bare["metadata"]["labels"][UID], beta["metadata"]["uid"]);

    for (path, key) in [("projects/p".to_owned(), UID), (within("acme", "projects/p"), NAME)] {
        for (value, why) in [(json!("other"), "changed"), (Value::Null, "removed")] {
            let text = format!(
                "Project.resourcemanager.miloapis.com \"p\" is invalid: metadata.labels[{key}]: Forbidden: cannot be {why}"
            );
            let patch = json!({"metadata": {"labels": {key: value}}});
            wire.merge(&path, &patch).await.refused(key, 422, "Invalid", &text);
        }
    }
    let text = "Project.resourcemanager.miloapis.com \"p\" is invalid: spec.ownerRef.name: Invalid value: \"beta\": field is immutable";
    let patch = json!({"spec": {"ownerRef": {"name": "beta"}}});
    wire.merge("projects/p", &patch).await.refused("owner", 422, "Invalid", text);
}

/// What an organization still has, as the refusal to delete it says.
fn blocked(organization: &str, what: &str) -> String {
    format!(
        "Operation cannot be fulfilled on organizations.resourcemanager.miloapis.com \"{organization}\": it still has {what}; delete them first"
    )
}

#[tokio::test]
async fn an_organization_that_has_something_is_not_deleted() {
    let wire = Wire::start().await;
    for name in ["acme", "beta"] {
        wire.organization(name).await;
    }
    wire.post("projects", &project("other", "beta")).await.created();
    wire.post("projects", &project("p1", "acme")).await.created();
    let acme = "organizations/acme";
    let expect = async |what: &str| {
        wire.delete(acme).await.refused("delete", 409, "Conflict", &blocked("acme", what));
    };
    expect("1 project (\"p1\")").await;
    wire.post("projects", &project("p0", "acme")).await.created();
    let members = "namespaces/organization-acme/organizationmemberships";
    wire.post(members, &membership("m", "ada", "acme")).await.created();
    expect("2 projects (\"p0\", \"p1\") and 1 membership (\"m\")").await;
    let text = blocked("acme", "2 projects (\"p0\", \"p1\") and 1 membership (\"m\")");
    let dry = wire.delete("organizations/acme?dryRun=All").await;
    dry.refused("dry run", 409, "Conflict", &text);
    wire.delete(&within("acme", "projects")).await.ok();
    expect("1 membership (\"m\")").await;
    let mut calls = JoinSet::new();
    for index in 0..299 {
        let member = membership(&format!("x{index:03}"), "u", "acme");
        calls.spawn(wire.call("POST", members).json(&member).send());
    }
    for answer in calls.join_all().await {
        answer.created();
    }
    let names = (0..9).map(|index| format!(", \"x00{index}\"")).collect::<String>();
    expect(&format!("300 memberships (\"m\"{names}, ...)")).await;
    wire.delete(members).await.ok();
    wire.delete(acme).await.ok();
    assert_eq!(wire.get(acme).await.code, 404);
    assert!(enterable(&wire, "other").await, "the projects of others are no one's business");
}

#[tokio::test]
async fn finalizers_do_not_let_projects_in_or_out() {
    let storage = Arc::new(Memory::new());
    let wire = Wire::on(storage.clone()).await;
    let mut sent = organization("acme");
    sent["metadata"]["finalizers"] = json!(["example.com/one"]);
    wire.post("organizations", &sent).await.created();
    wire.post("projects", &project("p", "acme")).await.created();
    let text = blocked("acme", "1 project (\"p\")");
    wire.delete("organizations/acme").await.refused("delete", 409, "Conflict", &text);
    let stays = wire.get("organizations/acme").await.ok();
    assert!(stays["metadata"].get("deletionTimestamp").is_none(), "{stays}");
    wire.delete("projects/p").await.ok();
    let deleting = wire.delete("organizations/acme").await.ok();
    assert!(deleting["metadata"]["deletionTimestamp"].is_string());
    let text = "Project.resourcemanager.miloapis.com \"late\" is invalid: spec.ownerRef.name: Not found: \"acme\"";
    for url in ["projects".to_owned(), within("acme", "projects")] {
        wire.post(&url, &project("late", "acme")).await.refused("late", 422, "Invalid", text);
    }
    assert_eq!(wire.delete("organizations/acme").await.ok(), deleting);
    wire.merge("organizations/acme", &json!({"metadata": {"finalizers": null}})).await.ok();
    let left = storage.list(&KeyRange::all(), ListOptions::default()).await.unwrap();
    assert_eq!(left.records, [], "nothing of it is left");
}

/// Stops the first write of a kind: a creation before the steps that come after, a deletion after
/// those that came before.
#[derive(Clone, Debug)]
struct Stop {
    write: (&'static str, Operation),
    reached: Arc<Notify>,
    passed: Arc<Notify>,
    done: Arc<AtomicBool>,
}

impl Stop {
    fn at(plural: &'static str, operation: Operation) -> Self {
        let (reached, passed) = (Arc::default(), Arc::default());
        Self { write: (plural, operation), reached, passed, done: Arc::default() }
    }

    async fn stop(&self, request: &AdmissionRequest<'_>) {
        let write = (request.definition.plural(), request.operation);
        if write == self.write && !self.done.swap(true, Ordering::SeqCst) {
            self.reached.notify_one();
            self.passed.notified().await;
        }
    }
}

#[async_trait::async_trait]
impl Admission for Stop {
    async fn mutate(
        &self,
        request: &mut AdmissionRequest<'_>,
        _: &mut Object,
    ) -> Result<(), StatusError> {
        self.stop(request).await;
        Ok(())
    }

    async fn validate(
        &self,
        request: &mut AdmissionRequest<'_>,
        _: &Object,
    ) -> Result<(), StatusError> {
        self.stop(request).await;
        Ok(())
    }
}

/// A caller who may write to an organization may not write to the next one of that name.
#[tokio::test]
async fn what_was_allowed_in_an_organization_is_not_done_in_the_next() {
    let member = "namespaces/organization-acme/organizationmemberships";
    let name = "invalid: spec.organizationRef.name: Not found: \"acme\"";
    let owner = "invalid: spec.ownerRef.name: Not found: \"acme\"";
    for (plural, url, body, text) in [
        ("projects", "projects", project("p", "acme"), owner),
        ("organizationmemberships", member, membership("m", "ada", "acme"), name),
    ] {
        let stop = Stop::at(plural, Operation::Create);
        let step = stop.clone();
        let assemble = |builder: ServerBuilder| builder.admission(step).hierarchy();
        let wire = Wire::with(Arc::new(Memory::new()), assemble).await;
        wire.organization("acme").await;
        let creation = wire.call("POST", &within("acme", url)).json(&body).send();
        let creation = tokio::spawn(creation);
        soon(stop.reached.notified()).await;
        wire.delete("organizations/acme").await.ok();
        wire.organization("acme").await;
        stop.passed.notify_one();
        let answer = soon(creation).await.unwrap();
        answer.refused(url, 422, "Invalid", &format!("…{text}"));
    }
}

#[tokio::test]
async fn what_is_created_during_a_deletion_is_not_overlooked() {
    let (member, project) = (membership("m", "ada", "acme"), project("p", "acme"));
    for (earlier, url, body, what) in [
        (false, "projects", &project, "1 project (\"p\")"),
        (true, "projects", &project, "1 project (\"p\")"),
        (
            false,
            "namespaces/organization-acme/organizationmemberships",
            &member,
            "1 membership (\"m\")",
        ),
    ] {
        let stop = Stop::at("organizations", Operation::Delete);
        let step = stop.clone();
        let assemble = |builder: ServerBuilder| builder.hierarchy().admission(step);
        let wire = Wire::with(Arc::new(Memory::new()), assemble).await;
        wire.organization("acme").await;
        if earlier {
            stop.done.store(true, Ordering::SeqCst);
            wire.post(url, body).await.created();
            wire.delete(&format!("{url}/p")).await.ok();
            stop.done.store(false, Ordering::SeqCst);
        }
        let deletion = tokio::spawn(wire.call("DELETE", "organizations/acme").send());
        soon(stop.reached.notified()).await;
        wire.post(url, body).await.created();
        stop.passed.notify_one();
        let answer = soon(deletion).await.unwrap();
        answer.refused(url, 409, "Conflict", &blocked("acme", what));
    }
}

/// Organizations are deleted and made again while projects are created in them, through both
/// control planes: whichever wins, nothing outlives its organization.
#[tokio::test(flavor = "multi_thread")]
async fn no_project_outlives_its_organization() {
    let wire = Wire::start().await;
    let (mut created, mut deleted) = (0, 0);
    for round in 0..20 {
        let acme = wire.organization("acme").await;
        let (p, q) = (format!("p{round}"), format!("q{round}"));
        let (inside, from_p, from_q) =
            (within("acme", "projects"), project(&p, "acme"), project(&q, "acme"));
        let (deletion, first, second) = tokio::join!(
            wire.delete("organizations/acme"),
            wire.post("projects", &from_p),
            wire.post(&inside, &from_q),
        );
        for answer in [&first, &second] {
            assert!(matches!(answer.code, 201 | 404 | 422), "{}", answer.text());
        }
        created += [&first, &second].iter().filter(|answer| answer.code == 201).count();
        if deletion.code == 200 {
            deleted += 1;
            assert_eq!(names(&wire.get("projects").await.ok()), [""; 0], "an orphan");
            wire.organization("acme").await;
            assert!(!enterable(&wire, &p).await && !enterable(&wire, &q).await);
        } else {
            deletion.refused("delete", 409, "Conflict", &blocked("acme", "…"));
            let same = wire.get("organizations/acme").await.ok();
            assert_eq!(same["metadata"]["uid"], acme["metadata"]["uid"]);
        }
        wire.delete("projects").await.ok();
        wire.delete("organizations/acme").await.ok();
    }
    assert!(created + deleted >= 20, "each round has a winner: {created}, {deleted}");
}

#[tokio::test]
async fn a_membership_lives_with_its_organization() {
    let wire = Wire::start().await;
    let acme = wire.organization("acme").await;
    wire.organization("beta").await;
    let wrong = "OrganizationMembership.resourcemanager.miloapis.com \"m\" is invalid: metadata.namespace: Invalid value: \"organization-beta\": must be \"organization-acme\", the namespace of the organization";
    let missing = "OrganizationMembership.resourcemanager.miloapis.com \"m\" is invalid: spec.organizationRef.name: Not found: \"nobody\"";
    let acme_uid = &acme["metadata"]["uid"];
    let place = |namespace: &str| format!("namespaces/{namespace}/organizationmemberships");
    for at in ["organization-beta", "organization-nobody"] {
        for (url, owner, text) in [
            (place(at), "acme", wrong),
            (within("acme", &place(at)), "acme", wrong),
            (place(at), "nobody", missing),
            // What the client says of the label does not help.
            (within("acme", &place(at)), "nobody", missing),
        ] {
            if (at == "organization-beta") != (owner == "acme") {
                continue;
            }
            let mut sent = membership("m", "ada", owner);
            sent["metadata"]["labels"] = json!({UID: acme_uid});
            wire.post(&url, &sent).await.refused(&url, 422, "Invalid", text);
        }
    }
    // Another organization is not even looked for.
    let mut foreign = membership("m", "ada", "beta");
    foreign["metadata"]["labels"] = json!({UID: acme_uid});
    let text = missing.replace("nobody", "beta");
    let url = within("acme", &place("organization-beta"));
    wire.post(&url, &foreign).await.refused("foreign", 422, "Invalid", &text);

    let made = wire
        .post(&within("acme", &place("organization-acme")), &membership("m", "ada", "acme"))
        .await
        .created();
    assert_eq!(made["metadata"]["labels"], json!({UID: acme_uid}));
    let url = format!("{}/m", place("organization-acme"));
    let immutable = "OrganizationMembership.resourcemanager.miloapis.com \"m\" is invalid: spec.organizationRef.name: Invalid value: \"beta\": field is immutable";
    let moved = json!({"spec": {"organizationRef": {"name": "beta"}}});
    for url in [url.clone(), within("acme", &url)] {
        wire.merge(&url, &moved).await.refused(&url, 422, "Invalid", immutable);
        // The label is kept, whatever a client says or leaves out.
        let patch = json!({"metadata": {"labels": {UID: null}}});
        let same = wire.merge(&url, &patch).await.ok();
        assert_eq!(same["metadata"]["labels"], json!({UID: acme_uid}));
    }
    wire.post(&place("anywhere"), &json!({"metadata": {"name": "empty"}})).await.created();
}

#[tokio::test]
async fn a_name_that_is_used_again_shows_no_members() {
    let storage = Arc::new(Memory::new());
    let wire = Wire::on(storage.clone()).await;
    wire.organization("acme").await;
    let place = "namespaces/organization-acme/organizationmemberships";
    let inside = within("acme", place);
    wire.post(&inside, &membership("m", "ada", "acme")).await.created();
    let mut before = wire.watch(&format!("{inside}?watch=true&resourceVersion=0")).await;
    assert_eq!(before.expect("ADDED").await["metadata"]["name"], "m");
    remove(&storage, "acme").await;
    wire.organization("acme").await;
    assert_eq!(names(&wire.get(&inside).await.ok()), [""; 0]);
    wire.post(&inside, &membership("n", "bob", "acme")).await.created();
    assert_eq!(names(&wire.get(&inside).await.ok()), ["n"]);
    wire.delete(&format!("{place}/m")).await.ok();
    assert_eq!(before.expect("DELETED").await["metadata"]["name"], "m", "and nothing of n");
}

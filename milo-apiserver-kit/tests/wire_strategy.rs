//! `spec/wire.md` sections 2.7, 6.1 and 6.5: what a kind decides for itself, and admission.

#![expect(clippy::unwrap_used, reason = "helpers of tests say what they expect by unwrapping")]

mod support;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use milo_apiserver_kit::strategy::{GcPolicy, Pending, Strategy, WriteContext};
use milo_core::{
    admission::{Admission, AdmissionRequest},
    authorization::{AuthorizationError, Authorizer, Decision},
    meta,
    object::Object,
    request::{RequestAttributes, Verb},
    status::{FieldError, FieldPath, StatusError},
};
use serde_json::{Value, json};
use support::{
    Wire, names, version,
    widgets::{WIDGETS, apply, start, url, widget},
};

async fn with(strategy: impl Strategy) -> Wire {
    start(|kind| kind.strategy(strategy), |server| server).await
}

fn size(object: &Object) -> i64 {
    object.fields().get("spec").and_then(|spec| spec["size"].as_i64()).unwrap_or(0)
}

fn set(object: &mut Object, field: &str, value: Value) {
    if let Some(spec) = object.fields_mut().get_mut("spec").and_then(Value::as_object_mut) {
        spec.insert(field.to_owned(), value);
    }
}

/// Names are labels, tags are sorted, sizes only grow, the owner is whoever creates.
#[derive(Debug)]
struct Careful;

impl Strategy for Careful {
    fn validate_name(&self, name: &str, prefix: bool) -> Vec<String> {
        meta::dns_label_name(name, prefix)
    }

    fn generate_name(&self, base: &str) -> String {
        format!("{base}generated")
    }

    fn prepare_for_create(&self, context: &WriteContext<'_>, object: &mut Object) {
        set(object, "owner", context.attributes.user.username.as_str().into());
    }

    fn prepare_for_update(&self, _: &WriteContext<'_>, new: &mut Object, old: &Object) {
        let owner = old.fields().get("spec").map(|spec| spec["owner"].clone());
        set(new, "owner", owner.unwrap_or_default());
    }

    fn reset_fields(&self) -> &[&[&'static str]] {
        &[&["spec", "owner"]]
    }

    fn validate(&self, _: &WriteContext<'_>, object: &Object) -> Vec<FieldError> {
        match size(object) {
            13 => vec![FieldError::invalid(FieldPath::new("spec").child("size"), 13, "unlucky")],
            _ => Vec::new(),
        }
    }

    fn validate_update(&self, _: &WriteContext<'_>, new: &Object, old: &Object) -> Vec<FieldError> {
        if size(new) >= size(old) {
            return Vec::new();
        }
        vec![FieldError::invalid(FieldPath::new("spec").child("size"), size(new), "cannot shrink")]
    }

    fn warnings_on_create(&self, _: &WriteContext<'_>, _: &Object) -> Vec<String> {
        vec!["created".into()]
    }

    fn warnings_on_update(&self, _: &WriteContext<'_>, _: &Object, _: &Object) -> Vec<String> {
        vec!["updated".into()]
    }

    fn canonicalize(&self, object: &mut Object) {
        let tags = object.fields_mut().get_mut("spec").and_then(|spec| spec.get_mut("tags"));
        if let Some(tags) = tags.and_then(Value::as_array_mut) {
            tags.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
        }
    }
}

#[tokio::test]
async fn names_and_derived_fields_and_rules() {
    let wire = with(Careful).await;
    let sent = widget("a", &json!({"size": 1, "tags": ["z", "b"], "owner": "me"}));
    let answer = wire.post(WIDGETS, &sent).await;
    let created = answer.created();
    assert_eq!(answer.header("warning"), "299 - \"created\"");
    assert_eq!(created["spec"]["tags"], json!(["b", "z"]));
    let owner = created["spec"]["owner"].clone();
    assert_ne!(owner, "me");
    let answer = wire.merge(&url("a"), &json!({"spec": {"size": 2, "owner": "me"}})).await;
    let changed = answer.ok();
    assert_eq!(answer.header("warning"), "299 - \"updated\"");
    assert_eq!(
        (&changed["spec"]["owner"], &changed["metadata"]["generation"]),
        (&owner, &2.into())
    );
    // Who applies what is reset does not come to own it.
    let config = widget("a", &json!({"size": 2, "owner": "me"}));
    let applied = apply(&wire, "a?fieldManager=m", &config).await.ok();
    let entry = &applied["metadata"]["managedFields"][0];
    assert_eq!(
        (&entry["manager"], &entry["fieldsV1"]),
        (&"m".into(), &json!({"f:spec": {"f:size": {}}}))
    );
    let invalid = |text: &str| format!("Widget.example.com \"…\" is invalid: {text}");
    wire.post(WIDGETS, &widget("b", &json!({"size": 13}))).await.refused(
        "6.5",
        422,
        "Invalid",
        &invalid("spec.size: Invalid value: 13: unlucky"),
    );
    wire.merge(&url("a"), &json!({"spec": {"size": 1}})).await.refused(
        "6.5",
        422,
        "Invalid",
        &invalid("spec.size: Invalid value: 1: cannot shrink"),
    );
    // The schema speaks first, and alone.
    wire.post(WIDGETS, &widget("b", &json!({"size": 13, "color": 1}))).await.refused(
        "6.5",
        422,
        "Invalid",
        &invalid("spec.color: Invalid value: …"),
    );
    wire.post(WIDGETS, &widget("a.b", &json!({}))).await.refused(
        "6.5",
        422,
        "Invalid",
        &invalid("metadata.name: Invalid value: \"a.b\": must not contain dots"),
    );
    let mut unnamed = widget("", &json!({}));
    unnamed["metadata"] = json!({"generateName": "x-"});
    let created = wire.post(WIDGETS, &unnamed).await.created();
    assert_eq!(created["metadata"]["name"], "x-generated");
    let status = wire.post(WIDGETS, &unnamed).await.refused(
        "2.3", 409, "AlreadyExists",
        "widgets.example.com \"x-generated\" already exists, the server was not able to generate a unique name for the object",
    );
    assert_eq!(status["details"]["retryAfterSeconds"], 1);
}

/// Takes whatever is put.
#[derive(Debug)]
struct Generous;

impl Strategy for Generous {
    fn allows_create_on_update(&self) -> bool {
        true
    }

    fn allows_unconditional_update(&self) -> bool {
        true
    }
}

/// Lets everyone update, and nobody create.
#[derive(Debug)]
struct UpdateOnly;

#[async_trait]
impl Authorizer for UpdateOnly {
    async fn authorize(&self, request: &RequestAttributes) -> Result<Decision, AuthorizationError> {
        Ok(match request.verb {
            Verb::Update => Decision::Allow,
            _ => Decision::NoOpinion(String::new()),
        })
    }
}

#[tokio::test]
async fn put_creates_and_overwrites_where_it_may() {
    let mut wire =
        start(|kind| kind.strategy(Generous), |server| server.authorizer(UpdateOnly)).await;
    let created = wire.put(&url("a"), &widget("a", &json!({"size": 1}))).await.created();
    assert_eq!(created["metadata"]["generation"], 1);
    let changed = wire.put(&url("a"), &widget("a", &json!({"size": 2}))).await.ok();
    assert_eq!(changed["spec"]["size"], 2, "2.5 step 4: whatever is stored");
    let same = wire.put(&url("a"), &widget("a", &json!({"size": 2}))).await.ok();
    assert_eq!(same, changed, "2.5 step 9");
    let stale = wire.put(&url("a"), &created).await;
    stale.refused("2.5 step 4", 409, "Conflict", "…the object has been modified; …");
    let mut other = widget("b", &json!({}));
    other["metadata"]["uid"] = "u".into();
    wire.put(&url("b"), &other).await.refused(
        "2.5 step 1",
        409,
        "Conflict",
        "…Precondition failed: UID in precondition: u, UID in object meta: ",
    );
    let status = format!("{}/status", url("b"));
    wire.put(&status, &widget("b", &json!({}))).await.refused(
        "2.8",
        404,
        "NotFound",
        "widgets.example.com \"b\" not found",
    );
    let tried =
        wire.put(&format!("{}?dryRun=All", url("b")), &widget("b", &json!({}))).await.created();
    assert_eq!(
        (tried["metadata"].get("resourceVersion"), wire.get(&url("b")).await.code),
        (None, 404)
    );
    let alice = wire.server.pki().issue_client("alice", &[]).unwrap();
    wire.connect_as(Some(&alice)).await;
    wire.put(&url("a"), &widget("a", &json!({"size": 3}))).await.ok();
    wire.put(&url("b"), &widget("b", &json!({}))).await.refused(
        "2.5 step 2", 403, "Forbidden",
        "widgets.example.com \"b\" is forbidden: User \"alice\" cannot create resource \"widgets\" in API group \"example.com\" at the cluster scope",
    );
}

#[derive(Debug)]
struct Collected(GcPolicy);

impl Strategy for Collected {
    fn gc_policy(&self) -> GcPolicy {
        self.0
    }
}

#[tokio::test]
async fn propagation_policies_become_finalizers_where_there_is_a_collector() {
    let (orphan, foreground) =
        (json!(["e.com/x", "orphan"]), json!(["e.com/x", "foregroundDeletion"]));
    let neither = json!(["e.com/x"]);
    use GcPolicy::{DeleteDependents, OrphanDependents, Unsupported};
    for (policy, before, options, expected) in [
        (DeleteDependents, &neither, json!({}), &neither),
        (OrphanDependents, &neither, json!({}), &orphan),
        (Unsupported, &neither, json!({"propagationPolicy": "Orphan"}), &neither),
        (Unsupported, &orphan, json!({"propagationPolicy": "Background"}), &orphan),
        (DeleteDependents, &neither, json!({"propagationPolicy": "Orphan"}), &orphan),
        (DeleteDependents, &neither, json!({"propagationPolicy": "Foreground"}), &foreground),
        (DeleteDependents, &neither, json!({"orphanDependents": true}), &orphan),
        (DeleteDependents, &foreground, json!({"orphanDependents": true}), &orphan),
        (DeleteDependents, &orphan, json!({"orphanDependents": false}), &neither),
        (DeleteDependents, &orphan, json!({}), &orphan),
        (OrphanDependents, &foreground, json!({}), &foreground),
        (OrphanDependents, &foreground, json!({"propagationPolicy": "Background"}), &neither),
        (OrphanDependents, &neither, json!({"propagationPolicy": "Foreground"}), &foreground),
    ] {
        let about = format!("2.7: {policy:?} {before} {options}");
        let wire = with(Collected(policy)).await;
        let mut object = widget("a", &json!({}));
        object["metadata"]["finalizers"] = before.clone();
        wire.post(WIDGETS, &object).await.created();
        let answer = wire.call("DELETE", &url("a")).json(&options).send().await;
        let accepted = options == json!({"orphanDependents": false});
        assert_eq!(answer.code, if accepted { 202 } else { 200 }, "{about}");
        let deleted = answer.json();
        assert_eq!(&deleted["metadata"]["finalizers"], expected, "{about}");
        assert_eq!(deleted["metadata"]["generation"], 2, "{about}");
        assert_eq!(deleted["metadata"]["deletionGracePeriodSeconds"], 0, "{about}");
        assert!(deleted["metadata"]["managedFields"].is_array(), "{about}: deletion keeps them");
        // Once deletion has begun, dependents are decided.
        let again = json!({"propagationPolicy": "Orphan"});
        let again = wire.call("DELETE", &url("a")).json(&again).send().await.ok();
        assert_eq!(again, deleted, "{about}");
    }
    let wire = with(Collected(DeleteDependents)).await;
    let mut object = widget("a", &json!({}));
    object["metadata"]["finalizers"] = json!(["foregroundDeletion"]);
    wire.post(WIDGETS, &object).await.created();
    let background = json!({"propagationPolicy": "Background"});
    let gone = wire.call("DELETE", &url("a")).json(&background).send().await.ok();
    assert_eq!(
        (&gone["kind"], wire.get(&url("a")).await.code),
        (&"Status".into(), 404),
        "2.7: nothing is left to wait for"
    );
}

/// Objects get half a minute to end unless the client says otherwise.
#[derive(Debug)]
struct Graceful;

impl Strategy for Graceful {
    fn check_graceful_delete(
        &self,
        _: &WriteContext<'_>,
        _: &Object,
        requested: Option<i64>,
    ) -> Option<i64> {
        Some(requested.unwrap_or(30))
    }
}

async fn delete_within(wire: &Wire, name: &str, seconds: Option<i64>) -> Value {
    let query = seconds.map(|seconds| format!("?gracePeriodSeconds={seconds}")).unwrap_or_default();
    wire.delete(&format!("{}{query}", url(name))).await.ok()
}

fn end(object: &Value) -> (jiff::Timestamp, i64) {
    let metadata = &object["metadata"];
    let end = metadata["deletionTimestamp"].as_str().unwrap().parse().unwrap();
    (end, metadata["deletionGracePeriodSeconds"].as_i64().unwrap())
}

#[tokio::test]
async fn graceful_deletion() {
    let wire = with(Graceful).await;
    let uid =
        wire.post(WIDGETS, &widget("a", &json!({}))).await.created()["metadata"]["uid"].clone();
    let before = jiff::Timestamp::now();
    let tried = wire.delete(&format!("{}?dryRun=All", url("a"))).await.ok();
    assert_eq!(end(&tried).1, 30, "2.11");
    assert!(wire.get(&url("a")).await.ok()["metadata"].get("deletionTimestamp").is_none(), "2.11");
    let marked = delete_within(&wire, "a", None).await;
    let (when, grace) = end(&marked);
    assert_eq!((grace, &marked["metadata"]["generation"]), (30, &2.into()), "2.7");
    let seconds = when.as_second() - before.as_second();
    assert!((29..60).contains(&seconds), "2.7: {seconds}");
    for longer in [None, Some(30), Some(31)] {
        let status = delete_within(&wire, "a", longer).await;
        assert_eq!(
            (&status["kind"], &status["details"]["uid"]),
            (&"Status".into(), &uid),
            "2.7: {longer:?}"
        );
        assert_eq!(wire.get(&url("a")).await.ok(), marked, "2.7: nothing changes");
    }
    let orphans = wire.delete(&format!("{}?orphanDependents=false", url("a"))).await;
    assert_eq!((orphans.code, orphans.json()["kind"].clone()), (202, "Status".into()), "2.7");
    let sooner = delete_within(&wire, "a", Some(10)).await;
    assert_eq!(
        (end(&sooner).1, when.as_second() - end(&sooner).0.as_second()),
        (10, 20),
        "2.7: moved"
    );
    assert_eq!(sooner["metadata"]["generation"], 2, "2.7: counted once");
    // An update does not remove what still has time.
    let kept = wire.merge(&url("a"), &json!({"spec": {"size": 1}})).await.ok();
    assert_eq!(wire.get(&url("a")).await.ok(), kept, "2.5 step 8");
    let mut longer = kept.clone();
    longer["metadata"]["deletionGracePeriodSeconds"] = 60.into();
    wire.put(&url("a"), &longer).await.refused(
        "2.5 step 5", 422, "Invalid",
        "Widget.example.com \"a\" is invalid: metadata.deletionGracePeriodSeconds: Invalid value: 60: field is immutable",
    );
    let second = delete_within(&wire, "a", Some(-5)).await;
    assert_eq!(end(&second).1, 1, "2.7: negative is a second");
    let gone = delete_within(&wire, "a", Some(0)).await;
    assert_eq!((&gone["kind"], wire.get(&url("a")).await.code), (&"Status".into(), 404), "2.7");
    // At once, if the client wants it so.
    wire.post(WIDGETS, &widget("b", &json!({}))).await.created();
    delete_within(&wire, "b", Some(0)).await;
    assert_eq!(wire.get(&url("b")).await.code, 404, "2.7");
    // Finalizers hold it, whatever the time.
    let mut held = widget("c", &json!({}));
    held["metadata"]["finalizers"] = json!(["e.com/x"]);
    wire.post(WIDGETS, &held).await.created();
    assert_eq!(end(&delete_within(&wire, "c", Some(0)).await).1, 0, "2.7");
    wire.merge(&url("c"), &json!({"metadata": {"finalizers": null}})).await.ok();
    assert_eq!(wire.get(&url("c")).await.code, 404, "2.5 step 8");
}

/// Notes what it is asked, and refuses sizes above nine.
#[derive(Clone, Debug, Default)]
struct Noting(Arc<Mutex<Vec<String>>>);

impl Noting {
    fn note(&self, what: &str, object: &Object) {
        let version = if object.meta("resourceVersion").is_empty() { "" } else { " versioned" };
        self.0.lock().unwrap().push(format!("{what} {}{version}", object.name()));
    }

    fn pending(&self, what: &'static str, object: &Object) -> Result<Pending, StatusError> {
        if size(object) > 9 {
            return Err(StatusError::bad_request("too large to begin"));
        }
        self.note(what, object);
        let notes = self.0.clone();
        Ok(Pending::new(move |written| notes.lock().unwrap().push(format!("{what}: {written}"))))
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl Strategy for Noting {
    fn begin_create(&self, _: &WriteContext<'_>, object: &Object) -> Result<Pending, StatusError> {
        self.pending("create", object)
    }

    fn begin_update(
        &self,
        _: &WriteContext<'_>,
        new: &Object,
        _: &Object,
    ) -> Result<Pending, StatusError> {
        self.pending("update", new)
    }

    fn begin_delete(&self, _: &WriteContext<'_>, object: &Object) -> Result<Pending, StatusError> {
        self.pending("delete", object)
    }

    fn after_create(&self, _: &WriteContext<'_>, object: &Object) {
        self.note("created", object);
    }

    fn after_update(&self, _: &WriteContext<'_>, new: &Object, _: &Object) {
        self.note("updated", new);
    }

    fn after_delete(&self, _: &WriteContext<'_>, object: &Object) {
        self.note("deleted", object);
    }

    fn returns_deleted_object(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn hooks_around_commits() {
    let noting = Noting::default();
    let wire = with(noting.clone()).await;
    let mut object = widget("a", &json!({"size": 1}));
    object["metadata"]["finalizers"] = json!(["e.com/x"]);
    wire.post(WIDGETS, &object).await.created();
    assert_eq!(noting.take(), ["create a", "create: true", "created a versioned"]);
    wire.post(WIDGETS, &object).await.refused("6.5", 409, "AlreadyExists", "…");
    assert_eq!(noting.take(), ["create a", "create: false"]);
    wire.post(&format!("{WIDGETS}?dryRun=All"), &widget("b", &json!({}))).await.created();
    assert_eq!(noting.take(), ["create b", "create: false"]);
    let changed = wire.merge(&url("a"), &json!({"spec": {"size": 2}})).await.ok();
    assert_eq!(noting.take(), ["update a versioned", "update: true", "updated a versioned"]);
    wire.put(&url("a"), &changed).await.ok();
    assert_eq!(noting.take(), [""; 0], "nothing is written");
    let large = json!({"spec": {"size": 10}});
    wire.merge(&url("a"), &large).await.refused("6.5", 400, "BadRequest", "too large to begin");
    wire.delete(&url("a")).await.ok();
    assert_eq!(noting.take(), [""; 0], "it is marked, not removed");
    wire.merge(&url("a"), &json!({"metadata": {"finalizers": null}})).await.ok();
    assert_eq!(noting.take(), ["delete a versioned", "delete: true", "deleted a versioned"]);
    let created = wire.post(WIDGETS, &widget("b", &json!({}))).await.created();
    noting.take();
    let deleted = wire.delete(&url("b")).await.ok();
    assert_eq!(noting.take(), ["delete b versioned", "delete: true", "deleted b versioned"]);
    assert_eq!(deleted["metadata"]["uid"], created["metadata"]["uid"], "the object, not a Status");
    let newer = |object: &Value| version(object).parse::<u64>().unwrap();
    assert!(newer(&deleted) > newer(&created), "2.7: the resource version of the deletion");
}

/// Shows twice the size.
#[derive(Debug)]
struct Shown;

impl Strategy for Shown {
    fn decorates(&self) -> bool {
        true
    }

    fn decorate(&self, object: &mut Object) {
        let note = format!("twice {} is {}", size(object), 2 * size(object));
        object.fields_mut().insert("status".into(), json!({"note": note}));
    }
}

#[tokio::test]
async fn objects_are_decorated_wherever_they_are_shown() {
    let wire = with(Shown).await;
    let mut events = wire.watch(&format!("{WIDGETS}?watch=true")).await;
    let note = |object: &Value| object["status"]["note"].as_str().unwrap_or_default().to_owned();
    let created = wire.post(WIDGETS, &widget("a", &json!({"size": 2}))).await.created();
    assert_eq!(note(&created), "twice 2 is 4");
    assert_eq!(events.expect("ADDED").await, created);
    assert_eq!(wire.get(&url("a")).await.ok(), created);
    let list = wire.get(WIDGETS).await.ok();
    assert_eq!((names(&list), note(&list["items"][0])), (vec!["a"], note(&created)));
    let changed = wire.merge(&url("a"), &json!({"spec": {"size": 3}})).await.ok();
    assert_eq!(
        (note(&changed), events.expect("MODIFIED").await),
        ("twice 3 is 6".into(), changed.clone())
    );
    assert_eq!(wire.put(&url("a"), &changed).await.ok(), changed, "nothing is written");
    wire.delete(&url("a")).await.ok();
    assert_eq!(note(&events.expect("DELETED").await), "twice 3 is 6");
}

/// Notes how often it is asked, with which name, and paints what is not blue.
#[derive(Clone, Debug, Default)]
struct Step {
    notes: Arc<Mutex<Vec<String>>>,
    color: Option<&'static str>,
    refuses: bool,
}

#[async_trait]
impl Admission for Step {
    async fn mutate(
        &self,
        _: &mut AdmissionRequest<'_>,
        object: &mut Object,
    ) -> Result<(), StatusError> {
        let color = object.fields()["spec"]["color"].as_str().unwrap_or_default().to_owned();
        self.notes.lock().unwrap().push(format!("{:?} {color}", object.name()));
        if let Some(color) = self.color {
            set(object, "color", color.into());
        }
        Ok(())
    }

    async fn validate(
        &self,
        request: &mut AdmissionRequest<'_>,
        object: &Object,
    ) -> Result<(), StatusError> {
        if self.refuses {
            return Err(request.forbidden(object, "not today"));
        }
        self.notes.lock().unwrap().push(format!("{} valid", object.name().len()));
        Ok(())
    }
}

#[tokio::test]
async fn steps_see_what_others_changed_after_them() {
    let first = Step::default();
    let second = Step { color: Some("blue"), ..Step::default() };
    let notes = first.notes.clone();
    let wire = start(|kind| kind, |server| server.admission(first).admission(second)).await;
    let mut unnamed = widget("", &json!({}));
    unnamed["metadata"] = json!({"generateName": "x-"});
    let created = wire.post(WIDGETS, &unnamed).await.created();
    assert_eq!(created["spec"]["color"], "blue");
    let take = || std::mem::take(&mut *notes.lock().unwrap());
    assert_eq!(
        take(),
        ["\"\" red", "\"\" blue", "7 valid"],
        "6.1: no name yet, then the generated one"
    );
    let one = url(created["metadata"]["name"].as_str().unwrap());
    wire.merge(&one, &json!({"spec": {"size": 1}})).await.ok();
    assert_eq!(take().len(), 2, "6.1: nothing changed after it");
}

#[tokio::test]
async fn refusals_of_steps() {
    let refuses = Step { refuses: true, ..Step::default() };
    let wire = start(|kind| kind, |server| server.admission(refuses)).await;
    wire.post(WIDGETS, &widget("a", &json!({}))).await.refused(
        "6.1",
        403,
        "Forbidden",
        "widgets.example.com \"a\" is forbidden: not today",
    );
    // What is invalid is not asked about.
    wire.post(WIDGETS, &widget("a", &json!({"size": "x"})))
        .await
        .refused("6.1", 422, "Invalid", "…");
    let mut versioned = widget("a", &json!({}));
    versioned["metadata"]["resourceVersion"] = "5".into();
    wire.post(WIDGETS, &versioned).await.refused(
        "2.3",
        400,
        "BadRequest",
        "resourceVersion should not be set on objects to be created",
    );
}

//! Kinds whose objects live behind handlers: what a handler can do is served as any kind is, and
//! nothing else.

#![expect(clippy::unwrap_used, reason = "tests say what they expect by unwrapping")]

mod rest_support;
mod support;

use std::sync::Arc;

use async_trait::async_trait;
use kube::CustomResource;
use milo_apiserver_kit::{
    Kind,
    rest::{Create, Handlers, RestRequest},
};
use milo_core::{
    definition::ResourceDefinition, object::Object, status::StatusError, storage::Memory,
};
use rest_support::{Book, GROUP, Shelf, book, books, complete};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use support::Wire;

async fn serving(handlers: Handlers) -> Wire {
    let kind = Kind::of::<Book>().handlers(handlers);
    Wire::with(Arc::new(Memory::new()), |server| server.hierarchy().serve(kind)).await
}

/// The verbs that discovery tells of a resource.
async fn verbs(wire: &Wire, group: &str, name: &str) -> Vec<String> {
    let list = wire.get(group).await.ok();
    let resources = list["resources"].as_array().unwrap();
    let found = resources.iter().find(|resource| resource["name"] == name);
    let verbs = found.map(|resource| resource["verbs"].clone()).unwrap_or_default();
    serde_json::from_value(verbs).unwrap_or_default()
}

#[tokio::test]
async fn an_object_is_created_read_changed_and_removed() {
    let shelf = Shelf::default();
    let wire = serving(complete(&shelf)).await;
    let created = wire.post(&books(""), &book("emma", "austen")).await.created();
    let metadata = &created["metadata"];
    assert_eq!(metadata["resourceVersion"], "2");
    assert_eq!((&metadata["generation"], &created["spec"]["pages"]), (&1.into(), &0.into()));
    assert!(metadata["uid"].is_string() && metadata["creationTimestamp"].is_string());
    assert_eq!(wire.get(&books("/emma")).await.ok(), created);

    let exists = wire.post(&books(""), &book("emma", "austen")).await;
    exists.refused(
        "2.3",
        409,
        "AlreadyExists",
        "books.library.example.com \"emma\" already exists",
    );
    let invalid = wire.post(&books(""), &json!({"metadata": {"name": "x"}})).await;
    assert_eq!(invalid.code, 422, "{}", invalid.text());

    let longer = json!({"spec": {"pages": 474}});
    let merged = wire.merge(&books("/emma"), &longer).await.ok();
    assert_eq!(
        (&merged["spec"]["pages"], &merged["metadata"]["generation"]),
        (&474.into(), &2.into())
    );
    let lent = json!({"status": {"lent_to": "knightley"}, "spec": {"pages": 1}});
    let lent = wire.merge(&books("/emma/status"), &lent).await.ok();
    assert_eq!(
        (&lent["status"]["lent_to"], &lent["spec"]["pages"]),
        (&"knightley".into(), &474.into())
    );
    let stale = wire.put(&books("/emma"), &created).await;
    stale.refused("2.5", 409, "Conflict", "…the object has been modified…");

    let removed = wire.delete(&books("/emma")).await.ok();
    assert_eq!(removed["status"], "Success");
    wire.get(&books("/emma")).await.refused(
        "2.4",
        404,
        "NotFound",
        "books.library.example.com \"emma\" not found",
    );
}

#[tokio::test]
async fn a_dry_run_never_reaches_a_handler_that_writes() {
    let shelf = Shelf::default();
    let wire = serving(complete(&shelf)).await;
    wire.post(&books(""), &book("emma", "austen")).await.created();
    let before = (shelf.revision(), shelf.writes());
    let dry = wire.post(&books("?dryRun=All"), &book("persuasion", "austen")).await.created();
    assert_eq!(dry["metadata"].get("resourceVersion"), None);
    let patch = json!({"spec": {"pages": 9}});
    wire.merge(&books("/emma?dryRun=All"), &patch).await.ok();
    wire.delete(&books("/emma?dryRun=All")).await.ok();
    wire.delete(&books("?dryRun=All")).await.ok();
    assert_eq!((shelf.revision(), shelf.writes()), before);
}

#[tokio::test]
async fn what_no_handler_can_do_is_not_offered() {
    let shelf = Shelf::default();
    let wire = serving(Handlers::of(shelf).get().list().build()).await;
    assert_eq!(verbs(&wire, GROUP, "books").await, ["get", "list"]);
    assert!(verbs(&wire, GROUP, "books/status").await.is_empty());
    let patch = json!({"spec": {"pages": 9}});
    let refusals = [
        ("create", wire.post(&books(""), &book("emma", "austen")).await),
        ("update", wire.put(&books("/emma"), &book("emma", "austen")).await),
        ("patch", wire.merge(&books("/emma"), &patch).await),
        ("delete", wire.delete(&books("/emma")).await),
        ("deletecollection", wire.delete(&books("")).await),
        ("watch", wire.get(&books("?watch=true")).await),
    ];
    for (verb, answer) in refusals {
        let message =
            format!("{verb} is not supported on resources of kind \"books.library.example.com\"");
        answer.refused(verb, 405, "MethodNotAllowed", &message);
    }
    assert_eq!(wire.get(&books("/emma/status")).await.code, 404);
}

/// A question.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug)]
#[kube(group = "library.example.com", version = "v1", kind = "WhoAmI", plural = "whoamis")]
#[kube(status = "Answered")]
struct WhoAmISpec {
    #[serde(default)]
    loudly: bool,
}

/// An answer.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug)]
struct Answered {
    name: String,
}

struct Mirror;

#[async_trait]
impl Create for Mirror {
    async fn create(
        &self,
        request: &RestRequest<'_>,
        mut object: Object,
    ) -> Result<Object, StatusError> {
        let mut name = request.user().username.clone();
        if object.fields()["spec"]["loudly"] == true {
            name = name.to_uppercase();
        }
        object.fields_mut().insert("status".into(), json!({"name": name}));
        Ok(object)
    }
}

#[tokio::test]
async fn reviews_are_answered_and_not_kept() {
    let definition = ResourceDefinition::of::<WhoAmI>().unwrap().living_everywhere();
    let kind = Kind::from(definition).handlers(Handlers::of(Mirror).review().build());
    let wire = Wire::with(Arc::new(Memory::new()), |server| server.hierarchy().serve(kind)).await;
    wire.organization("acme").await;
    for prefix in ["", "/organizations/acme/control-plane"] {
        let group = format!("{prefix}{GROUP}");
        assert_eq!(verbs(&wire, &group, "whoamis").await, ["create"], "{prefix}");
        for query in ["", "?dryRun=All"] {
            let url = format!("{group}/whoamis{query}");
            let asked = json!({"spec": {"loudly": true}, "status": {"name": "a liar"}});
            let answer = wire.post(&url, &asked).await.created();
            let expected = json!({
                "apiVersion": "library.example.com/v1", "kind": "WhoAmI", "metadata": {},
                "spec": {"loudly": true}, "status": {"name": "ADMIN"},
            });
            assert_eq!(answer, expected, "{url}");
        }
    }
    let url = format!("{GROUP}/whoamis");
    let wrong = wire.post(&url, &json!({"spec": {"loudly": "very"}})).await;
    assert!(matches!(wrong.code, 400 | 422), "{}", wrong.text());
    assert_eq!(wire.get(&url).await.code, 405);
    assert_eq!(wire.post(&format!("{url}/a"), &Value::Null).await.code, 405);
}

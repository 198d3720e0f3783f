//! Handlers that do not keep to their contract harm nobody but the callers of their own kind.

#![expect(clippy::unwrap_used, reason = "tests say what they expect by unwrapping")]

mod rest_support;
mod support;

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use milo_apiserver_kit::{
    Kind,
    rest::{
        EventStream, Get, Handlers, List, ListQuery, ObjectList, RestRequest, Watch, WatchEvent,
        WatchQuery,
    },
};
use milo_core::{object::Object, status::StatusError, storage::Memory, storage::Revision};
use rest_support::{Book, book, books};
use support::{Wire, soon};

/// What goes wrong.
#[derive(Clone, Copy)]
enum Mistake {
    /// Every object is the same one, of another namespace.
    OtherObject,
    /// A list never ends.
    Endless,
    /// An empty list goes on where it began.
    Stuck,
    /// Changes are told in the wrong order.
    Backwards,
    /// What was before is another object.
    OtherBefore,
}

struct Careless(Mistake);

fn stored(namespace: &str, name: &str, revision: u64) -> Object {
    let mut object = Object::from_value(book(name, "x")).unwrap();
    object.set_meta("namespace", namespace);
    object.set_meta("resourceVersion", &revision.to_string());
    object
}

#[async_trait]
impl Get for Careless {
    async fn get(&self, _: &RestRequest<'_>) -> Result<Option<Object>, StatusError> {
        Ok(Some(stored("secret", "emma", 1)))
    }
}

#[async_trait]
impl List for Careless {
    async fn list(
        &self,
        _: &RestRequest<'_>,
        query: &ListQuery,
    ) -> Result<ObjectList, StatusError> {
        let list = ObjectList::new(Vec::new(), Revision::new(5));
        Ok(match self.0 {
            Mistake::OtherObject => {
                ObjectList::new(vec![stored("secret", "emma", 1)], Revision::new(5))
            }
            Mistake::Endless => {
                list.with_next(format!("{}x", query.after.as_deref().unwrap_or_default()))
            }
            Mistake::Stuck => list.with_next("here"),
            _ => list,
        })
    }
}

#[async_trait]
impl Watch for Careless {
    async fn watch(&self, _: &RestRequest<'_>, _: &WatchQuery) -> Result<EventStream, StatusError> {
        let put = |name, revision, previous| {
            Ok(WatchEvent::Put { object: stored("default", name, revision), previous })
        };
        let events = match self.0 {
            Mistake::OtherBefore => vec![put("emma", 6, Some(stored("secret", "hamlet", 4)))],
            _ => vec![put("emma", 7, None), put("hamlet", 6, None)],
        };
        Ok(futures_util::stream::iter(events).chain(futures_util::stream::pending()).boxed())
    }
}

async fn careless(mistake: Mistake) -> Wire {
    let handlers = Handlers::of(Careless(mistake)).get().list().watch().build();
    let kind = Kind::of::<Book>().handlers(handlers);
    Wire::with(Arc::new(Memory::new()), |server| server.serve(kind)).await
}

#[tokio::test]
async fn an_object_that_was_not_asked_for_is_shown_to_nobody() {
    let wire = careless(Mistake::OtherObject).await;
    for path in ["/emma", "/hamlet"] {
        let answer = wire.get(&books(path)).await;
        assert_eq!(answer.code, 500, "{path}: {}", answer.text());
        assert!(!answer.text().contains("secret"), "{}", answer.text());
    }
    let list = wire.get(&books("")).await.ok();
    assert_eq!(list["items"], serde_json::json!([]));
}

#[tokio::test]
async fn a_list_that_does_not_get_on_is_given_up() {
    let wire = careless(Mistake::Stuck).await;
    let stuck = soon(wire.get(&books(""))).await;
    assert_eq!(stuck.code, 500, "{}", stuck.text());
    let page = wire.get(&books("?limit=1")).await;
    assert_eq!(page.code, 200, "the first page: {}", page.text());
    let mut watch = wire.watch(&books("?watch=true")).await;
    assert_eq!(watch.expect("ERROR").await["code"], 500);

    let wire = careless(Mistake::Endless).await;
    let endless = soon(wire.get(&books("?timeout=1s"))).await;
    assert_eq!(endless.code, 504, "{}", endless.text());
}

#[tokio::test]
async fn a_watch_that_goes_backwards_ends() {
    let wire = careless(Mistake::Backwards).await;
    let mut watch = wire.watch(&books("?watch=true&resourceVersion=5")).await;
    assert_eq!(watch.brief(1).await, ["ADDED emma 7"]);
    assert_eq!(watch.expect("ERROR").await["code"], 500);

    let wire = careless(Mistake::OtherBefore).await;
    let url = books("?watch=true&resourceVersion=5&labelSelector=by%3Dnobody");
    let mut watch = wire.watch(&url).await;
    assert_eq!(watch.expect("ERROR").await["code"], 500);
    let url = books("?watch=true&resourceVersion=5&fieldSelector=metadata.name%3Dhamlet");
    let mut watch = wire.watch(&url).await;
    assert_eq!(watch.expect("ERROR").await["code"], 500);
}

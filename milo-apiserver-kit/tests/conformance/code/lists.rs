//! Appendix A: the lists of `lists.md`, over HTTP, against one server that all of them share.

use std::{collections::BTreeMap, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use milo_core::storage::Revision;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::{
    case::{self, Case, Outcome},
    fixture::{Cx, GROUP, Shared},
    support::{Answer, MERGE, version},
};

/// One row of the table.
#[derive(Clone, Debug)]
struct Row {
    prefix: String,
    version: String,
    matching: String,
    limit: String,
    token: String,
    field: String,
    expected: String,
}

/// The server with the history, and the objects and versions by their names in the table.
struct History {
    shared: Arc<Shared>,
    objects: BTreeMap<String, Value>,
    versions: BTreeMap<String, u64>,
}

static HISTORY: OnceCell<History> = OnceCell::const_new();

pub(crate) fn cases() -> Vec<Case> {
    let text = case::lists();
    let rows = text.lines().filter(|line| line.starts_with("| ")).skip(2);
    let rows = rows.filter_map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [number, prefix, version, matching, limit, token, field, expected] = cells[..] else {
            return None;
        };
        let own = str::to_owned;
        let row = Row {
            prefix: own(prefix),
            version: own(version),
            matching: own(matching),
            limit: own(limit),
            token: own(token),
            field: own(field),
            expected: own(expected),
        };
        let name = format!("list-{number:0>2}");
        Some(Case::code("A", &name, move |_| Box::pin(run(row.clone()))))
    });
    rows.collect()
}

async fn history() -> History {
    let shared = Arc::new(Shared::start().await);
    let cx = Cx::new(Arc::clone(&shared), 0);
    let (mut objects, mut versions) = (BTreeMap::new(), BTreeMap::new());
    let mut keep = |name: &str, object: Value| {
        versions.insert(format!("rv({name})"), version(&object).parse().unwrap());
        objects.insert(name.to_owned(), object);
    };
    let list = async || version(&cx.call("GET", &format!("{GROUP}/widgets")).send().await.ok());
    let before = list().await;
    for (name, key) in [
        ("C0", "first/bar"),
        ("C1", "second/bar"),
        ("C2", "second/foo"),
        ("C3", "third/barfoo"),
        ("C4", "third/foo"),
        ("C5", "second/baz"),
    ] {
        let (namespace, object) = key.split_once('/').unwrap();
        let url = format!("{GROUP}/namespaces/{namespace}/widgets");
        let body = json!({"metadata": {"name": object}});
        keep(name, cx.call("POST", &url).json(&body).send().await.created());
    }
    let url = format!("{GROUP}/namespaces/first/widgets/bar");
    let patch = cx.call("PATCH", &url).json(&json!({"spec": {"colour": "red"}}));
    keep("U", patch.header("content-type", MERGE).send().await.ok());
    cx.call("DELETE", &format!("{GROUP}/namespaces/second/widgets/baz")).send().await.ok();
    let after: u64 = list().await.parse().unwrap();
    let storage = Arc::clone(shared.server.storage());
    storage.compact(Revision::new(versions["rv(C0)"])).await.unwrap();
    let unrelated = json!({"metadata": {"name": "a"}, "spec": {"size": 1}});
    cx.call("POST", "plains").json(&unrelated).send().await.created();
    versions.insert("I".to_owned(), before.parse().unwrap());
    for (name, more) in [("L", 0), ("L+1", 1), ("L+2", 2)] {
        versions.insert(name.to_owned(), after + more);
    }
    // A server that has seen nothing of it: what is compacted is gone for it.
    let shared = Arc::new(Shared::start_on(storage).await);
    History { shared, objects, versions }
}

impl History {
    fn version(&self, name: &str) -> String {
        match name {
            "MaxInt64" => i64::MAX.to_string(),
            name => self.versions.get(name).map_or(name.to_owned(), u64::to_string),
        }
    }

    /// The token that a row names, of a request below this namespace.
    fn token(&self, text: &str, namespace: &str) -> String {
        let inside = text.strip_prefix("tok(").and_then(|text| text.strip_suffix(')')).unwrap();
        let (key, revision) = inside.rsplit_once(',').unwrap();
        let start = match key.strip_prefix("after ") {
            Some(name) => {
                let metadata = &self.objects[name]["metadata"];
                let text = |field: &str| metadata[field].as_str().unwrap();
                format!("{}/{}\0", text("namespace"), text("name"))
            }
            None => key.trim_matches('"').to_owned(),
        };
        let start = start.strip_prefix(&format!("{namespace}/")).unwrap_or(&start).to_owned();
        let revision: i64 = self.version(revision.trim()).parse().unwrap();
        let token = json!({"v": "meta.k8s.io/v1", "rv": revision, "start": start});
        URL_SAFE_NO_PAD.encode(token.to_string())
    }
}

async fn run(row: Row) -> Outcome {
    let history = HISTORY.get_or_init(history).await;
    let namespace = row.prefix.trim_start_matches("/pods").trim_matches('/');
    let mut url = match namespace {
        "" => format!("{GROUP}/widgets?"),
        namespace => format!("{GROUP}/namespaces/{namespace}/widgets?"),
    };
    let field = row.field.replace("(\"", "").replace("\")", "");
    let field = match field.strip_prefix("nodeName=") {
        Some(_) => "spec.colour=red".to_owned(),
        None if field.is_empty() => field,
        None => format!("metadata.{field}"),
    };
    let token = match row.token.as_str() {
        "" => String::new(),
        token => history.token(token, namespace),
    };
    for (name, value) in [
        ("resourceVersion", history.version(&row.version)),
        ("resourceVersionMatch", row.matching.clone()),
        ("limit", row.limit.clone()),
        ("continue", token),
        ("fieldSelector", field),
    ] {
        if !value.is_empty() {
            url.push_str(&format!("{name}={value}&"));
        }
    }
    let answer = Cx::new(Arc::clone(&history.shared), 0).call("GET", &url).send().await;
    check(history, &row, namespace, &answer)
        .map_err(|why| format!("{url}: {why}: {}", answer.text()))
}

fn check(history: &History, row: &Row, namespace: &str, answer: &Answer) -> Outcome {
    let code = |code: u16, reason: &str, message: &str| {
        answer.refused("A", code, reason, message);
        Ok(())
    };
    match row.expected.as_str() {
        "error" if matches!(answer.code, 400 | 422) => return Ok(()),
        "error" => return Err(format!("answers {}", answer.code)),
        "TooLarge" => {
            return code(504, "Timeout", "Timeout: Too large resource version: …, current: …");
        }
        "410 list text" => {
            return code(410, "Expired", "The resourceVersion for the provided list is too old.");
        }
        "410 continue text" => {
            return code(
                410,
                "Expired",
                "The provided continue parameter is too old to display a consistent list result. …",
            );
        }
        _ => {}
    }
    let list = answer.ok();
    let metadata = &list["metadata"];
    let mut parts = row.expected.split("; ");
    let items = parts.next().unwrap_or_default();
    let objects = |text: &str| -> Vec<Value> {
        let names = text.trim_matches(['{', '}']).split(", ").filter(|name| !name.is_empty());
        names.map(|name| history.objects[name].clone()).collect()
    };
    let found = list["items"].as_array().cloned().unwrap_or_default();
    let right = match (items.strip_prefix("items "), items.strip_prefix("one of ")) {
        (Some(set), _) => found == objects(set),
        // Either nothing yet or what is there now.
        (_, Some(sets)) => {
            found.is_empty()
                || found == objects(sets.trim_start_matches("{{}, ").trim_end_matches('}'))
        }
        _ => return Err(format!("the row expects {items:?}")),
    };
    if !right {
        return Err(format!("the items are not {items}"));
    }
    let (mut continues, mut remaining) = (Some(Value::Null), Value::Null);
    for part in parts {
        let version: Option<u64> =
            metadata["resourceVersion"].as_str().and_then(|v| v.parse().ok());
        if let Some(name) = part.strip_prefix("rv=") {
            if version != Some(history.versions[name]) {
                return Err(format!("the version is {version:?}, not {name}"));
            }
        } else if let Some(name) = part.strip_prefix("rv >=(") {
            if version < Some(history.versions[name.trim_end_matches(')')]) {
                return Err(format!("the version is {version:?}, below {name}"));
            }
        } else if let Some(token) = part.strip_prefix("cont=") {
            continues = Some(history.token(token, namespace).into());
        } else if let Some(count) = part.strip_prefix("remaining=") {
            remaining = count.parse::<u64>().unwrap().into();
        } else if part.ends_with("continue") {
            continues = None;
        } else {
            return Err(format!("the row expects {part:?}"));
        }
    }
    let token = &metadata["continue"];
    if continues.as_ref().is_some_and(|wanted| !same_token(wanted, token)) {
        return Err(format!("the continue token is {token}, not {continues:?}"));
    }
    if row.expected.contains("has continue") && !token.is_string() {
        return Err("there is no continue token".to_owned());
    }
    if metadata["remainingItemCount"] != remaining {
        return Err(format!("{remaining} items should remain"));
    }
    Ok(())
}

/// Tokens are opaque, but for what they mean.
fn same_token(wanted: &Value, got: &Value) -> bool {
    let decode = |token: &Value| -> Option<Value> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.as_str()?).ok()?).ok()
    };
    decode(wanted) == decode(got)
}

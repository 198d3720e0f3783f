//! Finding out what is there: names of objects, and the revision of the collection.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use http::Method;
use serde::Deserialize;

use crate::client::{Connection, Endpoint};
use crate::object::ALL_SELECTOR;

#[derive(Deserialize)]
struct List {
    metadata: ListMeta,
    items: Vec<Item>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMeta {
    #[serde(rename = "continue", default)]
    next: String,
    #[serde(default)]
    resource_version: String,
}

#[derive(Deserialize)]
struct Item {
    metadata: ItemMeta,
}

#[derive(Deserialize)]
struct ItemMeta {
    name: String,
}

/// Names of at most `limit` objects that an earlier run created.
///
/// # Errors
///
/// When they cannot be listed, or there are none.
pub(super) async fn find(
    endpoint: &Arc<Endpoint>,
    path: &str,
    limit: usize,
) -> anyhow::Result<Vec<String>> {
    let mut connection = Connection::new(Arc::clone(endpoint));
    let mut names = Vec::new();
    let mut query = format!("labelSelector={ALL_SELECTOR}&limit=500");
    loop {
        let page = list(&mut connection, path, &query).await?;
        names.extend(page.items.into_iter().map(|item| item.metadata.name));
        if page.metadata.next.is_empty() || names.len() >= limit {
            break;
        }
        let next = percent_encode(&page.metadata.next);
        query = format!("labelSelector={ALL_SELECTOR}&limit=500&continue={next}");
    }
    names.truncate(limit);
    ensure!(!names.is_empty(), "there is no object with the label bench=true: run create first");
    Ok(names)
}

/// The revision from which a watch sees everything that happens from now on.
///
/// # Errors
///
/// When the collection cannot be listed or its list has no revision.
pub(super) async fn revision(endpoint: &Arc<Endpoint>, path: &str) -> anyhow::Result<String> {
    let mut connection = Connection::new(Arc::clone(endpoint));
    let revision = list(&mut connection, path, "limit=1").await?.metadata.resource_version;
    ensure!(!revision.is_empty(), "the list has no resourceVersion");
    Ok(revision)
}

async fn list(connection: &mut Connection, path: &str, query: &str) -> anyhow::Result<List> {
    let path = format!("{path}?{query}");
    let request = connection.endpoint().request(Method::GET, &path, None)?;
    let mut body = Vec::new();
    connection
        .exchange(request, |data| body.extend_from_slice(data))
        .await
        .with_context(|| format!("GET {path}"))?;
    serde_json::from_slice(&body).with_context(|| format!("GET {path}: not a list"))
}

/// Continue tokens are opaque, so that anything may be in them.
fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    #[test]
    fn tokens_are_encoded() {
        assert_eq!(super::percent_encode("aZ0-_.~=&+/"), "aZ0-_.~%3D%26%2B%2F");
    }
}

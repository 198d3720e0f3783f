//! The mark of a storage to which objects are being copied: while it is there, what the storage
//! holds is only a part, and nobody should serve it.

use bytes::Bytes;

use super::{ReadError, Storage};
use crate::{
    key::{GroupResource, InvalidKey, Key},
    object::Object,
    scope::Scope,
};

const GROUP: &str = "storage.miloapis.com";
const SOURCE: &str = "storage.miloapis.com/source";

/// Where the mark is.
pub(super) fn key() -> Result<Key, InvalidKey> {
    Key::object(&GroupResource::new(GROUP, "copies"), &Scope::Platform, "", "unfinished")
}

/// What stands there. It has the form of an object, so that nobody stumbles over it.
#[cfg(feature = "snapshot")]
pub(super) fn value(source: &str) -> Bytes {
    let mut object = Object::new(&format!("{GROUP}/v1"), "Copy", "unfinished");
    object.set_meta("uid", "unfinished");
    object.metadata_mut().insert("annotations".into(), serde_json::json!({ SOURCE: source }));
    object.encode().bytes().clone()
}

/// What was being copied to this storage, if that was not finished.
pub(super) async fn find(storage: &dyn Storage) -> Result<Option<String>, ReadError> {
    let key = key().map_err(|error| ReadError::Corrupted(error.into()))?;
    Ok(storage.get(&key).await?.map(|record| source(&record.value)))
}

fn source(value: &Bytes) -> String {
    let object = Object::from_slice(value).ok();
    let found = object.as_ref().and_then(|object| object.annotations().find(|(k, _)| *k == SOURCE));
    found.map_or_else(|| "an unknown storage".to_owned(), |(_, source)| source.to_owned())
}

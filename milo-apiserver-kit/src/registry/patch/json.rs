//! Applying a JSON patch within bounds.
//!
//! A body is limited in size and depth when it is read, but the operations of a patch multiply:
//! each can copy what the ones before made, hang a deep value below a deep path, or move the whole
//! tail of a long list. So each operation is weighed before it is applied.

use json_patch::{Patch, PatchOperation, jsonptr::Pointer};
use milo_core::status::StatusError;
use serde_json::Value;

use crate::request::body;

/// The deepest document that a patch may make. Deeper ones could not be read back: the decoder
/// stops at 128 levels.
const DEPTH: usize = 100;
/// How many bytes all operations together may move further down.
const LOOKED: usize = 8 * body::LIMIT;
/// How many list items all operations together may move.
const MOVED: usize = 5_000_000;

/// Applies the operations in order.
pub(super) fn apply(document: &mut Value, patch: &Patch) -> Result<(), StatusError> {
    let mut budget = Budget { copied: body::LIMIT, looked: LOOKED, moved: MOVED };
    for operation in &patch.0 {
        if tests_for_absence(operation, document) {
            continue;
        }
        budget.weigh(document, operation)?;
        json_patch::patch(document, std::slice::from_ref(operation)).map_err(|_| refused())?;
    }
    Ok(())
}

/// Whether this is a `test` that a member is null, and the member is not there at all: upstream
/// lets it pass, unlike the RFC, and clients add their first finalizer that way.
fn tests_for_absence(operation: &PatchOperation, document: &Value) -> bool {
    let PatchOperation::Test(test) = operation else { return false };
    let Some((parent, member)) = test.path.split_back() else { return false };
    let members = parent.resolve(document).ok().and_then(Value::as_object);
    test.value.is_null()
        && members.is_some_and(|members| !members.contains_key(member.decoded().as_ref()))
}

/// Upstream's whole answer to an operation that cannot be applied.
pub(super) fn refused() -> StatusError {
    StatusError::new(
        422,
        "Invalid",
        "the server rejected our request due to an error in our request",
    )
}

/// What the operations may still do.
struct Budget {
    /// Bytes that may be copied.
    copied: usize,
    /// Bytes that may be moved further down, and are looked through for that.
    looked: usize,
    /// List items that may be moved.
    moved: usize,
}

impl Budget {
    fn weigh(&mut self, document: &Value, operation: &PatchOperation) -> Result<(), StatusError> {
        match operation {
            PatchOperation::Add(add) => self.place(document, &add.path, &add.value),
            PatchOperation::Replace(replace) => check_depth(&replace.path, &replace.value),
            PatchOperation::Remove(remove) => self.shift(document, &remove.path),
            PatchOperation::Copy(copy) => {
                let Ok(source) = copy.from.resolve(document) else { return Err(refused()) };
                self.copied = self
                    .copied
                    .checked_sub(size(source))
                    .ok_or_else(|| StatusError::too_large(body::LIMIT))?;
                self.place(document, &copy.path, source)
            }
            PatchOperation::Move(moved) => {
                let Ok(source) = moved.from.resolve(document) else { return Err(refused()) };
                self.shift(document, &moved.from)?;
                // What does not come to be deeper need not be looked through.
                if moved.path.count() > moved.from.count() {
                    self.looked = self
                        .looked
                        .checked_sub(size(source))
                        .ok_or_else(|| StatusError::too_large(body::LIMIT))?;
                    check_depth(&moved.path, source)?;
                }
                self.shift(document, &moved.path)
            }
            PatchOperation::Test(_) => Ok(()),
        }
    }

    fn place(
        &mut self,
        document: &Value,
        path: &Pointer,
        value: &Value,
    ) -> Result<(), StatusError> {
        check_depth(path, value)?;
        self.shift(document, path)
    }

    /// Counts the items that an insertion or a removal at `path` moves.
    fn shift(&mut self, document: &Value, path: &Pointer) -> Result<(), StatusError> {
        let parent = path.parent().and_then(|parent| parent.resolve(document).ok());
        let moved = parent.and_then(Value::as_array).map_or(0, Vec::len);
        self.moved = self.moved.checked_sub(moved).ok_or_else(|| {
            StatusError::new(
                413,
                "RequestEntityTooLarge",
                format!("Request entity too large: the patch moves more than {MOVED} list items"),
            )
        })?;
        Ok(())
    }
}

fn check_depth(path: &Pointer, value: &Value) -> Result<(), StatusError> {
    if path.count() + depth(value, DEPTH) <= DEPTH {
        return Ok(());
    }
    let path = milo_core::status::FieldPath::new("patch");
    let error = milo_core::status::FieldError::forbidden(
        path,
        format!("the result may be no more than {DEPTH} levels deep"),
    );
    Err(StatusError::invalid("", "", "", &[error]))
}

/// Levels of nesting, counted no further than just past `limit`. Does not recurse.
fn depth(value: &Value, limit: usize) -> usize {
    let mut deepest = 0;
    let mut rest = vec![(value, 1)];
    while let Some((value, level)) = rest.pop() {
        deepest = deepest.max(level);
        if deepest > limit {
            break;
        }
        match value {
            Value::Array(items) => rest.extend(items.iter().map(|item| (item, level + 1))),
            Value::Object(fields) => rest.extend(fields.values().map(|item| (item, level + 1))),
            _ => {}
        }
    }
    deepest
}

/// About the size of a value as JSON, in bytes. Does not recurse and builds nothing.
fn size(value: &Value) -> usize {
    let (mut total, mut rest) = (0, vec![value]);
    while let Some(value) = rest.pop() {
        total += match value {
            Value::Null | Value::Bool(_) => 5,
            Value::Number(_) => 8,
            Value::String(text) => text.len() + 2,
            Value::Array(items) => {
                rest.extend(items);
                items.len() + 2
            }
            Value::Object(fields) => {
                rest.extend(fields.values());
                fields.keys().map(|key| key.len() + 4).sum::<usize>() + 2
            }
        };
    }
    total
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patch(operations: Value) -> Patch {
        serde_json::from_value(operations).unwrap()
    }

    #[test]
    fn a_patch_cannot_build_a_document_without_bottom() {
        let deep = (0..90).fold(json!(1), |inner, _| json!({ "a": inner }));
        let mut document = json!({});
        let below = "/a".repeat(90);
        let operations = patch(json!([
            {"op": "add", "path": "/a", "value": deep["a"]},
            {"op": "replace", "path": below, "value": deep},
        ]));
        let error = apply(&mut document, &operations).unwrap_err();
        assert_eq!(error.code(), 422);
        assert!(error.message().contains("100 levels deep"), "{error}");
        let copies = patch(json!([
            {"op": "add", "path": "/a", "value": deep},
            {"op": "copy", "from": "/a", "path": below},
        ]));
        assert_eq!(apply(&mut json!({}), &copies).unwrap_err().code(), 422);
    }

    #[test]
    fn a_patch_cannot_copy_or_move_without_end() {
        let text = "x".repeat(body::LIMIT / 2);
        let copies = patch(json!([
            {"op": "copy", "from": "/a", "path": "/b"},
            {"op": "copy", "from": "/a", "path": "/c"},
            {"op": "copy", "from": "/a", "path": "/d"},
        ]));
        let error = apply(&mut json!({ "a": text }), &copies).unwrap_err();
        assert_eq!(error.reason(), "RequestEntityTooLarge");
        let inserts: Vec<Value> =
            (0..100).map(|_| json!({"op": "add", "path": "/a/0", "value": 1})).collect();
        let mut document = json!({ "a": vec![0; MOVED / 50] });
        assert_eq!(apply(&mut document, &patch(inserts.into())).unwrap_err().code(), 413);
    }

    #[test]
    fn what_cannot_be_applied_is_refused() {
        for operations in [
            json!([{"op": "remove", "path": "/missing"}]),
            json!([{"op": "test", "path": "/a", "value": 2}]),
            json!([{"op": "move", "from": "/missing", "path": "/a"}]),
            json!([{"op": "copy", "from": "/missing", "path": "/a"}]),
            json!([{"op": "add", "path": "/missing/b", "value": 1}]),
        ] {
            let error = apply(&mut json!({ "a": 1 }), &patch(operations)).unwrap_err();
            assert_eq!((error.code(), error.reason()), (422, "Invalid"));
        }
    }
}

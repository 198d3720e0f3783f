//! `PATCH`: JSON patch (RFC 6902), merge patch (RFC 7386) and apply (`spec/wire.md` section 3).

mod apply;
mod json;

use http::{HeaderMap, Response};
use milo_core::{meta, object::Object, status::StatusError};
use serde_json::{Map, Value};

use super::{Call, Place, Resource, update::Change};
use crate::{
    body::Body,
    negotiate,
    request::{
        body::decode_json,
        options::{FieldValidation, WriteOptions},
    },
};

/// The patch types that are understood, as their media types.
pub(crate) const PATCH_TYPES: [&str; 3] =
    ["application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml"];

/// The largest number of operations in a JSON patch, as upstream.
const OPERATIONS: usize = 10_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PatchType {
    Json,
    Merge,
    Apply,
}

impl PatchType {
    /// By content type. Checked before anything else.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, StatusError> {
        match negotiate::content_type(headers) {
            "application/json-patch+json" => Ok(Self::Json),
            "application/merge-patch+json" => Ok(Self::Merge),
            "application/apply-patch+yaml" => Ok(Self::Apply),
            _ => Err(StatusError::unsupported_media_type(&PATCH_TYPES)),
        }
    }
}

impl Resource {
    pub(crate) async fn patch(
        &self,
        call: &mut Call<'_>,
        place: &Place,
        body: &[u8],
    ) -> Result<Response<Body>, StatusError> {
        let (options, mut change) = self.change_of_patch(call, body).await?;
        self.modify(call, place, &options, &mut *change).await
    }

    /// What a patch asks for, whatever it is applied to.
    pub(super) async fn change_of_patch(
        &self,
        call: &Call<'_>,
        body: &[u8],
    ) -> Result<(WriteOptions, Box<dyn Change>), StatusError> {
        let patch_type = PatchType::of(call.headers)?;
        if patch_type == PatchType::Apply {
            return self.apply(call, body).await;
        }
        let options = WriteOptions::parse(call.query, "PatchOptions")?;
        let (patch, problems) = Patch::parse(patch_type, body)?;
        let validation = options.field_validation;
        Ok((options, Box::new(ApplyPatch { patch, problems, validation })))
    }
}

#[derive(Debug)]
enum Patch {
    /// None if one of the operations is none.
    Json(Option<json_patch::Patch>),
    Merge(Value),
}

impl Patch {
    /// The patch, and what it says twice or in vain.
    fn parse(patch_type: PatchType, body: &[u8]) -> Result<(Self, Vec<String>), StatusError> {
        let bad = |error: serde_json::Error| {
            StatusError::bad_request(format!("error decoding patch: {error}"))
        };
        let (patch, duplicates) = decode_json(body).map_err(bad)?;
        let duplicates = duplicates.into_iter().map(|path| format!("duplicate field {path:?}"));
        match patch_type {
            PatchType::Merge | PatchType::Apply => {
                if !patch.is_object() {
                    return Err(StatusError::bad_request("a merge patch must be a JSON object"));
                }
                Ok((Self::Merge(patch), duplicates.collect()))
            }
            PatchType::Json => {
                let operations = patch.as_array().filter(|list| list.iter().all(Value::is_object));
                let Some(count) = operations.map(Vec::len) else {
                    let text = "error decoding patch: a JSON patch must be a list of operations";
                    return Err(StatusError::bad_request(text));
                };
                let problems = duplicates.chain(unknown_members(&patch));
                let problems = problems.map(|text| format!("json patch {text}")).collect();
                if count > OPERATIONS {
                    return Err(StatusError::new(
                        413,
                        "RequestEntityTooLarge",
                        format!(
                            "Request entity too large: The allowed maximum operations in a JSON patch is {OPERATIONS}, got {count}"
                        ),
                    ));
                }
                // Whether operations make sense is only found when they are applied, as upstream.
                Ok((Self::Json(serde_json::from_value(patch).ok()), problems))
            }
        }
    }

    fn apply(&self, document: &mut Value) -> Result<(), StatusError> {
        match self {
            Self::Merge(patch) => {
                json_patch::merge(document, patch);
                Ok(())
            }
            Self::Json(Some(patch)) => json::apply(document, patch),
            Self::Json(None) => Err(json::refused()),
        }
    }
}

/// Members that no operation has.
fn unknown_members(patch: &Value) -> impl Iterator<Item = String> {
    let operations = patch.as_array().into_iter().flatten().enumerate();
    operations.flat_map(|(index, operation)| {
        let members = operation.as_object().into_iter().flat_map(Map::keys);
        members
            .filter(|member| !matches!(member.as_str(), "op" | "path" | "from" | "value"))
            .map(move |member| format!("unknown field \"[{index}].{member}\""))
    })
}

/// A patch on its way through the update loop.
struct ApplyPatch {
    patch: Patch,
    /// What the patch itself says twice or in vain.
    problems: Vec<String>,
    validation: FieldValidation,
}

impl ApplyPatch {
    fn patched(&self, current: &Object) -> Result<Value, StatusError> {
        let mut document = current.clone().into_value();
        self.patch.apply(&mut document)?;
        Ok(document)
    }

    /// Upstream's answer to a patch whose result is no object of the kind, or has fields that the
    /// kind does not have: 422 with an empty kind and name. The result is shown; it is made again
    /// here, so that patches that are right need no copy of it.
    fn undecodable(&self, current: &Object, why: &str) -> StatusError {
        let document = match self.patched(current) {
            Ok(document) => document.to_string(),
            Err(error) => return error,
        };
        let path = milo_core::status::FieldPath::new("patch");
        let error = milo_core::status::FieldError::invalid(path, document, why);
        StatusError::invalid("", "", "", &[error])
    }
}

impl Change for ApplyPatch {
    fn apply(
        &mut self,
        resource: &Resource,
        call: &mut Call<'_>,
        current: &Object,
    ) -> Result<Object, StatusError> {
        let (mut object, unknown) = resource
            .shape(self.patched(current)?)
            .map_err(|error| self.undecodable(current, error.message()))?;
        let problems: Vec<String> = self.problems.iter().cloned().chain(unknown).collect();
        match self.validation {
            FieldValidation::Ignore => {}
            FieldValidation::Warn => call.warnings.extend(problems),
            FieldValidation::Strict if problems.is_empty() => {}
            FieldValidation::Strict => {
                let text = format!("strict decoding error: {}", problems.join(", "));
                return Err(self.undecodable(current, &text));
            }
        }
        resource.set_namespace(call, &mut object)?;
        resource.check_name(call, &object)?;
        call.warnings.extend(meta::dedupe_owner_references(&mut object));
        if object.meta("resourceVersion").is_empty() {
            // A patch that says nothing of the version applies to whatever is there.
            object.set_meta("resourceVersion", current.meta("resourceVersion"));
        }
        Ok(object)
    }
}

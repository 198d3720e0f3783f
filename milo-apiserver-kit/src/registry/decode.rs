//! From the bytes of a request to an object of the kind (`spec/wire.md` sections 2.3 and 2.10).

use milo_core::{meta, object::Object, status::StatusError};
use serde_json::Value;

use super::{Call, Resource};
use crate::{
    media::{BodyType, Decoded},
    request::options::FieldValidation,
};

/// How many problems with its fields are told of one object. Whoever has more than that is helped
/// by the first ones.
const PROBLEMS: usize = 100;

impl Resource {
    /// Decodes a body. Fields that the kind does not have are dropped, and told or refused as the
    /// client asked.
    pub(super) async fn decode(
        &self,
        call: &mut Call<'_>,
        body: &[u8],
        validation: FieldValidation,
    ) -> Result<Object, StatusError> {
        let decoded = BodyType::of(call.headers)?.decode(body).await;
        let Decoded { value, duplicates } =
            decoded.map_err(|error| error.refuse(self.definition.kind(), body))?;
        let (object, mut problems) = self.shape(value)?;
        problems.extend(duplicates.into_iter().map(|path| format!("duplicate field {path:?}")));
        problems.truncate(PROBLEMS);
        match validation {
            FieldValidation::Ignore => {}
            FieldValidation::Warn => call.warnings.append(&mut problems),
            FieldValidation::Strict if problems.is_empty() => {}
            FieldValidation::Strict => {
                let text = format!("strict decoding error: {}", problems.join(", "));
                return Err(self.unhandled(&object, &text));
            }
        }
        Ok(object)
    }

    /// An object of this kind, without what the kind does not have; and what that was.
    pub(super) fn shape(&self, value: Value) -> Result<(Object, Vec<String>), StatusError> {
        let mut object = Object::from_value(value).map_err(|error| {
            StatusError::bad_request(format!(
                "the object provided is unrecognized (must be of type {}): {error}",
                self.definition.kind(),
            ))
        })?;
        self.check_type(&mut object)?;
        meta::validate_shape(&object).map_err(|text| self.unhandled(&object, &text))?;
        let mut problems: Vec<String> = meta::unknown_fields(&object);
        meta::prune_unknown_fields(&mut object);
        drop_empty_metadata(&mut object);
        problems.extend(self.definition.schema().prune(&mut object));
        problems.truncate(PROBLEMS);
        for path in &mut problems {
            *path = format!("unknown field {path:?}");
        }
        Ok((object, problems))
    }

    /// `apiVersion` and `kind` may be left out; what is there must be right.
    fn check_type(&self, object: &mut Object) -> Result<(), StatusError> {
        for field in ["apiVersion", "kind"] {
            if object
                .fields()
                .get(field)
                .is_some_and(|value| !value.is_string() && !value.is_null())
            {
                let text = format!("{field} must be a string");
                return Err(self.unhandled(object, &text));
            }
        }
        let (api_version, kind) = (self.definition.api_version(), self.definition.kind());
        if !matches!(object.api_version(), "") && object.api_version() != api_version {
            return Err(StatusError::bad_request(format!(
                "the API version in the data ({}) does not match the expected API version ({api_version})",
                object.api_version(),
            )));
        }
        if !matches!(object.kind(), "") && object.kind() != kind {
            let text = format!("the kind in the data is not {kind}");
            return Err(self.unhandled(object, &text));
        }
        object.set_type(api_version, kind);
        Ok(())
    }

    fn unhandled(&self, object: &Object, why: &str) -> StatusError {
        let kind = match object.kind() {
            "" => self.definition.kind(),
            kind => kind,
        };
        StatusError::bad_request(format!(
            "{kind} in version {:?} cannot be handled as a {}: {why}",
            self.definition.version(),
            self.definition.kind(),
        ))
    }
}

/// Metadata that says nothing is left out, as upstream: the last label that a patch takes away
/// leaves no empty map behind, and an empty list is no change. Empty managed fields do say
/// something: that nobody owns anything.
fn drop_empty_metadata(object: &mut Object) {
    object.metadata_mut().retain(|name, value| match value {
        Value::Array(_) if name == "managedFields" => true,
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(entries) => !entries.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    });
}

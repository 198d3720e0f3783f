//! Server-side apply (`spec/wire.md` section 3.4).

use milo_core::{managed_fields, meta, object::Object, status::StatusError};
use serde_json::Value;

use super::{Call, Change, Resource};
use crate::{
    media::{BodyType, Decoded},
    request::options::{FieldValidation, WriteOptions},
};

impl Resource {
    pub(super) async fn apply(
        &self,
        call: &Call<'_>,
        body: &[u8],
    ) -> Result<(WriteOptions, Box<dyn Change>), StatusError> {
        let options = WriteOptions::parse_apply(call.query)?;
        let (config, duplicates) = decode_config(body).await?;
        let apply = Apply { config, duplicates, options: options.clone() };
        Ok((options, Box::new(apply)))
    }

    /// 400 unless the configuration is of this kind. Of nothing else upstream is so strict: both
    /// must be there.
    fn check_config(&self, config: &Object) -> Result<(), StatusError> {
        let (version, kind) = (config.api_version(), config.kind());
        if kind == self.definition.kind() && version == self.definition.api_version() {
            return Ok(());
        }
        // Without a group there is nothing before the slash.
        let slash = if version.contains('/') { "" } else { "/" };
        Err(StatusError::bad_request(format!("invalid object type: {slash}{version}, Kind={kind}")))
    }
}

/// A configuration: YAML, of which JSON is a part. And the keys that it holds twice.
async fn decode_config(body: &[u8]) -> Result<(Object, Vec<String>), StatusError> {
    let bad = |why: &dyn std::fmt::Display| {
        StatusError::bad_request(format!("error decoding patch: {why}"))
    };
    let decoded = BodyType::Yaml.decode(body).await;
    let Decoded { value, duplicates } = decoded.map_err(|error| bad(&error))?;
    let value = if value.is_null() { Value::Object(serde_json::Map::new()) } else { value };
    let config = Object::from_value(value).map_err(|error| bad(&error))?;
    Ok((config, duplicates))
}

/// An apply on its way through the update loop.
struct Apply {
    config: Object,
    duplicates: Vec<String>,
    options: WriteOptions,
}

impl Apply {
    fn merge(
        &self,
        resource: &Resource,
        call: &mut Call<'_>,
        live: Option<&Object>,
    ) -> Result<Object, StatusError> {
        resource.check_config(&self.config)?;
        let manager = resource.manager(call, &self.options.field_manager);
        let reset = resource.reset_fields(&call.target.subresource);
        let (schema, force) = (resource.definition.schema(), self.options.force);
        let merged = managed_fields::apply(schema, live, &self.config, &manager, &reset, force);
        let merged = merged.map_err(|error| error.to_status())?;
        self.check_duplicates(call)?;
        let (mut object, _) = resource.shape(merged.into_value())?;
        resource.set_namespace(call, &mut object)?;
        resource.check_name(call, &object)?;
        call.warnings.extend(meta::dedupe_owner_references(&mut object));
        Ok(object)
    }

    fn check_duplicates(&self, call: &mut Call<'_>) -> Result<(), StatusError> {
        let mut problems = self.duplicates.iter().map(|path| format!("duplicate field {path:?}"));
        match self.options.field_validation {
            FieldValidation::Ignore => {}
            FieldValidation::Warn => call.warnings.extend(problems),
            FieldValidation::Strict if self.duplicates.is_empty() => {}
            FieldValidation::Strict => {
                let first = problems.next().unwrap_or_default();
                let all = problems.fold(first, |all, problem| format!("{all}, {problem}"));
                let text = format!("error strict decoding patch: {all}");
                return Err(StatusError::bad_request(text));
            }
        }
        Ok(())
    }
}

impl Change for Apply {
    fn apply(
        &mut self,
        resource: &Resource,
        call: &mut Call<'_>,
        current: &Object,
    ) -> Result<Object, StatusError> {
        self.merge(resource, call, Some(current))
    }

    fn create(&mut self, resource: &Resource, call: &mut Call<'_>) -> Result<Object, StatusError> {
        // A subresource never makes its object.
        if !call.target.subresource.is_empty() {
            return Err(resource.not_found(&call.target.name));
        }
        let object = self.merge(resource, call, None)?;
        if object.uid().is_empty() {
            return Ok(object);
        }
        let uid = object.uid();
        let why = format!(
            "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
        );
        Err(resource.conflict(&call.target.name, why))
    }

    fn tracks(&self) -> bool {
        true
    }
}

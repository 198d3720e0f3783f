//! `metadata.managedFields` on the write path: who owns which field (`spec/wire.md` section 3.4).

use std::borrow::Cow;

use http::header;
use milo_core::{
    managed_fields::{Manager, ResetFields, default_manager, track_update},
    object::Object,
};

use super::{
    Call, Resource,
    backend::{WriteError, Written},
    update::Half,
};
use crate::request::options::WriteOptions;

impl Resource {
    /// Notes who owns what a create, an update or a patch has written.
    pub(super) fn track(
        &self,
        call: &Call<'_>,
        options: &WriteOptions,
        live: Option<&Object>,
        object: &mut Object,
    ) {
        let name = manager_name(call, options);
        let manager = self.manager(call, &name);
        let reset = self.reset_fields(&call.target.subresource);
        let schema = self.definition.schema();
        if let Err(error) = track_update(schema, live, object, &manager, &reset) {
            // Validation finds the same, and tells the client.
            tracing::debug!(%error, "the fields of an object are not tracked");
        }
    }

    /// Who writes, through which half of the object.
    pub(super) fn manager<'a>(&'a self, call: &Call<'a>, name: &'a str) -> Manager<'a> {
        Manager::new(name, self.definition.api_version()).subresource(&call.target.subresource)
    }

    /// What a write through a subresource, or through none, cannot change.
    pub(super) fn reset_fields(&self, subresource: &str) -> ResetFields {
        match Half::of(subresource) {
            Half::Status => ResetFields::all_but(["status"]),
            Half::Main => {
                let status = self.definition.has_status().then_some(&["status"] as &[_]);
                let others = self.strategy.reset_fields().iter().copied();
                ResetFields::trees(status.into_iter().chain(others))
            }
        }
    }
}

/// The manager that the client names, or the program that it is.
fn manager_name<'a>(call: &Call<'a>, options: &'a WriteOptions) -> Cow<'a, str> {
    if !options.field_manager.is_empty() {
        return Cow::Borrowed(&options.field_manager);
    }
    let agent = call.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    Cow::Owned(default_manager(agent.unwrap_or_default()))
}

/// Whether a commit failed because the object is larger than the storage takes.
pub(super) fn is_too_large(written: &Result<Written, WriteError>) -> bool {
    matches!(written, Err(WriteError::Refused(error)) if error.code() == 413)
}

/// Takes the managed fields off an object, so that it may fit after all. False if it has none.
pub(super) fn shed(object: &mut Object) -> bool {
    object.metadata_mut().remove("managedFields").is_some()
}

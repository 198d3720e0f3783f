//! `DELETE` of one object or of a collection (`spec/wire.md` section 2.7).

mod collection;
mod decision;

use http::{Response, StatusCode};
use milo_core::{
    admission::Operation,
    definition::ResourceDefinition,
    key::Key,
    object::Object,
    status::StatusError,
    storage::{Record, Transaction},
};
use serde_json::json;

use super::{
    Call, Place, Resource,
    admission::Write,
    backend::{Change, Target, WriteError},
    update::ATTEMPTS,
};
use crate::{body::Body, errors, request::options::DeleteOptions, respond, strategy::WriteContext};
use decision::Decision;

/// What became of an object.
enum Deleted {
    /// It is gone: its last state.
    Gone(Object),
    /// It has been given time to end before, and nothing is to be changed about that.
    Pending(Object),
    /// It waits for finalizers, or for its time to be over: the object as it is now.
    Waiting(Object),
}

impl Deleted {
    fn decorated(mut self, definition: &ResourceDefinition) -> Self {
        let (Self::Gone(object) | Self::Pending(object) | Self::Waiting(object)) = &mut self;
        definition.decorate(object);
        self
    }
}

impl Resource {
    pub(crate) async fn delete(
        &self,
        call: &mut Call<'_>,
        place: &Place,
        body: &[u8],
    ) -> Result<Response<Body>, StatusError> {
        let options = DeleteOptions::parse(call.query, body, self.definition.api_version())?;
        let name = call.target.name.clone();
        let key = self.key(place, &call.target.namespace, &name)?;
        let deleted = self.delete_one(call, place, &key, &name, &options).await?;
        let dependents_too = options.orphan_dependents == Some(false);
        let code = match &deleted {
            Deleted::Pending(_) | Deleted::Waiting(_) if dependents_too => StatusCode::ACCEPTED,
            _ => StatusCode::OK,
        };
        match deleted.decorated(&self.definition) {
            Deleted::Waiting(object) => self.render_object(call, code, object),
            Deleted::Gone(object) | Deleted::Pending(object)
                if self.strategy.returns_deleted_object() =>
            {
                self.render_object(call, code, object)
            }
            Deleted::Gone(object) | Deleted::Pending(object) => {
                let resource = self.definition.group_resource();
                let status = json!({
                    "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                    "details": {
                        "name": name, "group": resource.group(), "kind": resource.resource(),
                        "uid": object.uid(),
                    },
                });
                Ok(respond::value(code, &status, call.encoding))
            }
        }
    }

    async fn delete_one(
        &self,
        call: &mut Call<'_>,
        place: &Place,
        key: &Key,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<Deleted, StatusError> {
        let mut record = self.read(call, place, key, name).await?;
        let warned = call.warnings.len();
        for _ in 0..ATTEMPTS {
            call.warnings.truncate(warned);
            let current = self.decode_record(&record)?;
            self.check_delete(&current, name, options)?;
            let context = self.context(call, options.dry_run);
            let decision = decision::decide(&*self.strategy, &context, &current, options);
            if matches!(decision, Decision::Pending) {
                return Ok(Deleted::Pending(current));
            }
            let mut write = Write::new(Operation::Delete, Some(&current), options.dry_run);
            write.removes = matches!(decision, Decision::Remove);
            self.admit(call, &mut write, &current).await?;
            let transaction = write.transaction;
            let target = self.target(call, place, key);
            let deleted = match decision {
                Decision::Mark(marked) => {
                    self.mark(&target, &context, &record, &current, marked, transaction).await
                }
                _ => self.remove(&target, &context, &record, current, transaction).await,
            };
            match deleted {
                Ok(deleted) => return Ok(deleted),
                Err(WriteError::Refused(error)) => return Err(error),
                Err(_) => record = self.read(call, place, key, name).await?,
            }
        }
        Err(self.conflict(name, errors::MODIFIED))
    }

    /// Removes the object; its last state has the resource version of the removal.
    async fn remove(
        &self,
        target: &Target<'_>,
        context: &WriteContext<'_>,
        record: &Record,
        mut object: Object,
        transaction: Transaction,
    ) -> Result<Deleted, WriteError> {
        let pending = self.strategy.begin_delete(context, &object).map_err(WriteError::Refused)?;
        if context.dry_run {
            return Ok(Deleted::Gone(object));
        }
        let written = self.backend.commit(target, Change::Remove(record), transaction).await?;
        pending.committed();
        if let Some(revision) = written.revision() {
            object.set_meta("resourceVersion", &revision.to_string());
        }
        self.strategy.after_delete(context, &object);
        Ok(Deleted::Gone(object))
    }

    /// Writes that the object is being deleted, unless that is what is stored.
    async fn mark(
        &self,
        target: &Target<'_>,
        context: &WriteContext<'_>,
        record: &Record,
        current: &Object,
        mut marked: Object,
        transaction: Transaction,
    ) -> Result<Deleted, WriteError> {
        if context.dry_run || &marked == current {
            return Ok(Deleted::Waiting(marked));
        }
        let encoded = marked.encode();
        let change = Change::Replace(record, &marked, &encoded);
        let written = self.backend.commit(target, change, transaction).await?;
        if let Some(revision) = written.revision() {
            marked.set_meta("resourceVersion", &revision.to_string());
        }
        Ok(Deleted::Waiting(marked))
    }

    fn check_delete(
        &self,
        current: &Object,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<(), StatusError> {
        let version = current.meta("resourceVersion");
        for (what, wanted, actual, hint) in [
            ("UID", &options.uid, current.uid(), "deleted and then recreated"),
            ("ResourceVersion", &options.resource_version, version, "modified"),
        ] {
            if let Some(wanted) = wanted
                && wanted != actual
            {
                return Err(self.conflict(
                    name,
                    format!(
                        "the {what} in the precondition ({wanted}) does not match the {what} in record ({actual}). The object might have been {hint}"
                    ),
                ));
            }
        }
        Ok(())
    }
}

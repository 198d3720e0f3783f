//! `DELETE` of one object or of a collection (`spec/wire.md` section 2.7).
//!
//! Finalizers are honoured. No garbage collector runs here, so none of its finalizers is ever
//! added: an object that waited for them would never go away.

use http::{Response, StatusCode};
use milo_core::{
    admission::{AdmissionRequest, Operation},
    key::Key,
    meta,
    object::Object,
    status::StatusError,
    storage::{CommitError, Precondition, Record, Transaction},
};
use serde_json::json;

use super::{Call, Place, Resource, render::ListMeta};
use crate::{
    body::Body,
    cache::Shared,
    errors,
    request::options::{DeleteOptions, ListOptions},
    respond,
};

/// See the constant of the same name in `update`.
const ATTEMPTS: usize = 256;

/// What became of an object.
enum Deleted {
    /// It is gone; its UID.
    Gone(String),
    /// It waits for finalizers: the object as it is now.
    Waiting(Object),
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
        match self.delete_one(call, place, &key, &name, &options).await? {
            Deleted::Waiting(object) => {
                let accepted = options.deletes_dependents;
                let code = if accepted { StatusCode::ACCEPTED } else { StatusCode::OK };
                self.render_object(call, code, object)
            }
            Deleted::Gone(uid) => {
                let resource = self.definition.group_resource();
                let status = json!({
                    "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                    "details": {
                        "name": name, "group": resource.group(), "kind": resource.resource(),
                        "uid": uid,
                    },
                });
                Ok(respond::value(StatusCode::OK, &status, call.pretty))
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
        let mut record = self.read(place, key, name).await?;
        for _ in 0..ATTEMPTS {
            let current = self.decode_record(&record)?;
            self.check_delete(&current, name, options)?;
            let mut transaction = Transaction::new();
            let mut request = AdmissionRequest {
                attributes: call.attributes,
                definition: &self.definition,
                operation: Operation::Delete,
                old: Some(&current),
                dry_run: options.dry_run,
                reader: &self.reader,
                transaction: &mut transaction,
                warnings: &mut call.warnings,
            };
            for step in self.admission.iter() {
                step.validate(&mut request, &current).await?;
            }
            match self.try_delete(key, &record, current, transaction, options.dry_run).await {
                Ok(deleted) => return Ok(deleted),
                Err(CommitError::Conflict { .. }) => record = self.read(place, key, name).await?,
                Err(error) => {
                    return Err(errors::commit(&error, self.definition.group_resource(), name));
                }
            }
        }
        Err(self.conflict(name, errors::MODIFIED))
    }

    async fn try_delete(
        &self,
        key: &Key,
        record: &Record,
        mut object: Object,
        transaction: Transaction,
        dry_run: bool,
    ) -> Result<Deleted, CommitError> {
        let transaction =
            transaction.require(Precondition::RevisionIs(key.clone(), record.revision));
        if object.finalizers().next().is_none() {
            if !dry_run {
                self.storage.commit(transaction.delete(key.clone())).await?;
            }
            return Ok(Deleted::Gone(object.uid().to_owned()));
        }
        if object.is_deleting() {
            return Ok(Deleted::Waiting(object));
        }
        object.set_meta("deletionTimestamp", &meta::now());
        let generation = object.generation() + 1;
        let metadata = object.metadata_mut();
        metadata.insert("deletionGracePeriodSeconds".into(), 0.into());
        metadata.insert("generation".into(), generation.into());
        if !dry_run {
            let encoded = object.encode();
            let transaction = transaction.put(key.clone(), encoded.bytes().clone());
            let revision = self.storage.commit(transaction).await?;
            object.set_meta("resourceVersion", &revision.to_string());
        }
        Ok(Deleted::Waiting(object))
    }

    fn check_delete(
        &self,
        current: &Object,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<(), StatusError> {
        let pairs = [
            ("UID", &options.uid, current.uid()),
            ("ResourceVersion", &options.resource_version, current.meta("resourceVersion")),
        ];
        for (what, wanted, actual) in pairs {
            if let Some(wanted) = wanted
                && wanted != actual
            {
                return Err(self.conflict(
                    name,
                    format!(
                        "the {what} in the precondition ({wanted}) does not match the {what} in record ({actual}). The object might have been deleted and then recreated"
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Deletes what a selection means, one by one, each through all the checks of a single
    /// deletion. Not atomic, as upstream.
    pub(crate) async fn delete_collection(
        &self,
        call: &mut Call<'_>,
        place: &Place,
        body: &[u8],
    ) -> Result<Response<Body>, StatusError> {
        let list = ListOptions::parse(call.query)?;
        let options = DeleteOptions::parse(call.query, body, self.definition.api_version())?;
        let (meta, objects) = self.select(call, place, list).await?;
        let mut processed: Vec<Shared> = Vec::with_capacity(objects.len());
        for object in objects {
            let key = object.key().clone();
            let name = key.segments().map(|segments| segments.name.to_owned()).unwrap_or_default();
            match self.delete_one(call, place, &key, &name, &options).await {
                Ok(_) => processed.push(object),
                Err(error) if error.reason() == "NotFound" => {}
                Err(error) => return Err(error),
            }
        }
        let meta = ListMeta { resource_version: meta.resource_version, ..ListMeta::default() };
        self.render_list(call, &meta, processed)
    }
}

//! `DELETE` of one object or of a collection (`spec/wire.md` section 2.7).
//!
//! Finalizers are honoured. No garbage collector runs here, so none of its finalizers is ever
//! added: an object that waited for them would never go away.

use futures_util::StreamExt;
use http::{Response, StatusCode};
use milo_core::{
    admission::Operation,
    key::Key,
    meta,
    object::Object,
    status::StatusError,
    storage::{Record, Transaction},
};
use serde_json::json;

use super::{
    Call, Place, Resource,
    admission::Write,
    backend::{Change, Target, WriteError},
    render::ListMeta,
    update::ATTEMPTS,
};
use crate::{
    body::Body,
    cache::{Shared, Walk},
    errors,
    request::options::{DeleteOptions, ListOptions},
    respond,
};

/// How many objects of a collection are deleted at a time: they share the storage's commits.
const AT_ONCE: usize = 32;

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
                Ok(respond::value(StatusCode::OK, &status, call.encoding))
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
        for _ in 0..ATTEMPTS {
            let current = self.decode_record(&record)?;
            self.check_delete(&current, name, options)?;
            let mut write = Write {
                operation: Operation::Delete,
                old: Some(&current),
                removes: current.finalizers().next().is_none(),
                dry_run: options.dry_run,
                transaction: Transaction::new(),
            };
            self.admit(call, &mut write, &current).await?;
            let transaction = write.transaction;
            let target = self.target(call, place, key);
            match self.try_delete(&target, &record, current, transaction, options.dry_run).await {
                Ok(deleted) => return Ok(deleted),
                Err(WriteError::Refused(error)) => return Err(error),
                Err(_) => record = self.read(call, place, key, name).await?,
            }
        }
        Err(self.conflict(name, errors::MODIFIED))
    }

    async fn try_delete(
        &self,
        target: &Target<'_>,
        record: &Record,
        mut object: Object,
        transaction: Transaction,
        dry_run: bool,
    ) -> Result<Deleted, WriteError> {
        if object.finalizers().next().is_none() {
            if !dry_run {
                self.backend.commit(target, Change::Remove(record), transaction).await?;
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
            let change = Change::Replace(record, &object, &encoded);
            let written = self.backend.commit(target, change, transaction).await?;
            if let Some(revision) = written.revision() {
                object.set_meta("resourceVersion", &revision.to_string());
            }
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

    /// Deletes what a selection means, each object through all the checks of a single deletion.
    /// Not atomic, as upstream. An object that is no longer what was selected is left alone.
    pub(crate) async fn delete_collection(
        &self,
        call: &mut Call<'_>,
        place: &Place,
        body: &[u8],
    ) -> Result<Response<Body>, StatusError> {
        let list = ListOptions::parse(call.query)?;
        let options = DeleteOptions::parse(call.query, body, self.definition.api_version())?;
        let selected = place.selecting(list.selection.clone());
        let (meta, objects) = self.select(call, place, list).await?;
        let mut processed: Vec<Shared> = Vec::with_capacity(objects.len());
        {
            let shared: &Call<'_> = call;
            let deletions = objects
                .map(|object| self.delete_selected(shared.alone(), &selected, object, &options));
            let mut deletions = futures_util::stream::iter(deletions).buffered(AT_ONCE);
            while let Some(deleted) = deletions.next().await {
                processed.extend(deleted?);
            }
        }
        let meta = ListMeta { resource_version: meta.resource_version, ..ListMeta::default() };
        self.render_list(call, &meta, Walk::over(processed)).await
    }

    /// Deletes one of a collection; none when it is gone or no longer the object that was listed.
    async fn delete_selected(
        &self,
        mut call: Call<'_>,
        selected: &Place,
        object: Shared,
        options: &DeleteOptions,
    ) -> Result<Option<Shared>, StatusError> {
        let key = object.key().clone();
        let name = key.segments().map(|segments| segments.name.to_owned()).unwrap_or_default();
        let listed = object.decode().map_err(|error| self.corrupt(&error))?;
        let mut options = options.clone();
        let same = options.uid.get_or_insert_with(|| listed.uid().to_owned()) == listed.uid()
            && options.resource_version.is_none();
        match self.delete_one(&mut call, selected, &key, &name, &options).await {
            Ok(_) => Ok(Some(object)),
            Err(error) if error.reason() == "NotFound" => Ok(None),
            // Someone else made a new object of the same name meanwhile.
            Err(error) if error.reason() == "Conflict" && same => Ok(None),
            Err(error) => Err(error),
        }
    }
}

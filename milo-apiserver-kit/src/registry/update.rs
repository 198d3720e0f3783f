//! The one loop through which every change of a stored object goes (`spec/wire.md` section 2.5).

use bytes::Bytes;
use http::{Response, StatusCode};
use milo_core::{
    admission::Operation,
    key::Key,
    meta,
    object::Object,
    status::{FieldError, StatusError},
    storage::{Record, Transaction},
};
use serde_json::Value;

use super::{
    Call, Place, Resource,
    admission::Write,
    backend::{self, WriteError},
};
use crate::{body::Body, errors, request::options::WriteOptions};

/// How often an update is computed anew because of concurrent writes. Each round means that
/// someone else's write went through, so only starvation runs into it.
pub(super) const ATTEMPTS: usize = 256;

/// Which half of an object a write may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Half {
    Main,
    Status,
}

impl Half {
    pub(super) fn of(subresource: &str) -> Self {
        if subresource == "status" { Self::Status } else { Self::Main }
    }
}

/// Computes the wanted object from the stored one.
pub(super) trait Change: Send {
    fn apply(
        &mut self,
        resource: &Resource,
        call: &mut Call<'_>,
        current: &Object,
    ) -> Result<Object, StatusError>;
}

impl Resource {
    /// `PUT`.
    pub(crate) async fn update(
        &self,
        call: &mut Call<'_>,
        place: &Place,
        body: &[u8],
    ) -> Result<Response<Body>, StatusError> {
        let options = WriteOptions::parse(call.query, "UpdateOptions")?;
        let mut object = self.decode(call, body, options.field_validation)?;
        self.set_namespace(call, &mut object)?;
        self.check_name(call, &object)?;
        call.warnings.extend(meta::dedupe_owner_references(&mut object));
        let mut replace = Replace { object };
        self.modify(call, place, options.dry_run, &mut replace).await
    }

    pub(super) fn check_name(&self, call: &Call<'_>, object: &Object) -> Result<(), StatusError> {
        let (name, url) = (object.name(), call.target.name.as_str());
        if name.is_empty() {
            return Err(StatusError::bad_request(format!(
                "the name of the object ({url} based on URL) was undeterminable: name must be provided"
            )));
        }
        if name != url {
            return Err(StatusError::bad_request(format!(
                "the name of the object ({name}) does not match the name on the URL ({url})"
            )));
        }
        Ok(())
    }

    /// Reads, changes, checks and writes, again and again until nobody else wrote in between.
    pub(super) async fn modify(
        &self,
        call: &mut Call<'_>,
        place: &Place,
        dry_run: bool,
        change: &mut dyn Change,
    ) -> Result<Response<Body>, StatusError> {
        let name = call.target.name.clone();
        let key = self.key(place, &call.target.namespace, &name)?;
        let mut record = self.read(call, place, &key, &name).await?;
        for _ in 0..ATTEMPTS {
            match self.try_modify(call, place, &key, &record, dry_run, change).await? {
                Outcome::Done(bytes) => return self.render_bytes(call, StatusCode::OK, &bytes),
                Outcome::Raced(Some(current)) => {
                    record = self.require_visible(place, current, &name)?;
                }
                Outcome::Raced(None) => record = self.read(call, place, &key, &name).await?,
            }
        }
        Err(self.conflict(&name, errors::MODIFIED))
    }

    async fn try_modify(
        &self,
        call: &mut Call<'_>,
        place: &Place,
        key: &Key,
        record: &Record,
        dry_run: bool,
        change: &mut dyn Change,
    ) -> Result<Outcome, StatusError> {
        let name = call.target.name.clone();
        let current = self.decode_record(record)?;
        let mut object = change.apply(self, call, &current)?;
        self.check_preconditions(&object, &current, &name)?;
        let half = Half::of(&call.target.subresource);
        self.keep(&mut object, &current, half);
        self.definition.schema().apply_defaults(&mut object);
        let mut write = Write {
            operation: Operation::Update,
            old: Some(&current),
            removes: false,
            dry_run,
            transaction: Transaction::new(),
        };
        self.mutate(call, &mut write, &mut object).await?;
        self.count_generation(&mut object, &current);
        let errors = self.validate_change(&object, &current);
        if !errors.is_empty() {
            return Err(self.invalid(&name, &errors));
        }
        let gone = current.is_deleting() && object.finalizers().next().is_none();
        write.removes = gone;
        self.admit(call, &mut write, &object).await?;
        if gone {
            write.operation = Operation::Delete;
            self.admit(call, &mut write, &object).await?;
        }
        self.require_inside(place, &object, &name)?;
        let encoded = object.encode();
        let served = || encoded.at(record.revision);
        if dry_run || (!gone && encoded.bytes() == &record.value) {
            return Ok(Outcome::Done(served()));
        }
        let transaction = write.transaction;
        let what = match gone {
            true => backend::Change::Remove(record),
            false => backend::Change::Replace(record, &object, &encoded),
        };
        match self.backend.commit(&self.target(call, place, key), what, transaction).await {
            Ok(_) if gone => Ok(Outcome::Done(served())),
            Ok(written) => Ok(Outcome::Done(written.serve(&object, &encoded))),
            Err(WriteError::Changed(current)) => Ok(Outcome::Raced(current)),
            Err(WriteError::Around) => Ok(Outcome::Raced(None)),
            Err(WriteError::Refused(error)) => Err(error),
        }
    }

    /// The UID and the resource version that the client names must be the stored ones.
    fn check_preconditions(
        &self,
        object: &Object,
        current: &Object,
        name: &str,
    ) -> Result<(), StatusError> {
        if !object.uid().is_empty() && object.uid() != current.uid() {
            return Err(self.conflict(
                name,
                format!(
                    "Precondition failed: UID in precondition: {}, UID in object meta: {}",
                    object.uid(),
                    current.uid()
                ),
            ));
        }
        let version = object.meta("resourceVersion");
        if version.is_empty() {
            let path = "metadata.resourceVersion";
            return Err(self.invalid_field(name, path, 0, "must be specified for an update"));
        }
        if version.parse::<u64>().is_err() {
            let path = "metadata.resourceVersion";
            return Err(self.invalid_field(name, path, version, "must be a decimal number"));
        }
        if version != current.meta("resourceVersion") {
            return Err(self.conflict(name, errors::MODIFIED));
        }
        Ok(())
    }

    fn validate_change(&self, object: &Object, current: &Object) -> Vec<FieldError> {
        let mut errors =
            meta::validate(object, self.definition.is_namespaced(), meta::dns_subdomain_name);
        errors.extend(meta::validate_update(object, current));
        if !meta_only(object, current) {
            errors.extend(self.definition.schema().validate(object, Some(current)));
        }
        // Rules that look at metadata alone were checked by both.
        errors.dedup();
        errors
    }
}

/// Whether only metadata differs: then the rest has been validated before.
fn meta_only(object: &Object, current: &Object) -> bool {
    differing(object, current).all(|field| field == "metadata")
}

fn differing<'a>(object: &'a Object, current: &'a Object) -> impl Iterator<Item = &'a str> {
    let added =
        object.fields().iter().filter(|(key, value)| current.fields().get(*key) != Some(value));
    let removed = current.fields().keys().filter(|key| !object.fields().contains_key(*key));
    added.map(|(key, _)| key.as_str()).chain(removed.map(String::as_str))
}

impl Resource {
    /// Takes over from the stored object what this write may not change.
    fn keep(&self, object: &mut Object, current: &Object, half: Half) {
        match half {
            Half::Status => keep_all_but_status(object, current),
            Half::Main => {
                if self.definition.has_status() {
                    copy(object.fields_mut(), current.fields(), "status");
                }
                keep_system_metadata(object, current);
            }
        }
    }

    /// The generation grows with every change outside metadata and a status of its own.
    fn count_generation(&self, object: &mut Object, current: &Object) {
        let status = self.definition.has_status();
        let changed = differing(object, current)
            .any(|field| field != "metadata" && !(status && field == "status"));
        let generation = current.generation() + i64::from(changed);
        object.metadata_mut().insert("generation".into(), generation.into());
    }
}

fn keep_all_but_status(object: &mut Object, current: &Object) {
    let status = object.fields_mut().remove("status");
    let version = object.meta("resourceVersion").to_owned();
    *object = current.clone();
    object.set_meta("resourceVersion", &version);
    object.fields_mut().remove("status");
    if let Some(status) = status {
        object.fields_mut().insert("status".into(), status);
    }
}

fn keep_system_metadata(object: &mut Object, current: &Object) {
    let Some(stored) = current.metadata() else { return };
    let metadata = object.metadata_mut();
    for field in [
        "uid",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ] {
        copy(metadata, stored, field);
    }
    metadata.remove("selfLink");
}

fn copy(
    to: &mut serde_json::Map<String, Value>,
    from: &serde_json::Map<String, Value>,
    field: &str,
) {
    match from.get(field) {
        Some(value) => {
            to.insert(field.to_owned(), value.clone());
        }
        None => {
            to.remove(field);
        }
    }
}

enum Outcome {
    /// Written, or nothing to write: the served bytes.
    Done(Bytes),
    /// Someone else wrote; the current record, when it is known.
    Raced(Option<Record>),
}

/// `PUT`: the client's object, whatever is stored.
struct Replace {
    object: Object,
}

impl Change for Replace {
    fn apply(
        &mut self,
        _resource: &Resource,
        _call: &mut Call<'_>,
        _current: &Object,
    ) -> Result<Object, StatusError> {
        Ok(self.object.clone())
    }
}

//! The one loop through which every change of a stored object goes (`spec/wire.md` section 2.5).

use bytes::Bytes;
use http::{Response, StatusCode};
use milo_core::{
    admission::Operation,
    key::Key,
    managed_fields::keep_timestamps,
    meta,
    object::{Encoded, Object},
    status::{FieldError, StatusError},
    storage::{Record, Transaction},
};
use serde_json::Value;

use super::{
    Call, Place, Resource,
    admission::Write,
    backend::{self, Target, WriteError},
    create::{New, Retry},
    fields::{is_too_large, shed},
};
use crate::{body::Body, errors, request::options::WriteOptions, strategy::WriteContext};

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
    /// The wanted object. One without a `resourceVersion` applies to whatever is stored, if the
    /// kind allows it.
    fn apply(
        &mut self,
        resource: &Resource,
        call: &mut Call<'_>,
        current: &Object,
    ) -> Result<Object, StatusError>;

    /// The object to create when there is none.
    fn create(&mut self, resource: &Resource, call: &mut Call<'_>) -> Result<Object, StatusError> {
        Err(resource.not_found(&call.target.name))
    }

    /// Whether it says itself who owns the fields that it changes.
    fn tracks(&self) -> bool {
        false
    }

    /// Whether what is too large for the storage may be stored without its managed fields. What is
    /// applied may not: nobody would know that it was.
    fn sheds(&self) -> bool {
        !self.tracks()
    }
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
        let mut object = self.decode(call, body, options.field_validation).await?;
        self.set_namespace(call, &mut object)?;
        self.check_name(call, &object)?;
        call.warnings.extend(meta::dedupe_owner_references(&mut object));
        self.modify(call, place, &options, &mut Replace { object }).await
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
        options: &WriteOptions,
        change: &mut dyn Change,
    ) -> Result<Response<Body>, StatusError> {
        let (code, bytes) = self.change(call, place, options, change).await?;
        self.render_written(call, code, &bytes)
    }

    /// What [`modify`](Self::modify) answers with: the code and the served bytes.
    pub(super) async fn change(
        &self,
        call: &mut Call<'_>,
        place: &Place,
        options: &WriteOptions,
        change: &mut dyn Change,
    ) -> Result<(StatusCode, Bytes), StatusError> {
        let name = call.target.name.clone();
        let key = self.key(place, &call.target.namespace, &name)?;
        let warned = call.warnings.len();
        let mut found = self.look(call, place, &key, &name).await?;
        for _ in 0..ATTEMPTS {
            call.warnings.truncate(warned);
            let outcome = match &found {
                Some(record) => self.try_modify(call, place, &key, record, options, change).await?,
                None => self.try_create(call, place, options, change).await?,
            };
            match outcome {
                Outcome::Done(code, bytes) => return Ok((code, bytes)),
                Outcome::Raced(Some(current)) => {
                    found = Some(self.require_visible(place, current, &name)?);
                }
                Outcome::Raced(None) => found = self.look(call, place, &key, &name).await?,
            }
        }
        Err(self.conflict(&name, errors::MODIFIED))
    }

    /// An object that has been written, given its served bytes.
    pub(super) fn render_written(
        &self,
        call: &Call<'_>,
        code: StatusCode,
        bytes: &[u8],
    ) -> Result<Response<Body>, StatusError> {
        if !self.definition.is_decorated() {
            return self.render_bytes(call, code, bytes);
        }
        let mut object = Object::from_slice(bytes).map_err(StatusError::internal)?;
        self.definition.decorate(&mut object);
        self.render_object(call, code, object)
    }

    /// The newest stored object, or none. One that does not belong to the place is 404.
    async fn look(
        &self,
        call: &Call<'_>,
        place: &Place,
        key: &Key,
        name: &str,
    ) -> Result<Option<Record>, StatusError> {
        let record = self.backend.read(&self.target(call, place, key)).await?;
        record.map(|record| self.require_visible(place, record, name)).transpose()
    }

    /// Creates what is not there yet, if the change can.
    async fn try_create(
        &self,
        call: &mut Call<'_>,
        place: &Place,
        options: &WriteOptions,
        change: &mut dyn Change,
    ) -> Result<Outcome, StatusError> {
        let mut object = change.create(self, call)?;
        self.require_create(call).await?;
        self.clear_new(&mut object);
        if !change.tracks() {
            self.track(call, options, None, &mut object);
        }
        let new = New { object, dry_run: options.dry_run, sheds: change.sheds() };
        match self.insert(call, place, new).await {
            Ok(served) => Ok(Outcome::Done(StatusCode::CREATED, served)),
            Err(Retry::NameTaken { current, .. }) => Ok(Outcome::Raced(current)),
            Err(Retry::Raced) => Ok(Outcome::Raced(None)),
            Err(Retry::Refused(error)) => Err(error),
        }
    }

    async fn try_modify(
        &self,
        call: &mut Call<'_>,
        place: &Place,
        key: &Key,
        record: &Record,
        options: &WriteOptions,
        change: &mut dyn Change,
    ) -> Result<Outcome, StatusError> {
        let current = self.decode_record(record)?;
        let mut object = change.apply(self, call, &current)?;
        self.check_uid(&object, current.uid(), &call.target.name)?;
        self.keep(&mut object, &current, Half::of(&call.target.subresource));
        self.definition.schema().apply_defaults(&mut object);
        if !change.tracks() {
            self.track(call, options, Some(&current), &mut object);
        }
        let mut write = Write::new(Operation::Update, Some(&current), options.dry_run);
        self.mutate(call, &mut write, &mut object).await?;
        keep_timestamps(&current, &mut object);
        self.finish_change(call, &mut object, &current, options.dry_run)?;
        let gone = self.strategy.should_delete_during_update(&object, &current);
        write.removes = gone;
        self.admit(call, &mut write, &object).await?;
        if gone {
            write.operation = Operation::Delete;
            self.admit(call, &mut write, &object).await?;
        }
        self.require_inside(place, &object, &call.target.name)?;
        let changed = Changed { object, current: &current, record, gone, sheds: change.sheds() };
        let target = self.target(call, place, key);
        let context = self.context(call, options.dry_run);
        self.write_change(&target, &context, changed, write.transaction).await
    }

    /// From the resource version to the canonical form: what comes after mutating admission.
    fn finish_change(
        &self,
        call: &mut Call<'_>,
        object: &mut Object,
        current: &Object,
        dry_run: bool,
    ) -> Result<(), StatusError> {
        let name = call.target.name.clone();
        self.check_version(object, current, &name)?;
        let context = self.context(call, dry_run);
        self.strategy.prepare_for_update(&context, object, current);
        self.count_generation(object, current);
        let errors = self.validate_change(&context, object, current);
        if !errors.is_empty() {
            return Err(self.invalid(&name, &errors));
        }
        call.warnings.extend(meta::finalizer_warnings(object, Some(current)));
        call.warnings.extend(self.strategy.warnings_on_update(&context, object, current));
        self.strategy.canonicalize(object);
        Ok(())
    }

    /// Commits a change; nothing when there is none.
    async fn write_change(
        &self,
        target: &Target<'_>,
        context: &WriteContext<'_>,
        changed: Changed<'_>,
        transaction: Transaction,
    ) -> Result<Outcome, StatusError> {
        let Changed { mut object, current, record, gone, sheds } = changed;
        let mut encoded = object.encode();
        let unwritten =
            |encoded: &Encoded| Ok(Outcome::Done(StatusCode::OK, encoded.at(record.revision)));
        if !gone && encoded.bytes() == &record.value {
            return unwritten(&encoded);
        }
        let pending = match gone {
            true => self.strategy.begin_delete(context, current)?,
            false => self.strategy.begin_update(context, &object, current)?,
        };
        if context.dry_run {
            return unwritten(&encoded);
        }
        let what = match gone {
            true => backend::Change::Remove(record),
            false => backend::Change::Replace(record, &object, &encoded),
        };
        let mut written = self.backend.commit(target, what, transaction.clone()).await;
        if sheds && !gone && is_too_large(&written) && shed(&mut object) {
            encoded = object.encode();
            let what = backend::Change::Replace(record, &object, &encoded);
            written = self.backend.commit(target, what, transaction).await;
        }
        let written = match written {
            Ok(written) => written,
            Err(WriteError::Changed(current)) => return Ok(Outcome::Raced(current)),
            Err(WriteError::Around) => return Ok(Outcome::Raced(None)),
            Err(WriteError::Refused(error)) => return Err(error),
        };
        pending.committed();
        if gone {
            self.strategy.after_delete(context, &object);
            return unwritten(&encoded);
        }
        let served = written.serve(&object, &encoded);
        if let Some(revision) = written.revision() {
            object.set_meta("resourceVersion", &revision.to_string());
        }
        self.strategy.after_update(context, &object, current);
        Ok(Outcome::Done(StatusCode::OK, served))
    }

    /// The UID that the client names must be the stored one; empty when nothing is stored.
    fn check_uid(&self, object: &Object, stored: &str, name: &str) -> Result<(), StatusError> {
        if object.uid().is_empty() || object.uid() == stored {
            return Ok(());
        }
        let wanted = object.uid();
        let why = format!(
            "Precondition failed: UID in precondition: {wanted}, UID in object meta: {stored}"
        );
        Err(self.conflict(name, why))
    }

    /// The resource version that the client names must be the stored one.
    fn check_version(
        &self,
        object: &mut Object,
        current: &Object,
        name: &str,
    ) -> Result<(), StatusError> {
        let path = "metadata.resourceVersion";
        let version = object.meta("resourceVersion");
        if version.is_empty() {
            if self.strategy.allows_unconditional_update() {
                object.set_meta("resourceVersion", current.meta("resourceVersion"));
                return Ok(());
            }
            return Err(self.invalid_field(name, path, 0, "must be specified for an update"));
        }
        if version.parse::<u64>().is_err() {
            return Err(self.invalid_field(name, path, version, "must be a decimal number"));
        }
        if version != current.meta("resourceVersion") {
            return Err(self.conflict(name, errors::MODIFIED));
        }
        Ok(())
    }

    fn validate_change(
        &self,
        context: &WriteContext<'_>,
        object: &Object,
        current: &Object,
    ) -> Vec<FieldError> {
        let mut errors = self.validate_metadata(object);
        errors.extend(meta::validate_update(object, current));
        if !meta_only(object, current) {
            errors.extend(self.definition.schema().validate(object, Some(current)));
        }
        // Rules that look at metadata alone were checked by both.
        errors.dedup();
        if errors.is_empty() {
            errors = self.strategy.validate_update(context, object, current);
        }
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
    let managed = object.metadata_mut().remove("managedFields");
    *object = current.clone();
    object.set_meta("resourceVersion", &version);
    match managed {
        Some(managed) => object.metadata_mut().insert("managedFields".into(), managed),
        None => object.metadata_mut().remove("managedFields"),
    };
    object.fields_mut().remove("status");
    if let Some(status) = status {
        object.fields_mut().insert("status".into(), status);
    }
}

fn keep_system_metadata(object: &mut Object, current: &Object) {
    let Some(stored) = current.metadata() else { return };
    let metadata = object.metadata_mut();
    for field in ["uid", "generation", "creationTimestamp", "deletionTimestamp"] {
        copy(metadata, stored, field);
    }
    // Only a deletion changes it: whoever sends another one is refused.
    if !metadata.contains_key("deletionGracePeriodSeconds") {
        copy(metadata, stored, "deletionGracePeriodSeconds");
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
    Done(StatusCode, Bytes),
    /// Someone else wrote; the current record, when it is known.
    Raced(Option<Record>),
}

/// A change that has been admitted.
struct Changed<'a> {
    object: Object,
    current: &'a Object,
    record: &'a Record,
    /// Whether the object goes away.
    gone: bool,
    /// Whether it may lose its managed fields if it is too large with them.
    sheds: bool,
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

    fn create(&mut self, resource: &Resource, call: &mut Call<'_>) -> Result<Object, StatusError> {
        // Who means a certain object does not mean a new one of its name.
        resource.check_uid(&self.object, "", &call.target.name)?;
        let main = Half::of(&call.target.subresource) == Half::Main;
        if main && resource.strategy.allows_create_on_update() {
            return Ok(self.object.clone());
        }
        Err(resource.not_found(&call.target.name))
    }
}

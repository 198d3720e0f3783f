//! `POST` of a new object (`spec/wire.md` section 2.3), and all else that makes one.

use bytes::Bytes;
use http::{Response, StatusCode};
use milo_core::{
    admission::Operation,
    key::Key,
    meta,
    object::Object,
    request::{RequestAttributes, Verb},
    status::{FieldError, FieldPath, StatusError},
    storage::{Record, Transaction},
};

use super::{
    Call, Place, Resource,
    admission::Write,
    backend::{Change, WriteError, unversioned},
    fields::{is_too_large, shed},
};
use crate::{
    body::Body, errors, request::options::WriteOptions, service::authorize, strategy::WriteContext,
};

/// How often a generated name is tried anew when it is taken.
const NAME_ATTEMPTS: usize = 8;
/// How often a creation is computed anew because something that admission relied on changed.
const ADMISSION_ATTEMPTS: usize = 32;

impl Resource {
    pub(crate) async fn create(
        &self,
        call: &mut Call<'_>,
        place: &Place,
        body: &[u8],
    ) -> Result<Response<Body>, StatusError> {
        if let Some(handlers) = self.backend.reviews() {
            return self.review(call, place, handlers, body).await;
        }
        let options = WriteOptions::parse(call.query, "CreateOptions")?;
        let mut object = self.decode(call, body, options.field_validation).await?;
        self.set_namespace(call, &mut object)?;
        call.warnings.extend(meta::dedupe_owner_references(&mut object));
        self.clear_new(&mut object);
        self.track(call, &options, None, &mut object);
        let mut names = 0;
        let warned = call.warnings.len();
        for _ in 0..ADMISSION_ATTEMPTS {
            call.warnings.truncate(warned);
            let attempt = New { object: object.clone(), dry_run: options.dry_run, sheds: true };
            match self.insert(call, place, attempt).await {
                Ok(served) => return self.render_written(call, StatusCode::CREATED, &served),
                Err(Retry::Refused(error)) => return Err(error),
                Err(Retry::NameTaken { name, current }) => {
                    names += 1;
                    if !object.name().is_empty() {
                        return Err(self.taken(&name, current.as_ref()));
                    }
                    if names == NAME_ATTEMPTS {
                        return Err(self.names_exhausted(&name));
                    }
                }
                Err(Retry::Raced) => {}
            }
        }
        Err(self.conflict(object.name(), errors::MODIFIED))
    }

    /// What the client may not choose is wiped, what it left out is filled in.
    pub(super) fn clear_new(&self, object: &mut Object) {
        for field in [
            "creationTimestamp",
            "uid",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "selfLink",
            "generation",
        ] {
            object.metadata_mut().remove(field);
        }
        if self.definition.has_status() {
            object.fields_mut().remove("status");
        }
        self.definition.schema().apply_defaults(object);
    }

    /// Whether the client may create what it was allowed to update or to patch, and found missing.
    pub(super) async fn require_create(&self, call: &Call<'_>) -> Result<(), StatusError> {
        let attributes = RequestAttributes { verb: Verb::Create, ..call.attributes.clone() };
        authorize(call.authorizers, &attributes).await
    }

    /// A write as the strategy is told of it.
    pub(super) fn context<'a>(&'a self, call: &Call<'a>, dry_run: bool) -> WriteContext<'a> {
        WriteContext::new(call.attributes, &self.definition, dry_run)
    }

    /// The namespace of the URL rules; one in the body may only repeat it.
    pub(super) fn set_namespace(
        &self,
        call: &Call<'_>,
        object: &mut Object,
    ) -> Result<(), StatusError> {
        if !self.definition.is_namespaced() {
            object.set_meta("namespace", "");
            return Ok(());
        }
        let namespace = call.target.namespace.as_str();
        if !matches!(object.namespace(), "") && object.namespace() != namespace {
            return Err(StatusError::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        object.set_meta("namespace", namespace);
        Ok(())
    }

    /// One attempt to store a new object: names, admits, validates and commits it.
    pub(super) async fn insert(
        &self,
        call: &mut Call<'_>,
        place: &Place,
        new: New,
    ) -> Result<Bytes, Retry> {
        let New { object, dry_run, sheds } = new;
        let mut attempt = self.finish(call, place, object, dry_run).await?;
        let context = self.context(call, dry_run);
        let pending = self.strategy.begin_create(&context, &attempt.object)?;
        let served = self.write_new(call, place, &mut attempt, dry_run, sheds).await?;
        if !dry_run {
            pending.committed();
            self.strategy.after_create(&context, &attempt.object);
        }
        Ok(served)
    }

    /// Admits and names the object, and validates it.
    async fn finish(
        &self,
        call: &mut Call<'_>,
        place: &Place,
        mut object: Object,
        dry_run: bool,
    ) -> Result<Attempt, StatusError> {
        let mut write = Write::new(Operation::Create, None, dry_run);
        self.mutate(call, &mut write, &mut object).await?;
        self.identify(&mut object);
        let context = self.context(call, dry_run);
        self.strategy.prepare_for_create(&context, &mut object);
        let name = object.name().to_owned();
        let errors = self.validate_new(&context, &object);
        if !errors.is_empty() {
            return Err(self.invalid(&name, &errors));
        }
        if !object.meta("resourceVersion").is_empty() {
            return Err(StatusError::bad_request(
                "resourceVersion should not be set on objects to be created",
            ));
        }
        call.warnings.extend(meta::finalizer_warnings(&object, None));
        call.warnings.extend(self.strategy.warnings_on_create(&context, &object));
        self.strategy.canonicalize(&mut object);
        self.admit(call, &mut write, &object).await?;
        self.require_inside(place, &object, &name)?;
        let key = self.key(place, object.namespace(), &name)?;
        Ok(Attempt { object, key, transaction: write.transaction })
    }

    fn identify(&self, object: &mut Object) {
        if object.name().is_empty() && !object.meta("generateName").is_empty() {
            let name = self.strategy.generate_name(object.meta("generateName"));
            object.set_meta("name", &name);
        }
        object.set_meta("uid", &uuid::Uuid::new_v4().to_string());
        object.set_meta("creationTimestamp", &meta::now());
        object.metadata_mut().insert("generation".into(), 1.into());
    }

    fn validate_new(&self, context: &WriteContext<'_>, object: &Object) -> Vec<FieldError> {
        let mut errors = self.validate_metadata(object);
        if object.name().is_empty()
            && !errors.iter().any(|e| e.path().to_string() == "metadata.name")
        {
            let path = FieldPath::new("metadata").child("name");
            errors.insert(0, FieldError::required(path, "name or generateName is required"));
        }
        errors.extend(self.definition.schema().validate(object, None));
        if errors.is_empty() {
            errors = self.strategy.validate(context, object);
        }
        errors
    }

    pub(super) fn validate_metadata(&self, object: &Object) -> Vec<FieldError> {
        let name = |name: &str, prefix| self.strategy.validate_name(name, prefix);
        meta::validate(object, self.definition.is_namespaced(), name)
    }

    /// An object that could not be seen afterwards from where it is written does not belong there:
    /// no tenant can put an object into another one's control plane.
    pub(super) fn require_inside(
        &self,
        place: &Place,
        object: &Object,
        name: &str,
    ) -> Result<(), StatusError> {
        if place.filter().shows(object, &self.definition) {
            return Ok(());
        }
        let why = "the object does not belong to the control plane that the request was sent to";
        Err(StatusError::forbidden(self.definition.group_resource(), name, why))
    }

    /// Commits a new object, and gives it the resource version that it got.
    async fn write_new(
        &self,
        call: &Call<'_>,
        place: &Place,
        attempt: &mut Attempt,
        dry_run: bool,
        sheds: bool,
    ) -> Result<Bytes, Retry> {
        let Attempt { object, key, transaction } = attempt;
        let target = self.target(call, place, key);
        let taken = |current| Retry::NameTaken { name: target.name().to_owned(), current };
        if dry_run {
            return match self.backend.find(&target).await? {
                Some(found) => Err(taken(Some(found))),
                None => Ok(unversioned(object)),
            };
        }
        let mut encoded = object.encode();
        let change = Change::Insert(object, &encoded);
        let mut written = self.backend.commit(&target, change, transaction.clone()).await;
        if sheds && is_too_large(&written) && shed(object) {
            encoded = object.encode();
            let change = Change::Insert(object, &encoded);
            written = self.backend.commit(&target, change, transaction.clone()).await;
        }
        match written {
            Ok(written) => {
                let served = written.serve(object, &encoded);
                if let Some(revision) = written.revision() {
                    object.set_meta("resourceVersion", &revision.to_string());
                }
                Ok(served)
            }
            Err(WriteError::Changed(current)) => Err(taken(current)),
            Err(WriteError::Around) => Err(Retry::Raced),
            Err(WriteError::Refused(error)) => Err(Retry::Refused(error)),
        }
    }

    pub(super) fn taken(&self, name: &str, current: Option<&Record>) -> StatusError {
        let error = StatusError::already_exists(self.definition.group_resource(), name);
        let deleting = current
            .and_then(|record| Object::from_slice(&record.value).ok())
            .is_some_and(|object| object.is_deleting());
        if deleting { error.with_prefix("object is being deleted: ") } else { error }
    }

    fn names_exhausted(&self, name: &str) -> StatusError {
        let resource = self.definition.group_resource();
        let message = format!(
            "{resource} \"{name}\" already exists, the server was not able to generate a unique name for the object"
        );
        StatusError::new(409, "AlreadyExists", message)
            .about(resource, name)
            .with_retry_after(std::time::Duration::from_secs(1))
    }
}

/// An object that is to be stored.
pub(super) struct New {
    pub(super) object: Object,
    pub(super) dry_run: bool,
    /// Whether it may lose its managed fields if it is too large with them.
    pub(super) sheds: bool,
}

/// A new object, admitted and valid, and what must hold for it.
struct Attempt {
    object: Object,
    key: Key,
    transaction: Transaction,
}

/// Why a new object was not stored.
pub(super) enum Retry {
    /// The answer is final.
    Refused(StatusError),
    /// An object of this name exists; another name may be free.
    NameTaken {
        /// The name, generated or not.
        name: String,
        /// The object that has it, when it is known.
        current: Option<Record>,
    },
    /// Something that admission looked at has changed.
    Raced,
}

impl From<StatusError> for Retry {
    fn from(error: StatusError) -> Self {
        Self::Refused(error)
    }
}

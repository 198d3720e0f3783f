//! `POST` of a new object (`spec/wire.md` section 2.3).

use bytes::Bytes;
use http::{Response, StatusCode};
use milo_core::{
    admission::Operation,
    key::Key,
    meta,
    object::Object,
    status::{FieldError, FieldPath, StatusError},
    storage::Transaction,
};

use super::{
    Call, Place, Resource,
    admission::Write,
    backend::{Change, WriteError, unversioned},
};
use crate::{body::Body, errors, request::options::WriteOptions};

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
        let mut object = self.decode(call, body, options.field_validation)?;
        self.prepare(call, &mut object)?;
        let mut names = 0;
        for _ in 0..ADMISSION_ATTEMPTS {
            let attempt = self.finish(call, place, object.clone(), options.dry_run).await?;
            match self.write_new(call, place, &attempt, options.dry_run).await {
                Ok(served) => return self.render_bytes(call, StatusCode::CREATED, &served),
                Err(Retry::Refused(error)) => return Err(error),
                Err(Retry::NameTaken(error)) => {
                    names += 1;
                    if !object.name().is_empty() {
                        return Err(error);
                    }
                    if names == NAME_ATTEMPTS {
                        return Err(self.names_exhausted(&attempt.object));
                    }
                }
                Err(Retry::Raced) => {}
            }
        }
        Err(self.conflict(object.name(), errors::MODIFIED))
    }

    /// What the client may not choose is wiped, what it left out is filled in.
    fn prepare(&self, call: &mut Call<'_>, object: &mut Object) -> Result<(), StatusError> {
        if !object.meta("resourceVersion").is_empty() {
            return Err(StatusError::bad_request(
                "resourceVersion should not be set on objects to be created",
            ));
        }
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
        self.set_namespace(call, object)?;
        call.warnings.extend(meta::dedupe_owner_references(object));
        self.definition.schema().apply_defaults(object);
        Ok(())
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

    /// Names the object, admits and validates it.
    async fn finish(
        &self,
        call: &mut Call<'_>,
        place: &Place,
        mut object: Object,
        dry_run: bool,
    ) -> Result<Attempt, StatusError> {
        let mut write = Write {
            operation: Operation::Create,
            old: None,
            removes: false,
            dry_run,
            transaction: Transaction::new(),
        };
        self.mutate(call, &mut write, &mut object).await?;
        self.identify(&mut object);
        let name = object.name().to_owned();
        let errors = self.validate_new(&object);
        if !errors.is_empty() {
            return Err(self.invalid(&name, &errors));
        }
        self.admit(call, &mut write, &object).await?;
        self.require_inside(place, &object, &name)?;
        let key = self.key(place, object.namespace(), &name)?;
        Ok(Attempt { object, key, transaction: write.transaction })
    }

    fn identify(&self, object: &mut Object) {
        if object.name().is_empty() && !object.meta("generateName").is_empty() {
            let name = meta::generate_name(object.meta("generateName"));
            object.set_meta("name", &name);
        }
        object.set_meta("uid", &uuid::Uuid::new_v4().to_string());
        object.set_meta("creationTimestamp", &meta::now());
        object.metadata_mut().insert("generation".into(), 1.into());
    }

    fn validate_new(&self, object: &Object) -> Vec<FieldError> {
        let mut errors = self.definition.schema().validate(object, None);
        let metadata =
            meta::validate(object, self.definition.is_namespaced(), meta::dns_subdomain_name);
        errors.splice(0..0, metadata);
        if object.name().is_empty()
            && !errors.iter().any(|e| e.path().to_string() == "metadata.name")
        {
            let path = FieldPath::new("metadata").child("name");
            errors.insert(0, FieldError::required(path, "name or generateName is required"));
        }
        errors
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

    async fn write_new(
        &self,
        call: &Call<'_>,
        place: &Place,
        attempt: &Attempt,
        dry_run: bool,
    ) -> Result<Bytes, Retry> {
        let Attempt { object, key, transaction } = attempt;
        let name = object.name();
        let target = self.target(call, place, key);
        if dry_run {
            return match self.backend.find(&target).await.map_err(Retry::Refused)? {
                Some(found) => Err(Retry::NameTaken(self.taken(name, Some(&found)))),
                None => Ok(unversioned(object)),
            };
        }
        let encoded = object.encode();
        let change = Change::Insert(object, &encoded);
        match self.backend.commit(&target, change, transaction.clone()).await {
            Ok(written) => Ok(written.serve(object, &encoded)),
            Err(WriteError::Changed(current)) => {
                Err(Retry::NameTaken(self.taken(name, current.as_ref())))
            }
            Err(WriteError::Around) => Err(Retry::Raced),
            Err(WriteError::Refused(error)) => Err(Retry::Refused(error)),
        }
    }

    fn taken(&self, name: &str, current: Option<&milo_core::storage::Record>) -> StatusError {
        let error = StatusError::already_exists(self.definition.group_resource(), name);
        let deleting = current
            .and_then(|record| Object::from_slice(&record.value).ok())
            .is_some_and(|object| object.is_deleting());
        if deleting { error.with_prefix("object is being deleted: ") } else { error }
    }

    fn names_exhausted(&self, object: &Object) -> StatusError {
        let resource = self.definition.group_resource();
        let name = object.name();
        let message = format!(
            "{resource} \"{name}\" already exists, the server was not able to generate a unique name for the object"
        );
        StatusError::new(409, "AlreadyExists", message)
            .about(resource, name)
            .with_retry_after(std::time::Duration::from_secs(1))
    }
}

/// A new object, admitted and valid, and what must hold for it.
struct Attempt {
    object: Object,
    key: Key,
    transaction: Transaction,
}

enum Retry {
    /// The answer is final.
    Refused(StatusError),
    /// An object of this name exists; another name may be free.
    NameTaken(StatusError),
    /// Something that admission looked at has changed.
    Raced,
}

//! The subresource `scale`: one number of an object, as `autoscaling/v1` `Scale` shows it to
//! whoever knows nothing else of the kind (`spec/wire.md` section 2.8).
//!
//! What is written to it is a change of its object, through all that any change passes: the
//! generation, validation, admission. Only who owns the number is told in terms of the `Scale`.

use std::sync::Arc;

use http::{Response, StatusCode};
use milo_core::{
    admission::Admission,
    definition::{DefinitionError, ReplicaPaths, ResourceDefinition},
    managed_fields::ReplicasPath,
    meta,
    object::Object,
    request::Verb,
    status::{FieldError, FieldPath, StatusError},
    storage::Storage,
};
use serde_json::{Value, json};

use super::{Backend, Call, Place, Resource, update::Change};
use crate::{body::Body, discovery::ServedResource, request::options::WriteOptions};

/// How a kind is scaled.
#[derive(Debug)]
pub(crate) struct Scaling {
    /// The kind `Scale`, which decodes and renders. Its objects are nowhere.
    kind: Resource,
    paths: ReplicaPaths,
    owned: ReplicasPath,
}

impl Scaling {
    /// None for kinds that cannot be scaled.
    pub(super) fn of(
        definition: &ResourceDefinition,
        backend: &Backend,
        storage: &Arc<dyn Storage>,
        admission: &Arc<[Arc<dyn Admission>]>,
    ) -> Result<Option<Box<Self>>, DefinitionError> {
        let Some(paths) = definition.replica_paths() else { return Ok(None) };
        let scale = Arc::new(definition.scale_kind()?);
        let (storage, admission) = (storage.clone(), admission.clone());
        let served = ServedResource::new(scale, []);
        let kind = Resource::new(served, Vec::new(), backend.clone(), storage, admission)?;
        let owned = ReplicasPath::new(paths.spec().iter().map(String::as_str));
        Ok(Some(Box::new(Self { kind, paths: paths.clone(), owned })))
    }

    /// Refuses a form that the answer cannot have, before anything is done.
    pub(crate) fn check_form(&self, call: &Call<'_>) -> Result<(), StatusError> {
        self.kind.check_form(call)
    }

    /// Answers a request to the subresource of `parent`.
    pub(crate) async fn answer(
        &self,
        parent: &Resource,
        call: &mut Call<'_>,
        place: &Place,
        body: &[u8],
    ) -> Result<Response<Body>, StatusError> {
        let (code, object) = match call.attributes.verb {
            Verb::Update => {
                let options = WriteOptions::parse(call.query, "UpdateOptions")?;
                let mut scale = self.kind.decode(call, body, options.field_validation).await?;
                self.kind.set_namespace(call, &mut scale)?;
                self.kind.check_name(call, &scale)?;
                self.write(parent, call, place, &options, &mut Replace(scale)).await?
            }
            Verb::Patch => {
                let (options, mut change) = self.kind.change_of_patch(call, body).await?;
                self.write(parent, call, place, &options, &mut *change).await?
            }
            _ => {
                let name = call.target.name.as_str();
                let key = parent.key(place, &call.target.namespace, name)?;
                let object = parent.decode_record(&parent.read(call, place, &key, name).await?)?;
                if self.paths.spec_replicas(&object).is_none() {
                    let path = self.paths.spec().join(".");
                    let why = format!("the spec replicas field \".{path}\" does not exist");
                    return Err(StatusError::internal(why));
                }
                (StatusCode::OK, object)
            }
        };
        let mut scale = self.scale_of(parent, &object);
        leave_out_nothing(&mut scale);
        self.kind.render_object(call, code, scale)
    }

    async fn write(
        &self,
        parent: &Resource,
        call: &mut Call<'_>,
        place: &Place,
        options: &WriteOptions,
        change: &mut dyn Change,
    ) -> Result<(StatusCode, Object), StatusError> {
        let mut change = Rescale { scaling: self, options, change };
        let (code, bytes) = parent.change(call, place, options, &mut change).await?;
        Ok((code, Object::from_slice(&bytes).map_err(StatusError::internal)?))
    }

    /// What the `Scale` of an object says.
    fn scale_of(&self, parent: &Resource, object: &Object) -> Object {
        let definition = &self.kind.definition;
        let mut scale = Object::new(definition.api_version(), definition.kind(), object.name());
        for field in ["namespace", "uid", "resourceVersion", "creationTimestamp"] {
            scale.set_meta(field, object.meta(field));
        }
        if let Some(owners) = self.owned.to_scale(parent.definition.schema(), object) {
            scale.metadata_mut().insert("managedFields".into(), owners);
        }
        let replicas = self.paths.spec_replicas(object).unwrap_or_default();
        let mut status = json!({"replicas": self.paths.status_replicas(object)});
        if let Some(selector) = self.paths.selector(object) {
            status["selector"] = selector.into();
        }
        scale.fields_mut().insert("spec".into(), json!({"replicas": replicas}));
        scale.fields_mut().insert("status".into(), status);
        scale
    }
}

/// Leaves out what upstream's `Scale` omits: no replicas are wanted, nobody owns their number.
fn leave_out_nothing(scale: &mut Object) {
    if let Some(spec) = scale.fields_mut().get_mut("spec").and_then(Value::as_object_mut) {
        spec.retain(|_, replicas| replicas != 0);
    }
    scale.metadata_mut().retain(|_, value| value.as_array().is_none_or(|list| !list.is_empty()));
}

/// A change of the `Scale` as a change of its object.
struct Rescale<'a> {
    scaling: &'a Scaling,
    options: &'a WriteOptions,
    change: &'a mut dyn Change,
}

impl Change for Rescale<'_> {
    fn apply(
        &mut self,
        parent: &Resource,
        call: &mut Call<'_>,
        current: &Object,
    ) -> Result<Object, StatusError> {
        let Scaling { kind, paths, owned } = self.scaling;
        let old = self.scaling.scale_of(parent, current);
        let mut scale = self.change.apply(kind, call, &old)?;
        if !self.change.tracks() {
            kind.track(call, self.options, Some(&old), &mut scale);
        }
        kind.definition.schema().apply_defaults(&mut scale);
        let mut errors =
            meta::validate(&scale, kind.definition.is_namespaced(), meta::dns_subdomain_name);
        errors.extend(kind.definition.schema().validate(&scale, Some(&old)));
        let replicas = scale.fields().get("spec").and_then(|spec| spec.get("replicas"));
        let replicas = replicas.and_then(Value::as_i64).unwrap_or_default();
        if replicas < 0 {
            let path = FieldPath::new("spec").child("replicas");
            let detail = "must be greater than or equal to 0";
            errors.push(FieldError::invalid(path, replicas, detail));
        }
        if !errors.is_empty() {
            return Err(kind.invalid(current.name(), &errors));
        }
        let mut object = current.clone();
        paths.set_spec_replicas(&mut object, replicas);
        owned.to_parent(parent.definition.schema(), &mut object, &scale);
        if !scale.uid().is_empty() {
            object.set_meta("uid", scale.uid());
        }
        if !scale.meta("resourceVersion").is_empty() {
            object.set_meta("resourceVersion", scale.meta("resourceVersion"));
        }
        Ok(object)
    }

    fn tracks(&self) -> bool {
        true
    }

    fn sheds(&self) -> bool {
        self.change.sheds()
    }
}

/// `PUT`: the client's `Scale`, whatever the object says.
struct Replace(Object);

impl Change for Replace {
    fn apply(&mut self, _: &Resource, _: &mut Call<'_>, _: &Object) -> Result<Object, StatusError> {
        Ok(self.0.clone())
    }
}

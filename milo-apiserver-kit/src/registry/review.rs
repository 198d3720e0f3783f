//! `POST` of an object that is a question: it is answered at once and never kept.

use http::{Response, StatusCode};
use milo_core::{
    admission::Operation, object::Object, request::Verb, status::StatusError, storage::Transaction,
};

use super::{Call, Place, Resource, admission::Write, backend::unversioned};
use crate::{
    body::Body,
    request::options::WriteOptions,
    rest::{Handlers, RestRequest},
};

impl Resource {
    /// Answers a review. It needs no name and is given no identity, since nobody will ever read it
    /// again; for the same reason a dry run is no different.
    pub(super) async fn review(
        &self,
        call: &mut Call<'_>,
        place: &Place,
        handlers: &Handlers,
        body: &[u8],
    ) -> Result<Response<Body>, StatusError> {
        let options = WriteOptions::parse(call.query, "CreateOptions")?;
        let mut object = self.decode(call, body, options.field_validation).await?;
        if self.definition.has_status() {
            object.fields_mut().remove("status");
        }
        self.set_namespace(call, &mut object)?;
        self.definition.schema().apply_defaults(&mut object);
        self.check_review(call, &mut object, options.dry_run).await?;
        let Some(create) = &handlers.create else {
            let resource = self.definition.group_resource();
            return Err(StatusError::method_not_allowed(resource, Verb::Create.as_str()));
        };
        let request = RestRequest {
            attributes: call.attributes,
            definition: &self.definition,
            scope: place.scope(),
            namespace: &call.target.namespace,
            name: "",
        };
        let answer = create.create(&request, object).await?;
        self.render_bytes(call, StatusCode::CREATED, &unversioned(&answer))
    }

    async fn check_review(
        &self,
        call: &mut Call<'_>,
        object: &mut Object,
        dry_run: bool,
    ) -> Result<(), StatusError> {
        let mut write = Write {
            operation: Operation::Create,
            old: None,
            removes: false,
            dry_run,
            transaction: Transaction::new(),
        };
        self.mutate(call, &mut write, object).await?;
        let errors = self.definition.schema().validate(object, None);
        if !errors.is_empty() {
            return Err(self.invalid(object.name(), &errors));
        }
        self.admit(call, &mut write, object).await
    }
}

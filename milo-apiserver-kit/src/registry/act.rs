//! `POST` of an object that is acted on and not stored: a review (`spec/wire.md` section 5.5).

use http::{Response, StatusCode};
use milo_core::{admission::Operation, object::Object, status::StatusError, storage::Transaction};

use super::{Call, Place, Resource, admission::Write};
use crate::{
    body::Body,
    rest::{Create, RestRequest},
};

impl Resource {
    /// Acts on an object that has been decoded and prepared, and answers with what became of it.
    /// A dry run ends before that.
    pub(super) async fn act(
        &self,
        call: &mut Call<'_>,
        place: &Place,
        handler: &dyn Create,
        mut object: Object,
        dry_run: bool,
    ) -> Result<Response<Body>, StatusError> {
        let mut write = Write {
            operation: Operation::Create,
            old: None,
            removes: false,
            dry_run,
            // Nothing is stored, so nothing is committed with it.
            transaction: Transaction::new(),
        };
        self.mutate(call, &mut write, &mut object).await?;
        let errors = self.definition.schema().validate(&object, None);
        if !errors.is_empty() {
            return Err(self.invalid(object.name(), &errors));
        }
        self.admit(call, &mut write, &object).await?;
        if !dry_run {
            let name = object.name().to_owned();
            let request = RestRequest {
                attributes: call.attributes,
                definition: &self.definition,
                scope: place.scope(),
                namespace: &call.target.namespace,
                name: &name,
            };
            object = handler.create(&request, object).await?;
        }
        self.render_object(call, StatusCode::CREATED, object)
    }
}

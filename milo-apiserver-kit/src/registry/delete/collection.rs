//! `DELETE` of a collection.

use futures_util::StreamExt;
use http::Response;
use milo_core::status::StatusError;

use super::{Call, Place, Resource};
use crate::{
    body::Body,
    cache::{Shared, Walk},
    request::options::{DeleteOptions, ListOptions},
};

/// How many objects of a collection are deleted at a time: they share the storage's commits.
const AT_ONCE: usize = 32;

impl Resource {
    /// Deletes what a selection means, each object through all the checks of a single deletion.
    /// Not atomic, as upstream. An object that is no longer what was selected is left alone. With a
    /// limit it is one page, and the answer tells how to go on.
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

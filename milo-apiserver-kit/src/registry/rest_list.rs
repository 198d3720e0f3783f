//! Lists of kinds whose objects live behind handlers (`spec/wire.md` sections 4.2 to 4.4).
//!
//! What the client selects and what can be seen from its control plane go to the handler as one
//! selection, and are looked at once more here: a handler that forgets some of it shows nobody what
//! is not theirs.

use std::sync::Arc;

use milo_core::{object::Object, status::StatusError, storage::Revision};

use super::{
    Call, Place, Resource, backend::record, continue_token::ContinueToken, list::CONTINUE_EXPIRED,
    render::ListMeta,
};
use crate::{
    cache::{Cached, Filter, Shared, Walk},
    request::options::{Freshness, ListOptions, Selection},
    rest::{List, ListQuery, RestRequest},
};

/// A collection behind a handler, as one client means it.
pub(super) struct Collection<'a> {
    pub(super) resource: &'a Resource,
    pub(super) request: RestRequest<'a>,
    pub(super) place: &'a Place,
    /// What can be seen, and is selected.
    pub(super) filter: &'a Filter,
}

/// A page of a collection.
pub(super) struct Page {
    pub(super) objects: Vec<Shared>,
    pub(super) revision: Revision,
    pub(super) next: Option<String>,
    remaining: Option<u64>,
}

impl Resource {
    /// The objects that a list means, and the metadata of that list.
    pub(super) async fn select_from(
        &self,
        list: &dyn List,
        call: &Call<'_>,
        place: &Place,
        options: ListOptions,
    ) -> Result<(ListMeta, Walk), StatusError> {
        self.check_fields(&options.selection)?;
        let token = match options.continue_token.as_str() {
            "" => None,
            text => Some(ContinueToken::parse_opaque(text)?),
        };
        let (at, after) = match token {
            Some((at, after)) => (at, Some(after)),
            None => (exactly(options.freshness), None),
        };
        let namespace = self.selected_namespace(&call.target.namespace, &options.selection);
        let namespace = namespace.to_owned();
        let filter = place.filter().selecting(options.selection);
        let request = self.collection(call, place, &namespace);
        let collection = Collection { resource: self, request, place, filter: &filter };
        let limit = options.limit.unwrap_or(0);
        let query = ListQuery { limit, after, at, ..collection.query() };
        let page = match collection.read(list, &query).await {
            Err(error) if error.reason() == "Expired" => return Err(too_old(error, &query)),
            page => page?,
        };
        let revision = checked(&page, options.freshness, &query)?;
        let meta = ListMeta {
            resource_version: revision.to_string(),
            continue_token: page.next.map(|next| ContinueToken::opaque(next, Some(revision))),
            // Nobody learns how many there are of what they do not see.
            remaining: page.remaining.filter(|_| filter.is_everything()),
        };
        Ok((meta, Walk::over(page.objects)))
    }

    /// The namespace that a selection confines a request to; empty for all.
    pub(super) fn selected_namespace<'a>(
        &self,
        namespace: &'a str,
        selection: &'a Selection,
    ) -> &'a str {
        match selection.fields.required_value("metadata.namespace") {
            Some(selected) if namespace.is_empty() && self.definition.is_namespaced() => selected,
            _ => namespace,
        }
    }

    fn collection<'a>(
        &'a self,
        call: &Call<'a>,
        place: &'a Place,
        namespace: &'a str,
    ) -> RestRequest<'a> {
        RestRequest {
            attributes: call.attributes,
            definition: &self.definition,
            scope: place.scope(),
            namespace,
            name: "",
        }
    }

    /// An object of a handler, ready to be served.
    pub(super) fn shared(&self, place: &Place, object: Object) -> Result<Shared, StatusError> {
        let key = self.key(place, object.namespace(), object.name()).map_err(|error| {
            let plural = self.definition.plural();
            StatusError::internal(format!("the handler of {plural} made an object: {error}"))
        })?;
        let record = record(&key, object, &self.definition)?;
        let cached = Cached::new(record, &self.definition).map_err(|error| self.corrupt(&error))?;
        Ok(Arc::new(cached))
    }
}

impl Collection<'_> {
    /// Asks for all that is meant.
    pub(super) fn query(&self) -> ListQuery {
        let Selection { labels, fields } = self.filter.selection(&self.resource.definition);
        ListQuery { labels, fields, ..ListQuery::default() }
    }

    /// A page, or, without a limit, all that follows.
    pub(super) async fn read(
        &self,
        list: &dyn List,
        query: &ListQuery,
    ) -> Result<Page, StatusError> {
        let mut page = self.page(list, query).await?;
        while query.limit == 0
            && let Some(next) = page.next.take()
        {
            let at = query.at.or(Some(page.revision));
            let query = ListQuery { after: Some(next), at, ..query.clone() };
            let more = self.page(list, &query).await?;
            page.objects.extend(more.objects);
            page.next = more.next;
        }
        Ok(page)
    }

    /// One answer of the handler, without what is not meant.
    pub(super) async fn page(
        &self,
        list: &dyn List,
        query: &ListQuery,
    ) -> Result<Page, StatusError> {
        // A handler that has everything at hand never waits: without this no time limit would count.
        tokio::task::yield_now().await;
        let answer = list.list(&self.request, query).await?;
        if answer.revision == Revision::ZERO {
            let plural = self.resource.definition.plural();
            let why = format!("the handler of {plural} listed them without a revision");
            return Err(StatusError::internal(why));
        }
        let mut objects = Vec::with_capacity(answer.items.len());
        for object in answer.items {
            tokio::task::consume_budget().await;
            let object = self.resource.shared(self.place, object)?;
            if self.means(&object) {
                objects.push(object);
            }
        }
        if query.after.is_some() && answer.next == query.after {
            let plural = self.resource.definition.plural();
            let why = format!("the handler of {plural} goes on where it began");
            return Err(StatusError::internal(why));
        }
        let (revision, next) = (answer.revision, answer.next.filter(|next| !next.is_empty()));
        Ok(Page { objects, revision, next, remaining: answer.remaining })
    }

    fn means(&self, object: &Cached) -> bool {
        let namespace = object.key().segments().map(|segments| segments.namespace);
        (self.request.namespace.is_empty() || namespace == Some(self.request.namespace))
            && self.filter.matches(object, &self.resource.definition)
    }
}

fn exactly(freshness: Freshness) -> Option<Revision> {
    match freshness {
        Freshness::Exact(revision) => Some(revision),
        Freshness::MostRecent | Freshness::Any | Freshness::NotOlderThan(_) => None,
    }
}

/// The revision to tell of a page, if it is as fresh as asked.
fn checked(page: &Page, freshness: Freshness, query: &ListQuery) -> Result<Revision, StatusError> {
    let found = page.revision;
    if query.after.is_some() {
        // A handler that goes on in the present tells of changes twice, but leaves none out.
        return Ok(query.at.unwrap_or(found));
    }
    match freshness {
        Freshness::NotOlderThan(wanted) | Freshness::Exact(wanted) if found < wanted => {
            Err(StatusError::resource_version_too_large(wanted.get(), found.get()))
        }
        Freshness::Exact(wanted) if found > wanted => {
            let text = "The resourceVersion for the provided list is too old.";
            Err(StatusError::expired(text))
        }
        _ => Ok(found),
    }
}

/// Says how a list that has begun can be brought to its end.
fn too_old(error: StatusError, query: &ListQuery) -> StatusError {
    match &query.after {
        Some(after) => StatusError::expired(CONTINUE_EXPIRED)
            .with_continue(ContinueToken::opaque(after.clone(), None)),
        None => error,
    }
}

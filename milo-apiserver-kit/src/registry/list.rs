//! `LIST` and `DELETE` of collections read through here (`spec/wire.md` sections 4.2 to 4.4).

use std::sync::Arc;

use http::Response;
use milo_core::{
    key::KeyRange,
    status::{FieldError, FieldPath, StatusError},
    storage::{ListOptions as StorageList, ReadError, Revision},
};

use super::{Call, KeyValue, Place, Resource, continue_token::ContinueToken, render::ListMeta};
use crate::{
    body::Body,
    cache::{Cached, Filter, Listing, Shared, Walk},
    errors,
    request::options::{Freshness, ListOptions, Selection},
};

/// How many records are read at once when the storage has to be asked.
const PAGE: usize = 10_000;

pub(super) const CONTINUE_EXPIRED: &str = "The provided continue parameter is too old to display a consistent \
     list result. You can start a new list without the continue parameter, or use the continue \
     token in this response to retrieve the remainder of the results. Continuing with the \
     provided token results in an inconsistent list - objects that were created, modified, or \
     deleted between the time the first chunk was returned and now may show up in the list.";

impl Resource {
    pub(crate) async fn list(
        &self,
        call: &Call<'_>,
        place: &Place,
    ) -> Result<Response<Body>, StatusError> {
        let options = ListOptions::parse(call.query)?;
        let (meta, objects) = self.select(call, place, options).await?;
        self.render_list(call, &meta, objects).await
    }

    /// The objects that a list means, and the metadata of that list.
    pub(super) async fn select(
        &self,
        call: &Call<'_>,
        place: &Place,
        options: ListOptions,
    ) -> Result<(ListMeta, Walk), StatusError> {
        if let Some(list) = self.backend.lists() {
            return self.select_from(list, call, place, options).await;
        }
        self.check_fields(&options.selection)?;
        let whole = self.selected_range(place, &call.target.namespace, &options.selection)?;
        let filter = place.filter().selecting(options.selection);
        let (range, token) = match options.continue_token.as_str() {
            "" => (whole.clone(), None),
            text => {
                let token = ContinueToken::parse(text, &whole)?;
                let rest = whole.starting_at(token.start.clone());
                (rest.unwrap_or_else(|| whole.clone()), Some(token))
            }
        };
        let freshness = match token.as_ref().map(|token| token.revision) {
            Some(Some(revision)) => Freshness::Exact(revision),
            Some(None) => Freshness::MostRecent,
            None => options.freshness,
        };
        let listing = if !self.key_value()?.cache.is_ready()
            && options.limit.is_some()
            && filter.selects_all()
        {
            // A page of what is in the storage is cheap, and there for the asking.
            self.page_of_storage(&range, &filter, options.limit, freshness).await
        } else {
            // Any state will do, so the whole of it is as good as a part: as upstream's cache answers.
            let limit = options.limit.filter(|_| freshness != Freshness::Any);
            self.listing(&range, &filter, limit, freshness).await
        };
        let listing = match listing {
            Err(error) if error.reason() == "Expired" => {
                return Err(match token {
                    Some(token) => StatusError::expired(CONTINUE_EXPIRED)
                        .with_continue(token.inconsistent(&whole)),
                    None => error,
                });
            }
            listing => listing?,
        };
        let revision = match freshness {
            Freshness::Exact(revision) => revision,
            _ => listing.revision,
        };
        let meta = ListMeta {
            resource_version: revision.to_string(),
            continue_token: listing.next.map(|last| ContinueToken::after(&last, &whole, revision)),
            remaining: listing.remaining,
        };
        Ok((meta, listing.objects))
    }

    async fn listing(
        &self,
        range: &KeyRange,
        filter: &Filter,
        limit: Option<usize>,
        freshness: Freshness,
    ) -> Result<Listing, StatusError> {
        let store = self.key_value()?;
        let exactly = match freshness {
            Freshness::Exact(revision) => Some(revision),
            _ => None,
        };
        let asks_storage = freshness == Freshness::MostRecent || exactly.is_some();
        match store.cache.reach(freshness).await {
            // The cache does not keep up, but the storage answers.
            Err(error) if asks_storage && error.reason() == "Timeout" => {
                return self.listing_at(store, range, filter, limit, exactly).await;
            }
            reached => reached?,
        }
        let listing = store.cache.list(range, filter, limit, exactly).await;
        if let Some(listing) = listing.map_err(|error| self.corrupt(&error))? {
            return Ok(listing);
        }
        // Only a state that was asked for exactly can be one that the cache does not know.
        self.listing_at(store, range, filter, limit, exactly).await
    }

    /// A page while the cache has lost the storage.
    async fn page_of_storage(
        &self,
        range: &KeyRange,
        filter: &Filter,
        limit: Option<usize>,
        freshness: Freshness,
    ) -> Result<Listing, StatusError> {
        let at = match freshness {
            Freshness::Exact(revision) => Some(revision),
            Freshness::MostRecent | Freshness::Any | Freshness::NotOlderThan(_) => None,
        };
        let listing = self.listing_at(self.key_value()?, range, filter, limit, at).await?;
        match freshness {
            Freshness::NotOlderThan(wanted) if listing.revision < wanted => {
                Err(StatusError::resource_version_too_large(wanted.get(), listing.revision.get()))
            }
            _ => Ok(listing),
        }
    }

    /// A state that the cache does not know: an older one, or the newest when none is named.
    async fn listing_at(
        &self,
        store: &KeyValue,
        range: &KeyRange,
        filter: &Filter,
        limit: Option<usize>,
        mut at: Option<Revision>,
    ) -> Result<Listing, StatusError> {
        let everything = filter.is_everything();
        let limit = limit.unwrap_or(usize::MAX);
        let mut objects: Vec<Shared> = Vec::new();
        let mut rest = Some(range.clone());
        while let Some(part) = rest.take() {
            // One more than asked for tells whether the list goes on.
            let wanted = if everything { (limit - objects.len()).saturating_add(1) } else { PAGE };
            let mut options = StorageList::default().limit(wanted.min(PAGE));
            options.at = at;
            let page = store.storage.list(&part, options).await;
            let page = page.map_err(|error: ReadError| errors::read(&error))?;
            // All pages are of one state.
            let revision = *at.get_or_insert(page.revision);
            let mut last = None;
            let total = page.records.len() as u64 + page.remaining;
            for (index, record) in page.records.into_iter().enumerate() {
                tokio::task::consume_budget().await;
                last = Some(record.key.to_bytes());
                let object =
                    Cached::new(record, &self.definition).map_err(|error| self.corrupt(&error))?;
                if !everything && !filter.matches(&object, &self.definition) {
                    continue;
                }
                // Only what can be seen tells that the list goes on.
                if objects.len() == limit {
                    let next = objects.last().map(|object| object.key().to_bytes());
                    let remaining = everything.then(|| total - index as u64);
                    return Ok(Listing { objects: Walk::over(objects), revision, next, remaining });
                }
                objects.push(Arc::new(object));
            }
            if page.remaining > 0
                && let Some(last) = last
            {
                rest = range.starting_at([last.as_ref(), b"\0"].concat().into());
            }
        }
        let (objects, revision) = (Walk::over(objects), at.unwrap_or(Revision::ZERO));
        Ok(Listing { objects, revision, next: None, remaining: None })
    }

    /// The keys that a selection can mean: one, when it names one.
    pub(super) fn selected_range(
        &self,
        place: &Place,
        namespace: &str,
        selection: &Selection,
    ) -> Result<KeyRange, StatusError> {
        let selected_namespace = selection.fields.required_value("metadata.namespace");
        let namespace = match selected_namespace {
            Some(selected) if namespace.is_empty() && self.definition.is_namespaced() => selected,
            _ => namespace,
        };
        let name = selection.fields.required_value("metadata.name").filter(|name| !name.is_empty());
        match name {
            Some(name) if !self.definition.is_namespaced() || !namespace.is_empty() => {
                // A name that cannot be a key selects nothing; the whole range says so correctly.
                match self.key(place, namespace, name) {
                    Ok(key) => Ok(KeyRange::key(&key)),
                    Err(_) => self.range(place, namespace),
                }
            }
            _ => self.range(place, namespace),
        }
    }

    /// Refuses selectors on fields that the kind does not offer.
    pub(super) fn check_fields(&self, selection: &Selection) -> Result<(), StatusError> {
        for requirement in selection.fields.requirements() {
            let path = requirement.path();
            let known = path == "metadata.name"
                || (path == "metadata.namespace" && self.definition.is_namespaced())
                || self.definition.selectable_fields().iter().any(|field| field.label() == path);
            if !known {
                return Err(self.unknown_field(path));
            }
        }
        Ok(())
    }

    fn unknown_field(&self, path: &str) -> StatusError {
        let mut known = vec!["\"metadata.name\"".to_owned()];
        if self.definition.is_namespaced() {
            known.push("\"metadata.namespace\"".to_owned());
        }
        known
            .extend(self.definition.selectable_fields().iter().map(|f| format!("{:?}", f.label())));
        StatusError::bad_request(format!(
            "{path:?} is not a known field selector: only {}",
            known.join(", ")
        ))
    }

    /// 422 for an object of this kind.
    pub(super) fn invalid(&self, name: &str, errors: &[FieldError]) -> StatusError {
        StatusError::invalid(self.definition.kind(), self.definition.group(), name, errors)
    }

    /// 422 for one field of an object of this kind.
    pub(super) fn invalid_field(
        &self,
        name: &str,
        path: &str,
        value: impl Into<serde_json::Value>,
        detail: &str,
    ) -> StatusError {
        self.invalid(name, &[FieldError::invalid(FieldPath::new(path), value, detail)])
    }
}

//! `WATCH`: a stream of changes (`spec/wire.md` sections 4.5 and 4.6).
//!
//! A watch begins with a state or with the recent past and then follows the cache. It never leaves
//! a change out: a client that is too slow is disconnected and resumes from the last resource
//! version it has seen.

pub(super) mod encoder;
pub(super) mod stream;

use std::{sync::Arc, time::Duration};

use http::{Response, StatusCode};
use milo_core::{
    selector::{FieldOperator, FieldRequirement},
    status::StatusError,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::{
    encoder::Encoder,
    stream::{Wanted, WatchStream},
};
use super::{Call, Place, Resource, rest_watch::Watcher};
use crate::{
    body::Body,
    request::options::{Freshness, Selection, WatchOptions},
    respond,
    table::IncludeObject,
};

/// Without a timeout of the client's, a watch lasts between one and two of these.
const MIN_DURATION: Duration = Duration::from_secs(1800);

impl Resource {
    /// # Errors
    /// What is wrong before anything was watched. Everything later is told by an event.
    pub(crate) async fn watch(
        self: &Arc<Self>,
        call: &Call<'_>,
        place: &Place,
        closing: CancellationToken,
    ) -> Result<Response<Body>, StatusError> {
        let mut options = WatchOptions::parse(call.query)?;
        self.check_fields(&options.selection)?;
        options.selection = only(options.selection, &call.target.name)?;
        let include = IncludeObject::parse(call.query.first("includeObject"))?;
        let encoder = Encoder::new(call.form, include);
        let ends = Instant::now() + options.timeout.unwrap_or_else(default_duration);
        if let Some(handler) = self.backend.watches() {
            let watcher = Watcher::new(self.clone(), handler, call, place, options.selection);
            return Ok(watcher.stream(options.start, encoder, options.bookmarks, ends, closing));
        }
        let range = self.selected_range(place, &call.target.namespace, &options.selection)?;
        let cache = &self.key_value()?.cache;
        if !cache.is_ready() {
            cache.reach(Freshness::Any).await?;
        }
        let wanted = Wanted {
            range,
            filter: place.filter().selecting(options.selection),
            start: options.start,
            bookmarks: options.bookmarks,
            ends,
        };
        let stream = WatchStream::new(self.clone(), cache.clone(), wanted, encoder, closing);
        let chunks = futures_util::stream::unfold(stream, async |mut stream| {
            let chunk = stream.next().await?;
            Some((Ok(chunk), stream))
        });
        Ok(respond::json(StatusCode::OK, Body::stream(chunks)))
    }
}

/// What is selected of the object that the request names, if it names one.
fn only(mut selection: Selection, name: &str) -> Result<Selection, StatusError> {
    if name.is_empty() {
        return Ok(selection);
    }
    match selection.fields.required_value("metadata.name") {
        Some(selected) if selected == name => {}
        Some(_) => {
            let text = "fieldSelector metadata.name doesn't match requested name";
            return Err(StatusError::bad_request(text));
        }
        None => {
            let named = FieldRequirement::new("metadata.name", FieldOperator::Equals, name);
            selection.fields = selection.fields.with(named);
        }
    }
    Ok(selection)
}

/// Somewhere between one and two minimal durations, so that watches do not end all at once.
fn default_duration() -> Duration {
    let random = uuid::Uuid::new_v4().as_u128() % MIN_DURATION.as_millis();
    MIN_DURATION + Duration::from_millis(u64::try_from(random).unwrap_or(0))
}

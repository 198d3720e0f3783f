//! What happened to a book, as text: `kubectl get --raw .../books/emma/log?follow=true`.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderValue, Response, header};
use milo_apiserver_kit::{
    body::Body,
    rest::{Connect, ConnectRequest},
};
use milo_core::status::StatusError;

use crate::{
    database::{Database, counter},
    feed::{Change, Feed},
    row::{self, Id},
};

/// Answers with one line per change, and with `follow` goes on for as long as the client listens.
pub(crate) struct Log(pub(crate) Database);

#[async_trait]
impl Connect for Log {
    async fn connect(&self, request: ConnectRequest<'_>) -> Result<Response<Body>, StatusError> {
        let id = Id::of(&request.resource);
        let missing = StatusError::not_found(
            request.resource.definition().group_resource(),
            request.resource.name(),
        );
        let feed = Feed {
            database: self.0.clone(),
            scope: id.scope.clone(),
            namespace: id.namespace.clone(),
            name: id.name.clone(),
        };
        let read = self.0.read(move |transaction| {
            row::find(transaction, &id)?.ok_or(missing)?;
            Ok(counter(transaction)?.1)
        });
        let floor = read.await?;
        let follow = follows(request.http.uri().query().unwrap_or_default());
        let lines =
            stream::try_unfold((feed, floor, false), move |(feed, after, waits)| async move {
                let batch = if waits { feed.next(after).await? } else { feed.read(after).await? };
                if batch.changes.is_empty() && !follow {
                    return Ok::<_, StatusError>(None);
                }
                let lines = batch.changes.iter().map(|(made, change)| line(made, change));
                Ok(Some((lines.collect::<String>(), (feed, batch.reached, follow))))
            });
        let lines = lines.map(|text| text.map(Bytes::from).map_err(Into::into));
        let mut response = Response::new(Body::stream(lines));
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, plain);
        Ok(response)
    }
}

fn follows(query: &str) -> bool {
    form_urlencoded::parse(query.as_bytes())
        .any(|(key, value)| key == "follow" && !matches!(&*value, "false" | "0"))
}

fn line(made: &str, Change { revision, maker, book, previous }: &Change) -> String {
    let what = match (book, previous) {
        (Some(_), None) => "added",
        (Some(_), Some(_)) => "changed",
        (None, _) => "removed",
    };
    format!("{made} {revision} {what} by {maker}\n")
}

//! What happened to a book, as text: `kubectl get --raw .../books/emma/log?follow=true`.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Response, header};
use milo_apiserver_kit::{
    body::Body,
    rest::{Connect, ConnectRequest},
};
use milo_core::status::StatusError;

use crate::{
    database::{Database, counter},
    feed::{Batch, Change, Feed},
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
        let first = feed.read(floor).await?;
        let follow = follows(request.http.uri().query().unwrap_or_default());
        let batches = stream::unfold(Some((feed, first)), move |state| async move {
            let (feed, Batch { changes, reached }) = state?;
            let text: String = changes.iter().map(|(made, change)| line(made, change)).collect();
            let more = match changes.is_empty() && !follow {
                true => None,
                false if follow => feed.next(reached).await.ok(),
                false => feed.read(reached).await.ok(),
            };
            Some((Ok(Bytes::from(text)), more.map(|more| (feed, more))))
        });
        let mut response = Response::new(Body::stream(batches));
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

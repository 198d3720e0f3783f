//! Reading request bodies. [`crate::media`] makes values of them.

use std::fmt;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::Body;
use http_body_util::BodyExt;
use milo_core::status::StatusError;

use crate::media::BodyType;
pub(crate) use crate::media::decode_json;

/// The largest request body, in bytes, as upstream.
pub(crate) const LIMIT: usize = 3 * 1024 * 1024;

/// Reads a whole body, at most [`LIMIT`] bytes of it.
pub(crate) async fn read<B>(mut body: B) -> Result<Bytes, StatusError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: fmt::Display,
{
    // A client that declares too much is refused before it sends it.
    if body.size_hint().lower() > LIMIT as u64 {
        return Err(StatusError::too_large(LIMIT));
    }
    let mut first = Bytes::new();
    let mut rest: Option<BytesMut> = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            StatusError::bad_request(format!("the body of the request could not be read: {error}"))
        })?;
        let Ok(data) = frame.into_data() else { continue };
        let length = rest.as_ref().map_or(first.len(), BytesMut::len) + data.len();
        if length > LIMIT {
            return Err(StatusError::too_large(LIMIT));
        }
        match &mut rest {
            Some(rest) => rest.extend_from_slice(&data),
            None if first.is_empty() => first = data,
            None => {
                let mut joined = BytesMut::with_capacity(length * 2);
                joined.extend_from_slice(&first);
                joined.extend_from_slice(&data);
                rest = Some(joined);
            }
        }
    }
    Ok(rest.map_or(first, BytesMut::freeze))
}

/// Reads the body of a deletion: options as JSON, whatever they were sent as; nothing when nothing
/// was sent, of whatever type.
pub(crate) async fn read_options<B>(body: B, headers: &HeaderMap) -> Result<Bytes, StatusError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: fmt::Display,
{
    let body = read(body).await?;
    if body.is_empty() {
        return Ok(body);
    }
    match BodyType::of(headers)? {
        BodyType::Json => Ok(body),
        other => {
            let decoded = other.decode(&body).await;
            let decoded = decoded.map_err(|error| error.refuse("DeleteOptions", &body))?;
            Ok(decoded.value.to_string().into())
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{Full, StreamBody};

    use super::*;

    #[tokio::test]
    async fn bodies_over_the_limit_are_refused() {
        let error = read(Full::new(Bytes::from(vec![b' '; LIMIT + 1]))).await.unwrap_err();
        assert_eq!(
            (error.code(), error.message()),
            (413, "Request entity too large: limit is 3145728")
        );
        let chunk = || {
            Ok::<_, std::convert::Infallible>(http_body::Frame::data(Bytes::from(vec![
                b' ';
                1 << 20
            ])))
        };
        let chunks = StreamBody::new(futures_util::stream::iter((0..4).map(move |_| chunk())));
        assert_eq!(read(chunks).await.unwrap_err().code(), 413);
        let chunks = StreamBody::new(futures_util::stream::iter((0..3).map(move |_| chunk())));
        assert_eq!(read(chunks).await.unwrap().len(), LIMIT);
    }
}

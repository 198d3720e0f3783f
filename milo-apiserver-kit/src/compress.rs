//! gzip for large answers (`spec/wire.md` section 0.3).
//!
//! Every answer passes here. Small ones and streams whose reader waits for each piece, watches
//! above all, are left as they are; large lists and documents are compressed while they are sent,
//! a piece at a time, so that neither memory nor other requests pay for them.

use std::io::Write;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use futures_util::{Stream, StreamExt};
use http::{HeaderMap, HeaderValue, Response, header};

use crate::body::{Body, Chunk, Chunks};

/// Smaller bodies are sent as they are, as upstream.
const THRESHOLD: usize = 128 * 1024;
/// As upstream: the network is rarely as slow as better compression.
const LEVEL: u32 = 1;
/// How much is compressed before others get their turn: well below a millisecond's worth.
const PIECE: usize = 32 * 1024;
/// How much is collected before it is sent.
const BLOCK: usize = 32 * 1024;

/// The answer as the client wants it transferred.
pub(crate) fn compress(request: &HeaderMap, response: Response<Body>) -> Response<Body> {
    if response.headers().contains_key(header::CONTENT_ENCODING) || !accepts_gzip(request) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let chunks = match body.into_compressible(THRESHOLD) {
        Ok(chunks) => chunks,
        Err(body) => return Response::from_parts(parts, body),
    };
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    parts.headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    Response::from_parts(parts, Body::stream(gzip(chunks)))
}

/// Whether `Accept-Encoding` names gzip, and not to refuse it.
fn accepts_gzip(request: &HeaderMap) -> bool {
    let values = request.get_all(header::ACCEPT_ENCODING).iter();
    let codings = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    codings.map(|coding| coding.split(';').map(str::trim)).any(|mut parts| {
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let refused = parts.any(|parameter| {
            let quality = parameter.strip_prefix("q=").and_then(|q| q.parse::<f32>().ok());
            quality.is_some_and(|quality| quality <= 0.0)
        });
        named && !refused
    })
}

struct Compressor {
    chunks: Chunks,
    /// What is left of the chunk at hand.
    rest: Bytes,
    encoder: GzEncoder<Vec<u8>>,
}

fn gzip(chunks: Chunks) -> impl Stream<Item = Chunk> {
    let encoder = GzEncoder::new(Vec::with_capacity(2 * BLOCK), Compression::new(LEVEL));
    let compressor = Compressor { chunks, rest: Bytes::new(), encoder };
    futures_util::stream::unfold(Some(compressor), async |compressor| {
        let mut compressor = compressor?;
        Some(match compressor.block().await {
            Ok(Some(block)) => (Ok(block), Some(compressor)),
            Ok(None) => (compressor.encoder.finish().map(Bytes::from).map_err(Into::into), None),
            Err(error) => (Err(error), None),
        })
    })
}

impl Compressor {
    /// The next compressed block; none when all but the end has been compressed.
    async fn block(&mut self) -> Result<Option<Bytes>, crate::body::BoxError> {
        loop {
            if self.rest.is_empty() {
                let Some(chunk) = self.chunks.next().await else { return Ok(None) };
                self.rest = chunk?;
            }
            let piece = self.rest.split_to(self.rest.len().min(PIECE));
            self.encoder.write_all(&piece)?;
            tokio::task::yield_now().await;
            if self.encoder.get_ref().len() >= BLOCK {
                let block =
                    std::mem::replace(self.encoder.get_mut(), Vec::with_capacity(2 * BLOCK));
                return Ok(Some(block.into()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use futures_util::stream;
    use http_body_util::BodyExt;

    use super::*;

    fn accepting(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::ACCEPT_ENCODING, value.parse().unwrap())])
    }

    async fn unzip(body: Body) -> Vec<u8> {
        let bytes = body.collect().await.unwrap().to_bytes();
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(bytes.as_ref()).read_to_end(&mut plain).unwrap();
        plain
    }

    #[test]
    fn gzip_has_to_be_named() {
        for (value, expected) in [
            ("gzip", true),
            ("deflate, GZIP ;q=0.5", true),
            ("br,gzip", true),
            ("", false),
            ("*", false),
            ("identity", false),
            ("gzip;q=0", false),
            ("gzip; q=0.0, br", false),
            ("xgzip", false),
        ] {
            assert_eq!(accepts_gzip(&accepting(value)), expected, "{value}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[tokio::test]
    async fn only_large_bodies_are_compressed() {
        let request = accepting("gzip");
        let text: Vec<u8> = (0..THRESHOLD * 3).map(|i| b'a' + (i / 7 % 26) as u8).collect();
        let small = compress(&request, Response::new(Body::full(text[..THRESHOLD].to_vec())));
        assert!(small.headers().is_empty());
        assert_eq!(small.into_body().as_bytes().unwrap().len(), THRESHOLD);
        let stream = Body::stream(stream::iter([Ok(Bytes::from(text.clone()))]));
        assert!(compress(&request, Response::new(stream)).headers().is_empty());
        let chunks = text.chunks(1000).map(|chunk| Ok(Bytes::copy_from_slice(chunk)));
        let chunks: Vec<Chunk> = chunks.collect();
        for body in [Body::full(text.clone()), Body::bulk(stream::iter(chunks))] {
            let mut response = Response::new(body);
            response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
            let response = compress(&request, response);
            assert_eq!(response.headers()[header::CONTENT_ENCODING], "gzip");
            let vary: Vec<_> = response.headers().get_all(header::VARY).iter().collect();
            assert_eq!(vary, ["Accept", "Accept-Encoding"]);
            assert_eq!(unzip(response.into_body()).await, text);
        }
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_does_not_end_well() {
        let chunks = stream::iter([Ok(Bytes::from("begun")), Err("broken".into())]);
        let response = compress(&accepting("gzip"), Response::new(Body::bulk(chunks)));
        let error = response.into_body().collect().await.unwrap_err();
        assert_eq!(error.to_string(), "broken");
    }
}

//! Documents that are the same for every reader: discovery, OpenAPI, the version.
//!
//! A [`Document`] is rendered once. Serving one is a header check and the clone of a
//! reference-counted buffer. [`Negotiated`] holds the forms in which one path can be had, and picks
//! by `Accept`; YAML is written when it is first asked for.

use std::sync::OnceLock;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, VARY,
    },
};
use jiff::{Timestamp, fmt::rfc2822};
use milo_core::{canonical::Canonical, status::StatusError};
use serde_json::Value;
use sha2::{Digest, Sha512};

pub mod accept;

use crate::media::Encoding;
use accept::{Accept, MediaRange};

/// The JSON media type.
pub const JSON: &str = "application/json";
/// The YAML media type.
pub const YAML: &str = "application/yaml";

/// A rendered document: bytes, their content hash and the headers that go with them.
///
/// Immutable, and cheap to clone: every field is reference-counted or static.
#[derive(Clone, Debug)]
pub struct Document {
    body: Bytes,
    etag: HeaderValue,
    content_type: HeaderValue,
    cache_control: Option<HeaderValue>,
    modified: Option<Timestamp>,
}

impl Document {
    /// Compact JSON.
    #[must_use]
    pub fn json(value: &Value) -> Self {
        Self::from_text(serde_json::to_string(&Canonical(value)))
    }

    /// JSON for people: indented by two spaces.
    #[must_use]
    pub fn pretty_json(value: &Value) -> Self {
        Self::from_text(serde_json::to_string_pretty(&Canonical(value)))
    }

    fn from_text(text: Result<String, serde_json::Error>) -> Self {
        // INVARIANT: writing a JSON value to memory cannot fail.
        let mut text = text.unwrap_or_default();
        text.push('\n');
        let etag = format!("\"{}\"", content_hash(text.as_bytes()));
        Self {
            body: exactly(text.into_bytes()),
            etag: header_value(etag),
            content_type: HeaderValue::from_static(JSON),
            cache_control: None,
            modified: None,
        }
    }

    /// The same content in another encoding: its hash stays, so that a client may compare whatever
    /// it holds.
    #[must_use]
    pub fn encoded(&self, body: Vec<u8>, content_type: &'static str) -> Self {
        Self { body: exactly(body), ..self.clone() }.with_content_type(content_type)
    }

    /// The same bytes under another content type.
    #[must_use]
    pub fn with_content_type(mut self, content_type: &'static str) -> Self {
        self.content_type = HeaderValue::from_static(content_type);
        self
    }

    /// The same content in YAML.
    fn to_yaml(&self) -> Self {
        let value = serde_json::from_slice::<Value>(&self.body).unwrap_or_default();
        match Encoding::Yaml.encode(&value) {
            Ok(yaml) => self.encoded(yaml, YAML),
            // INVARIANT: every value can be written in YAML. JSON is YAML, too.
            Err(_) => self.clone().with_content_type(YAML),
        }
    }

    /// Sends this `Cache-Control` with the document. Without one the server's default applies.
    #[must_use]
    pub fn with_cache_control(mut self, cache_control: &'static str) -> Self {
        self.cache_control = Some(HeaderValue::from_static(cache_control));
        self
    }

    /// Sends `Last-Modified`, and answers `If-Modified-Since`, to which a second is as good as a
    /// day.
    #[must_use]
    pub fn with_last_modified(mut self, at: Timestamp) -> Self {
        self.modified = Timestamp::from_second(at.as_second()).ok();
        self
    }

    /// The rendered bytes.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The content hash: 128 upper-case hexadecimal digits, the same in every process that serves
    /// the same content.
    #[must_use]
    pub fn hash(&self) -> &str {
        // INVARIANT: `etag` is made by `from_text`, of ASCII, and quoted.
        self.etag.to_str().unwrap_or_default().trim_matches('"')
    }

    /// Answers a GET: the document, or 304 when `If-None-Match` names its hash, or where there is no
    /// `If-None-Match`, when it is not newer than `If-Modified-Since`. Does not look at `Accept`.
    #[must_use]
    pub fn respond(&self, request: &HeaderMap) -> Response<Bytes> {
        let mut response = if self.is_known_to(request) {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response
        } else {
            self.with_status(StatusCode::OK)
        };
        let headers = response.headers_mut();
        headers.insert(ETAG, self.etag.clone());
        headers.insert(VARY, HeaderValue::from_static("Accept"));
        if let Some(cache_control) = &self.cache_control {
            headers.insert(CACHE_CONTROL, cache_control.clone());
        }
        if let Some(date) = self.modified.and_then(http_date) {
            headers.insert(LAST_MODIFIED, date);
        }
        response
    }

    /// The document as the body of an answer with another status, without caching headers.
    /// Kubernetes answers an unknown path with the index and 404.
    #[must_use]
    pub fn with_status(&self, status: StatusCode) -> Response<Bytes> {
        let mut response = Response::new(self.body.clone());
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, self.content_type.clone());
        response
    }

    fn is_known_to(&self, request: &HeaderMap) -> bool {
        if !request.contains_key(IF_NONE_MATCH) {
            return self.modified.is_some_and(|at| since(request).is_some_and(|since| at <= since));
        }
        values(request, &IF_NONE_MATCH)
            .flat_map(|value| value.split(','))
            .map(|tag| tag.trim().trim_start_matches("W/"))
            .any(|tag| tag == "*" || tag.as_bytes() == self.etag.as_bytes())
    }
}

/// The forms in which one path can be had.
#[derive(Clone, Debug, Default)]
pub struct Negotiated {
    offers: Vec<Offer>,
}

#[derive(Clone, Debug)]
struct Offer {
    media_type: &'static str,
    conversion: Option<Conversion>,
    document: Document,
    /// The document in YAML, if that is what is offered and once it was asked for.
    yaml: OnceLock<Document>,
}

/// The `g`, `v` and `as` parameters of an `Accept` clause: the kind that the client wants the
/// answer converted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conversion {
    /// API group of the kind.
    pub group: &'static str,
    /// Its version.
    pub version: &'static str,
    /// The kind.
    pub kind: &'static str,
}

impl Negotiated {
    /// JSON only.
    #[must_use]
    pub fn json(document: Document) -> Self {
        Self::default().offer(JSON, None, document)
    }

    /// JSON, and the same in YAML.
    #[must_use]
    pub fn json_or_yaml(document: Document) -> Self {
        let yaml = document.clone();
        Self::json(document).offer(YAML, None, yaml)
    }

    /// Adds a form. Earlier ones win where a clause allows several. What is offered as [`YAML`] is
    /// JSON that is converted when it is asked for.
    #[must_use]
    pub fn offer(
        mut self,
        media_type: &'static str,
        conversion: Option<Conversion>,
        document: Document,
    ) -> Self {
        self.offers.push(Offer { media_type, conversion, document, yaml: OnceLock::new() });
        self
    }

    /// Answers a GET in the form that `Accept` prefers.
    ///
    /// # Errors
    /// 406 when no clause of `Accept` allows any of the forms.
    pub fn respond(&self, request: &HeaderMap) -> Result<Response<Bytes>, StatusError> {
        Ok(self.choose(request)?.respond(request))
    }

    /// The form that `Accept` prefers.
    ///
    /// # Errors
    /// 406 when no clause of `Accept` allows any of the forms.
    pub fn choose(&self, request: &HeaderMap) -> Result<&Document, StatusError> {
        Accept::of(request)
            .ranges()
            .find_map(|range| self.offers.iter().find(|offer| offer.suits(range)))
            .map(Offer::document)
            .ok_or_else(|| StatusError::not_acceptable(&self.media_types()))
    }

    fn media_types(&self) -> Vec<&'static str> {
        let plain = self.offers.iter().filter(|offer| offer.conversion.is_none());
        plain.map(|offer| offer.media_type).collect()
    }
}

impl Offer {
    fn document(&self) -> &Document {
        match self.media_type {
            YAML => self.yaml.get_or_init(|| self.document.to_yaml()),
            _ => &self.document,
        }
    }

    fn suits(&self, range: &MediaRange<'_>) -> bool {
        let converted = match self.conversion {
            None => range.parameter("as").is_none(),
            Some(to) => {
                range.parameter("as") == Some(to.kind)
                    && range.parameter("g") == Some(to.group)
                    && range.parameter("v") == Some(to.version)
            }
        };
        converted && range.includes(self.media_type)
    }
}

/// The first of `offers`, in the client's order of preference, that its `Accept` allows. Parameters
/// of a clause do not matter here.
pub(crate) fn preferred<'a>(request: &HeaderMap, offers: &[&'a str]) -> Option<&'a str> {
    let accept = Accept::of(request);
    accept.ranges().find_map(|range| offers.iter().copied().find(|offer| range.includes(offer)))
}

/// A time as headers write it.
pub(crate) fn http_date(at: Timestamp) -> Option<HeaderValue> {
    let text = rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&at).ok()?;
    HeaderValue::try_from(text).ok()
}

/// The time in `If-Modified-Since`, if it is one.
fn since(request: &HeaderMap) -> Option<Timestamp> {
    let text = request.get(IF_MODIFIED_SINCE)?.to_str().ok()?;
    rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

/// Without the room to grow that a buffer has: documents are kept for as long as the server runs.
fn exactly(body: Vec<u8>) -> Bytes {
    body.into_boxed_slice().into()
}

/// The upper-case hexadecimal SHA-512 of `content`.
fn content_hash(content: &[u8]) -> String {
    format!("{:X}", Bytes::copy_from_slice(&Sha512::digest(content)))
}

/// A header value of text that this crate made; empty if it were not a valid one.
pub(crate) fn header_value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// All values of a header that are text.
fn values<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use http::header::ACCEPT;
    use serde_json::json;

    use super::*;

    const LIST: Conversion = Conversion { group: "g.io", version: "v2", kind: "List" };

    fn request(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn the_hash_is_the_content_and_nothing_else() {
        let document = Document::json(&json!({"b": 1, "a": [true]}));
        assert_eq!(document.body(), "{\"a\":[true],\"b\":1}\n");
        assert_eq!(document.hash(), Document::json(&json!({"a": [true], "b": 1})).hash());
        assert_ne!(document.hash(), Document::json(&json!({"a": [true], "b": 2})).hash());
        assert_eq!(document.hash().len(), 128);
        assert!(document.hash().bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F')));
    }

    #[test]
    fn a_known_hash_is_answered_by_304() {
        let document = Document::json(&json!({})).with_cache_control("public");
        let etag = document.respond(&HeaderMap::new()).headers()[ETAG].clone();
        let etag = etag.to_str().unwrap();
        assert_eq!(etag, format!("\"{}\"", document.hash()));
        for known in [etag, &format!("\"x\", {etag}"), &format!("W/{etag}"), "*"] {
            let response = document.respond(&request(IF_NONE_MATCH, known));
            assert_eq!(response.status(), StatusCode::NOT_MODIFIED, "{known}");
            assert!(response.body().is_empty());
            assert_eq!(response.headers()[ETAG], etag);
            assert_eq!(response.headers()[VARY], "Accept");
            assert_eq!(response.headers()[CACHE_CONTROL], "public");
        }
        for other in ["\"x\"", document.hash(), ""] {
            let response = document.respond(&request(IF_NONE_MATCH, other));
            assert_eq!(response.status(), StatusCode::OK, "{other}");
            assert_eq!(response.headers()[CONTENT_TYPE], JSON);
        }
    }

    #[test]
    fn what_is_not_newer_is_answered_by_304() {
        let at = Timestamp::from_millisecond(1_700_000_000_999).unwrap();
        let document = Document::json(&json!({})).with_last_modified(at);
        let date = document.respond(&HeaderMap::new()).headers()[LAST_MODIFIED].clone();
        assert_eq!(date, "Tue, 14 Nov 2023 22:13:20 GMT");
        for (since, expected) in [
            ("Tue, 14 Nov 2023 22:13:20 GMT", 304),
            ("Wed, 15 Nov 2023 00:00:00 GMT", 304),
            ("Tue, 14 Nov 2023 22:13:19 GMT", 200),
            ("yesterday", 200),
        ] {
            let mut request = request(IF_MODIFIED_SINCE, since);
            assert_eq!(document.respond(&request).status(), expected, "{since}");
            // A hash says more than a date.
            request.insert(IF_NONE_MATCH, "\"x\"".parse().unwrap());
            assert_eq!(document.respond(&request).status(), 200, "{since}");
        }
        let undated = Document::json(&json!({}));
        let request = request(IF_MODIFIED_SINCE, "Wed, 15 Nov 2023 00:00:00 GMT");
        assert_eq!(undated.respond(&request).status(), 200);
    }

    #[test]
    fn the_first_acceptable_form_wins() {
        let forms = Negotiated::json_or_yaml(Document::json(&json!("plain"))).offer(
            JSON,
            Some(LIST),
            Document::json(&json!("list")).with_content_type("application/json;as=List"),
        );
        for (accept, expected) in [
            ("", "application/json"),
            ("*/*", "application/json"),
            ("application/*", "application/json"),
            ("application/yaml", "application/yaml"),
            ("application/yaml;q=0.5, application/json", "application/json"),
            ("application/json;as=List;v=v2;g=g.io, application/json", "application/json;as=List"),
            ("application/json;as=List;v=v1;g=g.io, application/json", "application/json"),
            ("application/json, application/json;g=g.io;v=v2;as=List", "application/json"),
            ("text/html, */*;q=0.1", "application/json"),
        ] {
            let response = forms.respond(&request(ACCEPT, accept)).unwrap();
            assert_eq!(response.headers()[CONTENT_TYPE], expected, "{accept}");
        }
        let yaml = forms.respond(&request(ACCEPT, "application/yaml")).unwrap();
        assert_eq!(yaml.body(), "plain\n");
        let json = forms.respond(&HeaderMap::new()).unwrap();
        assert_eq!(
            (json.body(), &json.headers()[ETAG]),
            (&"\"plain\"\n".into(), &yaml.headers()[ETAG])
        );
        let refused = forms.respond(&request(ACCEPT, "text/html")).unwrap_err();
        assert_eq!(refused, StatusError::not_acceptable(&["application/json", "application/yaml"]));
    }
}

//! What a request's body is, and the value that it holds.

use http::HeaderMap;
use milo_core::status::StatusError;
use serde_json::Value;

use super::{
    JSON, PROTOBUF, YAML, decode_json,
    yaml::{YamlError, decode_yaml},
};
use crate::{negotiate, protobuf};

/// The media type of a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyType {
    Json,
    Yaml,
    /// Kubernetes' envelope of protobuf. Some clients send nothing else, whatever the server says.
    Protobuf,
}

/// A decoded body.
#[derive(Debug)]
pub(crate) struct Decoded {
    pub(crate) value: Value,
    /// The paths of the keys that were there twice. The last one won.
    pub(crate) duplicates: Vec<String>,
}

/// Why a body holds no value. The texts are upstream's as far as they are ours to choose.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UndecodableBody {
    #[error("couldn't get version/kind; json parse error: {0}")]
    Json(#[from] serde_json::Error),
    #[error("error converting YAML to JSON: yaml: {0}")]
    Yaml(#[from] YamlError),
    #[error("{0}")]
    Protobuf(#[from] protobuf::Undecodable),
    /// Protobuf of a kind whose messages we do not know.
    #[error("the protobuf messages of this kind are not known")]
    UnknownMessage,
}

impl BodyType {
    /// By `Content-Type`, without its parameters; JSON when there is none. Otherwise 415.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, StatusError> {
        let content_type = negotiate::content_type(headers);
        let known = [(JSON, Self::Json), (YAML, Self::Yaml), (PROTOBUF, Self::Protobuf)];
        known
            .into_iter()
            .find(|(media_type, _)| content_type.eq_ignore_ascii_case(media_type))
            .map(|(_, body_type)| body_type)
            .ok_or_else(|| StatusError::unsupported_media_type(&[JSON, YAML, PROTOBUF]))
    }

    pub(crate) async fn decode(self, body: &[u8]) -> Result<Decoded, UndecodableBody> {
        let (value, duplicates) = match self {
            Self::Json => decode_json(body)?,
            Self::Yaml => decode_yaml(body).await?,
            Self::Protobuf => match protobuf::open(body)? {
                protobuf::Content::Json(json) => decode_json(&json)?,
                protobuf::Content::Message(value) => (value, Vec::new()),
                protobuf::Content::Unknown => return Err(UndecodableBody::UnknownMessage),
            },
        };
        Ok(Decoded { value, duplicates })
    }
}

impl UndecodableBody {
    /// The answer to a body that is no object of `kind`: 400, or 415 where another media type
    /// would do.
    pub(crate) fn refuse(&self, kind: &str, body: &[u8]) -> StatusError {
        match self {
            Self::UnknownMessage => StatusError::unsupported_media_type(&[JSON, YAML]),
            error => StatusError::bad_request(format!(
                "the object provided is unrecognized (must be of type {kind}): {error} ({})",
                preview(body),
            )),
        }
    }
}

/// The first bytes of a body, as upstream shows them.
fn preview(body: &[u8]) -> String {
    let start = &body[..body.len().min(30)];
    match std::str::from_utf8(start) {
        Ok(text) if !text.chars().any(char::is_control) => format!("{text:?}"),
        _ => start.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

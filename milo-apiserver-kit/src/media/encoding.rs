//! How a value is written.

use http::HeaderValue;
use milo_core::status::StatusError;
use serde::Serialize;

use super::yaml::encode_yaml;

/// How the values of an answer are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// JSON on one line.
    Json,
    /// JSON for people: indented by two spaces.
    PrettyJson,
    /// YAML.
    Yaml,
}

impl Encoding {
    /// The bare media type.
    pub(crate) fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Json | Self::PrettyJson => super::JSON,
            Self::Yaml => super::YAML,
        })
    }

    /// A value as a whole body, which ends with a newline.
    pub(crate) fn encode<T: Serialize>(self, value: &T) -> Result<Vec<u8>, StatusError> {
        let mut bytes = match self {
            Self::Json => serde_json::to_vec(value).map_err(StatusError::internal)?,
            Self::PrettyJson => serde_json::to_vec_pretty(value).map_err(StatusError::internal)?,
            Self::Yaml => {
                let value = serde_json::to_value(value).map_err(StatusError::internal)?;
                encode_yaml(&value).map_err(StatusError::internal)?
            }
        };
        if bytes.last() != Some(&b'\n') {
            bytes.push(b'\n');
        }
        Ok(bytes)
    }
}

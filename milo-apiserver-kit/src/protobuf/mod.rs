//! Kubernetes' protobuf, as far as clients send it and take no other answer: `kubectl auth` and
//! the deletions of typed clients (`spec/wire.md` sections 0.3 and 0.4). It is read, never written:
//! every client reads JSON.
//!
//! The messages are declared by hand. They hold what is read of them; the rest is skipped, as
//! protobuf means it.

mod meta;
mod reviews;

use bytes::Bytes;
use prost::Message;
use serde::Serialize;
use serde_json::Value;

use meta::DeleteOptions;
use reviews::{
    SelfSubjectAccessReview, SelfSubjectReview, SelfSubjectRulesReview, SubjectAccessReview,
};

/// What every encoded object begins with.
const MAGIC: &[u8] = b"k8s\0";

/// `runtime.Unknown`: an object of any kind, in any encoding.
#[derive(Clone, PartialEq, Message)]
struct Envelope {
    #[prost(message, optional, tag = "1")]
    type_meta: Option<TypeMeta>,
    #[prost(bytes = "bytes", tag = "2")]
    raw: Bytes,
    #[prost(string, tag = "3")]
    content_encoding: String,
    #[prost(string, tag = "4")]
    content_type: String,
}

#[derive(Clone, PartialEq, Message)]
struct TypeMeta {
    #[prost(string, tag = "1")]
    api_version: String,
    #[prost(string, tag = "2")]
    kind: String,
}

/// What is in an envelope.
#[derive(Debug)]
pub(crate) enum Content {
    /// JSON text.
    Json(Bytes),
    /// A message that we know, as the JSON value that it stands for.
    Message(Value),
    /// A message that we do not know.
    Unknown,
}

/// Why bytes are no envelope, or not with this content.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Undecodable {
    #[error("provided data does not appear to be a protobuf message, expected prefix 6b387300")]
    Magic,
    #[error("the protobuf message cannot be read: {0}")]
    Message(#[from] prost::DecodeError),
    #[error("the content encoding {0:?} of the protobuf envelope is not supported")]
    Encoding(String),
    #[error("the protobuf message cannot be read: {0}")]
    Value(#[from] serde_json::Error),
}

/// Opens an envelope.
pub(crate) fn open(body: &[u8]) -> Result<Content, Undecodable> {
    let body = body.strip_prefix(MAGIC).ok_or(Undecodable::Magic)?;
    let envelope = Envelope::decode(body)?;
    if !envelope.content_encoding.is_empty() {
        return Err(Undecodable::Encoding(envelope.content_encoding));
    }
    match envelope.content_type.as_str() {
        "application/json" => return Ok(Content::Json(envelope.raw)),
        "" | crate::media::PROTOBUF => {}
        _ => return Ok(Content::Unknown),
    }
    let TypeMeta { api_version, kind } = envelope.type_meta.unwrap_or_default();
    let raw = envelope.raw;
    let mut value = match (api_version.as_str(), kind.as_str()) {
        // Of whatever group: every group has these options as its own.
        (_, "DeleteOptions") => value::<DeleteOptions>(raw)?,
        ("authentication.k8s.io/v1", "SelfSubjectReview") => value::<SelfSubjectReview>(raw)?,
        ("authorization.k8s.io/v1", "SelfSubjectAccessReview") => {
            value::<SelfSubjectAccessReview>(raw)?
        }
        ("authorization.k8s.io/v1", "SelfSubjectRulesReview") => {
            value::<SelfSubjectRulesReview>(raw)?
        }
        ("authorization.k8s.io/v1", "SubjectAccessReview" | "LocalSubjectAccessReview") => {
            value::<SubjectAccessReview>(raw)?
        }
        _ => return Ok(Content::Unknown),
    };
    if let Value::Object(fields) = &mut value {
        fields.insert("apiVersion".into(), api_version.into());
        fields.insert("kind".into(), kind.into());
    }
    Ok(Content::Message(value))
}

/// The JSON value that a message stands for.
fn value<M: Message + Default + Serialize>(raw: Bytes) -> Result<Value, Undecodable> {
    Ok(serde_json::to_value(M::decode(raw)?)?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn seal(api_version: &str, kind: &str, raw: Vec<u8>, content_type: &str) -> Vec<u8> {
        let type_meta = TypeMeta { api_version: api_version.into(), kind: kind.into() };
        let envelope = Envelope {
            type_meta: Some(type_meta),
            raw: raw.into(),
            content_encoding: String::new(),
            content_type: content_type.into(),
        };
        [MAGIC, &envelope.encode_to_vec()].concat()
    }

    fn message(body: &[u8]) -> Value {
        match open(body).unwrap() {
            Content::Message(value) => value,
            other => panic!("{other:?}"),
        }
    }

    /// What `kubectl auth can-i get widgets` of version 1.32 sends, field by field.
    #[test]
    fn messages_become_what_they_stand_for() {
        let attributes =
            b"\x0a\x01n\x12\x03get\x1a\x10demo.example.com\x22\x01*\x2a\x07widgets\x32\x00\x3a\x00";
        let mut raw = vec![
            0x0a,
            0x02,
            0x0a,
            0x00,
            0x12,
            attributes.len() as u8 + 2,
            0x0a,
            attributes.len() as u8,
        ];
        raw.extend_from_slice(attributes);
        raw.extend_from_slice(&[0x1a, 0x02, 0x08, 0x00]);
        let body = seal("authorization.k8s.io/v1", "SelfSubjectAccessReview", raw, "");
        let expected = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "metadata": {},
            "spec": {"resourceAttributes": {
                "namespace": "n", "verb": "get", "group": "demo.example.com", "version": "*",
                "resource": "widgets",
            }},
        });
        assert_eq!(message(&body), expected);
        let empty = seal(
            "authentication.k8s.io/v1",
            "SelfSubjectReview",
            Vec::new(),
            super::super::media::PROTOBUF,
        );
        assert_eq!(
            message(&empty),
            json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"})
        );
    }

    #[test]
    fn delete_options_keep_what_was_said() {
        let options = DeleteOptions {
            grace_period_seconds: Some(0),
            preconditions: Some(meta::Preconditions {
                uid: "u".into(),
                resource_version: String::new(),
            }),
            orphan_dependents: Some(false),
            propagation_policy: "Foreground".into(),
            dry_run: vec!["All".into()],
        };
        let body = seal("v1", "DeleteOptions", options.encode_to_vec(), "");
        assert_eq!(
            message(&body),
            json!({
                "apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0,
                "preconditions": {"uid": "u"}, "orphanDependents": false,
                "propagationPolicy": "Foreground", "dryRun": ["All"],
            })
        );
    }

    #[test]
    fn subjects_keep_their_extra() {
        let review = SubjectAccessReview {
            metadata: None,
            spec: Some(reviews::SubjectAccessReviewSpec {
                user: "alice".into(),
                groups: vec!["staff".into()],
                extra: BTreeMap::from([(
                    "scopes".into(),
                    reviews::ExtraValue { items: vec!["a".into()] },
                )]),
                ..Default::default()
            }),
        };
        let body =
            seal("authorization.k8s.io/v1", "LocalSubjectAccessReview", review.encode_to_vec(), "");
        let spec = json!({"user": "alice", "groups": ["staff"], "extra": {"scopes": ["a"]}});
        assert_eq!(message(&body)["spec"], spec);
    }

    #[test]
    fn an_envelope_may_hold_json() {
        let body = seal("g/v1", "Widget", b"{}".to_vec(), "application/json");
        assert!(matches!(open(&body).unwrap(), Content::Json(json) if json == "{}"));
        let body = seal("g/v1", "Widget", b"{}".to_vec(), "application/cbor");
        assert!(matches!(open(&body).unwrap(), Content::Unknown));
        let body = seal("g/v1", "Widget", Vec::new(), "");
        assert!(matches!(open(&body).unwrap(), Content::Unknown));
    }

    #[test]
    fn other_bytes_are_refused() {
        assert!(matches!(open(b"{}"), Err(Undecodable::Magic)));
        assert!(matches!(open(b"k8s\0\xff\xff"), Err(Undecodable::Message(_))));
        let body = seal("v1", "DeleteOptions", b"\xff".to_vec(), "");
        assert!(matches!(open(&body), Err(Undecodable::Message(_))));
    }

    proptest! {
        #[test]
        fn anything_is_read_or_refused(raw in proptest::collection::vec(any::<u8>(), 0..64)) {
            for kind in ["SelfSubjectAccessReview", "SubjectAccessReview", "SelfSubjectRulesReview", "DeleteOptions"] {
                let _ = open(&seal("authorization.k8s.io/v1", kind, raw.clone(), ""));
            }
            let _ = open(&[MAGIC, &raw].concat());
        }
    }
}

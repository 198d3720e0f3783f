//! The token with which a list goes on (`spec/wire.md` section 4.4). Opaque to clients.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use milo_core::{key::KeyRange, status::StatusError, storage::Revision};
use serde::{Deserialize, Serialize};

const VERSION: &str = "meta.k8s.io/v1";

/// Where a list goes on: in the snapshot of a revision, or in the newest state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ContinueToken {
    /// None goes on in the newest state, inconsistently.
    pub(crate) revision: Option<Revision>,
    /// The first key not looked at yet, inside the range of the request.
    pub(crate) start: Bytes,
}

#[derive(Serialize, Deserialize)]
struct Wire {
    v: String,
    #[serde(default)]
    rv: i64,
    #[serde(default)]
    start: String,
}

impl ContinueToken {
    /// A token that goes on after `last`, a key of `range`.
    pub(crate) fn after(last: &[u8], range: &KeyRange, revision: Revision) -> String {
        let relative = last.strip_prefix(range.start().as_ref()).unwrap_or(last);
        let start = format!("{}\0", String::from_utf8_lossy(relative));
        encode(i64::try_from(revision.get()).unwrap_or(i64::MAX), start)
    }

    /// A token with the same start that goes on in the newest state.
    pub(crate) fn inconsistent(&self, range: &KeyRange) -> String {
        let relative = self.start.strip_prefix(range.start().as_ref()).unwrap_or(&self.start);
        encode(-1, String::from_utf8_lossy(relative).into_owned())
    }

    /// A token that goes on in a handler's own words, at a revision or inconsistently.
    pub(crate) fn opaque(next: String, revision: Option<Revision>) -> String {
        let rv = revision.map_or(-1, |found| i64::try_from(found.get()).unwrap_or(i64::MAX));
        encode(rv, next)
    }

    /// Reads what [`opaque`](Self::opaque) wrote.
    pub(crate) fn parse_opaque(text: &str) -> Result<(Option<Revision>, String), StatusError> {
        let wire = Wire::read(text)?;
        Ok((wire.revision()?, wire.start))
    }

    /// Reads a token. A start outside `range` cannot be expressed: it is relative to it.
    pub(crate) fn parse(text: &str, range: &KeyRange) -> Result<Self, StatusError> {
        let wire = Wire::read(text)?;
        let clean = !wire.start.starts_with('/')
            && wire
                .start
                .trim_end_matches('\0')
                .split('/')
                .all(|part| !matches!(part, "" | "." | ".."));
        if !clean {
            return Err(invalid());
        }
        let revision = wire.revision()?;
        let start = [range.start().as_ref(), wire.start.as_bytes()].concat();
        if start.as_slice() >= range.end().as_ref() {
            return Err(invalid());
        }
        Ok(Self { revision, start: start.into() })
    }
}

impl Wire {
    fn read(text: &str) -> Result<Self, StatusError> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| invalid())?;
        let wire: Self = serde_json::from_slice(&bytes).map_err(|_| invalid())?;
        if wire.v == VERSION && !wire.start.is_empty() { Ok(wire) } else { Err(invalid()) }
    }

    fn revision(&self) -> Result<Option<Revision>, StatusError> {
        match self.rv {
            -1 => Ok(None),
            1.. => Ok(Some(Revision::new(self.rv.unsigned_abs()))),
            _ => Err(invalid()),
        }
    }
}

fn invalid() -> StatusError {
    StatusError::bad_request("invalid continue token: continue key is not valid")
}

fn encode(rv: i64, start: String) -> String {
    let wire = Wire { v: VERSION.to_owned(), rv, start };
    // INVARIANT: a struct of strings and numbers always encodes.
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&wire).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use milo_core::{
        key::{GroupResource, Key},
        scope::Scope,
    };
    use proptest::prelude::*;

    use super::*;

    fn range() -> KeyRange {
        let resource = GroupResource::new("g", "widgets");
        KeyRange::namespace(&resource, &Scope::Platform, "").unwrap()
    }

    #[test]
    fn a_token_goes_on_after_the_last_key() {
        let key =
            Key::object(&GroupResource::new("g", "widgets"), &Scope::Platform, "", "b").unwrap();
        let token = ContinueToken::after(key.as_bytes(), &range(), Revision::new(7));
        let parsed = ContinueToken::parse(&token, &range()).unwrap();
        assert_eq!(parsed.revision, Some(Revision::new(7)));
        assert!(parsed.start.as_ref() > key.as_bytes());
        let later = ContinueToken::parse(&parsed.inconsistent(&range()), &range()).unwrap();
        assert_eq!(later, ContinueToken { revision: None, start: parsed.start });
        let wire = URL_SAFE_NO_PAD.decode(token).unwrap();
        assert_eq!(wire, br#"{"v":"meta.k8s.io/v1","rv":7,"start":"b\u0000"}"#);
    }

    #[test]
    fn tokens_that_lead_elsewhere_are_refused() {
        for (rv, start) in
            [(0, "a"), (-2, "a"), (1, ""), (1, "/a"), (1, "../a"), (1, "a/../b"), (1, "a//b")]
        {
            let error = ContinueToken::parse(&encode(rv, start.into()), &range()).unwrap_err();
            assert_eq!(error.code(), 400, "{rv} {start}");
        }
        assert!(ContinueToken::parse("!", &range()).is_err());
        assert!(ContinueToken::parse("", &range()).is_err());
    }

    proptest! {
        #[test]
        fn no_token_panics_or_escapes(text in "\\PC{0,40}", start in "\\PC{0,20}", rv: i64) {
            let _ = ContinueToken::parse(&text, &range());
            if let Ok(token) = ContinueToken::parse(&encode(rv, start), &range()) {
                prop_assert!(range().starting_at(token.start).is_some());
            }
        }
    }
}

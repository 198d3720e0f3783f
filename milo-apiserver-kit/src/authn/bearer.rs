//! Credentials in headers.

use http::{HeaderMap, HeaderName, header::AUTHORIZATION};

/// The bearer token of a request: the second word of the `Authorization` header when the first is
/// `Bearer`, in any case. An empty token is no token. Bytes, because a header need not be text.
#[must_use]
pub fn bearer_token(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(AUTHORIZATION)?.as_bytes().trim_ascii();
    let space = value.iter().position(|byte| *byte == b' ')?;
    let (scheme, rest) = value.split_at(space);
    if !scheme.eq_ignore_ascii_case(b"bearer") {
        return None;
    }
    let token = rest[1..].split(|byte| *byte == b' ').next()?;
    (!token.is_empty()).then_some(token)
}

/// Removes every credential from the headers of a request that has been authenticated, so that
/// no handler, log or back end sees them: `Authorization` and the headers of a front proxy
/// (`X-Remote-User`, `-Uid`, `-Group`, `-Extra-*`).
pub fn remove_credentials(headers: &mut HeaderMap) {
    headers.remove(AUTHORIZATION);
    for name in ["x-remote-user", "x-remote-uid", "x-remote-group"] {
        headers.remove(name);
    }
    let extras: Vec<HeaderName> = headers
        .keys()
        .filter(|name| name.as_str().starts_with("x-remote-extra-"))
        .cloned()
        .collect(); // empty, hence without allocation, unless there are some
    for name in extras {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn token_of(value: &[u8]) -> Option<Vec<u8>> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        bearer_token(&headers).map(<[u8]>::to_vec)
    }

    #[test]
    fn the_token_is_the_second_word() {
        let table: &[(&[u8], Option<&[u8]>)] = &[
            (b"Bearer abc", Some(b"abc")),
            (b"bearer abc", Some(b"abc")),
            (b"BEARER  abc", None), // two spaces: the token is empty, as in Kubernetes
            (b"  Bearer abc  ", Some(b"abc")),
            (b"Bearer abc def", Some(b"abc")),
            (b"Bearer \xffx", Some(b"\xffx")),
            (b"Bearer", None),
            (b"Bearer ", None),
            (b"Basic abc", None),
            (b"Bearerabc", None),
            (b"", None),
        ];
        for (header, token) in table {
            assert_eq!(token_of(header).as_deref(), *token, "{header:?}");
        }
        assert_eq!(bearer_token(&HeaderMap::new()), None);
    }

    #[test]
    fn credentials_are_removed_and_nothing_else() {
        let mut headers = HeaderMap::new();
        for name in [
            "authorization",
            "x-remote-user",
            "x-remote-uid",
            "x-remote-group",
            "x-remote-extra-scopes",
            "x-remote-extra-a%2fb",
        ] {
            headers.append(name, HeaderValue::from_static("v"));
        }
        headers.append("x-remote-group", HeaderValue::from_static("w"));
        headers.append("accept", HeaderValue::from_static("v"));
        remove_credentials(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["accept"]);
    }
}

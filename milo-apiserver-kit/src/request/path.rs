//! The grammar of scopes and resource paths: the only place that splits a path.
//!
//! A control plane is `/{organizations,projects,users}/{id}/control-plane`, or the same behind the
//! resource path of its kind. Everything after it is a path of that control plane.

use std::borrow::Cow;

use milo_core::{
    scope::{ScopeName, is_tenant_id},
    status::StatusError,
};

/// A URL path, taken apart once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestPath<'a> {
    /// The control plane that is named.
    pub(crate) scope: ScopeName,
    /// The decoded segments inside that control plane, without empty ones at either end.
    pub(crate) segments: Vec<Cow<'a, str>>,
}

const CONTROL_PLANE: &str = "control-plane";

impl<'a> RequestPath<'a> {
    /// Parses a raw URL path.
    ///
    /// # Errors
    /// 400 when a segment hides a separator, when a tenant id is invalid, or when two control
    /// planes are named.
    pub(crate) fn parse(path: &'a str) -> Result<Self, StatusError> {
        let trimmed = path.trim_matches('/');
        let mut segments = Vec::with_capacity(8);
        if !trimmed.is_empty() {
            for raw in trimmed.split('/') {
                // An empty name would turn an object into its collection.
                if raw.is_empty() {
                    return Err(StatusError::bad_request("the path holds an empty segment"));
                }
                segments.push(decode(raw)?);
            }
        }
        let Some((scope, skip)) = scope_prefix(&segments)? else {
            return Ok(Self { scope: ScopeName::Platform, segments });
        };
        segments.drain(..skip);
        if scope_prefix(&segments)?.is_some() {
            return Err(StatusError::bad_request(
                "the path names two control planes; name the innermost one only",
            ));
        }
        Ok(Self { scope, segments })
    }

    /// The path inside the control plane, with a leading slash.
    #[must_use]
    pub(crate) fn to_path(&self) -> String {
        let mut path = String::with_capacity(64);
        for segment in &self.segments {
            path.push('/');
            path.push_str(segment);
        }
        if path.is_empty() {
            path.push('/');
        }
        path
    }
}

fn decode(raw: &str) -> Result<Cow<'_, str>, StatusError> {
    if !raw.contains('%') {
        return Ok(Cow::Borrowed(raw));
    }
    let decoded = percent_encoding::percent_decode_str(raw)
        .decode_utf8()
        .map_err(|_| StatusError::bad_request("the path is not valid UTF-8"))?;
    if decoded.bytes().any(|byte| byte == b'/' || byte == 0) {
        return Err(StatusError::bad_request(
            "the path holds an encoded separator, which no name may contain",
        ));
    }
    Ok(decoded)
}

/// The control plane that the segments begin with, and how many segments it takes.
fn scope_prefix(segments: &[Cow<'_, str>]) -> Result<Option<(ScopeName, usize)>, StatusError> {
    let (skip, group) = match segments {
        [api, group, version, _, _, word, ..]
            if api == "apis" && version == "v1alpha1" && word == CONTROL_PLANE =>
        {
            (3, Some(group.as_ref()))
        }
        [_, _, word, ..] if word == CONTROL_PLANE => (0, None),
        _ => return Ok(None),
    };
    let (plural, id) = (segments[skip].as_ref(), segments[skip + 1].as_ref());
    let (home, make): (_, fn(String) -> ScopeName) = match plural {
        "organizations" => ("resourcemanager.miloapis.com", ScopeName::Organization),
        "projects" => ("resourcemanager.miloapis.com", ScopeName::Project),
        "users" => ("iam.miloapis.com", ScopeName::User),
        _ => return Ok(None),
    };
    if group.is_some_and(|group| group != home) {
        return Ok(None);
    }
    if !is_tenant_id(id) {
        return Err(StatusError::bad_request(format!(
            "invalid control plane: {id:?} cannot be the name of one of the {plural}"
        )));
    }
    Ok(Some((make(id.to_owned()), skip + 3)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(path: &str) -> (ScopeName, String) {
        let parsed = RequestPath::parse(path).unwrap();
        let path = parsed.to_path();
        (parsed.scope, path)
    }

    #[test]
    fn control_planes_are_recognised_in_both_forms() {
        let acme = || ScopeName::Organization("acme".into());
        for (path, scope, rest) in [
            ("/apis/g/v1/widgets/a", ScopeName::Platform, "/apis/g/v1/widgets/a"),
            ("/", ScopeName::Platform, "/"),
            ("/organizations/acme/control-plane/apis/g", acme(), "/apis/g"),
            ("/organizations/acme/control-plane", acme(), "/"),
            ("/organizations/acme/control-plane/", acme(), "/"),
            (
                "/apis/resourcemanager.miloapis.com/v1alpha1/organizations/acme/control-plane/api",
                acme(),
                "/api",
            ),
            (
                "/apis/resourcemanager.miloapis.com/v1alpha1/projects/p/control-plane/apis",
                ScopeName::Project("p".into()),
                "/apis",
            ),
            (
                "/apis/iam.miloapis.com/v1alpha1/users/u/control-plane/apis",
                ScopeName::User("u".into()),
                "/apis",
            ),
            // A namespace called `projects` is not a control plane.
            (
                "/api/v1/namespaces/projects/pods/control-plane/log",
                ScopeName::Platform,
                "/api/v1/namespaces/projects/pods/control-plane/log",
            ),
            // Nor is an organization in another group, or its status.
            (
                "/apis/iam.miloapis.com/v1alpha1/organizations/a/control-plane/x",
                ScopeName::Platform,
                "/apis/iam.miloapis.com/v1alpha1/organizations/a/control-plane/x",
            ),
            (
                "/apis/resourcemanager.miloapis.com/v1alpha1/organizations/a/status",
                ScopeName::Platform,
                "/apis/resourcemanager.miloapis.com/v1alpha1/organizations/a/status",
            ),
        ] {
            assert_eq!(parse(path), (scope, rest.to_owned()), "{path}");
        }
    }

    #[test]
    fn hostile_scopes_are_refused() {
        for path in [
            "/organizations//control-plane/apis",
            "/apis/g/v1/widgets//status",
            "/apis/g/v1/namespaces//widgets",
            "/organizations/-/control-plane/apis",
            "/organizations/a%2fb/control-plane/apis",
            "/organizations/%00/control-plane/apis",
            "/organizations/a%20b/control-plane/apis",
            "/organizations/../control-plane/apis",
            "/organizations/a/control-plane/projects/p/control-plane/apis",
            "/projects/p/control-plane/apis/iam.miloapis.com/v1alpha1/users/u/control-plane/apis",
            "/apis/g/v1/widgets/a%2Fb",
            "/apis/g/v1/widgets/%ff",
        ] {
            let error = RequestPath::parse(path).unwrap_err();
            assert_eq!(error.code(), 400, "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_path_panics(path in "(/|%2f|%|organizations|projects|control-plane|apis|[a-z.-]|\\PC){0,12}") {
            if let Ok(parsed) = RequestPath::parse(&path) {
                for segment in &parsed.segments {
                    prop_assert!(!segment.contains('/') && !segment.contains('\0'));
                }
            }
        }
    }
}

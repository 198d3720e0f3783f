//! What a path and a method ask for (`spec/wire.md` section 5.1).

use std::borrow::Cow;

use http::Method;
use milo_core::request::Verb;

use super::{path::RequestPath, query::Query};

/// What is asked for, before it is known whether it is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestInfo<'a> {
    pub(crate) verb: Verb,
    pub(crate) target: Target<'a>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target<'a> {
    /// `/version`, `/apis`, `/healthz`: anything that is not a resource.
    Path,
    /// An object or a collection.
    Resource(ResourceTarget<'a>),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ResourceTarget<'a> {
    pub(crate) group: &'a str,
    pub(crate) version: &'a str,
    /// Empty when the path names none.
    pub(crate) namespace: &'a str,
    pub(crate) resource: &'a str,
    /// Empty for a collection. A `metadata.name` field selector on a collection names an object
    /// for authorization; see [`ResourceTarget::selected_name`].
    pub(crate) name: &'a str,
    pub(crate) subresource: &'a str,
    /// The name that a `metadata.name=x` field selector asks for.
    pub(crate) selected_name: Option<String>,
    /// What follows the subresource: only some subresources are served there.
    pub(crate) more: &'a [Cow<'a, str>],
    /// The old way to ask for a watch: `/watch` before the resource.
    pub(crate) is_watch_path: bool,
}

impl ResourceTarget<'_> {
    /// What follows the subresource in `path`, with its leading slash; empty when nothing does.
    pub(crate) fn path_below(&self, path: &str) -> String {
        let mut below = String::new();
        for segment in self.more {
            below.push('/');
            below.push_str(segment);
        }
        if path.ends_with('/') {
            below.push('/');
        }
        below
    }
}

impl<'a> RequestInfo<'a> {
    pub(crate) fn parse(method: &Method, path: &'a RequestPath<'_>, query: &Query<'_>) -> Self {
        let Some(mut target) = resource_target(&path.segments) else {
            let verb = Verb::Other(method.as_str().to_ascii_lowercase());
            return Self { verb, target: Target::Path };
        };
        let verb = verb(method, &mut target, query);
        Self { verb, target: Target::Resource(target) }
    }
}

fn resource_target<'a>(segments: &'a [Cow<'_, str>]) -> Option<ResourceTarget<'a>> {
    let (group, version, rest) = match segments {
        [api, version, rest @ ..] if api == "api" && !rest.is_empty() => ("", version, rest),
        [apis, group, version, rest @ ..] if apis == "apis" && !rest.is_empty() => {
            (group.as_ref(), version, rest)
        }
        _ => return None,
    };
    let mut target = ResourceTarget { group, version, ..ResourceTarget::default() };
    let rest = match rest {
        [word, more @ ..] if word == "watch" && !more.is_empty() => {
            target.is_watch_path = true;
            more
        }
        _ => rest,
    };
    let rest = match rest {
        [word, namespace, more @ ..] if word == "namespaces" => {
            target.namespace = namespace;
            match more {
                // The namespace itself, or its own subresources.
                [] => rest,
                [sub] if sub == "status" || sub == "finalize" => rest,
                more => more,
            }
        }
        _ => rest,
    };
    let at = |index: usize| rest.get(index).map(Cow::as_ref).unwrap_or_default();
    target.resource = at(0);
    target.name = at(1);
    target.subresource = at(2);
    target.more = rest.get(3..).unwrap_or_default();
    Some(target)
}

fn verb(method: &Method, target: &mut ResourceTarget<'_>, query: &Query<'_>) -> Verb {
    let collection = target.name.is_empty();
    match verb_of_object(method) {
        Some(Verb::Get) if target.is_watch_path => {
            if collection {
                target.selected_name = selected_name(query);
            }
            Verb::Watch
        }
        _ if target.is_watch_path => Verb::Other(method.as_str().to_ascii_lowercase()),
        Some(Verb::Delete) if collection => Verb::DeleteCollection,
        Some(Verb::Get) if collection => {
            target.selected_name = selected_name(query);
            if query.flag("watch") { Verb::Watch } else { Verb::List }
        }
        Some(verb) => verb,
        None => Verb::Other(method.as_str().to_ascii_lowercase()),
    }
}

/// The verb of a method on an object or a subresource.
pub(crate) fn verb_of_object(method: &Method) -> Option<Verb> {
    match *method {
        Method::POST => Some(Verb::Create),
        Method::PUT => Some(Verb::Update),
        Method::PATCH => Some(Verb::Patch),
        Method::DELETE => Some(Verb::Delete),
        Method::GET | Method::HEAD => Some(Verb::Get),
        _ => None,
    }
}

fn selected_name(query: &Query<'_>) -> Option<String> {
    let selector = query.first("fieldSelector");
    if !selector.contains("metadata.name") {
        return None;
    }
    let selector = milo_core::selector::FieldSelector::parse(selector).ok()?;
    // What cannot be the name of an object names none: it selects nothing.
    let name = selector.required_value("metadata.name").filter(|name| !name.is_empty())?;
    milo_core::meta::validate_path_segment(name).is_ok().then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(method: &Method, url: &str) -> (String, String) {
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        let path = RequestPath::parse(path).unwrap();
        let query = Query::parse(Some(query));
        let info = RequestInfo::parse(method, &path, &query);
        let target = match info.target {
            Target::Path => "path".to_owned(),
            Target::Resource(t) => {
                let selected = t.selected_name.unwrap_or_default();
                format!(
                    "{}|{}|{}|{}|{}|{}|{selected}",
                    t.group, t.version, t.namespace, t.resource, t.name, t.subresource
                )
            }
        };
        (info.verb.as_str().to_owned(), target)
    }

    #[test]
    fn verbs_and_targets_follow_upstream() {
        for (method, url, verb, target) in [
            (Method::GET, "/", "get", "path"),
            (Method::GET, "/apis", "get", "path"),
            (Method::GET, "/apis/g", "get", "path"),
            (Method::GET, "/apis/g/v1", "get", "path"),
            (Method::GET, "/api/v1", "get", "path"),
            (Method::POST, "/healthz", "post", "path"),
            (Method::GET, "/apis/g/v1/widgets", "list", "g|v1||widgets|||"),
            (Method::HEAD, "/apis/g/v1/widgets/a", "get", "g|v1||widgets|a||"),
            (Method::GET, "/apis/g/v1/widgets?watch=true", "watch", "g|v1||widgets|||"),
            (Method::GET, "/apis/g/v1/widgets?watch", "watch", "g|v1||widgets|||"),
            (Method::GET, "/apis/g/v1/widgets?watch=0", "list", "g|v1||widgets|||"),
            (
                Method::GET,
                "/apis/g/v1/widgets?fieldSelector=metadata.name%3Da",
                "list",
                "g|v1||widgets|||a",
            ),
            (
                Method::GET,
                "/apis/g/v1/widgets?fieldSelector=metadata.name%3Da%2Fb",
                "list",
                "g|v1||widgets|||",
            ),
            (Method::GET, "/apis/g/v1/widgets?watch=False", "list", "g|v1||widgets|||"),
            (Method::GET, "/apis/g/v1/watch/widgets", "watch", "g|v1||widgets|||"),
            (Method::GET, "/apis/g/v1/watch/widgets?watch=0", "watch", "g|v1||widgets|||"),
            (Method::GET, "/apis/g/v1/watch/widgets/a", "watch", "g|v1||widgets|a||"),
            (
                Method::GET,
                "/apis/g/v1/watch/widgets?fieldSelector=metadata.name%3Da",
                "watch",
                "g|v1||widgets|||a",
            ),
            (Method::GET, "/api/v1/watch/namespaces/n/pods/p", "watch", "|v1|n|pods|p||"),
            (Method::GET, "/api/v1/watch/namespaces/n", "watch", "|v1|n|namespaces|n||"),
            (Method::GET, "/apis/g/v1/watch", "list", "g|v1||watch|||"),
            (Method::POST, "/apis/g/v1/watch/widgets", "post", "g|v1||widgets|||"),
            (Method::POST, "/apis/g/v1/widgets", "create", "g|v1||widgets|||"),
            (Method::PUT, "/apis/g/v1/widgets/a/status", "update", "g|v1||widgets|a|status|"),
            (Method::PATCH, "/apis/g/v1/namespaces/n/widgets/a", "patch", "g|v1|n|widgets|a||"),
            (Method::DELETE, "/apis/g/v1/namespaces/n/widgets/a", "delete", "g|v1|n|widgets|a||"),
            (
                Method::DELETE,
                "/apis/g/v1/namespaces/n/widgets",
                "deletecollection",
                "g|v1|n|widgets|||",
            ),
            (Method::GET, "/api/v1/namespaces/n", "get", "|v1|n|namespaces|n||"),
            (Method::GET, "/api/v1/namespaces/n/status", "get", "|v1|n|namespaces|n|status|"),
            (Method::GET, "/api/v1/namespaces/n/pods", "list", "|v1|n|pods|||"),
            (Method::OPTIONS, "/apis/g/v1/widgets", "options", "g|v1||widgets|||"),
        ] {
            assert_eq!(parse(&method, url), (verb.to_owned(), target.to_owned()), "{url}");
        }
    }
}

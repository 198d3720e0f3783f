//! What each target does with its bytes.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::Method;
use milo_core::{
    object::Object,
    schema::Schema,
    selector::{FieldSelector, LabelSelector},
};
use serde_json::{Value, json};

use crate::{
    choices::Choices,
    grammar,
    world::{Answer, Call, GADGETS, User, version_of, visit},
};

const APPLY: &str = "application/apply-patch+yaml";

/// Paths, queries and headers: whoever asks for whatever gets an answer.
pub(crate) fn path(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let call = match choices.one_in(4) {
        true => {
            let target = String::from_utf8_lossy(choices.rest());
            Call::new(Method::GET, format!("/{target}"))
        }
        false => {
            let user = grammar::user(&mut choices);
            let method = grammar::method(&mut choices);
            let path = grammar::path(&mut choices);
            let query = match choices.one_in(2) {
                true => grammar::collection_query(&mut choices),
                false => grammar::write_query(&mut choices),
            };
            let mut call = Call::new(method, path + &query);
            call.user = user;
            call.headers = grammar::headers(&mut choices);
            call.body = choices.rest().to_vec().into();
            call
        }
    };
    visit(|world| {
        let Some(answer) = world.send(&call) else { return };
        if call.user == User::Stranger && !call.target.contains('z') {
            assert!(answer.code >= 400, "a stranger was answered {}: {call:?}", answer.code);
        }
    });
}

/// Selectors mean the same after they were written and read again, and are never a server's fault.
pub(crate) fn selector(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let (with_service, kind) = (choices.one_in(4), choices.one_in(2));
    let text = String::from_utf8_lossy(choices.rest());
    let labels = [("app", "shop"), ("size", "12"), ("tier", ""), ("x.io/y", "a.b-c_d")];
    if let Ok(selector) = LabelSelector::parse(&text) {
        let again = selector.to_string();
        let again = LabelSelector::parse(&again)
            .unwrap_or_else(|error| panic!("{text:?} is written as {again:?}: {error}"));
        assert_eq!(selector.matches_sorted(&labels), again.matches_sorted(&labels), "{text:?}");
        assert_eq!(again.to_string(), selector.to_string(), "{text:?}");
    }
    if let Ok(selector) = FieldSelector::parse(&text) {
        let again = FieldSelector::parse(&selector.to_string())
            .unwrap_or_else(|error| panic!("{text:?} is written as {selector}: {error}"));
        assert_eq!(selector, again, "{text:?}");
    }
    if with_service {
        let name = if kind { "labelSelector" } else { "fieldSelector" };
        let url = format!("{GADGETS}?{name}={}", grammar::escape(&text));
        visit(|world| {
            let answer = world.send(&Call::new(Method::GET, url));
            let fits = match kind {
                true => LabelSelector::parse(&text).is_ok(),
                false => FieldSelector::parse(&text).is_ok(),
            };
            let refused = answer.is_none_or(|answer| answer.code == 400);
            assert!(fits || refused, "{text:?} was taken");
        });
    }
}

/// Continue tokens lead nowhere but further in the same collection.
pub(crate) fn continue_token(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let token = match choices.below(4) {
        0 => {
            let parts: Vec<String> =
                (0..=choices.below(4)).map(|_| grammar::text(&mut choices)).collect();
            token(&parts.join("/"), &grammar::number(&mut choices))
        }
        1 => URL_SAFE_NO_PAD.encode(choices.rest()),
        2 => grammar::escape(&String::from_utf8_lossy(choices.rest())),
        _ => {
            let value = json!({"v": "meta.k8s.io/v1", "rv": -1, "start": "seed\0"}).to_string();
            URL_SAFE_NO_PAD.encode(grammar::spoiled(&mut choices, value))
        }
    };
    let limit = ["", "&limit=1", "&limit=2"][choices.below(3)];
    visit(|world| {
        let mut url = format!("{GADGETS}?continue={token}{limit}");
        for _ in 0..4 {
            let Some(answer) = world.send(&Call::new(Method::GET, url.as_str())) else { return };
            let Some(list) = answer.json().filter(|_| answer.code == 200) else { return };
            let next = list["metadata"]["continue"].as_str().unwrap_or_default();
            if next.is_empty() {
                return;
            }
            assert_ne!(next, token, "a token leads to itself");
            url = format!("{GADGETS}?continue={next}{limit}");
        }
        panic!("two objects do not fill so many pages: {url}");
    });
}

fn token(start: &str, revision: &Value) -> String {
    let wire = json!({"v": "meta.k8s.io/v1", "rv": revision, "start": start});
    URL_SAFE_NO_PAD.encode(wire.to_string())
}

/// A create or a replacement with a body in this media type.
fn body(
    choices: &mut Choices<'_>,
    content_type: &str,
    write: impl Fn(&mut Choices<'_>, &Value) -> String,
) {
    let name = choices.pick(&["new", "seed"]);
    let creates = choices.one_in(2);
    let status = choices.one_in(4);
    let query = grammar::write_query(choices);
    let raw = choices.one_in(8);
    let text = match raw {
        true => choices.rest().to_vec(),
        false => {
            let object = grammar::object(choices, name);
            let text = write(choices, &object);
            grammar::spoiled(choices, text)
        }
    };
    let call = match (creates, status) {
        (true, _) => Call::new(Method::POST, format!("{GADGETS}{query}")),
        (false, true) => Call::new(Method::PUT, format!("{GADGETS}/{name}/status{query}")),
        (false, false) => Call::new(Method::PUT, format!("{GADGETS}/{name}{query}")),
    };
    visit(|world| world.send(&call.sending(content_type, text)));
}

pub(crate) fn json_body(bytes: &[u8]) {
    body(&mut Choices::new(bytes), "application/json", |_, object| object.to_string());
}

pub(crate) fn yaml_body(bytes: &[u8]) {
    body(&mut Choices::new(bytes), "application/yaml", grammar::yaml);
}

/// A patch of the seed.
fn patch(choices: &mut Choices<'_>, content_type: &str, make: impl Fn(&mut Choices<'_>) -> Value) {
    let url = format!("{GADGETS}/seed{}{}", part(choices), grammar::write_query(choices));
    let raw = choices.one_in(8);
    let text = match raw {
        true => choices.rest().to_vec(),
        false => {
            let patch = make(choices).to_string();
            grammar::spoiled(choices, patch)
        }
    };
    visit(|world| world.send(&Call::new(Method::PATCH, url).sending(content_type, text)));
}

fn part(choices: &mut Choices<'_>) -> &'static str {
    ["", "/status", "", "/scale"][choices.below(4)]
}

pub(crate) fn json_patch(bytes: &[u8]) {
    patch(&mut Choices::new(bytes), "application/json-patch+json", grammar::json_patch);
}

pub(crate) fn merge_patch(bytes: &[u8]) {
    patch(&mut Choices::new(bytes), "application/merge-patch+json", grammar::merge_patch);
}

/// Several managers apply in turn. Whoever applies the same again changes nothing.
pub(crate) fn apply(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    visit(|world| {
        for _ in 0..=choices.below(4) {
            let name = choices.pick(&["new", "seed"]);
            let manager = choices.pick(&["one", "two", "kubectl"]);
            let force = if choices.one_in(2) { "&force=true" } else { "" };
            let url =
                format!("{GADGETS}/{name}{}?fieldManager={manager}{force}", part(&mut choices));
            let object = grammar::object(&mut choices, name);
            let text = match choices.below(3) {
                0 => object.to_string().into_bytes(),
                1 => grammar::yaml(&mut choices, &object).into_bytes(),
                _ => grammar::spoiled(&mut choices, object.to_string()),
            };
            let call = Call::new(Method::PATCH, url).sending(APPLY, text);
            let first = world.send(&call);
            let Some(first) = first.filter(|answer| answer.code < 300) else { continue };
            let again = world.send(&call).expect("it was sent before");
            // What the server decides may be named only as it is: a resource version was right
            // once, and what was left out on creation is a change now.
            let about_metadata = String::from_utf8_lossy(&again.body).contains("metadata.");
            if again.code != 409 && !(again.code == 422 && about_metadata) {
                assert_eq!(again.code, 200, "applied again: {call:?}: {again:?}");
                assert_same(&call, &first, &again);
            }
        }
    });
}

fn assert_same(call: &Call, first: &Answer, again: &Answer) {
    let (Some(first), Some(again)) = (first.json(), again.json()) else { return };
    assert_eq!(first, again, "applying the same again changed something: {call:?}");
}

const REVIEWS: &[(&str, &str, &str)] = &[
    ("authorization.k8s.io/v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews"),
    ("authorization.k8s.io/v1", "SelfSubjectRulesReview", "selfsubjectrulesreviews"),
    ("authorization.k8s.io/v1", "SubjectAccessReview", "subjectaccessreviews"),
    ("authentication.k8s.io/v1", "SelfSubjectReview", "selfsubjectreviews"),
    ("v1", "DeleteOptions", ""),
];

/// Reviews and deletions, also in protobuf: whoever asks gets an answer, and about themselves.
pub(crate) fn review(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let user = grammar::user(&mut choices);
    let (api_version, kind, plural) = REVIEWS[choices.below(REVIEWS.len())];
    let (content_type, body) = match choices.below(3) {
        0 => {
            let protobuf = grammar::protobuf(&mut choices, api_version, kind);
            ("application/vnd.kubernetes.protobuf", protobuf)
        }
        1 => {
            let about = json!({
                "resourceAttributes": {"verb": "get", "resource": "gadgets", "name": grammar::text(&mut choices)},
                "nonResourceAttributes": grammar::value(&mut choices, 2),
                "namespace": grammar::text(&mut choices),
                "user": grammar::text(&mut choices),
                "groups": grammar::value(&mut choices, 2),
                "extra": grammar::value(&mut choices, 3),
            });
            let review = json!({"apiVersion": api_version, "kind": kind, "spec": about});
            ("application/json", grammar::spoiled(&mut choices, review.to_string()))
        }
        _ => {
            let review = json!({"apiVersion": api_version, "kind": kind, "spec": grammar::value(&mut choices, 4)});
            ("application/json", review.to_string().into_bytes())
        }
    };
    let mut call = match plural {
        "" => Call::new(Method::DELETE, format!("{GADGETS}/seed")),
        plural => {
            let prefix = choices.pick(&["", "/projects/p1/control-plane"]);
            let query = grammar::write_query(&mut choices);
            Call::new(Method::POST, format!("{prefix}/apis/{api_version}/{plural}{query}"))
        }
    };
    call.user = user;
    visit(|world| world.send(&call.sending(content_type, body)));
}

/// Requests one after the other, on what the ones before left.
pub(crate) fn sequence(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    visit(|world| {
        while !choices.is_done() {
            world.send(&grammar::any_call(&mut choices));
        }
    });
}

/// A watch, begun after a few changes: every line is an event, in order.
pub(crate) fn watch(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    visit(|world| {
        for _ in 0..choices.below(4) {
            world.send(&grammar::any_call(&mut choices));
        }
        let query = grammar::collection_query(&mut choices);
        let separator = if query.is_empty() { '?' } else { '&' };
        let url = format!("{GADGETS}{query}{separator}watch=true");
        let mut call = Call::new(Method::GET, url);
        if choices.one_in(4) {
            call.headers = grammar::headers(&mut choices);
        }
        let Some(answer) = world.send(&call).filter(|answer| answer.code == 200) else { return };
        let plain = call.headers.is_empty() && !call.target.contains("watch=false");
        if plain && !call.target.contains("watch=&") {
            check_events(&call, &answer);
        }
    });
}

fn check_events(call: &Call, answer: &Answer) {
    let text = String::from_utf8_lossy(&answer.body);
    // A list when `watch` was false the first time.
    if text.starts_with(r#"{"kind":"GadgetList""#) || text.starts_with(r#"{"apiVersion""#) {
        return;
    }
    let (mut initial, mut newest) = (true, 0);
    for line in text.lines() {
        let event: Value = serde_json::from_str(line)
            .unwrap_or_else(|error| panic!("{call:?}: {line:?} is no event: {error}"));
        let version = match event["type"].as_str() {
            Some("ERROR") => return assert_eq!(event["object"]["kind"], "Status", "{line}"),
            Some("ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK") => version_of(&event["object"]),
            _ => panic!("{call:?}: {line:?} is no event"),
        };
        // Initial objects come in the order of their names.
        initial &= event["type"] == "ADDED";
        assert!(initial || version >= newest, "{call:?}: {line:?} goes back from {newest}");
        newest = newest.max(version);
    }
}

/// Schemas: one that compiles can be used on any object.
pub(crate) fn schema(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let document = grammar::schema(&mut choices);
    let Ok(schema) = Schema::compile(document) else { return };
    let mut values = Vec::new();
    for _ in 0..2 {
        let object = match choices.one_in(2) {
            true => json!({"spec": grammar::value(&mut choices, 4)}),
            false => grammar::object(&mut choices, "seed"),
        };
        let Ok(mut object) = Object::from_value(object) else { return };
        schema.prune(&mut object);
        schema.apply_defaults(&mut object);
        assert!(schema.prune(&mut object.clone()).is_empty(), "defaults are pruned: {object:?}");
        let mut again = object.clone();
        schema.apply_defaults(&mut again);
        assert_eq!(object, again, "defaults have defaults");
        let _ = schema.validate(&object, None);
        values.push(object);
    }
    let _ = schema.validate(&values[1], Some(&values[0]));
}

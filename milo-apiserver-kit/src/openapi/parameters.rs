//! The parameters of operations, written in place: clients that look for `fieldValidation` need
//! not follow references.

use serde_json::{Value, json};

use crate::discovery::Parameter;

/// `{name}` in the path.
pub(super) fn name(kind: &str) -> Value {
    path("name", &format!("name of the {kind}"))
}

/// `{namespace}` in the path.
pub(super) fn namespace() -> Value {
    path("namespace", "object name and auth scope, such as for teams and projects")
}

/// `{path}` in the path: what follows a connection.
pub(super) fn below() -> Value {
    path("path", "path to the resource")
}

/// In the query of a connection.
pub(super) fn of_connection(parameter: &Parameter) -> Value {
    query(&parameter.name, &parameter.kind, &parameter.description)
}

/// On every operation.
pub(super) fn pretty() -> Value {
    query("pretty", "string", "If 'true', then the output is indented for people to read.")
}

/// On operations that create, replace or patch.
pub(super) fn of_writes() -> Vec<Value> {
    vec![
        dry_run(),
        query(
            "fieldManager",
            "string",
            "The name of the actor that is making these changes: at most 128 printable characters. \
             Required by server-side apply.",
        ),
        query(
            "fieldValidation",
            "string",
            "What the server does about unknown and duplicate fields in the body. Ignore: drops \
             them without a word. Warn: drops them and sends a warning for each; the default. \
             Strict: refuses the request and names all of them.",
        ),
    ]
}

/// On server-side apply.
pub(super) fn force() -> Value {
    query(
        "force",
        "boolean",
        "Takes over fields that other field managers own instead of failing with a conflict. Only \
         for apply requests.",
    )
}

/// On the deletion of one object; the body may say the same.
pub(super) fn of_deletes() -> Vec<Value> {
    vec![
        dry_run(),
        query(
            "gracePeriodSeconds",
            "integer",
            "Seconds before the object is deleted: not negative; zero deletes at once.",
        ),
        query(
            "orphanDependents",
            "boolean",
            "Deprecated: use propagationPolicy. Not to be combined with it.",
        ),
        query(
            "propagationPolicy",
            "string",
            "What becomes of dependents. Orphan: they stay. Background: they are deleted \
             afterwards. Foreground: they are deleted first.",
        ),
    ]
}

/// On reading and deleting collections.
pub(super) fn of_selections() -> Vec<Value> {
    vec![
        query(
            "continue",
            "string",
            "The continue token of the previous page. The other parameters must be those that it \
             was requested with. An expired token is answered by 410.",
        ),
        query("fieldSelector", "string", "Restricts the list by fields. Everything by default."),
        query("labelSelector", "string", "Restricts the list by labels. Everything by default."),
        query(
            "limit",
            "integer",
            "The most objects to answer with. When there are more, the list carries a continue \
             token.",
        ),
        query(
            "resourceVersion",
            "string",
            "The resource version that the answer must be from, as resourceVersionMatch says.",
        ),
        query(
            "resourceVersionMatch",
            "string",
            "How resourceVersion is to be understood: NotOlderThan or Exact.",
        ),
        query(
            "sendInitialEvents",
            "boolean",
            "With watch: starts with the present objects as ADDED events, followed by a bookmark \
             with the annotation k8s.io/initial-events-end.",
        ),
        query("timeoutSeconds", "integer", "Ends the call after this time, however active it is."),
    ]
}

/// On lists, which can be watched.
pub(super) fn of_watches() -> Vec<Value> {
    vec![
        query(
            "allowWatchBookmarks",
            "boolean",
            "Asks for BOOKMARK events, which carry nothing but a newer resource version. Ignored \
             without watch.",
        ),
        query(
            "watch",
            "boolean",
            "Answers with a stream of changes instead of a list. Set resourceVersion to say from \
             where.",
        ),
    ]
}

fn dry_run() -> Value {
    query(
        "dryRun",
        "string",
        "When present, nothing is persisted. The only value is All: every stage is run.",
    )
}

fn query(name: &str, of_type: &str, description: &str) -> Value {
    json!({
        "name": name,
        "in": "query",
        "description": description,
        "schema": {"type": of_type, "uniqueItems": true},
    })
}

fn path(name: &str, description: &str) -> Value {
    json!({
        "name": name,
        "in": "path",
        "required": true,
        "description": description,
        "schema": {"type": "string", "uniqueItems": true},
    })
}

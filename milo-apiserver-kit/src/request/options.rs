//! The query options of each verb, checked (`spec/wire.md` sections 2.2, 4.3 and 4.5).

use std::time::Duration;

use milo_core::{
    meta,
    selector::{FieldSelector, LabelSelector},
    status::{FieldError, FieldPath, StatusError},
    storage::Revision,
};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::query::Query;

/// What to do about fields that a kind does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldValidation {
    Ignore,
    Warn,
    Strict,
}

/// Options of create, update and patch.
#[derive(Clone, Debug)]
pub(crate) struct WriteOptions {
    pub(crate) dry_run: bool,
    pub(crate) field_validation: FieldValidation,
    /// Who owns what is written; empty when the client does not say.
    pub(crate) field_manager: String,
    /// Whether an apply takes fields away from others.
    pub(crate) force: bool,
}

impl WriteOptions {
    /// `kind` is the name of the options kind in error messages: `CreateOptions`, for example.
    pub(crate) fn parse(query: &Query<'_>, kind: &str) -> Result<Self, StatusError> {
        let mut errors = Vec::new();
        if kind == "PatchOptions" && query.has("force") {
            let detail = "may not be specified for non-apply patch";
            errors.push(FieldError::forbidden(FieldPath::new("force"), detail));
        }
        Self::parse_common(query, kind, errors)
    }

    /// The options of an apply: `force` may be there, and the field manager must.
    pub(crate) fn parse_apply(query: &Query<'_>) -> Result<Self, StatusError> {
        let mut errors = Vec::new();
        if query.first("fieldManager").is_empty() {
            let path = FieldPath::new("fieldManager");
            errors.push(FieldError::required(path, "is required for apply patch"));
        }
        Self::parse_common(query, "PatchOptions", errors)
    }

    fn parse_common(
        query: &Query<'_>,
        kind: &str,
        mut errors: Vec<FieldError>,
    ) -> Result<Self, StatusError> {
        let field_manager = query.first("fieldManager");
        errors.extend(meta::validate_field_manager(field_manager, &FieldPath::new("fieldManager")));
        let dry_run = dry_run(&mut query.all("dryRun"), &mut errors);
        let field_validation = match query.first("fieldValidation") {
            "" | "Warn" => FieldValidation::Warn,
            "Ignore" => FieldValidation::Ignore,
            "Strict" => FieldValidation::Strict,
            other => {
                errors.push(FieldError::not_supported(
                    FieldPath::new("fieldValidation"),
                    other,
                    &["", "Ignore", "Strict", "Warn"],
                ));
                FieldValidation::Warn
            }
        };
        refuse(kind, &errors)?;
        let (field_manager, force) = (field_manager.to_owned(), query.flag("force"));
        Ok(Self { dry_run, field_validation, field_manager, force })
    }
}

fn dry_run(values: &mut dyn Iterator<Item = &str>, errors: &mut Vec<FieldError>) -> bool {
    let values: Vec<&str> = values.collect();
    if values.iter().any(|&value| value != "All") {
        errors.push(FieldError::not_supported(FieldPath::new("dryRun"), values.clone(), &["All"]));
    }
    !values.is_empty()
}

fn refuse(kind: &str, errors: &[FieldError]) -> Result<(), StatusError> {
    if errors.is_empty() {
        return Ok(());
    }
    Err(StatusError::invalid(kind, "meta.k8s.io", "", errors))
}

/// How dependents are treated. For kinds that no garbage collector looks after none of it changes
/// anything, but mistakes are still told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Propagation {
    Background,
    Foreground,
    Orphan,
}

/// Options of delete and deletecollection.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeleteOptions {
    pub(crate) dry_run: bool,
    pub(crate) uid: Option<String>,
    pub(crate) resource_version: Option<String>,
    /// How long the object may take to end, in seconds.
    pub(crate) grace_period: Option<i64>,
    pub(crate) propagation: Option<Propagation>,
    /// The old way to say `Orphan`.
    pub(crate) orphan_dependents: Option<bool>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct DeleteBody {
    api_version: Option<String>,
    kind: Option<String>,
    dry_run: Option<Vec<String>>,
    grace_period_seconds: Option<i64>,
    orphan_dependents: Option<bool>,
    propagation_policy: Option<String>,
    preconditions: Option<PreconditionsBody>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct PreconditionsBody {
    uid: Option<String>,
    resource_version: Option<String>,
}

impl DeleteOptions {
    /// From the body when there is one, else from the query. `api_version` is that of the kind.
    pub(crate) fn parse(
        query: &Query<'_>,
        body: &[u8],
        api_version: &str,
    ) -> Result<Self, StatusError> {
        let options = if body.is_empty() {
            DeleteBody {
                dry_run: query.has("dryRun").then(|| query.all("dryRun").map(Into::into).collect()),
                grace_period_seconds: query.integer("gracePeriodSeconds")?,
                orphan_dependents: query.optional_flag("orphanDependents"),
                propagation_policy: query
                    .has("propagationPolicy")
                    .then(|| query.first("propagationPolicy").to_owned()),
                ..DeleteBody::default()
            }
        } else {
            decode_delete_body(body, api_version)?
        };
        options.check()
    }
}

fn decode_delete_body(body: &[u8], api_version: &str) -> Result<DeleteBody, StatusError> {
    let unreadable = |error: serde_json::Error| {
        StatusError::bad_request(format!("unable to decode the delete options: {error}"))
    };
    // Left to itself, serde takes a list for a struct, and `[]` for one without preconditions.
    let fields: Map<String, Value> = serde_json::from_slice(body).map_err(unreadable)?;
    if fields.get("preconditions").is_some_and(Value::is_array) {
        return Err(StatusError::bad_request(
            "unable to decode the delete options: preconditions must be an object",
        ));
    }
    let options = DeleteBody::deserialize(Value::Object(fields)).map_err(unreadable)?;
    let version = options.api_version.as_deref().unwrap_or_default();
    let kind = options.kind.as_deref().unwrap_or_default();
    let known = ["", "v1", "meta.k8s.io/v1", api_version].contains(&version);
    if !known || !["", "DeleteOptions"].contains(&kind) {
        return Err(StatusError::bad_request(format!(
            "the body of a delete request must be a DeleteOptions of meta.k8s.io/v1, not {kind:?} of {version:?}"
        )));
    }
    Ok(options)
}

impl DeleteBody {
    fn check(self) -> Result<DeleteOptions, StatusError> {
        let mut errors = Vec::new();
        let policy = FieldPath::new("propagationPolicy");
        if self.propagation_policy.is_some() && self.orphan_dependents.is_some() {
            let detail = "orphanDependents and deletionPropagation cannot be both set";
            let given = self.propagation_policy.clone();
            errors.push(FieldError::invalid(policy.clone(), given, detail));
        }
        let propagation = match self.propagation_policy.as_deref() {
            None => None,
            Some("Background") => Some(Propagation::Background),
            Some("Foreground") => Some(Propagation::Foreground),
            Some("Orphan") => Some(Propagation::Orphan),
            Some(other) => {
                let known = ["Foreground", "Background", "Orphan", "nil"];
                errors.push(FieldError::not_supported(policy, other, &known));
                None
            }
        };
        let values = self.dry_run.unwrap_or_default();
        let dry_run = dry_run(&mut values.iter().map(String::as_str), &mut errors);
        refuse("DeleteOptions", &errors)?;
        let preconditions = self.preconditions.unwrap_or_default();
        Ok(DeleteOptions {
            dry_run,
            uid: preconditions.uid.filter(|uid| !uid.is_empty()),
            resource_version: preconditions.resource_version.filter(|version| !version.is_empty()),
            propagation,
            // Negative ones count as a second, as upstream.
            grace_period: self.grace_period_seconds.map(|grace| if grace < 0 { 1 } else { grace }),
            orphan_dependents: self.orphan_dependents,
        })
    }
}

/// How fresh an answer must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// As of now.
    MostRecent,
    /// Any state will do.
    Any,
    /// This state or a newer one.
    NotOlderThan(Revision),
    /// Exactly this state.
    Exact(Revision),
}

/// Which objects of a collection are meant.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    pub(crate) labels: LabelSelector,
    pub(crate) fields: FieldSelector,
}

impl Selection {
    pub(crate) fn parse(query: &Query<'_>) -> Result<Self, StatusError> {
        let bad = |error: &dyn std::fmt::Display| StatusError::bad_request(error.to_string());
        Ok(Self {
            labels: match query.first("labelSelector") {
                "" => LabelSelector::default(),
                text => LabelSelector::parse(text).map_err(|error| bad(&error))?,
            },
            fields: match query.first("fieldSelector") {
                "" => FieldSelector::default(),
                text => FieldSelector::parse(text).map_err(|error| bad(&error))?,
            },
        })
    }
}

/// Options of list.
#[derive(Clone, Debug)]
pub(crate) struct ListOptions {
    pub(crate) selection: Selection,
    pub(crate) limit: Option<usize>,
    pub(crate) continue_token: String,
    pub(crate) freshness: Freshness,
}

impl ListOptions {
    pub(crate) fn parse(query: &Query<'_>) -> Result<Self, StatusError> {
        let selection = Selection::parse(query)?;
        let limit = query.integer("limit")?.and_then(|limit| usize::try_from(limit).ok());
        let limit = limit.filter(|&limit| limit > 0);
        let continue_token = query.first("continue").to_owned();
        let version = query.first("resourceVersion");
        let matching = query.first("resourceVersionMatch");
        if query.has("sendInitialEvents") {
            let error = FieldError::forbidden(
                FieldPath::new("sendInitialEvents"),
                "sendInitialEvents is forbidden for list",
            );
            return Err(StatusError::invalid("ListOptions", "meta.k8s.io", "", &[error]));
        }
        check_match(matching, version, &continue_token)?;
        if !continue_token.is_empty() && !matches!(version, "" | "0") {
            return Err(StatusError::bad_request(
                "specifying resource version is not allowed when using continue",
            ));
        }
        let freshness = match (matching, Version::parse(version)?) {
            (_, Version::Unset) => Freshness::MostRecent,
            (_, Version::Any) => Freshness::Any,
            ("Exact", Version::At(revision)) => Freshness::Exact(revision),
            ("", Version::At(revision)) if limit.is_some() => Freshness::Exact(revision),
            (_, Version::At(revision)) => Freshness::NotOlderThan(revision),
        };
        Ok(Self { selection, limit, continue_token, freshness })
    }
}

fn check_match(matching: &str, version: &str, continue_token: &str) -> Result<(), StatusError> {
    let path = FieldPath::new("resourceVersionMatch");
    let error = match matching {
        "" => return Ok(()),
        _ if !continue_token.is_empty() => FieldError::forbidden(
            path,
            "resourceVersionMatch is forbidden when continue is provided",
        ),
        _ if version.is_empty() => FieldError::forbidden(
            path,
            "resourceVersionMatch is forbidden unless resourceVersion is provided",
        ),
        "Exact" if version == "0" => FieldError::forbidden(
            path,
            "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
        ),
        "Exact" | "NotOlderThan" => return Ok(()),
        other => FieldError::not_supported(path, other, &["Exact", "NotOlderThan", ""]),
    };
    Err(StatusError::invalid("ListOptions", "meta.k8s.io", "", &[error]))
}

/// A resource version as a client asks for it.
enum Version {
    Unset,
    /// Zero, which no state has: any will do.
    Any,
    At(Revision),
}

impl Version {
    fn parse(text: &str) -> Result<Self, StatusError> {
        if text.is_empty() {
            return Ok(Self::Unset);
        }
        let number: u64 = text.parse().map_err(|error| {
            StatusError::bad_request(format!("invalid resource version: {text:?}: {error}"))
        })?;
        Ok(if number == 0 { Self::Any } else { Self::At(Revision::new(number)) })
    }
}

/// The version that a `GET` must not be older than; zero when any will do. Here, and only here,
/// upstream finds a version that is no number invalid.
pub(crate) fn get_version(query: &Query<'_>) -> Result<Revision, StatusError> {
    let text = query.first("resourceVersion");
    match Version::parse(text) {
        Ok(Version::At(revision)) => Ok(revision),
        Ok(Version::Unset | Version::Any) => Ok(Revision::ZERO),
        Err(error) => {
            let path = FieldPath::new("resourceVersion");
            let error = FieldError::invalid(path, text, error.message());
            Err(StatusError::invalid("GetOptions", "meta.k8s.io", "", &[error]))
        }
    }
}

/// The longest time that a client may ask a watch to last.
const LONGEST_WATCH: Duration = Duration::from_secs(24 * 60 * 60);

/// Where a watch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WatchStart {
    /// With the state of at least this freshness as synthetic events, then changes. The flag asks
    /// for the bookmark that ends the initial events.
    State(Freshness, bool),
    /// With changes after the current revision.
    Now(Freshness),
    /// With changes after this revision.
    After(Revision),
}

/// Options of watch.
#[derive(Clone, Debug)]
pub(crate) struct WatchOptions {
    pub(crate) selection: Selection,
    pub(crate) start: WatchStart,
    pub(crate) bookmarks: bool,
    pub(crate) timeout: Option<Duration>,
}

impl WatchOptions {
    pub(crate) fn parse(query: &Query<'_>) -> Result<Self, StatusError> {
        let selection = Selection::parse(query)?;
        let bookmarks = query.flag("allowWatchBookmarks");
        let version = query.first("resourceVersion");
        let matching = query.first("resourceVersionMatch");
        let initial = query.optional_flag("sendInitialEvents");
        check_watch(initial, matching)?;
        let start = match (initial, Version::parse(version)?) {
            (None, Version::Unset | Version::Any) => WatchStart::State(Freshness::Any, false),
            (None | Some(false), Version::At(revision)) => WatchStart::After(revision),
            (Some(true), Version::Unset) => WatchStart::State(Freshness::MostRecent, true),
            (Some(true), Version::Any) => WatchStart::State(Freshness::Any, true),
            (Some(true), Version::At(revision)) => {
                WatchStart::State(Freshness::NotOlderThan(revision), true)
            }
            (Some(false), Version::Any) => WatchStart::Now(Freshness::Any),
            (Some(false), Version::Unset) => WatchStart::Now(Freshness::MostRecent),
        };
        // As upstream: zero is no limit, and time that is over before it begins is over.
        let timeout = query.integer("timeoutSeconds")?.filter(|&seconds| seconds != 0);
        let timeout = timeout.map(|seconds| {
            Duration::from_secs(u64::try_from(seconds).unwrap_or(0)).min(LONGEST_WATCH)
        });
        Ok(Self { selection, start, bookmarks, timeout })
    }
}

fn check_watch(initial: Option<bool>, matching: &str) -> Result<(), StatusError> {
    let path = FieldPath::new("resourceVersionMatch");
    let error = match (initial, matching) {
        (None, "") | (Some(_), "NotOlderThan") => return Ok(()),
        (None, _) => FieldError::forbidden(
            path,
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        ),
        (Some(_), "") => FieldError::forbidden(
            path,
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ),
        (Some(_), other) => FieldError::not_supported(path, other, &["NotOlderThan"]),
    };
    Err(StatusError::invalid("ListOptions", "meta.k8s.io", "", &[error]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(query: &str) -> Result<Freshness, (u16, String)> {
        ListOptions::parse(&Query::parse(Some(query)))
            .map(|options| options.freshness)
            .map_err(|error| (error.code(), error.message().to_owned()))
    }

    #[test]
    fn list_freshness_is_the_matrix_of_the_specification() {
        let seven = Revision::new(7);
        for (query, expected) in [
            ("", Freshness::MostRecent),
            ("limit=5", Freshness::MostRecent),
            ("resourceVersion=0", Freshness::Any),
            ("resourceVersion=0&limit=5", Freshness::Any),
            ("resourceVersion=7", Freshness::NotOlderThan(seven)),
            ("resourceVersion=7&limit=5", Freshness::Exact(seven)),
            (
                "resourceVersion=7&limit=5&resourceVersionMatch=NotOlderThan",
                Freshness::NotOlderThan(seven),
            ),
            ("resourceVersion=0&resourceVersionMatch=NotOlderThan", Freshness::Any),
            ("resourceVersion=7&resourceVersionMatch=Exact", Freshness::Exact(seven)),
        ] {
            assert_eq!(list(query), Ok(expected), "{query}");
        }
        for (query, code, text) in [
            ("resourceVersionMatch=Exact", 422, "forbidden unless resourceVersion is provided"),
            (
                "resourceVersion=0&resourceVersionMatch=Exact",
                422,
                "forbidden for resourceVersion \"0\"",
            ),
            (
                "resourceVersion=1&resourceVersionMatch=Sloppy",
                422,
                "supported values: \"Exact\", \"NotOlderThan\", \"\"",
            ),
            ("resourceVersion=1&continue=x", 400, "specifying resource version is not allowed"),
            ("resourceVersion=x", 400, "invalid resource version"),
            ("resourceVersion=-1", 400, "invalid resource version"),
            ("limit=x", 400, "limit"),
            ("labelSelector=a%3D%3D%3Db", 400, "unable to parse requirement"),
            ("sendInitialEvents=true", 422, "sendInitialEvents is forbidden for list"),
        ] {
            let (got, message) = list(query).unwrap_err();
            assert_eq!(got, code, "{query}");
            assert!(message.contains(text), "{query}: {message}");
        }
    }

    #[test]
    fn watch_starts_are_the_matrix_of_the_specification() {
        let start = |query: &str| WatchOptions::parse(&Query::parse(Some(query))).unwrap().start;
        let seven = Revision::new(7);
        let initial = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
        let without = "sendInitialEvents=false&resourceVersionMatch=NotOlderThan";
        assert_eq!(start(""), WatchStart::State(Freshness::Any, false));
        assert_eq!(start("resourceVersion=0"), WatchStart::State(Freshness::Any, false));
        assert_eq!(start("resourceVersion=7"), WatchStart::After(seven));
        assert_eq!(start(initial), WatchStart::State(Freshness::MostRecent, true));
        let query = format!("{initial}&resourceVersion=0");
        assert_eq!(start(&query), WatchStart::State(Freshness::Any, true));
        let query = format!("{initial}&resourceVersion=7");
        assert_eq!(start(&query), WatchStart::State(Freshness::NotOlderThan(seven), true));
        assert_eq!(start(without), WatchStart::Now(Freshness::MostRecent));
        assert_eq!(start(&format!("{without}&resourceVersion=0")), WatchStart::Now(Freshness::Any));
        assert_eq!(start(&format!("{without}&resourceVersion=7")), WatchStart::After(seven));
        for bad in ["sendInitialEvents=true", "resourceVersionMatch=NotOlderThan"] {
            let error = WatchOptions::parse(&Query::parse(Some(bad))).unwrap_err();
            assert_eq!(error.code(), 422, "{bad}");
        }
    }

    #[test]
    fn delete_options_come_from_body_or_query() {
        let parse = |query: &str, body: &str| {
            DeleteOptions::parse(&Query::parse(Some(query)), body.as_bytes(), "g/v1")
        };
        let options = parse("", r#"{"propagationPolicy":"Background"}"#).unwrap();
        assert_eq!(options.propagation, Some(Propagation::Background));
        let options = parse("", r#"{"preconditions":{"uid":"u"},"dryRun":["All"]}"#).unwrap();
        assert_eq!((options.uid.as_deref(), options.dry_run), (Some("u"), true));
        assert!(parse("dryRun=All", "").unwrap().dry_run);
        assert_eq!(parse("dryRun=Some", "").unwrap_err().code(), 422);
        assert_eq!(parse("", r#"{"propagationPolicy":"Sideways"}"#).unwrap_err().code(), 422);
        assert_eq!(parse("", r#"{"kind":"Pod","apiVersion":"v1"}"#).unwrap_err().code(), 400);
        assert_eq!(parse("", "{").unwrap_err().code(), 400);
        for version in ["v1", "meta.k8s.io/v1", "g/v1"] {
            let body = format!(r#"{{"kind":"DeleteOptions","apiVersion":"{version}"}}"#);
            assert!(parse("", &body).is_ok(), "{version}");
        }
        let both = r#"{"propagationPolicy":"Orphan","orphanDependents":true}"#;
        assert_eq!(parse("", both).unwrap_err().code(), 422);
    }
}

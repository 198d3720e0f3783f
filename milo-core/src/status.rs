//! Kubernetes `Status` errors: what a client sees when a request fails.
//!
//! Clients decide by `reason` first and by code only when the reason is unknown, so every
//! constructor here fixes both. The table is `spec/wire.md` section 0.2.

use std::{fmt, time::Duration};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Status, StatusCause, StatusDetails};
use serde_json::Value;

use crate::key::GroupResource;

mod field;

pub use field::{FieldError, FieldErrorKind, FieldPath};

/// An error that is answered as a Kubernetes `Status`.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusError {
    code: u16,
    reason: &'static str,
    message: String,
    details: Option<Box<StatusDetails>>,
    continue_token: Option<String>,
}

impl StatusError {
    /// An error with a code and reason of its own. Prefer the named constructors.
    #[must_use]
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: None, continue_token: None }
    }

    /// 400 `BadRequest`.
    #[must_use]
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 401 `Unauthorized`.
    #[must_use]
    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    /// 403 `Forbidden` for a resource; an empty name for a collection.
    #[must_use]
    pub fn forbidden(resource: &GroupResource, name: &str, why: impl fmt::Display) -> Self {
        let message = match name {
            "" => format!("{resource} is forbidden: {why}"),
            name => format!("{resource} \"{name}\" is forbidden: {why}"),
        };
        Self::new(403, "Forbidden", message).about(resource, name)
    }

    /// 403 `Forbidden` for a path that is not a resource.
    #[must_use]
    pub fn forbidden_path(why: impl fmt::Display) -> Self {
        Self::new(403, "Forbidden", format!("forbidden: {why}")).with_details(|_| {})
    }

    /// 404 `NotFound` for an object.
    #[must_use]
    pub fn not_found(resource: &GroupResource, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{resource} \"{name}\" not found")).about(resource, name)
    }

    /// 404 `NotFound` for a route: nothing is served at the path.
    #[must_use]
    pub fn no_route() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource")
            .with_details(|_| {})
    }

    /// 405 `MethodNotAllowed`.
    #[must_use]
    pub fn method_not_allowed(resource: &GroupResource, verb: &str) -> Self {
        let message = format!("{verb} is not supported on resources of kind \"{resource}\"");
        Self::new(405, "MethodNotAllowed", message).about(resource, "")
    }

    /// 406 `NotAcceptable`.
    #[must_use]
    pub fn not_acceptable(accepted: &[&str]) -> Self {
        let message =
            format!("only the following media types are accepted: {}", accepted.join(", "));
        Self::new(406, "NotAcceptable", message)
    }

    /// 409 `AlreadyExists`.
    #[must_use]
    pub fn already_exists(resource: &GroupResource, name: &str) -> Self {
        Self::new(409, "AlreadyExists", format!("{resource} \"{name}\" already exists"))
            .about(resource, name)
    }

    /// 409 `Conflict`.
    #[must_use]
    pub fn conflict(resource: &GroupResource, name: &str, why: impl fmt::Display) -> Self {
        let message = format!("Operation cannot be fulfilled on {resource} \"{name}\": {why}");
        Self::new(409, "Conflict", message).about(resource, name)
    }

    /// 410 `Expired`: the revision asked for is no longer kept.
    #[must_use]
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// 413 `RequestEntityTooLarge`.
    #[must_use]
    pub fn too_large(limit: usize) -> Self {
        let message = format!("Request entity too large: limit is {limit}");
        Self::new(413, "RequestEntityTooLarge", message)
    }

    /// 415 `UnsupportedMediaType`.
    #[must_use]
    pub fn unsupported_media_type(accepted: &[&str]) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            accepted.join(", ")
        );
        Self::new(415, "UnsupportedMediaType", message)
    }

    /// 422 `Invalid`, with one cause per field error. `kind` and `group` are those of the object.
    #[must_use]
    pub fn invalid(kind: &str, group: &str, name: &str, errors: &[FieldError]) -> Self {
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let all = match texts.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let qualified = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let message = format!("{qualified} \"{name}\" is invalid: {all}");
        Self::new(422, "Invalid", message).with_details(|details| {
            details.name = some(name);
            details.group = some(group);
            details.kind = some(kind);
            details.causes = Some(errors.iter().map(FieldError::to_cause).collect());
        })
    }

    /// 429 `TooManyRequests`.
    #[must_use]
    pub fn too_many_requests(message: impl Into<String>, retry_after: Duration) -> Self {
        Self::new(429, "TooManyRequests", message).with_retry_after(retry_after)
    }

    /// 500 `InternalError`: our own fault.
    #[must_use]
    pub fn internal(cause: impl fmt::Display) -> Self {
        let message = format!("Internal error occurred: {cause}");
        Self::new(500, "InternalError", message).with_cause("", &cause.to_string(), "")
    }

    /// 503 `ServiceUnavailable`.
    #[must_use]
    pub fn unavailable(message: impl Into<String>, retry_after: Duration) -> Self {
        Self::new(503, "ServiceUnavailable", message).with_retry_after(retry_after)
    }

    /// 504 `Timeout`.
    #[must_use]
    pub fn timeout(message: impl fmt::Display, retry_after: Duration) -> Self {
        Self::new(504, "Timeout", format!("Timeout: {message}")).with_retry_after(retry_after)
    }

    /// 504 `Timeout` with the cause that tells clients to list again: the resource version asked
    /// for has not been reached.
    #[must_use]
    pub fn resource_version_too_large(requested: u64, current: u64) -> Self {
        let message = format!("Too large resource version: {requested}, current: {current}");
        Self::timeout(message, Duration::from_secs(1)).with_cause(
            "ResourceVersionTooLarge",
            "Too large resource version",
            "",
        )
    }

    /// Names the object the error is about. Details hold the plural resource as `kind`, as
    /// upstream does for all but `Invalid`.
    #[must_use]
    pub fn about(self, resource: &GroupResource, name: &str) -> Self {
        self.with_details(|details| {
            details.name = some(name);
            details.group = some(resource.group());
            details.kind = some(resource.resource());
        })
    }

    /// Names the UID of the object the error is about.
    #[must_use]
    pub fn with_uid(self, uid: &str) -> Self {
        self.with_details(|details| details.uid = some(uid))
    }

    /// Adds a cause.
    #[must_use]
    pub fn with_cause(self, reason: &str, message: &str, field: &str) -> Self {
        self.with_details(|details| {
            details.causes.get_or_insert_with(Vec::new).push(StatusCause {
                reason: some(reason),
                message: some(message),
                field: some(field),
            });
        })
    }

    /// Tells the client when to try again; sent as `Retry-After` too. Rounded up to seconds; zero
    /// tells nothing.
    #[must_use]
    pub fn with_retry_after(self, after: Duration) -> Self {
        if after.is_zero() {
            return self;
        }
        let seconds = i32::try_from(after.as_millis().div_ceil(1000)).unwrap_or(i32::MAX);
        self.with_details(|details| details.retry_after_seconds = Some(seconds))
    }

    /// A token with which an expired list can go on, inconsistently.
    #[must_use]
    pub fn with_continue(mut self, token: String) -> Self {
        self.continue_token = Some(token);
        self
    }

    /// Puts `prefix` before the message.
    #[must_use]
    pub fn with_prefix(mut self, prefix: &str) -> Self {
        self.message.insert_str(0, prefix);
        self
    }

    /// The HTTP status.
    #[must_use]
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The machine-readable reason.
    #[must_use]
    pub fn reason(&self) -> &str {
        self.reason
    }

    /// The text for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The details, if any.
    #[must_use]
    pub fn details(&self) -> Option<&StatusDetails> {
        self.details.as_deref()
    }

    /// Seconds until a new attempt makes sense.
    #[must_use]
    pub fn retry_after_seconds(&self) -> Option<i32> {
        self.details.as_ref().and_then(|details| details.retry_after_seconds).filter(|&s| s > 0)
    }

    /// The object that is sent.
    #[must_use]
    pub fn to_status(&self) -> Status {
        Status {
            metadata: k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta {
                continue_: self.continue_token.clone(),
                ..Default::default()
            },
            status: Some("Failure".into()),
            message: Some(self.message.clone()),
            reason: Some(self.reason.to_owned()),
            details: self.details.as_deref().cloned(),
            code: Some(i32::from(self.code)),
        }
    }

    fn with_details(mut self, change: impl FnOnce(&mut StatusDetails)) -> Self {
        change(self.details.get_or_insert_default());
        self
    }
}

impl fmt::Display for StatusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for StatusError {}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// How a value is shown in a field error: strings quoted, the rest as JSON.
fn display_value(value: &Value) -> String {
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_reads_like_upstream() {
        let errors = [
            FieldError::not_supported(
                FieldPath::new("spec").child("type"),
                "Team",
                &["Personal", "Standard"],
            ),
            FieldError::required(FieldPath::new("spec").child("name"), ""),
        ];
        let error = StatusError::invalid("Organization", "g.io", "x", &errors);
        assert_eq!(
            error.message(),
            "Organization.g.io \"x\" is invalid: [spec.type: Unsupported value: \"Team\": \
             supported values: \"Personal\", \"Standard\", spec.name: Required value]"
        );
        let causes = error.details().unwrap().causes.as_ref().unwrap();
        assert_eq!(causes[0].reason.as_deref(), Some("FieldValueNotSupported"));
        assert_eq!(causes[0].field.as_deref(), Some("spec.type"));
    }

    #[test]
    fn a_status_names_its_kind() {
        let json = serde_json::to_value(StatusError::expired("old").to_status()).unwrap();
        assert_eq!(json["kind"], "Status");
        assert_eq!(json["apiVersion"], "v1");
        assert_eq!(json["metadata"], serde_json::json!({}));
    }
}

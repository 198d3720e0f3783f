//! Which form of an answer a client accepts (`spec/wire.md` section 0.3).

use http::{HeaderMap, header};
use milo_core::status::StatusError;

/// The form of a successful answer on a resource endpoint. Errors are always plain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// The object or list itself.
    Plain,
    /// A `Table` of this version of `meta.k8s.io`.
    Table(MetaVersion),
    /// A `PartialObjectMetadata`, or the list of it.
    Partial(MetaVersion, PartialKind),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PartialKind {
    Object,
    List,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MetaVersion {
    V1,
    V1Beta1,
}

impl MetaVersion {
    pub(crate) fn api_version(self) -> &'static str {
        match self {
            Self::V1 => "meta.k8s.io/v1",
            Self::V1Beta1 => "meta.k8s.io/v1beta1",
        }
    }
}

const JSON: &str = "application/json";

/// The best form that the `Accept` header allows. Clauses are tried by quality, then in order; one
/// that asks for something we do not do is passed over.
pub(crate) fn form(headers: &HeaderMap) -> Result<Form, StatusError> {
    let mut values = headers.get_all(header::ACCEPT).iter();
    let (first, more) = (values.next(), values.next());
    let first = match first.map(|value| value.to_str()) {
        // By far the commonest.
        None | Some(Ok(JSON | "*/*" | "")) if more.is_none() => return Ok(Form::Plain),
        _ => headers.get_all(header::ACCEPT),
    };
    let mut clauses: Vec<(u32, Option<Form>)> = Vec::new();
    for value in first.iter().filter_map(|value| value.to_str().ok()) {
        for clause in value.split(',') {
            let (quality, form) = parse_clause(clause);
            if quality > 0 {
                clauses.push((quality, form));
            }
        }
    }
    // A stable sort keeps the client's order among equals.
    clauses.sort_by_key(|(quality, _)| std::cmp::Reverse(*quality));
    clauses
        .into_iter()
        .find_map(|(_, form)| form)
        .ok_or_else(|| StatusError::not_acceptable(&[JSON]))
}

fn parse_clause(clause: &str) -> (u32, Option<Form>) {
    let mut parts = clause.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default();
    let (mut quality, mut target, mut group, mut version) = (1000, "", "", "");
    for parameter in parts {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match name.trim() {
            "q" => quality = parse_quality(value),
            "as" => target = value.trim(),
            "g" => group = value.trim(),
            "v" => version = value.trim(),
            _ => {}
        }
    }
    let json = matches!(media, JSON | "*/*" | "application/*" | "");
    (quality, if json { form_of(target, group, version) } else { None })
}

fn form_of(target: &str, group: &str, version: &str) -> Option<Form> {
    if target.is_empty() {
        return Some(Form::Plain);
    }
    let version = match version {
        "v1" => MetaVersion::V1,
        "v1beta1" => MetaVersion::V1Beta1,
        _ => return None,
    };
    match target {
        _ if group != "meta.k8s.io" => None,
        "Table" => Some(Form::Table(version)),
        "PartialObjectMetadata" => Some(Form::Partial(version, PartialKind::Object)),
        "PartialObjectMetadataList" => Some(Form::Partial(version, PartialKind::List)),
        _ => None,
    }
}

/// Thousandths, as RFC 9110 section 12.4.2 has them.
fn parse_quality(text: &str) -> u32 {
    let quality: f32 = text.trim().parse().unwrap_or(1.0);
    // Casting saturates: a negative quality, or none that is a number, counts as zero.
    (quality.min(1.0) * 1000.0) as u32
}

/// Whether the answer should be indented for people.
pub(crate) fn wants_pretty(headers: &HeaderMap, pretty: &str) -> bool {
    match pretty {
        "true" | "1" => true,
        "" => headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).is_some_and(
            |agent| ["curl", "Wget", "Mozilla/5.0"].iter().any(|prefix| agent.starts_with(prefix)),
        ),
        _ => false,
    }
}

/// The media type of a request body, without parameters; JSON when there is none.
pub(crate) fn content_type(headers: &HeaderMap) -> &str {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map(|value| value.split(';').next().unwrap_or_default().trim())
        .filter(|value| !value.is_empty())
        .unwrap_or(JSON)
}

/// Refuses a body that is not JSON.
pub(crate) fn require_json(headers: &HeaderMap) -> Result<(), StatusError> {
    if content_type(headers).eq_ignore_ascii_case(JSON) {
        return Ok(());
    }
    Err(StatusError::unsupported_media_type(&[JSON]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(value: &str) -> Result<Form, u16> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, value.parse().unwrap());
        form(&headers).map_err(|error| error.code())
    }

    #[test]
    fn the_best_clause_that_can_be_served_wins() {
        let table = Form::Table(MetaVersion::V1);
        let partial_list = Form::Partial(MetaVersion::V1, PartialKind::List);
        for (value, expected) in [
            ("application/json", Ok(Form::Plain)),
            ("*/*", Ok(Form::Plain)),
            (
                "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
                Ok(table),
            ),
            ("application/json;as=Table;v=v9;g=meta.k8s.io,application/json", Ok(Form::Plain)),
            ("application/json;as=Teapot;v=v1;g=meta.k8s.io", Err(406)),
            ("application/vnd.kubernetes.protobuf,application/json", Ok(Form::Plain)),
            (
                "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json",
                Ok(partial_list),
            ),
            ("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1", Ok(partial_list)),
            (
                "application/json;q=0.1, application/json;as=Table;g=meta.k8s.io;v=v1;q=0.9",
                Ok(table),
            ),
            ("application/json;q=0", Err(406)),
            ("text/html", Err(406)),
            ("application/yaml", Err(406)),
            ("text/html, */*;q=0.8", Ok(Form::Plain)),
        ] {
            assert_eq!(accept(value), expected, "{value}");
        }
        assert_eq!(form(&HeaderMap::new()).unwrap(), Form::Plain);
    }
}

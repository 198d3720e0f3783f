//! Which form of an answer a client accepts (`spec/wire.md` section 0.3).

use http::{HeaderMap, header};
use milo_core::status::StatusError;

use crate::{
    document::accept::{Accept, MediaRange},
    media::{self, Encoding},
    request::Query,
};

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

/// How a successful answer is to be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    pub(crate) form: Form,
    pub(crate) encoding: Encoding,
}

/// The best answer that the `Accept` header allows. Clauses are tried by quality, then in order;
/// one that asks for something we do not do is passed over. Watches are written in JSON only.
pub(crate) fn accepted(
    headers: &HeaderMap,
    query: &Query<'_>,
    watch: bool,
) -> Result<Accepted, StatusError> {
    let pretty = wants_pretty(headers, query.first("pretty"));
    if accepts_anything(headers) {
        return Ok(Accepted { form: Form::Plain, encoding: json(pretty) });
    }
    let yaml = !watch;
    let best = Accept::of(headers)
        .ranges()
        .find_map(|range| Some((form_of(range)?, encoding_of(range, yaml, pretty)?)));
    let offered: &[&str] =
        if watch { &["application/json;stream=watch"] } else { &[media::JSON, media::YAML] };
    match best {
        Some((form, encoding)) => Ok(Accepted { form, encoding }),
        None => Err(StatusError::not_acceptable(offered)),
    }
}

/// How an error is to be written: as its reader accepts objects, but never in another form. Who
/// accepts none of what errors can be written in is told in JSON, indented.
pub(crate) fn error_encoding(headers: &HeaderMap, query: Option<&str>) -> Encoding {
    let pretty = wants_pretty(headers, Query::parse(query).first("pretty"));
    if accepts_anything(headers) {
        return json(pretty);
    }
    let accept = Accept::of(headers);
    let mut plain = accept.ranges().filter(|range| form_of(range) == Some(Form::Plain));
    plain.find_map(|range| encoding_of(range, true, pretty)).unwrap_or(Encoding::PrettyJson)
}

/// By far the commonest: no header, or one that is content with plain JSON.
fn accepts_anything(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::ACCEPT).iter();
    let (first, more) = (values.next(), values.next());
    matches!(first.map(|value| value.to_str()), None | Some(Ok(media::JSON | "*/*" | "")))
        && more.is_none()
}

fn json(pretty: bool) -> Encoding {
    if pretty { Encoding::PrettyJson } else { Encoding::Json }
}

/// The encoding that a clause allows; JSON where it allows several.
fn encoding_of(range: &MediaRange<'_>, yaml: bool, pretty: bool) -> Option<Encoding> {
    if range.includes(media::JSON) {
        return Some(json(pretty || range.parameter("pretty") == Some("1")));
    }
    (yaml && range.includes(media::YAML)).then_some(Encoding::Yaml)
}

/// The form that a clause asks for, if there is such a form.
fn form_of(range: &MediaRange<'_>) -> Option<Form> {
    if range.parameter("stream").is_some_and(|stream| stream != "watch") {
        return None;
    }
    let [target, group, version] = ["as", "g", "v"].map(|name| range.parameter(name));
    if target.or(group).or(version).is_none() {
        return Some(Form::Plain);
    }
    let version = match version {
        Some("v1") => MetaVersion::V1,
        Some("v1beta1") => MetaVersion::V1Beta1,
        _ => return None,
    };
    match target? {
        _ if group != Some("meta.k8s.io") => None,
        "Table" => Some(Form::Table(version)),
        "PartialObjectMetadata" => Some(Form::Partial(version, PartialKind::Object)),
        "PartialObjectMetadataList" => Some(Form::Partial(version, PartialKind::List)),
        _ => None,
    }
}

/// Whether the answer should be indented for people.
fn wants_pretty(headers: &HeaderMap, pretty: &str) -> bool {
    match pretty {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => true,
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
        .unwrap_or(media::JSON)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(accept: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::ACCEPT, accept.parse().unwrap())])
    }

    fn accept(value: &str) -> Result<(Form, Encoding), u16> {
        accepted(&headers(value), &Query::default(), false)
            .map(|accepted| (accepted.form, accepted.encoding))
            .map_err(|error| error.code())
    }

    #[test]
    fn the_best_clause_that_can_be_served_wins() {
        let table = Form::Table(MetaVersion::V1);
        let partial_list = Form::Partial(MetaVersion::V1, PartialKind::List);
        let (json, yaml) = (Encoding::Json, Encoding::Yaml);
        for (value, expected) in [
            ("application/json", Ok((Form::Plain, json))),
            ("*/*", Ok((Form::Plain, json))),
            (
                "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
                Ok((table, json)),
            ),
            (
                "application/json;as=Table;v=v9;g=meta.k8s.io,application/json",
                Ok((Form::Plain, json)),
            ),
            ("application/json;as=Teapot;v=v1;g=meta.k8s.io", Err(406)),
            ("application/json;v=v2;g=apidiscovery.k8s.io", Err(406)),
            ("application/vnd.kubernetes.protobuf,application/json", Ok((Form::Plain, json))),
            (
                "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
                Ok((partial_list, json)),
            ),
            (
                "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
                Ok((partial_list, json)),
            ),
            (
                "application/json;q=0.1, application/json;as=Table;g=meta.k8s.io;v=v1;q=0.9",
                Ok((table, json)),
            ),
            ("application/json;q=0", Err(406)),
            ("text/html", Err(406)),
            ("application/yaml", Ok((Form::Plain, yaml))),
            ("application/yaml;as=Table;v=v1;g=meta.k8s.io", Ok((table, yaml))),
            ("application/json;q=0.5, application/yaml", Ok((Form::Plain, yaml))),
            ("application/yaml;as=Cup;v=v1;g=meta.k8s.io, */*", Ok((Form::Plain, json))),
            ("text/html, */*;q=0.8", Ok((Form::Plain, json))),
            ("application/*", Ok((Form::Plain, json))),
            ("application/json;stream=watch", Ok((Form::Plain, json))),
            ("application/json;stream=tea, application/yaml", Ok((Form::Plain, yaml))),
            ("application/json;pretty=1", Ok((Form::Plain, Encoding::PrettyJson))),
            ("application/json;charset=utf-8;level=9", Ok((Form::Plain, json))),
        ] {
            assert_eq!(accept(value), expected, "{value}");
        }
        let any = accepted(&HeaderMap::new(), &Query::default(), false).unwrap();
        assert_eq!(any, Accepted { form: Form::Plain, encoding: json });
    }

    #[test]
    fn watches_are_written_in_json() {
        let watch = |value| accepted(&headers(value), &Query::default(), true);
        let refused = watch("application/yaml").unwrap_err();
        assert_eq!(refused, StatusError::not_acceptable(&["application/json;stream=watch"]));
        let either = watch("application/yaml, application/json;q=0.1").unwrap();
        assert_eq!(either.encoding, Encoding::Json);
    }

    #[test]
    fn errors_are_never_converted() {
        for (value, expected) in [
            ("application/json", Encoding::Json),
            ("application/yaml", Encoding::Yaml),
            ("text/html", Encoding::PrettyJson),
            ("application/json;as=Table;v=v1;g=meta.k8s.io", Encoding::PrettyJson),
            ("application/json;as=Table;v=v1;g=meta.k8s.io, application/json", Encoding::Json),
            ("application/json;as=Table;v=v1;g=meta.k8s.io, application/yaml", Encoding::Yaml),
        ] {
            assert_eq!(error_encoding(&headers(value), None), expected, "{value}");
        }
        assert_eq!(error_encoding(&HeaderMap::new(), Some("pretty=true")), Encoding::PrettyJson);
    }
}

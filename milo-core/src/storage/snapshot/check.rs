//! Looking at every object in a store or a file.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::{
    Head, Observer, Summary,
    source::{Sink, Source, SourceError, blocking},
};
use crate::{
    key::{GroupResource, Key, KeySegments},
    object::Object,
    storage::Record,
};

/// Problems that a [`Report`] names, at most.
const NAMED: usize = 100;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// What there is.
    pub summary: Summary,
    /// How many objects there are of each resource.
    pub resources: BTreeMap<GroupResource, u64>,
    /// The first hundred objects that are not as they should be, in key order.
    pub problems: Vec<Problem>,
    /// How many there are.
    pub problem_count: u64,
}

/// What is wrong with an object.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// Where it is.
    pub key: Key,
    /// What is wrong.
    pub text: String,
}

/// Reads everything that the source tells and looks at each object: whether its key has the form
/// of one, whether it can be decoded, and whether its metadata agree with its key and with
/// themselves. A file's checksums are looked at in any case.
///
/// # Errors
/// See [`SourceError`]. What is wrong with objects is no error but in the report.
pub async fn check(source: Source, observer: Observer) -> Result<Report, SourceError> {
    let done = blocking(source, move |source| {
        let mut checker = Checker::default();
        let summary = source.drain(&mut checker, "checking", &observer)?;
        let Checker { resources, problems, problem_count } = checker;
        Ok(Report { summary, resources, problems, problem_count })
    });
    done.await.unwrap_or(Err(SourceError::Stopped))
}

#[derive(Default)]
struct Checker {
    resources: BTreeMap<GroupResource, u64>,
    problems: Vec<Problem>,
    problem_count: u64,
}

impl Sink for Checker {
    type Error = SourceError;

    fn begin(&mut self, _: &Head) -> Result<(), SourceError> {
        *self = Self::default();
        Ok(())
    }

    fn add(&mut self, records: Vec<Record>) -> Result<(), SourceError> {
        for record in records {
            if let Err(text) = self.look_at(&record) {
                self.problem_count += 1;
                if self.problems.len() < NAMED {
                    self.problems.push(Problem { key: record.key, text });
                }
            }
        }
        Ok(())
    }
}

impl Checker {
    fn look_at(&mut self, record: &Record) -> Result<(), String> {
        let segments = record.key.segments().ok_or("the key does not have five segments")?;
        let resource = GroupResource::new(segments.group, segments.resource);
        *self.resources.entry(resource).or_default() += 1;
        check_key(&segments)?;
        let object = Object::from_slice(&record.value)
            .map_err(|error| format!("it is not an object: {error}"))?;
        check_metadata(&object)?;
        check_agreement(&object, &segments)
    }
}

fn check_key(segments: &KeySegments<'_>) -> Result<(), String> {
    if segments.resource.is_empty() || segments.name.is_empty() {
        return Err("the key lacks a resource or a name".to_owned());
    }
    let tenant = segments.scope.split_once(':');
    let known = match tenant {
        None => segments.scope == "platform",
        Some((kind, uid)) => matches!(kind, "organization" | "project" | "user") && !uid.is_empty(),
    };
    if known { Ok(()) } else { Err(format!("`{}` is no scope", segments.scope)) }
}

fn check_metadata(object: &Object) -> Result<(), String> {
    if object.api_version().is_empty() || object.kind().is_empty() {
        return Err("it has no apiVersion or no kind".to_owned());
    }
    if object.uid().is_empty() {
        return Err("it has no metadata.uid".to_owned());
    }
    if object.metadata().is_some_and(|metadata| metadata.contains_key("resourceVersion")) {
        return Err("a resource version is stored in it".to_owned());
    }
    if object.generation() < 0 {
        return Err(format!("metadata.generation is {}", object.generation()));
    }
    for field in ["creationTimestamp", "deletionTimestamp"] {
        let time = object.metadata().and_then(|metadata| metadata.get(field));
        let sane = match time {
            None => true,
            Some(Value::String(text)) => text.parse::<Timestamp>().is_ok(),
            Some(_) => false,
        };
        if !sane {
            return Err(format!("metadata.{field} is no time"));
        }
    }
    Ok(())
}

fn check_agreement(object: &Object, segments: &KeySegments<'_>) -> Result<(), String> {
    let group = object.api_version().split_once('/').map_or("", |(group, _)| group);
    for (what, found, expected) in [
        ("group", group, segments.group),
        ("metadata.namespace", object.namespace(), segments.namespace),
        ("metadata.name", object.name(), segments.name),
    ] {
        if found != expected {
            return Err(format!("its {what} is `{found}`, but that of its key is `{expected}`"));
        }
    }
    Ok(())
}

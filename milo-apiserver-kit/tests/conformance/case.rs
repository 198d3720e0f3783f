//! What a case is, and where cases come from.

use std::{
    collections::BTreeMap,
    future::Future,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
};

use serde::Deserialize;
use serde_json::Value;

use crate::{
    fixture::Cx,
    step::{self, Step},
};

/// What a case found wrong.
pub(crate) type Outcome = Result<(), String>;
type Running = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// One rule of the specification.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) section: String,
    pub(crate) name: String,
    /// Whether it does something to the server that other cases would notice.
    pub(crate) alone: bool,
    body: Body,
}

#[derive(Clone)]
enum Body {
    Steps(Arc<Vec<Step>>),
    Code(Arc<dyn Fn(Cx) -> Running + Send + Sync>),
}

impl Case {
    /// A case that is written in Rust.
    pub(crate) fn code(
        section: &str,
        name: &str,
        run: impl Fn(Cx) -> Running + Send + Sync + 'static,
    ) -> Self {
        let (section, name) = (section.to_owned(), name.to_owned());
        Self { section, name, alone: false, body: Body::Code(Arc::new(run)) }
    }

    pub(crate) async fn run(&self, cx: Cx) -> Outcome {
        match &self.body {
            Body::Steps(steps) => step::run_all(steps, cx).await,
            Body::Code(run) => run(cx).await,
        }
    }
}

/// Cases of one section that begin alike.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    section: String,
    #[serde(default)]
    given: Vec<Value>,
    #[serde(default)]
    alone: bool,
    cases: BTreeMap<String, Value>,
}

/// All cases, in the order of their sections.
pub(crate) fn all() -> Vec<Case> {
    let mut cases = crate::code::cases();
    for (file, groups) in yaml::<Vec<Group>>("cases") {
        for group in groups {
            let given: Vec<Step> = group.given.iter().map(|step| parse(&file, step)).collect();
            for (name, steps) in &group.cases {
                let own = match steps {
                    Value::Array(steps) => steps.iter().map(|step| parse(&file, step)).collect(),
                    step => vec![parse(&file, step)],
                };
                let steps = given.iter().cloned().chain(own).collect();
                cases.push(Case {
                    section: group.section.clone(),
                    name: name.clone(),
                    alone: group.alone,
                    body: Body::Steps(Arc::new(steps)),
                });
            }
        }
    }
    cases.sort_by_key(|case| (order(&case.section), case.name.clone()));
    let mut names = std::collections::HashSet::new();
    for case in &cases {
        assert!(names.insert(&case.name), "{} is there twice", case.name);
    }
    cases
}

/// What is not built yet: the name of a case or a section, and why.
pub(crate) fn pending() -> BTreeMap<String, String> {
    yaml("pending.yaml").pop().unwrap().1
}

/// The definitions of the kinds.
pub(crate) fn kinds<T: for<'de> Deserialize<'de>>() -> T {
    yaml("kinds.yaml").pop().unwrap().1
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance")
}

/// The content of a file, or of all files in a folder, beside this one.
fn yaml<T: for<'de> Deserialize<'de>>(name: &str) -> Vec<(String, T)> {
    let path = folder().join(name);
    let mut files = vec![path.clone()];
    if path.is_dir() {
        files = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
    }
    let read = files.into_iter().map(|path| {
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        // Otherwise `y` and `n` are booleans.
        let options = serde_saphyr::options! { strict_booleans: true };
        let value = serde_saphyr::from_str_with_options(&text, options)
            .unwrap_or_else(|e| panic!("{file}: {e}"));
        (file, value)
    });
    read.collect()
}

fn parse(file: &str, step: &Value) -> Step {
    Step::parse(step).unwrap_or_else(|error| panic!("{file}: {error}: {step}"))
}

/// `10.2` after `9.4`.
fn order(section: &str) -> Vec<(u32, String)> {
    let number = |part: &str| (part.parse().unwrap_or(u32::MAX), part.to_owned());
    section.split('.').map(number).collect()
}

//! The 86 lists of `lists.md`, asked of caches that know much, little, and nothing any more.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{
    failure::{Failure, Outcome, ensure, ensure_eq},
    lab::{Lab, items, pod, version},
};
use crate::testing::{Watches, wire::Answer};

const TABLE: &str = include_str!("lists.md");

/// One row of the table.
#[derive(Clone, Copy, Debug)]
struct Row {
    number: &'static str,
    prefix: &'static str,
    version: &'static str,
    matching: &'static str,
    limit: &'static str,
    token: &'static str,
    field: &'static str,
    expected: &'static str,
    from_storage: &'static str,
}

fn rows() -> Result<Vec<Row>, Failure> {
    let lines = TABLE.lines().filter(|line| line.starts_with("| ")).skip(2);
    let rows = lines.map(|line| {
        let line = line.strip_prefix('|').and_then(|line| line.strip_suffix('|'));
        let cells: Vec<&str> = line.unwrap_or_default().split('|').map(str::trim).collect();
        let [number, prefix, version, matching, limit, token, field, expected, from_storage] =
            cells[..]
        else {
            return Err(Failure::new(format!("a row has {} cells", cells.len())));
        };
        Ok(Row { number, prefix, version, matching, limit, token, field, expected, from_storage })
    });
    let rows: Vec<Row> = rows.collect::<Result<_, _>>()?;
    ensure_eq!(rows.len(), 86, "rows of the table");
    Ok(rows)
}

impl Row {
    fn namespace(&self) -> &'static str {
        self.prefix.trim_start_matches("/pods").trim_matches('/')
    }

    /// Whether it asks for the newest state, whichever that is.
    fn is_newest(&self) -> bool {
        self.version.is_empty() && (self.token.is_empty() || self.token.ends_with("-1)"))
    }

    fn is_page_of_all(&self) -> bool {
        !self.limit.is_empty() && self.field.is_empty()
    }
}

/// The objects and versions by their names in the table.
#[derive(Default)]
struct History {
    objects: BTreeMap<&'static str, Value>,
    versions: BTreeMap<String, u64>,
}

impl History {
    /// Everything up to the version L, with what is older than C0 compacted away.
    async fn write(lab: &Lab) -> Result<Self, Failure> {
        let (mut history, pods) = (Self::default(), lab.pods());
        history.keep("I", version(&pods.list("", "").await?)?);
        for (name, key) in [
            ("C0", "first/bar"),
            ("C1", "second/bar"),
            ("C2", "second/foo"),
            ("C3", "third/barfoo"),
            ("C4", "third/foo"),
            ("C5", "second/baz"),
        ] {
            history.keep_object(name, pods.create(&pod(key)).await?)?;
        }
        history.keep_object("U", pods.set("first/bar", "nodeName", "fakeNode").await?)?;
        pods.delete("second/baz").await?;
        history.keep("L", version(&pods.list("", "").await?)?);
        lab.compact(history.at("rv(C0)")?).await?;
        Ok(history)
    }

    /// The one unrelated write.
    async fn write_elsewhere(&mut self, lab: &Lab) -> Outcome {
        let last = lab.unrelated().await?;
        self.keep("L+1", last);
        self.keep("L+2", last + 1_000_000_000);
        Ok(())
    }

    fn keep(&mut self, name: &str, version: u64) {
        self.versions.insert(name.to_owned(), version);
    }

    fn keep_object(&mut self, name: &'static str, object: Value) -> Outcome {
        self.keep(&format!("rv({name})"), version(&object)?);
        self.objects.insert(name, object);
        Ok(())
    }

    fn at(&self, name: &str) -> Result<u64, Failure> {
        let version = self.versions.get(name).copied();
        version.ok_or_else(|| Failure::new(format!("there is no version {name}")))
    }

    fn object(&self, name: &str) -> Result<&Value, Failure> {
        self.objects.get(name).ok_or_else(|| Failure::new(format!("there is no object {name}")))
    }

    /// What a client says of a version.
    fn said(&self, name: &str) -> String {
        match name {
            "MaxInt64" => i64::MAX.to_string(),
            name => self.versions.get(name).map_or_else(|| name.to_owned(), u64::to_string),
        }
    }

    /// The token that a row names, of a request below this namespace. `newest` is the version that a
    /// list of the newest state turned out to have.
    fn token(&self, text: &str, namespace: &str, newest: Option<u64>) -> Result<String, Failure> {
        let inside = text.strip_prefix("tok(").and_then(|text| text.strip_suffix(')'));
        let (key, at) = inside
            .and_then(|inside| inside.rsplit_once(','))
            .ok_or_else(|| Failure::new(format!("{text:?} is no token")))?;
        let start = match key.strip_prefix("after ") {
            Some(name) => format!("{}\0", super::lab::key(self.object(name)?)),
            None => key.trim_matches('"').to_owned(),
        };
        let start = start.strip_prefix(&format!("{namespace}/")).unwrap_or(&start);
        let at: i64 = match newest {
            Some(newest) => newest.try_into()?,
            None => self.said(at.trim()).parse()?,
        };
        let token = json!({"v": "meta.k8s.io/v1", "rv": at, "start": start});
        Ok(URL_SAFE_NO_PAD.encode(token.to_string()))
    }

    fn query(&self, row: &Row) -> Result<String, Failure> {
        let field = row.field.replace("(\"", "").replace("\")", "");
        let field = match field.as_str() {
            "" => field,
            node if node.starts_with("nodeName") => format!("spec.{node}"),
            name => format!("metadata.{name}"),
        };
        let token = match row.token {
            "" => String::new(),
            text => self.token(text, row.namespace(), None)?,
        };
        let (at, row) = (self.said(row.version), row);
        let mut query = String::new();
        for (name, value) in [
            ("resourceVersion", at.as_str()),
            ("resourceVersionMatch", row.matching),
            ("limit", row.limit),
            ("continue", &token),
            ("fieldSelector", &field),
        ] {
            if !value.is_empty() {
                query.push_str(&format!("{name}={value}&"));
            }
        }
        Ok(query)
    }
}

/// Asks for every row, all at one time; `expected` says what of each.
async fn ask(lab: &Lab, history: &History, expected: fn(&Row) -> &'static str) -> Outcome {
    let rows = rows()?;
    let asked = rows.iter().map(async |row| {
        let query = history.query(row)?;
        let answer = lab.pods().ask(row.namespace(), &query).await?;
        let newest = lab.revision().await?;
        check(history, row, expected(row), &answer, newest).map_err(|failure| {
            let text = String::from_utf8_lossy(&answer.body);
            failure.when(format!("row {}, {:?} {query}: {text}", row.number, row.namespace()))
        })
    });
    let wrong: Vec<Failure> = join_all(asked).await.into_iter().filter_map(Result::err).collect();
    ensure!(wrong.is_empty(), "{} of {} rows: {wrong:#?}", wrong.len(), rows.len());
    Ok(())
}

fn check(history: &History, row: &Row, expected: &str, answer: &Answer, newest: u64) -> Outcome {
    let refused = match expected {
        "error" => {
            ensure!(matches!(answer.code, 400 | 422), "answers {}", answer.code);
            return Ok(());
        }
        "TooLarge" => Some((504, "Timeout", "Timeout: Too large resource version: ")),
        "410 list text" => {
            Some((410, "Expired", "The resourceVersion for the provided list is too old."))
        }
        "410 continue text" => Some((
            410,
            "Expired",
            "The provided continue parameter is too old to display a consistent list result. ",
        )),
        "429" => Some((429, "TooManyRequests", "storage is (re)initializing")),
        _ => None,
    };
    if let Some((code, reason, text)) = refused {
        answer.refused(code, reason, text)?;
        return Ok(());
    }
    let list = answer.ok()?;
    let mut parts = expected.split("; ");
    check_items(history, parts.next().unwrap_or_default(), &list)?;
    let (mut continues, mut remaining) = (Some(None), Value::Null);
    let at = version(&list)?;
    for part in parts {
        if let Some(name) = part.strip_prefix("rv=") {
            let wanted = history.at(name)?;
            if row.is_newest() {
                ensure!(wanted <= at && at <= newest, "the version is {at}, not {name}");
            } else {
                ensure_eq!(at, wanted, "the version, {name}");
            }
        } else if let Some(name) = part.strip_prefix("rv >=(") {
            let least = history.at(name.trim_end_matches(')'))?;
            ensure!(at >= least, "the version {at} is below {least}");
        } else if let Some(text) = part.strip_prefix("cont=") {
            let newest = row.is_newest().then_some(at);
            continues = Some(Some(history.token(text, row.namespace(), newest)?));
        } else if let Some(count) = part.strip_prefix("remaining=") {
            remaining = count.parse::<u64>()?.into();
        } else {
            ensure!(part.ends_with("continue"), "the row expects {part:?}");
            continues = None;
        }
    }
    let token = super::lab::token(&list);
    if let Some(wanted) = continues {
        ensure_eq!(meaning(token)?, meaning(&wanted.unwrap_or_default())?, "the continue token");
    }
    ensure!(!expected.contains("has continue") || !token.is_empty(), "there is no continue token");
    ensure_eq!(list["metadata"]["remainingItemCount"], remaining, "how many remain");
    Ok(())
}

fn check_items(history: &History, expected: &str, list: &Value) -> Outcome {
    let objects = |set: &str| {
        let names = set.trim_matches(['{', '}']).split(", ").filter(|name| !name.is_empty());
        names.map(|name| history.object(name).cloned()).collect::<Result<Vec<_>, _>>()
    };
    let found = items(list);
    if let Some(set) = expected.strip_prefix("items ") {
        ensure!(found == objects(set)?, "the items are not {set}");
        return Ok(());
    }
    // Either nothing yet or what is there now.
    let now = expected.strip_prefix("one of {{}, ").and_then(|rest| rest.strip_suffix('}'));
    let now = now.ok_or_else(|| Failure::new(format!("the row expects {expected:?}")))?;
    ensure!(found.is_empty() || found == objects(now)?, "the items are neither none nor {now}");
    Ok(())
}

/// What a token means; tokens are opaque but for that.
fn meaning(token: &str) -> Result<Value, Failure> {
    match token {
        "" => Ok(Value::Null),
        token => Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token)?)?),
    }
}

pub(super) async fn case_18_list_of_a_cache_that_saw_it_all(lab: &Lab) -> Outcome {
    let mut history = History::write(lab).await?;
    history.write_elsewhere(lab).await?;
    ask(lab, &history, |row| row.expected).await
}

pub(super) async fn case_18_list_of_a_new_cache(lab: &Lab) -> Outcome {
    let mut history = History::write(lab).await?;
    history.write_elsewhere(lab).await?;
    ask(&lab.newcomer().await?, &history, |row| row.expected).await
}

/// The newest state, and what is newer than the cache, come from the storage.
pub(super) async fn case_18_list_past_a_stalled_cache(lab: &Lab) -> Outcome {
    let mut history = History::write(lab).await?;
    let stalled = lab.newcomer().await?;
    stalled.storage().watches(Watches::Stall);
    history.write_elsewhere(lab).await?;
    ask(&stalled, &history, |row| row.expected).await
}

/// Pages without a selector come from the storage, and nothing else does.
pub(super) async fn case_18_list_past_a_lost_cache(lab: &Lab) -> Outcome {
    let mut history = History::write(lab).await?;
    history.write_elsewhere(lab).await?;
    let lost = lab.newcomer().await?;
    lost.storage().watches(Watches::Away);
    while lost.pods().ask("", "resourceVersion=0").await?.code != 429 {
        tokio::task::yield_now().await;
    }
    ask(&lost, &history, |row| match row.expected {
        "error" => "error",
        _ if !row.is_page_of_all() => "429",
        expected if row.from_storage.is_empty() => expected,
        _ => row.from_storage,
    })
    .await
}

//! Runs cases side by side and says how they went.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    case::{self, Case, Outcome},
    fixture::{Cx, Shared},
};

/// How many cases run at one time.
const AT_ONCE: usize = 32;
/// No case needs longer, on a machine that does much else.
const LONGEST: Duration = Duration::from_secs(60);

/// What to run. Flags of the usual harness that mean nothing here are accepted.
#[derive(Debug, Default)]
pub(crate) struct Options {
    section: Option<String>,
    names: Vec<String>,
    exact: bool,
    list: bool,
    terse: bool,
}

impl Options {
    pub(crate) fn from_args(args: impl Iterator<Item = String>) -> Self {
        let mut options = Self::default();
        let mut args = args.flat_map(|arg| match arg.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") => {
                vec![flag.to_owned(), value.to_owned()]
            }
            _ => vec![arg],
        });
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--section" => options.section = args.next(),
                "--case" => options.names.extend(args.next()),
                "--list" => options.list = true,
                "--exact" => options.exact = true,
                "--format" => options.terse = args.next().as_deref() == Some("terse"),
                "--test-threads" | "--skip" | "--color" | "--logfile" | "-Z" => drop(args.next()),
                flag if flag.starts_with('-') => {}
                name => options.names.push(name.to_owned()),
            }
        }
        options
    }

    fn wants(&self, case: &Case) -> bool {
        let section = self.section.as_ref().is_none_or(|section| {
            let below = case.section.strip_prefix(section.as_str());
            below.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        });
        let named = self.names.is_empty()
            || self.names.iter().any(|name| match self.exact {
                true => case.name == *name,
                false => case.name.contains(name.as_str()),
            });
        section && named
    }
}

#[derive(Default)]
struct Tally {
    total: usize,
    passed: usize,
    failed: usize,
    pending: usize,
}

/// Whether nothing failed.
pub(crate) async fn run(options: Options) -> bool {
    let cases: Vec<Case> = case::all().into_iter().filter(|case| options.wants(case)).collect();
    if options.list {
        for case in &cases {
            match options.terse {
                true => println!("{}: test", case.name),
                false => println!("{:6} {}", case.section, case.name),
            }
        }
        return true;
    }
    let pending = case::pending();
    // A case that panics says why in its own line.
    std::panic::set_hook(Box::new(|_| {}));
    let outcomes = run_all(cases).await;
    let mut sections: BTreeMap<usize, (String, Tally)> = BTreeMap::new();
    for (at, (case, outcome)) in outcomes.iter().enumerate() {
        let known = sections.iter().find(|(_, (section, _))| *section == case.section);
        let key = known.map_or(at, |(key, _)| *key);
        let (_, tally) =
            sections.entry(key).or_insert_with(|| (case.section.clone(), Tally::default()));
        tally.total += 1;
        let waits = pending.get(&case.name).or_else(|| pending.get(&case.section));
        match (outcome, waits) {
            (Ok(()), None) => tally.passed += 1,
            (Err(_), Some(_)) => tally.pending += 1,
            (Ok(()), Some(_)) if !pending.contains_key(&case.name) => tally.passed += 1,
            (Ok(()), Some(why)) => {
                tally.failed += 1;
                println!(
                    "FAIL {} {}: passes, but is listed as pending: {why}",
                    case.section, case.name
                );
            }
            (Err(why), None) => {
                tally.failed += 1;
                let why: String = why.replace('\n', " ").chars().take(900).collect();
                println!("FAIL {} {}: {why}", case.section, case.name);
            }
        }
    }
    report(&sections, &outcomes, &pending)
}

fn report(
    sections: &BTreeMap<usize, (String, Tally)>,
    outcomes: &[(Case, Outcome)],
    pending: &BTreeMap<String, String>,
) -> bool {
    let mut all = Tally::default();
    for (section, tally) in sections.values() {
        let waiting = match tally.pending {
            0 => String::new(),
            count => format!(", {count} pending"),
        };
        println!("section {section:5} {:3}/{:<3} passed{waiting}", tally.passed, tally.total);
        all.total += tally.total;
        all.passed += tally.passed;
        all.failed += tally.failed;
        all.pending += tally.pending;
    }
    // A whole section that is pending must have something that does not work yet.
    for (name, why) in pending {
        let mut here = outcomes.iter().filter(|(case, _)| case.section == *name).peekable();
        if here.peek().is_some() && here.all(|(_, outcome)| outcome.is_ok()) {
            all.failed += 1;
            println!("FAIL {name}: the whole section passes, but is listed as pending: {why}");
        }
    }
    let waiting = match all.pending {
        0 => String::new(),
        count => format!(", {count} pending"),
    };
    println!(
        "conformance: {} cases, {} passed, {} failed{waiting}",
        all.total, all.passed, all.failed
    );
    all.failed == 0
}

async fn run_all(cases: Vec<Case>) -> Vec<(Case, Outcome)> {
    let shared = Arc::new(Shared::start().await);
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    for (at, case) in cases.iter().cloned().enumerate() {
        let (places, shared) = (Arc::clone(&places), Arc::clone(&shared));
        running.spawn(async move {
            let _place = places.acquire().await.unwrap();
            let server = if case.alone { Arc::new(Shared::start().await) } else { shared };
            let cx = Cx::new(server, at);
            // A task of its own, so that a panic is only this case's.
            let run =
                tokio::spawn(async move { tokio::time::timeout(LONGEST, case.run(cx)).await });
            let outcome = match run.await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) => Err(format!("takes longer than {} s", LONGEST.as_secs())),
                Err(error) => Err(panic_text(error)),
            };
            (at, outcome)
        });
    }
    let mut outcomes = vec![Ok(()); cases.len()];
    while let Some(done) = running.join_next().await {
        let (at, outcome) = done.unwrap();
        outcomes[at] = outcome;
    }
    cases.into_iter().zip(outcomes).collect()
}

fn panic_text(error: tokio::task::JoinError) -> String {
    match error.try_into_panic() {
        Ok(payload) => match payload.downcast::<String>() {
            Ok(text) => *text,
            Err(payload) => payload
                .downcast_ref::<&str>()
                .map_or("panicked".to_owned(), |text| (*text).to_owned()),
        },
        Err(_) => "was cancelled".to_owned(),
    }
}

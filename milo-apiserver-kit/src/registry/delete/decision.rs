//! What a deletion does to an object: the table of `spec/wire.md` section 2.7.

use jiff::{SignedDuration, Timestamp};
use milo_core::{meta, object::Object};
use serde_json::Value;

use crate::{
    request::options::{DeleteOptions, Propagation},
    strategy::{GcPolicy, Strategy, WriteContext, grace_period},
};

/// Both are taken away from an object by a garbage collector, when it has done its work.
const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

/// What is to be done.
#[derive(Debug, PartialEq)]
pub(super) enum Decision {
    /// The object goes away.
    Remove,
    /// The object is written like this, and goes away later.
    Mark(Object),
    /// The object has been given time to end before; nothing changes.
    Pending,
}

/// Decides what the deletion of `current` does.
pub(super) fn decide(
    strategy: &dyn Strategy,
    context: &WriteContext<'_>,
    current: &Object,
    options: &DeleteOptions,
) -> Decision {
    let mut next = current.clone();
    let time = match (current.is_deleting(), grace_period(current)) {
        (true, Some(stored @ 1..)) => match options.grace_period {
            Some(asked) if asked < stored => Some(shorten(&mut next, stored, asked)),
            _ => return Decision::Pending,
        },
        (true, _) => None,
        (false, _) => {
            let given = strategy.check_graceful_delete(context, current, options.grace_period);
            let given = given.map(|seconds| if seconds < 0 { 1 } else { seconds });
            if let Some(seconds) = given {
                begin(&mut next, seconds);
            }
            given
        }
    };
    if !current.is_deleting() {
        set_collector_finalizers(&mut next, strategy.gc_policy(), options);
    }
    let waits = next.finalizers().next().is_some();
    match time {
        None if waits => {
            mark(&mut next);
            Decision::Mark(next)
        }
        Some(seconds) if waits || seconds > 0 => Decision::Mark(next),
        _ => Decision::Remove,
    }
}

/// The object has `seconds` to end.
fn begin(object: &mut Object, seconds: i64) {
    let end = Timestamp::now().saturating_add(SignedDuration::from_secs(seconds));
    set_end(object, end.unwrap_or(Timestamp::MAX), seconds);
    count_generation(object);
}

/// Moves the end of an object that was given time forward, but not into the past. Says how many
/// seconds it has now.
fn shorten(object: &mut Object, stored: i64, asked: i64) -> i64 {
    let now = Timestamp::now();
    let before: Timestamp = object.meta("deletionTimestamp").parse().unwrap_or(now);
    let earlier = SignedDuration::from_secs(asked.saturating_sub(stored));
    let end = before.saturating_add(earlier).unwrap_or(now);
    let (end, seconds) = match end < now {
        true => (now, asked.min(1)),
        false => (end, asked),
    };
    set_end(object, end, seconds);
    seconds
}

/// Marks an object that has finalizers as being deleted by now.
fn mark(object: &mut Object) {
    let end: Option<Timestamp> = object.meta("deletionTimestamp").parse().ok();
    if end.is_none() {
        count_generation(object);
    }
    if end.is_none_or(|end| end > Timestamp::now()) {
        object.set_meta("deletionTimestamp", &meta::now());
    }
    object.metadata_mut().insert("deletionGracePeriodSeconds".into(), 0.into());
}

fn set_end(object: &mut Object, end: Timestamp, seconds: i64) {
    let whole = Timestamp::from_second(end.as_second()).unwrap_or(end);
    object.set_meta("deletionTimestamp", &whole.to_string());
    object.metadata_mut().insert("deletionGracePeriodSeconds".into(), seconds.into());
}

fn count_generation(object: &mut Object) {
    if object.generation() > 0 {
        let generation = object.generation() + 1;
        object.metadata_mut().insert("generation".into(), generation.into());
    }
}

/// Adds the finalizer that asks a garbage collector for what the client or the kind wants to become
/// of dependents, and takes away the other one.
fn set_collector_finalizers(object: &mut Object, policy: GcPolicy, options: &DeleteOptions) {
    if policy == GcPolicy::Unsupported {
        return;
    }
    let has = |name: &str| object.finalizers().any(|finalizer| finalizer == name);
    let (orphan, foreground) = match (options.orphan_dependents, options.propagation) {
        (Some(orphan), _) => (orphan, false),
        (None, Some(propagation)) => {
            (propagation == Propagation::Orphan, propagation == Propagation::Foreground)
        }
        (None, None) if has(ORPHAN) => (true, false),
        (None, None) if has(FOREGROUND) => (false, true),
        (None, None) => (policy == GcPolicy::OrphanDependents, false),
    };
    if has(ORPHAN) == orphan && has(FOREGROUND) == foreground {
        return;
    }
    let kept = object.finalizers().filter(|name| !matches!(*name, ORPHAN | FOREGROUND));
    let wanted = [(orphan, ORPHAN), (foreground, FOREGROUND)];
    let wanted = wanted.iter().filter(|(wanted, _)| *wanted).map(|(_, name)| *name);
    let finalizers: Vec<Value> = kept.chain(wanted).map(Value::from).collect();
    if finalizers.is_empty() {
        object.metadata_mut().remove("finalizers");
    } else {
        object.metadata_mut().insert("finalizers".into(), finalizers.into());
    }
}

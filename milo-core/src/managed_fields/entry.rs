//! The entries of `metadata.managedFields`: who owns what.

use std::{
    borrow::Cow,
    cmp::Ordering,
    collections::{BTreeMap, HashMap},
};

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{fields_v1, reconcile, set::FieldSet};
use crate::schema::shape::MapShape;

/// How fields came to be owned. Appliers sort first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Apply,
    Update,
}

/// Who owns something, as one entry says it.
#[derive(Clone, Debug)]
pub(super) struct Entry<'a> {
    pub(super) manager: Cow<'a, str>,
    pub(super) operation: Operation,
    pub(super) api_version: Cow<'a, str>,
    pub(super) subresource: Cow<'a, str>,
    pub(super) time: Option<Cow<'a, str>>,
    fields: Fields<'a>,
}

/// What is owned. Sets are read only when they are needed, and written only when they changed.
#[derive(Clone, Debug)]
enum Fields<'a> {
    Stored(&'a Value),
    Set(FieldSet<'a>),
}

impl<'a> Entry<'a> {
    pub(super) fn new(
        manager: &'a str,
        operation: Operation,
        api_version: &'a str,
        subresource: &'a str,
        set: FieldSet<'a>,
    ) -> Self {
        Self {
            manager: Cow::Borrowed(manager),
            operation,
            api_version: Cow::Borrowed(api_version),
            subresource: Cow::Borrowed(subresource),
            time: None,
            fields: Fields::Set(set),
        }
    }

    /// None if the entry is not one.
    fn decode(value: &'a Value) -> Option<Self> {
        let fields = value.as_object()?;
        let text = |name: &str| match fields.get(name) {
            None | Some(Value::Null) => Some(""),
            Some(value) => value.as_str(),
        };
        let operation = match text("operation")? {
            "Apply" => Operation::Apply,
            "Update" => Operation::Update,
            _ => return None,
        };
        let api_version = text("apiVersion").filter(|version| !version.is_empty())?;
        if text("fieldsType")? != "FieldsV1" {
            return None;
        }
        let time = Some(text("time")?).filter(|time| !time.is_empty());
        Some(Self {
            manager: Cow::Borrowed(text("manager")?),
            operation,
            api_version: Cow::Borrowed(api_version),
            subresource: Cow::Borrowed(text("subresource")?),
            time: time.map(Cow::Borrowed),
            fields: Fields::Stored(fields.get("fieldsV1").unwrap_or(&Value::Null)),
        })
    }

    /// The set, as the schema sees it now. What cannot be read is nothing.
    pub(super) fn set(&mut self, shape: &MapShape) -> &mut FieldSet<'a> {
        if let Fields::Stored(value) = self.fields {
            let mut set = fields_v1::decode(Some(value)).unwrap_or_default();
            reconcile::objects(shape, &mut set);
            self.fields = Fields::Set(set);
        }
        match &mut self.fields {
            Fields::Set(set) => set,
            // INVARIANT: made a set above.
            Fields::Stored(_) => unreachable!("the set was read"),
        }
    }

    /// Replaces the set.
    pub(super) fn own(&mut self, set: FieldSet<'a>) {
        self.fields = Fields::Set(set);
    }

    /// Owns nothing.
    fn is_empty(&self) -> bool {
        matches!(&self.fields, Fields::Set(set) if set.is_empty())
    }

    pub(super) fn is(&self, manager: &str, operation: Operation, subresource: &str) -> bool {
        self.operation == operation && self.manager == manager && self.subresource == subresource
    }

    pub(super) fn touch(&mut self, now: Timestamp) {
        self.time = Some(Cow::Owned(now.to_string()));
    }

    /// Entries of one identity are one entry. An applier is the same in all versions.
    fn identity(&self) -> (Operation, &str, &str, &str) {
        let version = match self.operation {
            Operation::Apply => "",
            Operation::Update => self.api_version.as_ref(),
        };
        (self.operation, self.manager.as_ref(), version, self.subresource.as_ref())
    }

    fn seconds(&self) -> i64 {
        let time = self.time.as_deref().and_then(|time| time.parse::<Timestamp>().ok());
        time.map_or(0, Timestamp::as_second)
    }

    fn encode(&self) -> Value {
        let mut entry = Map::new();
        let mut put = |name: &str, value: &str| {
            entry.insert(name.to_owned(), Value::from(value));
        };
        put("manager", &self.manager);
        put(
            "operation",
            match self.operation {
                Operation::Apply => "Apply",
                Operation::Update => "Update",
            },
        );
        put("apiVersion", &self.api_version);
        if let Some(time) = &self.time {
            put("time", time);
        }
        put("fieldsType", "FieldsV1");
        if !self.subresource.is_empty() {
            put("subresource", &self.subresource);
        }
        let fields = match &self.fields {
            Fields::Stored(value) => (*value).clone(),
            Fields::Set(set) => fields_v1::encode(set),
        };
        entry.insert("fieldsV1".to_owned(), fields);
        Value::Object(entry)
    }
}

/// Reads `managedFields`. None if one of the entries is malformed; then nothing may be believed.
/// What the entries own is not read yet.
pub(super) fn decode(managed_fields: Option<&Value>) -> Option<Vec<Entry<'_>>> {
    let values = match managed_fields {
        None | Some(Value::Null) => return Some(Vec::new()),
        Some(Value::Array(values)) => values,
        Some(_) => return None,
    };
    let mut entries: Vec<Entry<'_>> = values.iter().map(Entry::decode).collect::<Option<_>>()?;
    let increasing = entries.is_sorted_by(|l, r| l.identity() < r.identity());
    if entries.len() > 1 && !increasing {
        // The last of one identity wins.
        entries.reverse();
        entries.sort_by(|left, right| left.identity().cmp(&right.identity()));
        entries.dedup_by(|later, kept| later.identity() == kept.identity());
    }
    Some(entries)
}

/// Reads what a client sent: also what the entries own must be readable.
pub(super) fn decode_whole(managed_fields: Option<&Value>) -> Option<Vec<Entry<'_>>> {
    let entries = decode(managed_fields)?;
    let readable = |entry: &Entry<'_>| match entry.fields {
        Fields::Stored(value) => fields_v1::decode(Some(value)).is_ok(),
        Fields::Set(_) => true,
    };
    entries.iter().all(readable).then_some(entries)
}

/// Writes `managedFields` in upstream's order, without entries that own nothing. None if nobody
/// owns anything.
pub(super) fn encode(mut entries: Vec<Entry<'_>>) -> Option<Value> {
    entries.retain(|entry| !entry.is_empty());
    if entries.is_empty() {
        return None;
    }
    let mut keyed: Vec<(i64, Entry<'_>)> =
        entries.into_iter().map(|entry| (entry.seconds(), entry)).collect();
    keyed.sort_by(|(left_time, left), (right_time, right)| {
        let by_version = || left.api_version.cmp(&right.api_version);
        left.operation
            .cmp(&right.operation)
            .then(left_time.cmp(right_time))
            .then_with(|| left.manager.cmp(&right.manager))
            .then_with(by_version)
            .then_with(|| left.subresource.cmp(&right.subresource))
    });
    Some(keyed.iter().map(|(_, entry)| entry.encode()).collect())
}

/// More entries of updates than this are merged.
const MOST_UPDATERS: usize = 10;
/// Who owns what the oldest updates wrote.
const ANCIENT: &str = "ancient-changes";

/// Merges the oldest entries of updates until few enough are left.
pub(super) fn cap<'a>(shape: &MapShape, entries: &mut Vec<Entry<'a>>) {
    entries.retain(|entry| !entry.is_empty());
    let is_update = |entry: &Entry<'_>| entry.operation == Operation::Update;
    let count = entries.iter().filter(|entry| is_update(entry)).count();
    let Some(excess) = count.checked_sub(MOST_UPDATERS).filter(|excess| *excess > 0) else {
        return;
    };
    let (mut updates, rest): (Vec<_>, Vec<_>) = entries.drain(..).partition(is_update);
    updates.sort_by(by_age);
    entries.extend(rest);
    entries.extend(merge_oldest(shape, updates, excess));
}

/// Merges entries, which are sorted by age, into the bucket of their version, which starts as the
/// oldest entry of that version; `excess` of them, if there are so many. A client can send any
/// number of entries, so each is looked at once and all of a bucket are united together.
fn merge_oldest<'a>(
    shape: &MapShape,
    updates: Vec<Entry<'a>>,
    mut excess: usize,
) -> impl Iterator<Item = Entry<'a>> {
    let is_bucket = |entry: &Entry<'_>| entry.manager == ANCIENT && entry.subresource.is_empty();
    let buckets = updates.iter().enumerate().filter(|(_, entry)| is_bucket(entry));
    let mut buckets: HashMap<Cow<'a, str>, usize> =
        buckets.map(|(at, entry)| (entry.api_version.clone(), at)).collect();
    let mut oldest: HashMap<Cow<'a, str>, usize> = HashMap::new();
    let mut merged: BTreeMap<usize, Merged<'a>> = BTreeMap::new();
    let mut kept: Vec<Option<Entry<'a>>> = Vec::with_capacity(updates.len());
    for (at, mut entry) in updates.into_iter().enumerate() {
        let first = *oldest.entry(entry.api_version.clone()).or_insert(at);
        if excess == 0 || first == at || is_bucket(&entry) {
            kept.push(Some(entry));
            continue;
        }
        let bucket = *buckets.entry(entry.api_version.clone()).or_insert(first);
        let merged = merged.entry(bucket).or_default();
        merged.sets.push(std::mem::take(entry.set(shape)));
        merged.time = entry.time;
        kept.push(None);
        excess -= 1;
    }
    for (at, Merged { mut sets, time }) in merged {
        let Some(bucket) = kept.get_mut(at).and_then(Option::as_mut) else { continue };
        sets.push(std::mem::take(bucket.set(shape)));
        bucket.own(FieldSet::union_all(sets));
        (bucket.manager, bucket.subresource) = (Cow::Borrowed(ANCIENT), Cow::Borrowed(""));
        bucket.time = time;
    }
    kept.into_iter().flatten()
}

/// What is merged into a bucket.
#[derive(Default)]
struct Merged<'a> {
    sets: Vec<FieldSet<'a>>,
    /// Of the last one.
    time: Option<Cow<'a, str>>,
}

fn by_age(left: &Entry<'_>, right: &Entry<'_>) -> Ordering {
    left.seconds().cmp(&right.seconds()).then_with(|| left.identity().cmp(&right.identity()))
}

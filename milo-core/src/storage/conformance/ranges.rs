//! Which keys a range holds.

use super::{failure::Outcome, lab::Lab, vocabulary::*};
use crate::key::KeyRange;

pub(super) async fn ranges_end_at_segments(lab: Lab) -> Outcome {
    let storage = lab.storage();
    let keys = [key("a", "x"), key("ab", "x"), key("b", "x"), key("", "x")];
    let mut revisions = Vec::new();
    for key in &keys {
        revisions.push(storage.commit(put(key, "1")).await?);
    }
    let found = storage.list(&namespace("a"), all()).await?;
    ensure_eq!(found.records, [record(&keys[0], revisions[0], "1")]);
    let one = storage.list(&KeyRange::key(&keys[1]), all()).await?;
    ensure_eq!(one.records, [record(&keys[1], revisions[1], "1")]);
    let everything = storage.list(&KeyRange::all(), all()).await?;
    ensure_eq!(everything.records.len(), 4);
    ensure!(everything.records.is_sorted_by(|a, b| a.key < b.key), "not in key order");
    let nothing = storage.list(&namespace("c"), all()).await?;
    ensure_eq!(nothing.records, []);
    ensure!(nothing.revision >= revisions[3], "an empty list at {}", nothing.revision);
    Ok(())
}

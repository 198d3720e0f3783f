//! Owner references that are there twice.

use std::collections::{BTreeSet, HashSet};

use serde_json::Value;

use crate::object::Object;

/// Removes owner references that equal an earlier one. Some: the text of the Warning that the
/// client gets; nothing was removed otherwise.
pub fn dedupe_owner_references(object: &mut Object) -> Option<String> {
    dedupe(object).map(|uids| warning("", uids))
}

/// The same after mutating admission, whose webhooks may have added the duplicates; the Warning
/// says so.
pub fn dedupe_owner_references_after_admission(object: &mut Object) -> Option<String> {
    dedupe(object).map(|uids| warning(" after mutating admission happens", uids))
}

fn dedupe(object: &mut Object) -> Option<BTreeSet<String>> {
    let owners = object.metadata()?.get("ownerReferences")?.as_array()?;
    // A client chooses the length of the list, so comparing all with all is out of the question.
    let mut known = HashSet::new();
    let again: Vec<bool> = match owners.len() {
        0 | 1 => return None,
        _ => owners.iter().map(|owner| !known.insert(owner)).collect(),
    };
    if !again.contains(&true) {
        return None;
    }
    let owners = object.metadata_mut().get_mut("ownerReferences")?.as_array_mut()?;
    let mut uids = BTreeSet::new();
    let mut again = again.into_iter();
    owners.retain(|owner| {
        let duplicate = again.next() == Some(true);
        if duplicate {
            uids.insert(owner.get("uid").and_then(Value::as_str).unwrap_or_default().to_owned());
        }
        !duplicate
    });
    Some(uids)
}

fn warning(when: &str, uids: BTreeSet<String>) -> String {
    let uids: Vec<String> = uids.into_iter().collect();
    format!(
        ".metadata.ownerReferences contains duplicate entries{when}; API server dedups owner \
         references in 1.20+, and may reject such requests as early as 1.24; please fix your \
         requests; duplicate UID(s) observed: {}",
        uids.join(", ")
    )
}

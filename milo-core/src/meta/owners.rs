//! Owner references that are there twice.

use serde_json::Value;

use crate::object::Object;

/// Removes owner references that equal an earlier one. Some: the text of the Warning that the
/// client gets; nothing was removed otherwise.
pub fn dedupe_owner_references(object: &mut Object) -> Option<String> {
    dedupe(object).map(|uids| warning("", &uids))
}

/// The same after mutating admission, whose webhooks may have added the duplicates; the Warning
/// says so.
pub fn dedupe_owner_references_after_admission(object: &mut Object) -> Option<String> {
    dedupe(object).map(|uids| warning(" after mutating admission happens", &uids))
}

fn dedupe(object: &mut Object) -> Option<Vec<String>> {
    let owners = object.metadata()?.get("ownerReferences")?.as_array()?;
    let again = |index: usize| owners[..index].contains(&owners[index]);
    if !(1..owners.len()).any(again) {
        return None;
    }
    let owners = object.metadata_mut().get_mut("ownerReferences")?.as_array_mut()?;
    let mut kept: Vec<Value> = Vec::with_capacity(owners.len());
    let mut uids = Vec::new();
    for owner in owners.drain(..) {
        if !kept.contains(&owner) {
            kept.push(owner);
            continue;
        }
        let uid = owner.get("uid").and_then(Value::as_str).unwrap_or_default();
        if !uids.iter().any(|known| known == uid) {
            uids.push(uid.to_owned());
        }
    }
    *owners = kept;
    Some(uids)
}

fn warning(when: &str, uids: &[String]) -> String {
    format!(
        ".metadata.ownerReferences contains duplicate entries{when}; API server dedups owner \
         references in 1.20+, and may reject such requests as early as 1.24; please fix your \
         requests; duplicate UID(s) observed: {}",
        uids.join(", ")
    )
}

//! What every write passes before it commits: the steps that mutate and the steps that check
//! (`spec/wire.md` section 6.1).

use std::hash::{DefaultHasher, Hash, Hasher};

use milo_core::{
    admission::{Admission, AdmissionRequest, Operation},
    meta,
    object::Object,
    status::StatusError,
    storage::Transaction,
};
use serde_json::Value;

use super::{Call, Resource};

/// A write as the steps are told of it.
pub(super) struct Write<'a> {
    pub(super) operation: Operation,
    /// What is stored now; none on create.
    pub(super) old: Option<&'a Object>,
    /// Whether the object is gone once the transaction has committed.
    pub(super) removes: bool,
    pub(super) dry_run: bool,
    /// What the steps add to commits together with the object.
    pub(super) transaction: Transaction,
}

impl<'a> Write<'a> {
    pub(super) fn new(operation: Operation, old: Option<&'a Object>, dry_run: bool) -> Self {
        Self { operation, old, removes: false, dry_run, transaction: Transaction::new() }
    }
}

impl Resource {
    /// Lets every step change the object. If one changed it after another had seen it, all of them
    /// see it once more.
    pub(super) async fn mutate(
        &self,
        call: &mut Call<'_>,
        write: &mut Write<'_>,
        object: &mut Object,
    ) -> Result<(), StatusError> {
        let Some((first, others)) = self.admission.split_first() else { return Ok(()) };
        let managed = managed_fields(object);
        self.mutate_by(first, call, write, object).await?;
        if !others.is_empty() {
            let seen = fingerprint(object);
            for step in others {
                self.mutate_by(step, call, write, object).await?;
            }
            if fingerprint(object) != seen {
                // What the steps want to commit is told anew too.
                write.transaction = Transaction::new();
                for step in self.admission.iter() {
                    self.mutate_by(step, call, write, object).await?;
                }
            }
        }
        restore_managed_fields(call, object, &managed);
        call.warnings.extend(meta::dedupe_owner_references_after_admission(object));
        Ok(())
    }

    async fn mutate_by(
        &self,
        step: &std::sync::Arc<dyn Admission>,
        call: &mut Call<'_>,
        write: &mut Write<'_>,
        object: &mut Object,
    ) -> Result<(), StatusError> {
        step.mutate(&mut self.request(call, write), object).await
    }

    /// Lets every step check the final object; for deletions, the stored one.
    pub(super) async fn admit(
        &self,
        call: &mut Call<'_>,
        write: &mut Write<'_>,
        object: &Object,
    ) -> Result<(), StatusError> {
        for step in self.admission.iter() {
            step.validate(&mut self.request(call, write), object).await?;
        }
        Ok(())
    }

    fn request<'a>(
        &'a self,
        call: &'a mut Call<'_>,
        write: &'a mut Write<'_>,
    ) -> AdmissionRequest<'a> {
        AdmissionRequest {
            attributes: call.attributes,
            definition: &self.definition,
            operation: write.operation,
            old: write.old,
            removes: write.removes,
            dry_run: write.dry_run,
            reader: &self.reader,
            transaction: &mut write.transaction,
            warnings: &mut call.warnings,
        }
    }
}

/// Tells whether an object has changed, at less than the cost of a copy.
fn fingerprint(object: &Object) -> u64 {
    let mut hasher = DefaultHasher::new();
    object.fields().hash(&mut hasher);
    hasher.finish()
}

/// `managedFields` as text: cheaper to keep than a copy, and only needed when a step breaks them.
fn managed_fields(object: &Object) -> Vec<u8> {
    let entries = object.metadata().and_then(|metadata| metadata.get("managedFields"));
    entries.and_then(|entries| serde_json::to_vec(entries).ok()).unwrap_or_default()
}

/// Gives an object its `managedFields` back, if the steps have left invalid ones.
fn restore_managed_fields(call: &mut Call<'_>, object: &mut Object, before: &[u8]) {
    if managed_fields(object) == before {
        return;
    }
    let errors = meta::validate_managed_fields(object);
    if errors.is_empty() {
        return;
    }
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let errors = match errors.as_slice() {
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    };
    call.warnings.push(format!(
        ".metadata.managedFields was in an invalid state after admission; this could be caused by an outdated mutating admission controller; please fix your requests: {errors}"
    ));
    match serde_json::from_slice::<Value>(before) {
        Ok(entries) => object.metadata_mut().insert("managedFields".into(), entries),
        Err(_) => object.metadata_mut().remove("managedFields"),
    };
}

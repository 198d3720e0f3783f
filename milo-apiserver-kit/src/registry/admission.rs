//! What every write passes before it commits: the steps that mutate and the steps that check.

use milo_core::{
    admission::{AdmissionRequest, Operation},
    object::Object,
    status::StatusError,
    storage::Transaction,
};

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

impl Resource {
    /// Lets every step change the object.
    pub(super) async fn mutate(
        &self,
        call: &mut Call<'_>,
        write: &mut Write<'_>,
        object: &mut Object,
    ) -> Result<(), StatusError> {
        for step in self.admission.iter() {
            step.mutate(&mut self.request(call, write), object).await?;
        }
        Ok(())
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

//! What belongs to an organization, and keeps it from being deleted.
//!
//! A deletion looks for dependents and refuses when there are any. What commits between that look
//! and the deletion must not be missed: a membership that outlived its organization would let its
//! user into the next one of that name. So everything new that belongs to an organization writes a
//! mark in its own commit, and the deletion demands that the mark is as it was before the look.
//! Creations do not hinder each other, nor do they change the organization.
//!
//! With finalizers, the look is at the moment when the deletion is asked for: from then on nothing
//! new can belong to the organization.
//!
//! What this cannot rule out is an organization that goes away by other means: in a server without
//! this admission, or in the storage itself. What it had is orphaned then. Only the platform sees
//! it, and nobody can enter the projects: the organization's UID is never used again.

use super::{label, membership_organization, memberships, organizations, projects};
use crate::{
    admission::{AdmissionRequest, Found, StoredObject},
    key::{GroupResource, Key},
    object::Object,
    resourcemanager::{GROUP, VERSION, labels},
    scope::{Scope, Tenant},
    status::StatusError,
    storage::{Operation, Precondition},
};

/// How many dependents of a kind a refusal names.
const NAMED: usize = 10;

/// The name of every mark: there is one in each organization's own key space.
const MARK: &str = "newest";

fn marks() -> GroupResource {
    GroupResource::new(GROUP, "organizationdependents")
}

/// Where an organization's mark is.
fn home(organization: &Object) -> Result<Scope, StatusError> {
    Tenant::new(organization.name(), organization.uid())
        .map(Scope::Organization)
        .map_err(StatusError::internal)
}

/// Lets the new object of a request commit only if the organization is still as it was read, and
/// only if no deletion of it has overlooked the object.
pub(super) fn belong_to(
    request: &mut AdmissionRequest<'_>,
    organization: StoredObject,
) -> Result<(), StatusError> {
    let scope = home(&organization.object)?;
    let mark = Key::object(&marks(), &scope, "", MARK).map_err(StatusError::internal)?;
    let unchanged = Precondition::RevisionIs(organization.key, organization.revision);
    request.transaction.add_precondition(unchanged);
    let content = Object::new(&format!("{GROUP}/{VERSION}"), "OrganizationDependents", MARK);
    let bytes = content.encode().bytes().clone();
    request.transaction.add_operation(Operation::Put(mark, bytes));
    Ok(())
}

/// Refuses to delete an organization that still has projects or members.
pub(super) async fn check_none(
    request: &mut AdmissionRequest<'_>,
    organization: &Object,
) -> Result<(), StatusError> {
    let scope = home(organization)?;
    // The mark comes first: what is created from here on changes it.
    let mark = request.reader.read(&marks(), &scope, "", MARK).await?;
    let (name, uid) = (organization.name(), organization.uid());
    let is_owned = |project: &Object| label(project, labels::ORGANIZATION_UID) == Some(uid);
    let owned = request.reader.find(&projects(), &Scope::Platform, &is_owned, NAMED).await?;
    let is_member = |membership: &Object| membership_organization(membership) == name;
    let members = request.reader.find(&memberships(), &Scope::Platform, &is_member, NAMED).await?;
    let blocking: Vec<String> =
        [listed("project", &owned), listed("membership", &members)].into_iter().flatten().collect();
    if !blocking.is_empty() {
        let why = format!("it still has {}; delete them first", blocking.join(" and "));
        return Err(StatusError::conflict(&organizations(), name, why));
    }
    if let Some(mark) = mark {
        let unchanged = Precondition::RevisionIs(mark.key.clone(), mark.revision);
        request.transaction.add_precondition(unchanged);
        request.transaction.add_operation(Operation::Delete(mark.key));
        return Ok(());
    }
    let key = Key::object(&marks(), &scope, "", MARK).map_err(StatusError::internal)?;
    request.transaction.add_precondition(Precondition::Absent(key));
    Ok(())
}

/// `2 projects ("a", "b")`; none when there are none.
fn listed(what: &str, found: &Found) -> Option<String> {
    if found.total == 0 {
        return None;
    }
    let plural = if found.total == 1 { "" } else { "s" };
    let quoted = found.first.iter().map(|stored| format!("{:?}", stored.object.name()));
    let mut names = quoted.collect::<Vec<_>>().join(", ");
    if found.total > found.first.len() {
        names.push_str(", ...");
    }
    Some(format!("{} {what}{plural} ({names})", found.total))
}

//! Who may grant what: nobody gives away what they do not have.

use std::collections::BTreeSet;

use crate::{
    Permission, Principal, Question, model,
    world::{Body, Fact, Home, Key, Target},
};

use super::{catalogue::Registered, extent::Extent, snapshot::Snapshot};

/// The verb on a role that lets whoever has it bind the role, whatever they have themselves.
const BIND: (&str, &str, &str) = ("iam.miloapis.com", "roles", "bind");

/// Why a binding must not be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GrantError {
    /// The fact is not a binding.
    #[error("{0} is not a PolicyBinding")]
    NotABinding(String),
    /// The role is not there, or of another tenant. Whoever made it later would decide what is
    /// granted.
    #[error(
        "{binding}: spec.roleRef names no role that can be granted here: name one of the same \
         namespace or of the platform"
    )]
    UnknownRole {
        /// The binding.
        binding: String,
    },
    /// The target is not there, has another UID, or lives with another tenant.
    #[error(
        "{binding}: spec.resourceSelector: {target} is not within {home}, or has another UID: bind \
         it where it lives"
    )]
    OutOfReach {
        /// The binding.
        binding: String,
        /// What it names.
        target: String,
        /// Whose the binding is.
        home: Home,
    },
    /// The writer does not hold what the binding would grant.
    #[error(
        "{writer} may not bind {role} on {target}: that would grant {}, which {writer} does not \
         hold there; hold them or {}/{}.{} on the role",
        list(missing), BIND.0, BIND.1, BIND.2
    )]
    Escalation {
        /// Who writes.
        writer: String,
        /// The role.
        role: String,
        /// On what.
        target: String,
        /// What the writer does not hold.
        missing: Vec<Permission>,
    },
}

fn list(permissions: &[Permission]) -> String {
    const SHOWN: usize = 3;
    let shown: Vec<String> = permissions.iter().take(SHOWN).map(ToString::to_string).collect();
    let more = permissions.len().saturating_sub(SHOWN);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    shown.join(", ") + &more
}

impl Snapshot {
    /// Whether a writer may create a binding, or change one to this: the writer must hold, on what
    /// the binding covers, every permission that it grants, or be allowed to `bind` the role.
    ///
    /// An invitation or a membership role is asked about as the binding that it will become.
    ///
    /// # Errors
    /// What is missing; see [`GrantError`].
    pub fn can_grant(&self, writer: &Principal, binding: &Fact) -> Result<(), GrantError> {
        let key = binding.key();
        let Body::Binding { role, target, .. } = binding.body() else {
            return Err(GrantError::NotABinding(key.to_string()));
        };
        let named = model::named_role(&self.world, key, role)
            .filter(|role| matches!(role.body(), Body::Role { .. }))
            .ok_or_else(|| GrantError::UnknownRole { binding: key.to_string() })?;
        let extent = Extent { home: key.home(), target: target.clone() };
        if matches!(target, Target::Object { .. }) && self.object_in_reach(&extent).is_none() {
            let (binding, target) = (key.to_string(), target.to_string());
            return Err(GrantError::OutOfReach { binding, target, home: extent.home });
        }
        if self.may_bind(writer, named.key()) {
            return Ok(());
        }
        let missing = self.not_held(writer, named.key(), &extent);
        if missing.is_empty() {
            return Ok(());
        }
        Err(GrantError::Escalation {
            writer: writer.to_string(),
            role: named.key().to_string(),
            target: target.to_string(),
            missing,
        })
    }

    fn may_bind(&self, writer: &Principal, role: &Key) -> bool {
        let (service, plural, verb) = BIND;
        let within = self.control_plane_of(role);
        let permission = Permission::new(service, plural, "", verb).ok();
        let (Some(within), Some(permission)) = (within, permission) else { return false };
        let question = Question::new(writer.clone(), permission).within(within);
        self.check(&question.namespace(&*role.namespace).name(&*role.name))
    }

    /// What a role would grant on an extent that a principal does not hold there.
    fn not_held(&self, principal: &Principal, role: &Key, extent: &Extent) -> Vec<Permission> {
        let subjects = self.subjects_of(principal);
        let mut missing: Vec<Permission> = Vec::new();
        for permission in self.permissions_of(role) {
            let Some(Registered { id, kind }) = self.catalogue.registered(&permission) else {
                continue;
            };
            // What the extent does not cover is not granted.
            let Some(nodes) = self.covering(kind, extent) else { continue };
            let holds = nodes.iter().any(|node| {
                let row = self.index.by_node.row(node);
                row.find_about(&subjects, |granted| self.roles.has(granted.role, *id)).is_some()
            });
            if !holds {
                missing.push(permission);
            }
        }
        missing
    }

    /// The registered permissions that a role has, its own and inherited ones.
    fn permissions_of(&self, role: &Key) -> BTreeSet<Permission> {
        let mut found = BTreeSet::new();
        let mut roles = vec![role.clone()];
        let mut next = 0;
        while let Some(role) = roles.get(next).cloned() {
            next += 1;
            let Some(fact) = self.world.get(&role) else { continue };
            let Body::Role { permissions, inherits } = fact.body() else { continue };
            let own = permissions.iter().filter_map(|text| text.parse::<Permission>().ok());
            found.extend(own.filter(|own| self.catalogue.is_registered(own)));
            for name in inherits {
                if let Some(inherited) = model::named_role(&self.world, &role, name)
                    && !roles.contains(inherited.key())
                {
                    roles.push(inherited.key().clone());
                }
            }
        }
        found
    }
}

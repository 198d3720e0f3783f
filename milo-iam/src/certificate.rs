//! Why something is allowed, in a form that can be checked without trusting who says it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    Question, model,
    world::{Body, GROUP, Home, Key, Subject, Target, World},
};

/// The proof that a world grants what was asked: one binding, and how it leads from the principal to
/// the permission. [`verify`](Self::verify) re-checks it against the facts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// What was asked.
    pub question: Question,
    /// The binding.
    pub binding: Key,
    /// The subject of the binding that the principal is, or is in.
    pub subject: Subject,
    /// What puts the principal into that group, if it is one.
    pub membership: Option<Key>,
    /// The role of the binding, then the roles that inherit one another down to the one that has
    /// the permission.
    pub roles: Vec<Key>,
    /// On what the binding grants.
    pub target: Target,
}

impl Certificate {
    /// Whether the facts of a world are as the certificate says, and allow what was asked.
    #[must_use]
    pub fn verify(&self, world: &World) -> bool {
        self.holds(world).unwrap_or(false)
    }

    fn holds(&self, world: &World) -> Option<bool> {
        let Question { principal, permission, .. } = &self.question;
        let (kind, permission) = model::registered(world, permission)?;
        let place = model::place(world, &self.question, &kind)?;
        let binding = world.get(&self.binding)?;
        let Body::Binding { role, subjects, target } = binding.body() else {
            return None;
        };
        let is_member = match (&self.subject, &self.membership) {
            (Subject::Group { namespace, name, .. }, Some(membership)) => {
                let group = Key::new(GROUP.clone(), name).namespace(namespace);
                model::puts_into(&*world.get(membership)?, &group, &principal.uid)
            }
            (Subject::Group { .. }, None) | (_, Some(_)) => false,
            _ => true,
        };
        let mut named = model::named_role(world, &self.binding, role)?;
        let (first, rest) = self.roles.split_first()?;
        let mut is_chain = named.key() == first;
        for next in rest {
            let Body::Role { inherits, .. } = named.body() else { return None };
            let mut inherited =
                inherits.iter().filter_map(|r| model::named_role(world, named.key(), r));
            let found = inherited.find(|role| role.key() == next)?;
            named = found;
        }
        let Body::Role { permissions, .. } = named.body() else { return None };
        is_chain &= permissions.iter().any(|text| **text == *permission.to_string());
        Some(
            is_chain
                && is_member
                && *target == self.target
                && subjects.contains(&self.subject)
                && model::is(world, principal, &self.subject)
                && model::is_registered_below(world, &kind, target.kind())
                && place.is_covered_by(&self.binding.home(), target, &kind),
        )
    }
}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "allowed: {}", self.question)?;
        writeln!(f, "└─ {}", self.binding)?;
        let who = &self.question.principal;
        match (&self.subject, &self.membership) {
            (Subject::Group { .. }, Some(membership)) => {
                writeln!(f, "   ├─ to {}", self.subject)?;
                writeln!(f, "   │  └─ {membership} has {who}")?;
            }
            _ => writeln!(f, "   ├─ to {}", self.subject)?,
        }
        match self.binding.home() {
            Home::Platform => writeln!(f, "   ├─ on {}", self.target)?,
            home => writeln!(f, "   ├─ on {}, within {home}", self.target)?,
        }
        let mut indent = String::from("   ");
        for role in &self.roles {
            writeln!(f, "{indent}└─ {role}")?;
            indent.push_str("   ");
        }
        write!(f, "{indent}└─ {}", self.question.permission)
    }
}

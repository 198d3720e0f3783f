//! What access means: a naive evaluator that reads like the specification.
//!
//! It looks at every fact for every question and knows no index, so that it can be compared with
//! the rules below line by line. It is the reference: the [evaluator](crate::Evaluator) must give
//! the same answers.
//!
//! 1. **Denied is what nobody granted.** A binding grants its role to its subjects on its target.
//!    Grants add up; there is nothing that takes away.
//! 2. **Permissions** are `{service}/{plural}.{verb}`. A subresource has its own where it is
//!    registered, and else the main one's. To delete a collection is to delete. What no
//!    `ProtectedResource` registers is denied, whatever a role says. Two registrations of one kind
//!    or one plural: that with the lesser name counts.
//! 3. **Roles** have their own permissions and those of the roles that they inherit. A missing role
//!    has none; a cycle has what its members have. A role can be named from its own home and, when
//!    it is the platform's, from everywhere: nobody gives away what another tenant can widen.
//! 4. **Subjects** are users by name, service accounts by UID, both alive and with the UID that the
//!    binding was made for; groups likewise, through memberships that live where the group lives,
//!    or with the platform; and two system groups, from authentication. A UID that is a user's name
//!    and a service account's UID at once is nobody's.
//! 5. **A place** is an object or a collection, with what is above it by stored facts: the
//!    organization whose namespace it is in, the project it is stored in and that project's
//!    organization, the user whose control plane is asked. A control plane that does not exist, or
//!    does not hold the object, has no places.
//! 6. **A binding covers a place** when its target is the object or above it, by name, namespace
//!    and UID; or, for a kind, when the object or something above it is of the kind. It reaches no
//!    further than its home. And the kind that is asked about must be registered below the
//!    target's kind.

use std::sync::Arc;

use crate::{
    Permission, Principal, Question, Within,
    world::{
        BINDING, Body, Fact, GROUP, Home, Key, KindName, MEMBERSHIP, NAMESPACE, ORGANIZATION,
        PROJECT, PROTECTED_RESOURCE, Plane, ROLE, RoleName, SERVICE_ACCOUNT, SYSTEM_NAMESPACE,
        Subject, Target, USER, World,
    },
};

/// Whether a world grants what is asked.
#[must_use]
pub fn check(world: &World, question: &Question) -> bool {
    let Some((kind, permission)) = registered(world, &question.permission) else { return false };
    let Some(place) = place(world, question, &kind) else { return false };
    world.of_kind(&BINDING).any(|binding| {
        let Body::Binding { role, subjects, target } = binding.body() else { return false };
        subjects.iter().any(|subject| is(world, &question.principal, subject))
            && place.is_covered_by(&binding.key().home(), target, &kind)
            && is_registered_below(world, &kind, target.kind())
            && has(world, binding.key(), role, &permission, &mut Vec::new())
    })
}

/// Rule 2: the kind that a permission is about, and the form in which it is registered.
#[must_use]
pub fn registered(world: &World, permission: &Permission) -> Option<(KindName, Permission)> {
    let permission = permission.registered_form();
    let (kind, verbs) = registrations(world).iter().find_map(|registration| {
        let Body::ProtectedResource { kind, plural, verbs, .. } = registration.body() else {
            return None;
        };
        let is_it = *kind.service == *permission.service() && **plural == *permission.plural();
        is_it.then(|| (kind.clone(), verbs.clone()))
    })?;
    let found = [permission.of_main_resource(), permission];
    let mut best_first = found.into_iter().rev();
    let found = best_first.find(|found| verbs.iter().any(|verb| **verb == *found.entry()))?;
    Some((kind, found))
}

/// The registrations that count.
fn registrations(world: &World) -> Vec<Arc<Fact>> {
    let mut counting: Vec<Arc<Fact>> = Vec::new();
    for fact in world.of_kind(&PROTECTED_RESOURCE) {
        let Body::ProtectedResource { kind, plural, .. } = fact.body() else { continue };
        let is_taken = counting.iter().any(|other| match other.body() {
            Body::ProtectedResource { kind: taken, plural: taken_plural, .. } => {
                taken == kind || (taken.service == kind.service && taken_plural == plural)
            }
            _ => false,
        });
        if !is_taken {
            counting.push(fact);
        }
    }
    counting
}

/// Rule 6: whether a kind is another, or registered below it.
#[must_use]
pub fn is_registered_below(world: &World, kind: &KindName, above: &KindName) -> bool {
    is_below(world, kind, above, &mut Vec::new())
}

fn is_below(world: &World, kind: &KindName, above: &KindName, seen: &mut Vec<KindName>) -> bool {
    if kind == above {
        return true;
    }
    if seen.contains(kind) {
        return false;
    }
    seen.push(kind.clone());
    registrations(world).iter().any(|registration| match registration.body() {
        Body::ProtectedResource { kind: child, parents, .. } => {
            child == kind && parents.iter().any(|parent| is_below(world, parent, above, seen))
        }
        _ => false,
    })
}

/// Rule 3: the role that an object means, when it may name it.
#[must_use]
pub fn named_role(world: &World, by: &Key, role: &RoleName) -> Option<Arc<Fact>> {
    let namespace = if role.namespace.is_empty() { &by.namespace } else { &role.namespace };
    let plane = if **namespace == *SYSTEM_NAMESPACE { Plane::Platform } else { by.plane.clone() };
    let named =
        Key { kind: ROLE.clone(), plane, namespace: namespace.clone(), name: role.name.clone() };
    let may = named.home() == Home::Platform || named.home() == by.home();
    world.get(&named).filter(|_| may)
}

/// Rule 3: whether a role has a permission, its own or inherited.
fn has(
    world: &World,
    by: &Key,
    role: &RoleName,
    permission: &Permission,
    seen: &mut Vec<Key>,
) -> bool {
    let Some(role) = named_role(world, by, role) else { return false };
    if seen.contains(role.key()) {
        return false;
    }
    seen.push(role.key().clone());
    let Body::Role { permissions, inherits } = role.body() else { return false };
    let is_it = |text: &str| text.parse::<Permission>().is_ok_and(|own| own == *permission);
    permissions.iter().any(|text| is_it(text))
        || inherits.iter().any(|inherited| has(world, role.key(), inherited, permission, seen))
}

/// Rule 4: whether a principal is a subject, or in it.
#[must_use]
pub fn is(world: &World, principal: &Principal, subject: &Subject) -> bool {
    if let Subject::System(name) = subject {
        return principal.is_in_system_group(name);
    }
    let user = world.get(&Key::new(USER.clone(), &principal.uid));
    let accounts = world.of_kind(&SERVICE_ACCOUNT).filter(|fact| **fact.uid() == *principal.uid);
    let accounts: Vec<_> = accounts.collect();
    if principal.uid.is_empty() || (user.is_some() && !accounts.is_empty()) {
        return false;
    }
    match subject {
        Subject::Group { namespace, name, .. } => {
            let key = Key::new(GROUP.clone(), name).namespace(namespace);
            let group =
                world.get(&key).filter(|group| group.as_subject().as_ref() == Some(subject));
            group.is_some()
                && user.is_some_and(|user| membership(world, &key, &user.key().name).is_some())
        }
        _ => {
            user.into_iter().chain(accounts).any(|fact| fact.as_subject().as_ref() == Some(subject))
        }
    }
}

/// Rule 4: what puts a user into a group.
#[must_use]
pub fn membership(world: &World, group: &Key, user: &str) -> Option<Arc<Fact>> {
    world.of_kind(&MEMBERSHIP).find(|fact| puts_into(fact, group, user))
}

/// Rule 4: whether a membership puts a user into a group.
#[must_use]
pub fn puts_into(membership: &Fact, group: &Key, user: &str) -> bool {
    let Body::Membership { group_namespace, group: name, user: member } = membership.body() else {
        return false;
    };
    let (key, home) = (membership.key(), membership.key().home());
    (group_namespace, name, &**member) == (&group.namespace, &group.name, user)
        && key.plane == Plane::Platform
        && (home == Home::Platform || home == group.home())
}

/// An object, or what is above one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// What a binding must name to mean it.
    pub object: Target,
    /// The homes whose bindings reach it.
    pub reached_from: Vec<Home>,
}

/// Rule 5: an object or a collection, with what is above it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The object itself, if it is known, and what is above it.
    pub elements: Vec<Element>,
    /// The homes whose bindings reach it.
    pub reached_from: Vec<Home>,
}

impl Place {
    /// Rule 6: whether a binding of a home on a target covers the place, asked about a kind.
    #[must_use]
    pub fn is_covered_by(&self, home: &Home, target: &Target, kind: &KindName) -> bool {
        match target {
            Target::Object { .. } => self
                .elements
                .iter()
                .any(|element| element.object == *target && element.reached_from.contains(home)),
            Target::Kind(target) => {
                (target == kind && self.reached_from.contains(home))
                    || self.elements.iter().any(|element| {
                        element.object.kind() == target && element.reached_from.contains(home)
                    })
            }
        }
    }
}

/// Rule 5: the place of a question, unless its control plane does not exist or does not hold it.
#[must_use]
pub fn place(world: &World, question: &Question, kind: &KindName) -> Option<Place> {
    let mut plane = Plane::Platform;
    let mut user = None;
    let mut above: Vec<Element> = match &question.within {
        Within::Platform => Vec::new(),
        Within::Organization(tenant) => {
            let found = live(world, &ORGANIZATION, &tenant.name)?;
            tenant.means(found.uid()).then(|| chain(world, &found))??
        }
        Within::Project(tenant) => {
            let found = live(world, &PROJECT, &tenant.name)?;
            plane = Plane::Project(found.uid().clone());
            tenant.means(found.uid()).then(|| chain(world, &found))??
        }
        Within::User(tenant) => {
            let found = live(world, &USER, &tenant.name)?;
            user = Some(chain(world, &found).filter(|_| tenant.means(found.uid()))?);
            Vec::new()
        }
    };
    // A namespace is a namespace's object, whether a request says so or not.
    let is_namespace = *kind == *NAMESPACE && question.is_about_an_object();
    let namespace = if is_namespace { &question.name } else { &question.namespace };
    let object = question.is_about_an_object().then(|| Key {
        kind: kind.clone(),
        plane: plane.clone(),
        namespace: if is_namespace { "" } else { namespace }.into(),
        name: question.name.as_str().into(),
    });
    if plane == Plane::Platform {
        above = on_platform(world, question, namespace, object.as_ref(), above, user)?;
    }
    let mut elements = above.clone();
    let fact = object.and_then(|key| world.get(&key));
    if let Some(fact) = fact
        && !elements.iter().any(|element| element.object == fact.as_target())
    {
        let reached_from = reach(&above);
        elements.insert(0, Element { object: fact.as_target(), reached_from });
    }
    Some(Place { reached_from: reach(&elements), elements })
}

/// What is above an object of the platform, seen from a control plane.
fn on_platform(
    world: &World,
    question: &Question,
    namespace: &str,
    object: Option<&Key>,
    seen_from: Vec<Element>,
    user: Option<Vec<Element>>,
) -> Option<Vec<Element>> {
    let fact = object.and_then(|key| world.get(key));
    let mut above = match (Home::of(&Plane::Platform, namespace), object) {
        (Home::Organization(name), _) => {
            live(world, &ORGANIZATION, &name).and_then(|found| chain(world, &found))
        }
        (_, Some(key)) if [&*ORGANIZATION, &*PROJECT, &*USER].contains(&&key.kind) => {
            fact.and_then(|fact| chain(world, &fact))
        }
        _ => None,
    }
    .unwrap_or_default();
    match &question.within {
        Within::Organization(_) if object.is_none() && namespace.is_empty() => above = seen_from,
        Within::Organization(_) if !seen_from.iter().all(|e| above.contains(e)) => return None,
        _ => {}
    }
    if let Some(user) = user {
        let is_tenant = object.is_some_and(|key| Target::Kind(key.kind.clone()).is_tenant());
        if is_tenant && above != user {
            return None;
        }
        if !is_tenant {
            above.extend(user);
        }
    }
    Some(above)
}

fn live(world: &World, kind: &KindName, name: &str) -> Option<Arc<Fact>> {
    world.get(&Key::new(kind.clone(), name))
}

/// A tenant and what is above it; nothing when its organization is not there.
fn chain(world: &World, tenant: &Fact) -> Option<Vec<Element>> {
    let organization = |fact: &Fact| Element {
        object: fact.as_target(),
        reached_from: vec![Home::Platform, Home::Organization(fact.key().name.clone())],
    };
    match tenant.body() {
        Body::Organization => Some(vec![organization(tenant)]),
        Body::Project { organization: name, organization_uid } => {
            let above = live(world, &ORGANIZATION, name)?;
            let above = (above.uid() == organization_uid).then(|| organization(&above))?;
            let mut reached_from = above.reached_from.clone();
            reached_from.push(Home::Project(tenant.uid().clone()));
            Some(vec![Element { object: tenant.as_target(), reached_from }, above])
        }
        Body::User => {
            let reached_from = vec![Home::Platform];
            Some(vec![Element { object: tenant.as_target(), reached_from }])
        }
        _ => None,
    }
}

/// The homes whose bindings reach what is below these elements.
fn reach(above: &[Element]) -> Vec<Home> {
    let mut homes = vec![Home::Platform];
    for home in above.iter().flat_map(|element| &element.reached_from) {
        if !homes.contains(home) {
            homes.push(home.clone());
        }
    }
    homes
}

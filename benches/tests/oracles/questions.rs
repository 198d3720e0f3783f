//! Questions about the names of the random worlds.

use std::sync::Arc;

use fastrand::Rng;
use milo_iam::{
    Permission, Principal, Question, TenantRef, Within,
    world::{Body, Fact, Subject, Target, Text},
};

use crate::worlds::{NAMESPACES, ORGANIZATIONS, PROJECTS, THINGS, USERS, kinds, permissions, pick};

/// What every world is asked about.
pub(crate) struct Questions {
    principals: Vec<Principal>,
    permissions: Vec<Permission>,
    withins: Vec<Within>,
    names: Vec<&'static str>,
}

impl Questions {
    pub(crate) fn new() -> Self {
        let uids = ["u0", "u1", "a0-1", "a0-2", "a1-1", "stranger", ""];
        let principals = uids.map(Principal::new).into_iter().chain([Principal::anonymous()]);
        let tenant = |name: &str, uid: &str| TenantRef { name: name.into(), uid: uid.into() };
        let withins = vec![
            Within::Platform,
            Within::organization("a"),
            Within::organization("b"),
            Within::project("p"),
            Within::project("q"),
            Within::user("u0"),
            Within::user("a0-1"),
            Within::Project(tenant("p", "p-1")),
            Within::Project(tenant("p", "p-2")),
            Within::Organization(tenant("a", "a-2")),
            Within::User(tenant("u1", "u1-2")),
            Within::project("nowhere"),
        ];
        let names = [&THINGS[..], &ORGANIZATIONS, &PROJECTS, &USERS, &["", "g0", "nothing"]];
        Self {
            principals: principals.collect(),
            permissions: permissions().iter().filter_map(|text| text.parse().ok()).collect(),
            withins,
            names: names.concat(),
        }
    }

    /// A question about a world: half of them about who and what has been granted something.
    pub(crate) fn draw(&self, random: &mut Rng, bindings: &[Arc<Fact>]) -> Question {
        let question = self.any(random);
        match bindings {
            [_, ..] if random.bool() => {
                let binding = pick(random, bindings);
                aim(random, question, binding.body())
            }
            _ => question,
        }
    }

    fn any(&self, random: &mut Rng) -> Question {
        Question::new(
            pick(random, &self.principals).clone(),
            pick(random, &self.permissions).clone(),
        )
        .within(pick(random, &self.withins).clone())
        .namespace(*pick(random, &NAMESPACES))
        .name(*pick(random, &self.names))
    }
}

/// Brings a question near what a binding grants.
fn aim(random: &mut Rng, mut question: Question, binding: &Body) -> Question {
    let Body::Binding { subjects, target, .. } = binding else { return question };
    question.principal = match pick(random, subjects) {
        Subject::User { name, .. } => Principal::new(&**name),
        Subject::ServiceAccount { uid, .. } => Principal::new(&**uid),
        Subject::Group { .. } => Principal::new(*pick(random, &USERS[..2])),
        Subject::System(_) => question.principal,
    };
    // What is in a tenant is asked about, or the object itself.
    let tenant = TenantRef::named(&**target_name(target));
    match &*target.kind().kind {
        "Organization" if random.bool() => question.within(Within::Organization(tenant)),
        "Project" if random.bool() => question.within(Within::Project(tenant)),
        "User" if random.bool() => question.within(Within::User(tenant)),
        _ => at(random, question, target),
    }
}

fn target_name(target: &Target) -> &Text {
    match target {
        Target::Object { name, .. } => name,
        Target::Kind(kind) => &kind.kind,
    }
}

/// About an object that is a target, or one of a kind that is one.
fn at(random: &mut Rng, mut question: Question, target: &Target) -> Question {
    let found = kinds().into_iter().find(|(kind, _)| kind == target.kind());
    if let Some((kind, plural)) = found
        && let verb = *pick(random, &["get", "update", "delete", "list"])
        && let Ok(permission) = Permission::new(&kind.service, plural, "", verb)
    {
        question.permission = permission;
    }
    let Target::Object { namespace, name, uid, .. } = target else { return question };
    let is_in_project = PROJECTS.iter().find(|project| uid.contains(&format!(".{project}-")));
    question.within = is_in_project.map_or(Within::Platform, |project| Within::project(project));
    question.namespace(&**namespace).name(&**name)
}

//! Worlds by hand, for tests and examples.

use crate::Text;

use super::{
    BINDING, Body, Fact, GROUP, Key, KindName, MEMBERSHIP, ORGANIZATION, PROJECT,
    PROTECTED_RESOURCE, ROLE, RoleName, SERVICE_ACCOUNT, SYSTEM_NAMESPACE, Subject, Target, USER,
    World, key::organization_namespace,
};

/// Builds a [`World`] from names. The UID of an object is `NAME-uid`, unless it is put in whole.
///
/// A namespace is written as `acme` for that of the organization, and as the empty string for the
/// platform's own.
///
/// ```
/// use milo_iam::{Principal, Question, Within, model, world::WorldBuilder};
///
/// let world = WorldBuilder::new()
///     .organization("acme")
///     .project("web", "acme")
///     .user("ada")
///     .kind("g.io", "Thing", "things", &["get", "list"], &["Project"])
///     .role("", "viewer", &["g.io/things.get"], &[])
///     .bind_on_project("acme", "b", "viewer", "ada", "web")
///     .build();
/// let question = Question::new(Principal::new("ada"), "g.io/things.get".parse()?)
///     .within(Within::project("web"))
///     .name("a");
/// assert!(model::check(&world, &question));
/// # Ok::<(), milo_iam::MalformedPermission>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct WorldBuilder {
    world: World,
}

impl Default for WorldBuilder {
    fn default() -> Self {
        Self::new()
    }
}

/// The UID that the builder gives to an object.
fn uid(name: &str) -> String {
    format!("{name}-uid")
}

fn namespace(home: &str) -> String {
    if home.is_empty() { SYSTEM_NAMESPACE.to_owned() } else { organization_namespace(home) }
}

impl WorldBuilder {
    /// A world that knows the kinds of tenants, and nothing else.
    pub fn new() -> Self {
        let verbs = ["get", "list", "watch", "create", "update", "patch", "delete"];
        Self { world: World::new() }
            .kind(&ORGANIZATION.service, "Organization", "organizations", &verbs, &[])
            .kind(&PROJECT.service, "Project", "projects", &verbs, &["Organization"])
            .kind(&USER.service, "User", "users", &verbs, &[])
    }

    /// Puts any fact in.
    pub fn put(mut self, fact: Fact) -> Self {
        self.world.apply(super::Change::put(fact));
        self
    }

    /// An organization.
    pub fn organization(self, name: &str) -> Self {
        let key = Key::new(ORGANIZATION.clone(), name);
        self.put(Fact::new(key, &uid(name), Body::Organization))
    }

    /// A project of an organization.
    pub fn project(self, name: &str, organization: &str) -> Self {
        let body = Body::Project {
            organization: organization.into(),
            organization_uid: uid(organization).into(),
        };
        self.put(Fact::new(Key::new(PROJECT.clone(), name), &uid(name), body))
    }

    /// A user.
    pub fn user(self, name: &str) -> Self {
        self.put(Fact::new(Key::new(USER.clone(), name), &uid(name), Body::User))
    }

    /// A service account in a project.
    pub fn service_account(self, name: &str, project: &str) -> Self {
        let key = Key::new(SERVICE_ACCOUNT.clone(), name).in_project(&uid(project));
        self.put(Fact::new(key, &uid(name), Body::ServiceAccount))
    }

    /// A group, with users in it.
    pub fn group(mut self, home: &str, name: &str, users: &[&str]) -> Self {
        let namespace = namespace(home);
        let key = Key::new(GROUP.clone(), name).namespace(&namespace);
        self = self.put(Fact::new(key, &uid(name), Body::Group));
        for user in users {
            let body = Body::Membership {
                group_namespace: namespace.as_str().into(),
                group: name.into(),
                user: (*user).into(),
            };
            let membership = format!("{name}-{user}");
            let key = Key::new(MEMBERSHIP.clone(), &membership).namespace(&namespace);
            self = self.put(Fact::new(key, &uid(&membership), body));
        }
        self
    }

    /// Registers a kind below kinds of tenants (`Organization`, `Project`, `User`) or of its own
    /// service.
    pub fn kind(
        self,
        service: &str,
        kind: &str,
        plural: &str,
        verbs: &[&str],
        parents: &[&str],
    ) -> Self {
        let parent = |parent: &&str| match *parent {
            "Organization" => ORGANIZATION.clone(),
            "Project" => PROJECT.clone(),
            "User" => USER.clone(),
            other => KindName::new(service, other),
        };
        let body = Body::ProtectedResource {
            kind: KindName::new(service, kind),
            plural: plural.into(),
            verbs: verbs.iter().map(|verb| Text::from(*verb)).collect(),
            parents: parents.iter().map(parent).collect(),
        };
        let name = format!("{service}-{plural}");
        self.put(Fact::new(Key::new(PROTECTED_RESOURCE.clone(), &name), &uid(&name), body))
    }

    /// A role with permissions of its own and roles of the same namespace that it inherits.
    pub fn role(self, home: &str, name: &str, permissions: &[&str], inherits: &[&str]) -> Self {
        let inherited = |name: &&str| RoleName { namespace: "".into(), name: (*name).into() };
        let body = Body::Role {
            permissions: permissions.iter().map(|text| Text::from(*text)).collect(),
            inherits: inherits.iter().map(inherited).collect(),
        };
        let key = Key::new(ROLE.clone(), name).namespace(&namespace(home));
        self.put(Fact::new(key, &uid(name), body))
    }

    /// An object of any kind in a project.
    pub fn object(self, kind: KindName, project: &str, namespace: &str, name: &str) -> Self {
        let key = Key::new(kind, name).namespace(namespace).in_project(&uid(project));
        self.put(Fact::new(key, &uid(name), Body::Other))
    }

    /// Binds a platform role.
    pub fn bind(
        self,
        home: &str,
        name: &str,
        role: &str,
        subjects: Vec<Subject>,
        target: Target,
    ) -> Self {
        let role = RoleName { namespace: SYSTEM_NAMESPACE.into(), name: role.into() };
        let key = Key::new(BINDING.clone(), name).namespace(&namespace(home));
        self.put(Fact::new(key, &uid(name), Body::Binding { role, subjects, target }))
    }

    /// Binds a platform role to a user on an organization.
    pub fn bind_on_organization(
        self,
        home: &str,
        name: &str,
        role: &str,
        user: &str,
        organization: &str,
    ) -> Self {
        self.bind(home, name, role, vec![user_named(user)], object(&ORGANIZATION, organization))
    }

    /// Binds a platform role to a user on a project.
    pub fn bind_on_project(
        self,
        home: &str,
        name: &str,
        role: &str,
        user: &str,
        project: &str,
    ) -> Self {
        self.bind(home, name, role, vec![user_named(user)], object(&PROJECT, project))
    }

    /// The world.
    #[must_use]
    pub fn build(self) -> World {
        self.world
    }
}

fn user_named(name: &str) -> Subject {
    Subject::User { name: name.into(), uid: uid(name).into() }
}

fn object(kind: &KindName, name: &str) -> Target {
    Target::Object {
        kind: kind.clone(),
        namespace: "".into(),
        name: name.into(),
        uid: uid(name).into(),
    }
}

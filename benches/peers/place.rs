//! Where among the relations a question belongs.

use milo_iam::{
    Principal, Question, TenantRef, Within,
    world::{Key, KindName, Plane, Text},
};

use super::relations::{Relations, home, object_id, plane_id, scope_id};

const ORGANIZATION: &str = "resourcemanager.miloapis.com/Organization";
const PROJECT: &str = "resourcemanager.miloapis.com/Project";
const USER: &str = "iam.miloapis.com/User";
const NAMESPACE: &str = "core.miloapis.com/Namespace";

/// An object that a binding can name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Element {
    pub(crate) id: String,
    pub(crate) kind: String,
    /// The element that holds this one, if it is a tenant in a tenant.
    pub(crate) holder: Option<String>,
    /// The homes whose bindings reach it.
    pub(crate) homes: Vec<String>,
}

/// A question, in terms of the relations.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) principal: Principal,
    /// The permission in the form in which it is registered.
    pub(crate) permission: String,
    /// The kind that is asked about, when it is registered.
    pub(crate) kind: String,
    /// The object and what is above it.
    pub(crate) elements: Vec<Element>,
    /// The homes whose bindings reach the place; none when there is no such place.
    pub(crate) homes: Vec<String>,
}

impl Asked {
    pub(crate) fn of(relations: &Relations, question: &Question) -> Self {
        let (kind, permission) = registered(relations, question)
            .unwrap_or_else(|| (String::new(), question.permission.to_string()));
        let elements = Place { relations, question, kind: &kind }.elements();
        let (homes, elements) = match elements {
            Some(elements) if !kind.is_empty() => (reach(&elements), elements),
            _ => (Vec::new(), Vec::new()),
        };
        Self { principal: question.principal.clone(), permission, kind, elements, homes }
    }

    /// The principal as text: two are the same when they have the same.
    pub(crate) fn principal_id(&self) -> String {
        let Principal { uid, authenticated, unauthenticated } = &self.principal;
        format!("{uid}/{authenticated}/{unauthenticated}")
    }

    /// The place as text: two are the same when they have the same.
    pub(crate) fn place_id(&self) -> String {
        if self.homes.is_empty() {
            return "nowhere".to_owned();
        }
        let ids: Vec<_> = self.elements.iter().map(|element| &*element.id).collect();
        format!("place/{} at {}", self.kind, ids.join(", "))
    }

    /// The scopes that the place is in.
    pub(crate) fn scopes(&self) -> impl Iterator<Item = String> {
        let of_elements = self.elements.iter().flat_map(|element| {
            let ids = [&*element.id, ""];
            let scopes = move |home| ids.map(|id| scope_id(id, home, &element.kind));
            element.homes.iter().flat_map(move |home| scopes(home))
        });
        of_elements.chain(self.homes.iter().map(|home| scope_id("", home, &self.kind)))
    }
}

/// The kind that a permission is about, and its form: to delete a collection is to delete, and a
/// subresource that is not registered is the object.
fn registered(relations: &Relations, question: &Question) -> Option<(String, String)> {
    let asked = &question.permission;
    let (service, plural) = (asked.service(), asked.plural());
    let found = relations.registrations.get(&(Text::from(service), Text::from(plural)))?;
    let verb = if asked.verb() == "deletecollection" { "delete" } else { asked.verb() };
    let lists = |entry: &str| found.verbs.iter().any(|verb| **verb == *entry);
    let subresource = asked.subresource();
    if !subresource.is_empty() && lists(&format!("{subresource}.{verb}")) {
        return Some((found.kind.clone(), format!("{service}/{plural}/{subresource}.{verb}")));
    }
    lists(verb).then(|| (found.kind.clone(), format!("{service}/{plural}.{verb}")))
}

/// What decides where a question is asked.
struct Place<'a> {
    relations: &'a Relations,
    question: &'a Question,
    kind: &'a str,
}

impl Place<'_> {
    /// The object and what is above it; nothing when the control plane is not there, or does not
    /// hold the object.
    fn elements(&self) -> Option<Vec<Element>> {
        let seen_from = self.seen_from()?;
        let mut elements = match &self.question.within {
            Within::Project(_) => seen_from,
            Within::Platform => self.holders(),
            Within::Organization(_) if !self.is_object() && self.namespace().is_empty() => {
                seen_from
            }
            Within::Organization(_) => {
                let holders = self.holders();
                seen_from.iter().all(|element| holders.contains(element)).then_some(holders)?
            }
            Within::User(_)
                if self.is_object() && [ORGANIZATION, PROJECT, USER].contains(&self.kind) =>
            {
                Some(self.holders()).filter(|holders| *holders == seen_from)?
            }
            Within::User(_) => [self.holders(), seen_from].concat(),
            _ => return None,
        };
        if let Some(uid) = self.key().and_then(|key| self.relations.objects.get(&key)) {
            let namespace = if self.kind == NAMESPACE { "" } else { self.namespace() };
            let id = object_id(&self.kind, namespace, &self.question.name, uid);
            if !elements.iter().any(|element| element.id == id) {
                let homes = reach(&elements);
                elements.insert(0, Element { id, kind: self.kind.to_owned(), holder: None, homes });
            }
        }
        Some(elements)
    }

    /// The tenant whose control plane is asked, with what holds it.
    fn seen_from(&self) -> Option<Vec<Element>> {
        let relations = self.relations;
        let means = |tenant: &TenantRef, uid: &Text| tenant.uid.is_empty() || *tenant.uid == **uid;
        match &self.question.within {
            Within::Platform => Some(Vec::new()),
            Within::Organization(tenant) => relations
                .organization(&tenant.name)
                .filter(|_| means(tenant, &relations.organizations[&*tenant.name])),
            Within::Project(tenant) => relations
                .project(&tenant.name)
                .filter(|_| means(tenant, &relations.projects[&*tenant.name].uid)),
            Within::User(tenant) => relations
                .user(&tenant.name)
                .filter(|_| means(tenant, &relations.users[&*tenant.name])),
            _ => None,
        }
    }

    /// What holds something that is stored with the platform: the organization whose namespace it
    /// is in; and a tenant is in itself.
    fn holders(&self) -> Vec<Element> {
        let (relations, namespace) = (self.relations, self.namespace());
        let name = &self.question.name;
        let holders = match home(&Plane::Platform, namespace).strip_prefix("organization:") {
            Some(organization) => relations.organization(organization),
            None if !self.is_object() || !namespace.is_empty() => None,
            None => match self.kind {
                ORGANIZATION => relations.organization(name),
                PROJECT => relations.project(name),
                USER => relations.user(name),
                _ => None,
            },
        };
        holders.unwrap_or_default()
    }

    fn is_object(&self) -> bool {
        self.question.is_about_an_object()
    }

    /// A namespace is a namespace's object, whether a request says so or not.
    fn namespace(&self) -> &str {
        let is_namespace = self.kind == NAMESPACE && self.is_object();
        if is_namespace { &self.question.name } else { &self.question.namespace }
    }

    fn key(&self) -> Option<Key> {
        let (service, kind) = self.kind.split_once('/').filter(|_| self.is_object())?;
        let key = Key::new(KindName::new(service, kind), &self.question.name);
        let key = key.namespace(if self.kind == NAMESPACE { "" } else { self.namespace() });
        Some(match &self.question.within {
            Within::Project(tenant) => {
                key.in_project(&self.relations.projects.get(&*tenant.name)?.uid)
            }
            _ => key,
        })
    }
}

impl Relations {
    fn organization(&self, name: &str) -> Option<Vec<Element>> {
        let uid = self.organizations.get(name)?;
        let homes = vec![plane_id(&Plane::Platform), format!("organization:{name}")];
        Some(vec![tenant(ORGANIZATION, name, uid, None, homes)])
    }

    /// A project whose organization is not there, or another of the name, is nowhere.
    fn project(&self, name: &str) -> Option<Vec<Element>> {
        let project = self.projects.get(name)?;
        let uid = self.organizations.get(&*project.organization)?;
        let mut elements = self.organization(&project.organization)?;
        let mut homes =
            elements.first().filter(|_| *uid == project.organization_uid)?.homes.clone();
        homes.push(plane_id(&Plane::Project(project.uid.clone())));
        let holder = elements.first().map(|element| element.id.clone());
        elements.insert(0, tenant(PROJECT, name, &project.uid, holder, homes));
        Some(elements)
    }

    fn user(&self, name: &str) -> Option<Vec<Element>> {
        let uid = self.users.get(name)?;
        Some(vec![tenant(USER, name, uid, None, vec![plane_id(&Plane::Platform)])])
    }
}

fn tenant(
    kind: &str,
    name: &str,
    uid: &str,
    holder: Option<String>,
    homes: Vec<String>,
) -> Element {
    Element { id: object_id(&kind, "", name, uid), kind: kind.to_owned(), holder, homes }
}

/// The homes whose bindings reach what is below these elements: always the platform's.
fn reach(elements: &[Element]) -> Vec<String> {
    let mut homes = vec![plane_id(&Plane::Platform)];
    for home in elements.iter().flat_map(|element| &element.homes) {
        if !homes.contains(home) {
            homes.push(home.clone());
        }
    }
    homes
}

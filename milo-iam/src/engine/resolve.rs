//! From a question to the nodes whose bindings cover its place.

use crate::{
    Question, TenantRef, Within,
    world::{
        Body, Fact, KindName, NAMESPACE, ORGANIZATION, ORGANIZATION_NAMESPACE_PREFIX, PROJECT, USER,
    },
};

use super::{
    catalogue::Kind,
    snapshot::{Element, HomeEntry, HomeRef, KeyRef, Snapshot},
};

/// The kinds of tenants have the first ids of kinds, in this order.
pub(super) const TENANT_KINDS: [fn() -> &'static KindName; 3] =
    [|| &ORGANIZATION, || &PROJECT, || &USER];
const ORGANIZATION_ID: u32 = 0;
const PROJECT_ID: u32 = 1;
const USER_ID: u32 = 2;

/// The homes whose bindings may reach a place, at most: platform, organization and project.
type Homes<'a> = [Option<&'a HomeEntry>; 3];

/// A few nodes. More than fit here are rare and go elsewhere.
#[derive(Clone, Debug, Default)]
pub(super) struct Nodes {
    first: [u32; 12],
    len: usize,
    rest: Vec<u32>,
}

impl Nodes {
    fn push(&mut self, node: u32) {
        match self.first.get_mut(self.len) {
            Some(place) => {
                *place = node;
                self.len += 1;
            }
            None => self.rest.push(node),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.first[..self.len].iter().chain(&self.rest).copied()
    }
}

/// What is above a place.
#[derive(Clone, Copy, Default)]
pub(super) struct Above<'a> {
    pub(super) organization: Option<&'a Element>,
    pub(super) project: Option<&'a Element>,
    pub(super) user: Option<&'a Element>,
}

impl Snapshot {
    /// The nodes whose bindings cover the place of a question about a kind. None when its control
    /// plane does not exist or does not hold it.
    pub(super) fn nodes_covering(&self, question: &Question, kind: &Kind) -> Option<Nodes> {
        let is_object = question.is_about_an_object();
        // A namespace is a namespace's object, whether a request says so or not.
        let is_namespace = is_object && kind.name == *NAMESPACE;
        let namespace = if is_namespace { &question.name } else { &question.namespace };
        let mut seen_from = Above::default();
        let mut project = None;
        match &question.within {
            Within::Platform => {}
            Within::Organization(tenant) => {
                seen_from = self.above(self.tenant(&ORGANIZATION, tenant)?)?;
            }
            Within::Project(tenant) => {
                let found = self.tenant(&PROJECT, tenant)?;
                seen_from = self.above(found)?;
                project = Some(&**found.fact.uid());
            }
            Within::User(tenant) => seen_from = self.above(self.tenant(&USER, tenant)?)?,
        }
        let key = is_object.then(|| KeyRef {
            kind: &kind.name,
            project,
            namespace: if is_namespace { "" } else { namespace },
            name: &question.name,
        });
        let object = key.and_then(|key| self.element(key));
        let above = if project.is_some() {
            seen_from
        } else {
            let is_tenant = is_object && [ORGANIZATION_ID, PROJECT_ID, USER_ID].contains(&kind.id);
            self.on_platform(question, namespace, is_object, is_tenant, object, seen_from)?
        };
        Some(self.collect(kind, object, above))
    }

    /// What is above an object or a collection of the platform, seen from a control plane.
    fn on_platform<'a>(
        &'a self,
        question: &Question,
        namespace: &str,
        is_object: bool,
        is_tenant: bool,
        object: Option<&'a Element>,
        seen_from: Above<'a>,
    ) -> Option<Above<'a>> {
        let organization = namespace.strip_prefix(ORGANIZATION_NAMESPACE_PREFIX);
        let mut above = match (organization, object) {
            (Some(name), _) => self.tenant(&ORGANIZATION, &TenantRef::named(name)),
            (None, Some(found)) if is_tenant => Some(found),
            (None, _) => None,
        }
        .and_then(|found| self.above(found))
        .unwrap_or_default();
        match question.within {
            Within::Organization(_) if !is_object && namespace.is_empty() => above = seen_from,
            Within::Organization(_) if !is_same(above.organization, seen_from.organization) => {
                return None;
            }
            Within::User(_) if is_tenant && !is_same(above.user, seen_from.user) => return None,
            Within::User(_) => above.user = seen_from.user,
            _ => {}
        }
        Some(above)
    }

    pub(super) fn tenant(&self, kind: &KindName, tenant: &TenantRef) -> Option<&Element> {
        let key = KeyRef { kind, project: None, namespace: "", name: &tenant.name };
        self.element(key).filter(|found| tenant.means(found.fact.uid()))
    }

    /// A tenant and what is above it; nothing when its organization is not there.
    pub(super) fn above<'a>(&'a self, tenant: &'a Element) -> Option<Above<'a>> {
        match tenant.fact.body() {
            Body::Organization => Some(Above { organization: Some(tenant), ..Above::default() }),
            Body::Project { organization, organization_uid } => {
                let key = KeyRef {
                    kind: &ORGANIZATION,
                    project: None,
                    namespace: "",
                    name: organization,
                };
                let above = self.element(key).filter(|e| e.fact.uid() == organization_uid)?;
                Some(Above { organization: Some(above), project: Some(tenant), user: None })
            }
            Body::User => Some(Above { user: Some(tenant), ..Above::default() }),
            _ => None,
        }
    }

    fn home_of(&self, tenant: Option<&Element>) -> Option<&HomeEntry> {
        let fact: &Fact = &tenant?.fact;
        self.home(match fact.body() {
            Body::Organization => HomeRef::Organization(&fact.key().name),
            _ => HomeRef::Project(fact.uid()),
        })
    }

    /// The nodes of the object and of what is above it, by homes that reach them, as far as the kind
    /// is registered below.
    pub(super) fn collect(&self, kind: &Kind, object: Option<&Element>, above: Above<'_>) -> Nodes {
        let platform = self.home(HomeRef::Platform);
        let organization = self.home_of(above.organization);
        let project = self.home_of(above.project);
        let homes: Homes<'_> = [platform, organization, project];
        let mut nodes = Nodes::default();
        let mut add = |element: Option<&Element>, element_kind: u32, homes: Homes<'_>| {
            let of_element = element.map(|e| &*e.nodes).unwrap_or_default();
            if !of_element.is_empty() && kind.above.contains(&element_kind) {
                let reaches = |home: u32| homes.iter().flatten().any(|found| found.id == home);
                of_element.iter().filter(|n| reaches(n.0)).for_each(|n| nodes.push(n.1));
            }
        };
        let is_above = |other: Option<&Element>| is_same(object, other) && object.is_some();
        if ![above.organization, above.project, above.user].into_iter().any(is_above) {
            add(object, kind.id, homes);
        }
        add(above.project, PROJECT_ID, homes);
        add(above.organization, ORGANIZATION_ID, [platform, organization, None]);
        add(above.user, USER_ID, [platform, None, None]);
        let tenants_in_reach = [
            [above.organization, above.project, above.user],
            [above.organization, above.project, None],
            [None, above.project, None],
        ];
        for (home, tenants) in homes.into_iter().zip(tenants_in_reach) {
            let is_there = |found: u32| {
                found == kind.id || tenants.get(found as usize).copied().flatten().is_some()
            };
            for (found, node) in home.into_iter().flat_map(|home| home.kinds.iter()) {
                if is_there(*found) && kind.above.contains(found) {
                    nodes.push(*node);
                }
            }
        }
        nodes
    }
}

/// Whether bindings mean the same object by two, or both are nothing.
fn is_same(a: Option<&Element>, b: Option<&Element>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => {
            let (one, other) = (a.fact.key(), b.fact.key());
            a.fact.uid() == b.fact.uid()
                && (&one.kind, &one.namespace, &one.name)
                    == (&other.kind, &other.namespace, &other.name)
        }
        (a, b) => a.is_none() && b.is_none(),
    }
}

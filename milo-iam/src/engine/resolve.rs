//! From a question to the nodes whose bindings cover its place.

use crate::{
    Question, TenantRef, Within,
    persistent::Fingerprint,
    world::{KeyRef, NAMESPACE, ORGANIZATION_NAMESPACE_PREFIX, USER},
};

use super::{
    catalogue::Kind,
    index::PLATFORM,
    places::object_print,
    snapshot::Snapshot,
    tenant::{NO_FACT, ORGANIZATION_ID, PROJECT_ID, Tenant, USER_ID},
};

/// The homes whose bindings may reach a place, at most: platform, organization and project.
type Homes = [Option<u32>; 3];

/// Of an object that so many homes name, not all nodes are looked at: anybody can make more.
const MANY_HOMES: usize = 8;

/// So many nodes need no room of their own.
const FEW: usize = 12;

/// A few nodes. More than fit are rare, and then all go elsewhere.
#[derive(Clone, Debug, Default)]
pub(super) struct Nodes {
    few: [u32; FEW],
    len: usize,
    many: Vec<u32>,
}

impl Nodes {
    fn push(&mut self, node: u32) {
        match self.few.get_mut(self.len) {
            Some(place) => *place = node,
            None if self.many.is_empty() => {
                self.many = self.few.into_iter().chain([node]).collect();
            }
            None => self.many.push(node),
        }
        self.len += 1;
    }

    #[inline]
    pub(super) fn as_slice(&self) -> &[u32] {
        self.few.get(..self.len).unwrap_or(&self.many)
    }

    #[inline]
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.as_slice().iter().copied()
    }
}

/// An object: by what its nodes are found, and its number, if it is a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) fact: u32,
    key: Fingerprint,
}

impl Object {
    /// One that does not exist, to stand for any.
    pub(super) fn any() -> Self {
        Self { fact: NO_FACT, key: Fingerprint::of("") }
    }
}

/// What is above a place.
#[derive(Clone, Copy, Default)]
pub(super) struct Above<'a> {
    pub(super) organization: Option<&'a Tenant>,
    pub(super) project: Option<&'a Tenant>,
    pub(super) user: Option<Object>,
}

impl Snapshot {
    /// The nodes whose bindings cover the place of a question about a kind. None when its control
    /// plane does not exist or does not hold it.
    ///
    /// `plane` is the [name of its control plane](Self::plane).
    pub(super) fn nodes_covering(
        &self,
        question: &Question,
        kind: &Kind,
        plane: Option<Fingerprint>,
    ) -> Option<Nodes> {
        let is_object = question.is_about_an_object();
        // A namespace is a namespace's object, whether a request says so or not.
        let is_namespace = is_object && kind.name == *NAMESPACE;
        let own_namespace = if is_namespace { &question.name } else { &question.namespace };
        let mut seen_from = Above::default();
        let mut project = None;
        match &question.within {
            Within::Platform => {}
            Within::Organization(tenant) => {
                seen_from = self.above(self.tenant(plane?, tenant)?)?;
            }
            Within::Project(tenant) => {
                let found = self.tenant(plane?, tenant)?;
                if let Some(organization) = &found.organization {
                    self.index.places.prefetch_tenant(organization.key);
                }
                project = Some(found);
            }
            Within::User(tenant) => {
                let user = self.user("", &tenant.name)?;
                let uid = self.world.at(user.fact)?.uid;
                seen_from.user = tenant.means(uid).then_some(user);
                seen_from.user?;
            }
        }
        let namespace = if is_namespace { "" } else { own_namespace };
        let name = question.name.as_str();
        let uid = project.map(|project| project.uid);
        let object = is_object.then(|| self.object(kind.id, uid, namespace, name));
        let above = if let Some(project) = project {
            self.above(project)?
        } else {
            let tenant = is_object.then(|| self.tenant_above(kind.id, namespace, name)).flatten();
            let is_tenant = is_object && kind.id <= USER_ID;
            self.on_platform(question, own_namespace, is_object, is_tenant, tenant, seen_from)?
        };
        Some(self.collect(kind, object, above))
    }

    /// What is above an object of the platform that is a tenant: the object itself to begin with.
    pub(super) fn tenant_above(&self, kind: u32, namespace: &str, name: &str) -> Option<Above<'_>> {
        match kind {
            ORGANIZATION_ID | PROJECT_ID => {
                let key = Tenant::fingerprint(kind == PROJECT_ID, namespace, name);
                self.above(self.index.places.tenant(key)?)
            }
            USER_ID => {
                let user = Some(self.user(namespace, name)?);
                Some(Above { user, ..Above::default() })
            }
            _ => None,
        }
    }

    /// What is above an object or a collection of the platform, seen from a control plane.
    fn on_platform<'a>(
        &'a self,
        question: &Question,
        namespace: &str,
        is_object: bool,
        is_tenant: bool,
        tenant: Option<Above<'a>>,
        seen_from: Above<'a>,
    ) -> Option<Above<'a>> {
        let organization = namespace.strip_prefix(ORGANIZATION_NAMESPACE_PREFIX);
        let mut above = match organization {
            Some(name) => {
                let found = self.index.places.tenant(Tenant::fingerprint(false, "", name));
                found.and_then(|found| self.above(found))
            }
            None => tenant,
        }
        .unwrap_or_default();
        match question.within {
            Within::Organization(_) if !is_object && namespace.is_empty() => above = seen_from,
            Within::Organization(_) if !is_same(above.organization, seen_from.organization) => {
                return None;
            }
            Within::User(_) if is_tenant && above.user != seen_from.user => return None,
            Within::User(_) => above.user = seen_from.user,
            _ => {}
        }
        Some(above)
    }

    /// An object of a kind with an id. Whether it exists does not matter, as only those that do are
    /// known by their keys.
    fn object(
        &self,
        kind: u32,
        project: Option<Fingerprint>,
        namespace: &str,
        name: &str,
    ) -> Object {
        let key = object_print(kind, project, namespace, name);
        self.index.places.prefetch_named(key);
        let is_tenant = kind <= USER_ID;
        let node = is_tenant.then(|| self.index.places.nodes_of(key).next()).flatten();
        let fact = node.and_then(|named| self.index.nodes.fact(named.node));
        Object { fact: fact.unwrap_or(NO_FACT), key }
    }

    /// An object that exists, by the number of its fact.
    pub(super) fn object_of(&self, fact: u32) -> Option<Object> {
        let key = self.index.fingerprint(self.world.at(fact)?.key);
        Some(Object { fact, key })
    }

    fn user(&self, namespace: &str, name: &str) -> Option<Object> {
        let fact = self.index.identities.user(&self.world, namespace, name)?;
        let key = KeyRef { namespace, ..KeyRef::new(&USER, name) };
        Some(Object { fact, key: self.index.fingerprint(key) })
    }

    /// By which the organization or the project is found in which something is asked. It is looked
    /// for soon.
    pub(super) fn plane(&self, within: &Within) -> Option<Fingerprint> {
        let (is_project, tenant) = match within {
            Within::Organization(tenant) => (false, tenant),
            Within::Project(tenant) => (true, tenant),
            Within::Platform | Within::User(_) => return None,
        };
        let key = Tenant::fingerprint(is_project, "", &tenant.name);
        self.index.places.prefetch_tenant(key);
        Some(key)
    }

    /// The organization or the project with a key, if it is the one that is meant.
    fn tenant(&self, key: Fingerprint, tenant: &TenantRef) -> Option<&Tenant> {
        let found = self.index.places.tenant(key);
        let uid = tenant.uid.as_str();
        found.filter(|found| uid.is_empty() || found.uid == Fingerprint::of(uid))
    }

    /// A tenant and what is above it; nothing when its organization is not there.
    pub(super) fn above<'a>(&'a self, tenant: &'a Tenant) -> Option<Above<'a>> {
        let Some(organization) = &tenant.organization else {
            return Some(Above { organization: Some(tenant), ..Above::default() });
        };
        let above = self.index.places.tenant(organization.key);
        let above = above.filter(|found| found.uid == organization.uid)?;
        Some(Above { organization: Some(above), project: Some(tenant), user: None })
    }

    /// The nodes of the object and of what is above it, by homes that reach them, as far as the kind
    /// is registered below.
    pub(super) fn collect(&self, kind: &Kind, object: Option<Object>, above: Above<'_>) -> Nodes {
        let Above { organization, project, user } = above;
        let homes: Homes = [
            Some(PLATFORM),
            organization.and_then(|tenant| tenant.home),
            project.and_then(|tenant| tenant.home),
        ];
        let mut nodes = Nodes::default();
        if let Some(object) = object.filter(|object| !self.is_above(kind.id, *object, above)) {
            self.add_object(object, &homes, &mut nodes);
        }
        if let Some(project) = project.filter(|_| kind.above.contains(&PROJECT_ID)) {
            project.nodes.iter().flatten().for_each(|node| nodes.push(*node));
        }
        if let Some(organization) = organization.filter(|_| kind.above.contains(&ORGANIZATION_ID)) {
            organization.nodes.iter().flatten().for_each(|node| nodes.push(*node));
        }
        if let Some(user) = user.filter(|_| kind.above.contains(&USER_ID)) {
            self.add_object(user, &homes[..1], &mut nodes);
        }
        let (has_project, has_organization) = (project.is_some(), organization.is_some());
        let of_platform = [has_organization, has_project, user.is_some()];
        add_kinds(kind, &self.index.places.platform_kinds, of_platform, &mut nodes);
        if let Some(organization) = organization {
            add_kinds(kind, &organization.kinds, [true, has_project, false], &mut nodes);
        }
        if let Some(project) = project {
            add_kinds(kind, &project.kinds, [false, true, false], &mut nodes);
        }
        nodes
    }

    fn add_object(&self, object: Object, homes: &[Option<u32>], nodes: &mut Nodes) {
        let places = &self.index.places;
        let named = places.nodes_of(object.key);
        if named.clone().nth(MANY_HOMES).is_none() {
            let reached = named.filter(|named| homes.contains(&Some(named.home)));
            reached.for_each(|named| nodes.push(named.node));
        } else {
            let found = homes.iter().flatten();
            let found = found.filter_map(|home| places.node_of(object.key, *home));
            found.for_each(|node| nodes.push(node));
        }
    }

    /// Whether an object is one of those that are above, as far as bindings can tell.
    fn is_above(&self, kind: u32, object: Object, above: Above<'_>) -> bool {
        if kind > USER_ID {
            return false;
        }
        let tenants = [above.organization, above.project].into_iter().flatten();
        let mut all = tenants.map(|tenant| tenant.fact).chain(above.user.map(|user| user.fact));
        let target = |fact: u32| self.world.at(fact).map(|fact| fact.as_target());
        all.any(|fact| fact == object.fact || target(fact) == target(object.fact))
    }
}

/// The nodes of one home for whole kinds: that of the object, and those of tenants that are above
/// and within the home's reach.
fn add_kinds(kind: &Kind, kinds: &[(u32, u32)], tenants: [bool; 3], nodes: &mut Nodes) {
    if kinds.is_empty() {
        return;
    }
    for above in &kind.above {
        let is_there =
            *above == kind.id || tenants.get(*above as usize).copied().unwrap_or_default();
        if let Ok(at) = kinds.binary_search_by_key(above, |(kind, _)| *kind)
            && is_there
        {
            nodes.push(kinds[at].1);
        }
    }
}

/// Whether two tenants are one, or neither is there.
fn is_same(a: Option<&Tenant>, b: Option<&Tenant>) -> bool {
    a.map(|tenant| tenant.fact) == b.map(|tenant| tenant.fact)
}

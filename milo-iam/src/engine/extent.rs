//! What a principal may do something to: in short, and object by object.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    sync::{Arc, LazyLock},
};

use serde::{Deserialize, Serialize};

use crate::{
    Permission, Principal, Question, TenantRef, Within,
    world::{Body, Fact, Home, Key, KindName, ORGANIZATION, PROJECT, Plane, Target, USER},
};

use super::{
    catalogue::{Kind, Registered},
    resolve::{Above, Nodes},
    snapshot::{Element, KeyRef, Named, Snapshot},
};

/// What a grant covers: a target and what is below it, within the reach of a home.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Extent {
    /// Whose bindings grant it; nothing outside is covered.
    pub home: Home,
    /// One object, or all of a kind.
    pub target: Target,
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.target, &self.home) {
            (Target::Kind(_), Home::Platform) => write!(f, "{} there is", self.target),
            (Target::Kind(_), home) => write!(f, "{} of {home}", self.target),
            (target, _) => write!(f, "{target}"),
        }
    }
}

/// Some items of a list, in its order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Whether there is nothing behind them. Otherwise the next page comes after the last item.
    pub complete: bool,
}

impl<T> Page<T> {
    /// The first `limit` items of an iterator, and whether there are more.
    pub(super) fn of(mut items: impl Iterator<Item = T>, limit: usize) -> Self {
        let page = items.by_ref().take(limit).collect();
        Self { items: page, complete: items.next().is_none() }
    }
}

/// The objects on which a principal has a permission.
#[derive(Debug)]
pub struct Objects<'a> {
    snapshot: &'a Snapshot,
    kind: &'a KindName,
    question: Question,
    extents: Vec<Extent>,
}

impl Objects<'_> {
    /// In short: all that these cover, and nothing else. None of them is covered by the others.
    /// They are in order.
    #[must_use]
    pub fn extents(&self) -> &[Extent] {
        &self.extents
    }

    /// The objects that exist, in the order of their keys, after one. Only objects whose kind the
    /// snapshot holds are known to it: for others, use the [`extents`](Self::extents).
    pub fn iter_after<'s>(&'s self, after: Option<&Key>) -> impl Iterator<Item = &'s Key> {
        // Without an extent there is nothing to look for.
        let kind = self.kind;
        let facts =
            (!self.extents.is_empty()).then(|| self.snapshot.world.of_kind_after(kind, after));
        facts.into_iter().flatten().map(|fact| fact.key()).filter(|key| self.has(key))
    }

    /// A page of [`iter_after`](Self::iter_after). Pages of several snapshots fit together: each
    /// object that is there throughout comes once.
    #[must_use]
    pub fn page(&self, after: Option<&Key>, limit: usize) -> Page<Key> {
        Page::of(self.iter_after(after).cloned(), limit)
    }

    fn has(&self, key: &Key) -> bool {
        let Some(within) = self.snapshot.control_plane_of(key) else { return false };
        self.snapshot.check(&Question {
            within,
            namespace: key.namespace.to_string(),
            name: key.name.to_string(),
            ..self.question.clone()
        })
    }
}

impl Snapshot {
    /// On which objects a principal has a permission that is asked about objects one by one, such
    /// as `get`. None when the permission is not registered: then there are none.
    #[must_use]
    pub fn list_objects(
        &self,
        principal: &Principal,
        permission: &Permission,
    ) -> Option<Objects<'_>> {
        let Registered { id, kind } = self.catalogue.registered(permission)?;
        let mut nodes = Vec::new();
        for subject in self.subjects_of(principal) {
            let grants = self.by_subject.row(subject).iter();
            nodes.extend(grants.filter(|g| self.roles.has(g.role, *id)).map(|g| g.other));
        }
        Some(Objects {
            snapshot: self,
            kind: &kind.name,
            question: Question::new(principal.clone(), permission.clone()),
            extents: self.shortest(kind, nodes),
        })
    }

    /// The extents of some nodes that cover something of a kind and are not covered by others.
    pub(super) fn shortest(&self, kind: &Kind, mut nodes: Vec<u32>) -> Vec<Extent> {
        nodes.sort_unstable();
        nodes.dedup();
        let found = nodes.iter().filter_map(|node| {
            let extent = self.extents.get(*node)?;
            Some((extent, (*node, self.covering(kind, extent)?)))
        });
        let found: BTreeMap<&Extent, (u32, Nodes)> = found.collect();
        let mut kept: HashSet<u32> = found.values().map(|(node, _)| *node).collect();
        let needed = found.into_iter().filter(|(_, (own, covering))| {
            let is_covered = covering.iter().any(|node| node != *own && kept.contains(&node));
            if is_covered {
                kept.remove(own);
            }
            !is_covered
        });
        needed.map(|(extent, _)| extent.clone()).collect()
    }

    /// The control plane in which an object is named: that of its project, or the platform's.
    pub(super) fn control_plane_of(&self, key: &Key) -> Option<Within> {
        let Plane::Project(uid) = &key.plane else { return Some(Within::Platform) };
        let name = self.project(uid)?.fact.key().name.to_string();
        Some(Within::Project(TenantRef { name, uid: uid.to_string() }))
    }

    /// The nodes that cover all that an extent covers of a kind. None when it covers nothing: what
    /// it names is not there or out of reach, or the kind is not registered below it.
    ///
    /// An extent is covered by what covers one thing in it: a new object below its target.
    pub(super) fn covering(&self, kind: &Kind, extent: &Extent) -> Option<Nodes> {
        if !kind.above_names.contains(extent.target.kind()) {
            return None;
        }
        match &extent.target {
            Target::Object { .. } => self.covering_object(kind, extent),
            Target::Kind(of) => self.covering_kind(kind, &extent.home, of),
        }
    }

    fn covering_object(&self, kind: &Kind, extent: &Extent) -> Option<Nodes> {
        let (fact, above) = self.object_in_reach(extent)?;
        let is_above = [above.organization, above.project, above.user]
            .into_iter()
            .flatten()
            .any(|element| element.fact.as_target() == extent.target);
        if !is_above && fact.key().kind != kind.name {
            return None;
        }
        let element = self.element(KeyRef::from(fact.key()));
        let object = element.filter(|_| !is_above);
        Some(self.collect(kind, object, above))
    }

    /// An object that is there and in reach of its extent's home, with what is above it.
    pub(super) fn object_in_reach(&self, extent: &Extent) -> Option<(&Arc<Fact>, Above<'_>)> {
        let Target::Object { kind, namespace, name, uid } = &extent.target else { return None };
        let is_meant = |fact: &Fact| {
            fact.as_target() == extent.target && is_in_reach(&extent.home, self.above_object(fact))
        };
        let known = self.named.find(Named::hash_of(kind, namespace, name, uid), |e| is_meant(&e.0));
        let found = known.map(|known| &known.0).or_else(|| {
            // Not known to bindings yet: it may be anywhere.
            let key = Key::new(kind.clone(), name).namespace(namespace);
            let projects = self.world.of_kind(&PROJECT);
            let elsewhere = projects.map(|project| key.clone().in_project(project.uid()));
            let keys = std::iter::once(key.clone()).chain(elsewhere);
            keys.filter_map(|key| self.world.get(&key)).find(|fact| is_meant(fact))
        });
        found.map(|fact| (fact, self.above_object(fact)))
    }

    /// What is above an object by stored facts, itself included when it is a tenant.
    fn above_object(&self, fact: &Fact) -> Above<'_> {
        let key = fact.key();
        let tenant = match (&key.plane, key.home()) {
            (Plane::Project(uid), _) => self.project(uid),
            (Plane::Platform, Home::Organization(name)) => {
                self.tenant(&ORGANIZATION, &TenantRef::named(&*name))
            }
            (Plane::Platform, _) => self.element(KeyRef::from(key)),
        };
        tenant.and_then(|tenant| self.above(tenant)).unwrap_or_default()
    }

    fn covering_kind(&self, kind: &Kind, home: &Home, of: &KindName) -> Option<Nodes> {
        let mut above = match home {
            Home::Platform => Above::default(),
            Home::Organization(name) => {
                self.above(self.tenant(&ORGANIZATION, &TenantRef::named(&**name))?)?
            }
            Home::Project(uid) => self.above(self.project(uid)?)?,
        };
        if *of == kind.name {
            // Any object of the kind within reach.
        } else if *of == *PROJECT {
            above.project = above.project.or(Some(&NEW_PROJECT));
            above.organization = above.organization.or(Some(&NEW_ORGANIZATION));
        } else if *of == *ORGANIZATION && above.project.is_none() {
            above.organization = above.organization.or(Some(&NEW_ORGANIZATION));
        } else if *of == *USER && *home == Home::Platform {
            above.user = Some(&NEW_USER);
        } else {
            return None;
        }
        Some(self.collect(kind, None, above))
    }
}

/// Whether bindings of a home reach an object.
fn is_in_reach(home: &Home, above: Above<'_>) -> bool {
    match home {
        Home::Platform => true,
        Home::Organization(name) => {
            above.organization.is_some_and(|found| found.fact.key().name == *name)
        }
        Home::Project(uid) => above.project.is_some_and(|found| found.fact.uid() == uid),
    }
}

/// A tenant that does not exist, to stand for any.
fn anyone(kind: &KindName, body: Body) -> Element {
    // No object has such a name.
    let fact = Fact::new(Key::new(kind.clone(), "\0"), "\0", body);
    Element { fact: Arc::new(fact), nodes: Arc::default() }
}

static NEW_ORGANIZATION: LazyLock<Element> =
    LazyLock::new(|| anyone(&ORGANIZATION, Body::Organization));
static NEW_PROJECT: LazyLock<Element> = LazyLock::new(|| {
    anyone(&PROJECT, Body::Project { organization: "".into(), organization_uid: "".into() })
});
static NEW_USER: LazyLock<Element> = LazyLock::new(|| anyone(&USER, Body::User));

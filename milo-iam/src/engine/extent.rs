//! What a principal may do something to: in short, and object by object.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    sync::LazyLock,
};

use serde::{Deserialize, Serialize};

use crate::{
    Permission, Principal, Question, TenantRef, Within,
    world::{Home, HomeRef, Key, KindName, ORGANIZATION, PROJECT, Plane, Target, TargetRef, USER},
};

use super::{
    catalogue::{Kind, Registered},
    resolve::{Above, Nodes, Object},
    snapshot::Snapshot,
    tenant::Tenant,
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
    pub fn iter_after<'s>(&'s self, after: Option<&Key>) -> impl Iterator<Item = Key> + use<'s> {
        // Without an extent there is nothing to look for.
        let world = &self.snapshot.world;
        let numbers = (!self.extents.is_empty()).then(|| world.numbers_of_kind(self.kind, after));
        let facts = numbers.into_iter().flatten().filter_map(|number| world.at(number));
        facts.map(|fact| fact.key.to_owned()).filter(|key| self.has(key))
    }

    /// A page of [`iter_after`](Self::iter_after). Pages of several snapshots fit together: each
    /// object that is there throughout comes once.
    #[must_use]
    pub fn page(&self, after: Option<&Key>, limit: usize) -> Page<Key> {
        Page::of(self.iter_after(after), limit)
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
            let grants = self.index.by_subject.row(subject).iter();
            nodes.extend(grants.filter(|g| self.roles.has(g.1.0, *id)).map(|g| g.0));
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
            let extent = self.extent(*node)?;
            let covering = self.covering(kind, &extent)?;
            Some((extent, (*node, covering)))
        });
        let found: BTreeMap<Extent, (u32, Nodes)> = found.collect();
        let mut kept: HashSet<u32> = found.values().map(|(node, _)| *node).collect();
        let needed = found.into_iter().filter(|(_, (own, covering))| {
            let is_covered = covering.iter().any(|node| node != *own && kept.contains(&node));
            if is_covered {
                kept.remove(own);
            }
            !is_covered
        });
        needed.map(|(extent, _)| extent).collect()
    }

    /// What a node is.
    pub(super) fn extent(&self, node: u32) -> Option<Extent> {
        let nodes = &self.index.nodes;
        let home = nodes.homes.get(nodes.home(node)?)?.clone();
        Some(Extent { home, target: nodes.target(&self.world, node)?.to_owned() })
    }

    /// The control plane in which an object is named: that of its project, or the platform's.
    pub(super) fn control_plane_of(&self, key: &Key) -> Option<Within> {
        let Plane::Project(uid) = &key.plane else { return Some(Within::Platform) };
        let project = self.index.places.project(&self.world, uid)?;
        let name = self.world.at(project.fact)?.key.name.to_owned();
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
        let (number, above) = self.object_in_reach(extent)?;
        let fact = self.world.at(number)?;
        let target = TargetRef::from(&extent.target);
        let is_it = |number: u32| self.world.at(number).is_some_and(|f| f.as_target() == target);
        let is_above = [above.organization, above.project].into_iter().flatten();
        let mut is_above = is_above.map(|t| t.fact).chain(above.user.map(|user| user.fact));
        let is_above = is_above.any(is_it);
        if !is_above && fact.key.kind != (&kind.name).into() {
            return None;
        }
        let object = if is_above { None } else { self.object_of(number) };
        Some(self.collect(kind, object, above))
    }

    /// The number of an object that is there and in reach of its extent's home, with what is above
    /// it.
    pub(super) fn object_in_reach(&self, extent: &Extent) -> Option<(u32, Above<'_>)> {
        let target = TargetRef::from(&extent.target);
        let found = self.index.facts_meant(&self.world, target).into_iter();
        let mut found = found.map(|number| (number, self.above_object(number)));
        found.find(|(_, above)| self.is_in_reach(&extent.home, *above))
    }

    /// What is above an object by stored facts, itself included when it is a tenant.
    fn above_object(&self, number: u32) -> Above<'_> {
        let above = || {
            let key = self.world.at(number)?.key;
            match (key.project, key.home()) {
                (Some(uid), _) => self.above(self.index.places.project(&self.world, uid)?),
                (None, HomeRef::Organization(name)) => {
                    self.above(self.index.places.tenant(Tenant::fingerprint(false, "", name))?)
                }
                (None, _) => {
                    let kind = self.index.nodes.kinds.find(key.kind)?;
                    self.tenant_above(kind, key.namespace, key.name)
                }
            }
        };
        above().unwrap_or_default()
    }

    /// Whether bindings of a home reach an object.
    fn is_in_reach(&self, home: &Home, above: Above<'_>) -> bool {
        let id = self.index.nodes.homes.find(home.into());
        let is_own = |tenant: &Tenant| id.is_some() && tenant.home == id;
        match home {
            Home::Platform => true,
            Home::Organization(_) => above.organization.is_some_and(is_own),
            Home::Project(_) => above.project.is_some_and(is_own),
        }
    }

    fn covering_kind(&self, kind: &Kind, home: &Home, of: &KindName) -> Option<Nodes> {
        let mut above = match home {
            Home::Platform => Above::default(),
            Home::Organization(name) => {
                self.above(self.index.places.tenant(Tenant::fingerprint(false, "", name))?)?
            }
            Home::Project(uid) => self.above(self.index.places.project(&self.world, uid)?)?,
        };
        if *of == kind.name {
            // Any object of the kind within reach.
        } else if *of == *PROJECT {
            above.project = above.project.or(Some(&NEW_PROJECT));
            above.organization = above.organization.or(Some(&NEW_ORGANIZATION));
        } else if *of == *ORGANIZATION && above.project.is_none() {
            above.organization = above.organization.or(Some(&NEW_ORGANIZATION));
        } else if *of == *USER && *home == Home::Platform {
            above.user = Some(Object::any());
        } else {
            return None;
        }
        Some(self.collect(kind, None, above))
    }
}

static NEW_ORGANIZATION: LazyLock<Tenant> = LazyLock::new(|| Tenant::any(false));
static NEW_PROJECT: LazyLock<Tenant> = LazyLock::new(|| Tenant::any(true));

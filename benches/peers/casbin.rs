//! Casbin: a binding is a policy, and four role managers say what is in what.

use std::collections::BTreeSet;

use anyhow::Result;
use casbin::{CoreApi as _, DefaultModel, Enforcer, MemoryAdapter, MgmtApi as _};

use super::{Asked, Grant, Relations, scope_id};

/// `g` has principals, users and groups; `g2` permissions and roles; `g3` places, objects and
/// scopes; `g4` permissions and kinds.
const MODEL: &str = "
[request_definition]
r = sub, act, obj

[policy_definition]
p = sub, role, kind, obj

[role_definition]
g = _, _
g2 = _, _
g3 = _, _
g4 = _, _

[policy_effect]
e = some(where (p.eft == allow))

[matchers]
m = g(r.sub, p.sub) && g3(r.obj, p.obj) && g4(r.act, p.kind) && g2(r.act, p.role)
";

/// An enforcer that knows every grant, and the places of some questions.
pub(crate) struct Casbin(Enforcer);

/// Pairs in the order in which they were found; those of Casbin are checked for duplicates.
type Links = BTreeSet<[String; 2]>;

impl Casbin {
    pub(crate) fn new(relations: &Relations, asked: &[Asked]) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        runtime.block_on(Self::load(relations, asked))
    }

    async fn load(relations: &Relations, asked: &[Asked]) -> Result<Self> {
        let model = DefaultModel::from_str(MODEL).await?;
        let mut enforcer = Enforcer::new(model, MemoryAdapter::default()).await?;
        let links = [
            ("g", principals(relations, asked)),
            ("g2", roles(relations)),
            ("g3", places(asked)),
            ("g4", kinds(relations, asked)),
        ];
        for (manager, links) in links {
            let links = links.into_iter().map(Vec::from).collect();
            enforcer.add_named_grouping_policies(manager, links).await?;
        }
        let grants: BTreeSet<&Grant> = relations.grants.iter().collect();
        enforcer.add_policies(grants.into_iter().map(policy).collect()).await?;
        Ok(Self(enforcer))
    }

    /// Whether a question's [`request`] is allowed.
    pub(crate) fn allows(&self, request: &[String; 3]) -> Result<bool> {
        Ok(self.0.enforce((&request[0], &request[1], &request[2]))?)
    }
}

/// A question as a request.
pub(crate) fn request(asked: &Asked) -> [String; 3] {
    [principal(asked), asked.permission.clone(), asked.place_id()]
}

fn policy(grant: &Grant) -> Vec<String> {
    let kind = format!("kind/{}", grant.kind);
    vec![grant.subject.clone(), grant.role.clone(), kind, grant.scope()]
}

fn principal(asked: &Asked) -> String {
    format!("principal/{}", asked.principal_id())
}

fn principals(relations: &Relations, asked: &[Asked]) -> Links {
    let mut links = Links::new();
    for asked in asked {
        for subject in relations.subjects(&asked.principal) {
            if subject.starts_with("user/") {
                let groups = relations.groups(&asked.principal).cloned();
                links.extend(groups.map(|group| [subject.clone(), group]));
            }
            links.insert([principal(asked), subject]);
        }
    }
    links
}

fn roles(relations: &Relations) -> Links {
    let mut links = Links::new();
    for (name, role) in &relations.roles {
        links.extend(role.permissions.iter().map(|own| [own.to_string(), name.clone()]));
        links.extend(role.inherits.iter().map(|inherited| [inherited.clone(), name.clone()]));
    }
    links
}

fn places(asked: &[Asked]) -> Links {
    let mut links = Links::new();
    for asked in asked {
        let place = asked.place_id();
        for home in &asked.homes {
            links.insert([place.clone(), scope_id("", home, &asked.kind)]);
        }
        for element in &asked.elements {
            links.insert([place.clone(), element.id.clone()]);
            links.extend(element.holder.iter().map(|holder| [element.id.clone(), holder.clone()]));
            for home in &element.homes {
                let scope = |target| scope_id(target, home, &element.kind);
                links.insert([element.id.clone(), scope(&element.id)]);
                links.insert([element.id.clone(), scope("")]);
            }
        }
    }
    links
}

fn kinds(relations: &Relations, asked: &[Asked]) -> Links {
    let kind = |name: &str| format!("kind/{name}");
    let of_parents = relations
        .parents
        .iter()
        .flat_map(|(name, parents)| parents.iter().map(move |parent| [kind(name), kind(parent)]));
    let of_asked = asked.iter().filter(|asked| !asked.kind.is_empty());
    of_parents.chain(of_asked.map(|asked| [asked.permission.clone(), kind(&asked.kind)])).collect()
}

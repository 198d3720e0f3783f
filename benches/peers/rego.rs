//! Rego: the rules are in `access.rego`, which reads the facts as data.
//!
//! The data is laid out as the rules look for it. Two things are done beforehand that Rego cannot
//! express without recursion or that only concern names: which of two registrations counts, and
//! which role a name means.

use anyhow::{Context as _, Result};
use milo_iam::{Question, Within};
use regorus::{CompiledPolicy, Engine, Value};
use serde_json::{Map, Value as Json, json};

use super::relations::{Relations, plane_id};

/// The rules, compiled, with the facts of one world.
pub(crate) struct Rego(CompiledPolicy);

impl Rego {
    pub(crate) fn new(relations: &Relations) -> Result<Self> {
        let mut engine = Engine::new();
        let rules = include_str!("access.rego").to_owned();
        engine.add_policy("access.rego".to_owned(), rules)?;
        engine.add_data(Value::from(data(relations)))?;
        Ok(Self(engine.compile_with_entrypoint(&"data.milo.allow".into())?))
    }

    /// Whether a question's [`input`] is allowed.
    pub(crate) fn allows(&self, input: &Value) -> Result<bool> {
        self.0.eval_with_input(input.clone())?.as_bool().copied().context("`allow` is a boolean")
    }
}

/// A question as input.
pub(crate) fn input(question: &Question) -> Value {
    let (within, tenant) = match &question.within {
        Within::Organization(tenant) => ("organization", tenant.clone()),
        Within::Project(tenant) => ("project", tenant.clone()),
        Within::User(tenant) => ("user", tenant.clone()),
        _ => ("platform", milo_iam::TenantRef::default()),
    };
    Value::from(json!({
        "uid": question.principal.uid,
        "authenticated": question.principal.authenticated,
        "unauthenticated": question.principal.unauthenticated,
        "service": question.permission.service(),
        "plural": question.permission.plural(),
        "subresource": question.permission.subresource(),
        "verb": question.permission.verb(),
        "within": within,
        "tenant": tenant.name,
        "tenant_uid": tenant.uid,
        "namespace": question.namespace,
        "name": question.name,
    }))
}

fn data(relations: &Relations) -> Json {
    let mut data = json!({
        "parents": relations.parents,
        "users": relations.users,
        "accounts": relations.accounts,
        "organizations": relations.organizations,
        "memberships": relations.memberships,
    });
    // A kind can be below one that nobody registered; the graph must have that too.
    for parent in relations.parents.values().flatten() {
        if data["parents"].get(parent).is_none() {
            data["parents"][parent] = json!([]);
        }
    }
    for (name, project) in &relations.projects {
        data["projects"][&**name] = json!({
            "uid": project.uid,
            "organization": project.organization,
            "organization_uid": project.organization_uid,
        });
    }
    for ((service, plural), found) in &relations.registrations {
        data["registrations"][&**service][&**plural] =
            json!({"kind": found.kind, "verbs": set(found.verbs.iter().map(|verb| &**verb))});
    }
    for (key, uid) in &relations.objects {
        let name = format!("{}/{}", key.namespace, key.name);
        data["objects"][key.kind.to_string()][plane_id(&key.plane)][name] = json!(uid);
    }
    for (name, role) in &relations.roles {
        let permissions = set(role.permissions.iter().map(|text| &**text));
        data["roles"][name] = json!({"permissions": permissions});
        data["inherits"][name] = json!(role.inherits);
    }
    for grant in &relations.grants {
        let roles = &mut data["grants"][&grant.kind][&grant.target][&grant.home][&grant.subject];
        match roles.as_array_mut() {
            Some(roles) => roles.push(json!(grant.role)),
            None => *roles = json!([grant.role]),
        }
    }
    data
}

/// A set that is looked into rather than searched.
fn set<'a>(members: impl Iterator<Item = &'a str>) -> Json {
    Json::Object(members.map(|member| (member.to_owned(), Json::Bool(true))).collect::<Map<_, _>>())
}

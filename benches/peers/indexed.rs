//! Rego with as few rules as can be: what is left to it is what is left to Cedar and Casbin, and less.
//!
//! Subjects, roles and kinds are closed beforehand, and the data is indexed by what is asked.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use regorus::{CompiledPolicy, Engine, Value};
use serde_json::{Value as Json, json};

use super::{Asked, Relations};

/// The rule, compiled, with the grants of one world and what some questions are about.
pub(crate) struct Indexed(CompiledPolicy);

impl Indexed {
    pub(crate) fn new(relations: &Relations, asked: &[Asked]) -> Result<Self> {
        let mut engine = Engine::new();
        let rules = include_str!("indexed.rego").to_owned();
        engine.add_policy("indexed.rego".to_owned(), rules)?;
        engine.add_data(Value::from(data(relations, asked)))?;
        Ok(Self(engine.compile_with_entrypoint(&"data.milo.allow".into())?))
    }

    /// Whether a question's [`input`] is allowed.
    pub(crate) fn allows(&self, input: &Value) -> Result<bool> {
        self.0.eval_with_input(input.clone())?.as_bool().copied().context("`allow` is a boolean")
    }
}

/// A question as input.
pub(crate) fn input(asked: &Asked) -> Value {
    let scopes: BTreeSet<String> = asked.scopes().collect();
    Value::from(json!({
        "principal": asked.principal_id(),
        "permission": asked.permission,
        "scopes": scopes,
    }))
}

fn data(relations: &Relations, asked: &[Asked]) -> Json {
    let mut grants: BTreeMap<_, BTreeMap<_, BTreeSet<_>>> = BTreeMap::new();
    for grant in &relations.grants {
        let of_subject = grants.entry(grant.scope()).or_default().entry(&grant.subject);
        of_subject.or_default().insert(on_kind(&grant.role, &grant.kind));
    }
    let mut subjects = BTreeMap::new();
    for asked in asked {
        let all = relations.subjects(&asked.principal);
        let all = all.into_iter().chain(relations.groups(&asked.principal).cloned());
        subjects.entry(asked.principal_id()).or_insert_with(|| all.collect::<Vec<_>>());
    }
    json!({"grants": grants, "subjects": subjects, "permissions": permissions(relations, asked)})
}

/// The permissions that a role has on a kind, of those that are asked for.
fn permissions(relations: &Relations, asked: &[Asked]) -> BTreeMap<String, BTreeMap<String, bool>> {
    let wanted: BTreeSet<_> =
        asked.iter().map(|asked| (&*asked.kind, &*asked.permission)).collect();
    let granted: BTreeSet<_> =
        relations.grants.iter().map(|grant| (&*grant.role, &*grant.kind)).collect();
    let mut all = BTreeMap::new();
    for (role, above) in granted {
        let has: BTreeSet<_> = relations.permissions(role).collect();
        let of_role = wanted.iter().filter(|(kind, permission)| {
            has.contains(permission) && relations.kinds_above(kind).any(|kind| kind == above)
        });
        let of_role = of_role.map(|(_, permission)| ((*permission).to_owned(), true)).collect();
        all.insert(on_kind(role, above), of_role);
    }
    all
}

fn on_kind(role: &str, kind: &str) -> String {
    format!("{role} on {kind}")
}

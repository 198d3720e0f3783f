//! Cedar: a binding is a policy whose scope has a subject, a role and a target.
//!
//! Principals are in their subjects, and those in their groups; places are in their elements, and
//! those in what holds them; actions are in the roles that have them. Cedar finds what is in what.
//! Roles are closed beforehand: Cedar refuses hierarchies that have cycles.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use anyhow::{Context as _, Result};
use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, PolicyId,
    PolicySet, Request, SlotId, Template,
};

use super::{Asked, Grant, Relations, place::Element, scope_id};

/// Policies and entities that answer some questions.
pub(crate) struct Cedar {
    authorizer: Authorizer,
    policies: PolicySet,
    entities: Entities,
}

/// The template of each role on each kind; parsing takes longer than deciding.
#[derive(Default)]
pub(crate) struct Templates(BTreeMap<String, Template>);

impl Cedar {
    /// Policies of grants, and the entities that questions are about.
    pub(crate) fn new<'a>(
        templates: &mut Templates,
        relations: &Relations,
        grants: impl IntoIterator<Item = &'a Grant>,
        asked: impl IntoIterator<Item = &'a Asked>,
    ) -> Result<Self> {
        let grants: BTreeSet<&Grant> = grants.into_iter().collect();
        Ok(Self {
            authorizer: Authorizer::new(),
            policies: policies(templates, &grants)?,
            entities: entities(relations, &grants, asked)?,
        })
    }

    /// Whether a request is allowed. An error of a policy is a mistake of the encoding.
    pub(crate) fn allows(&self, request: &Request) -> Result<bool> {
        let response = self.authorizer.is_authorized(request, &self.policies, &self.entities);
        match response.diagnostics().errors().next() {
            Some(error) => Err(error.clone().into()),
            None => Ok(response.decision() == Decision::Allow),
        }
    }
}

/// A question as a request.
pub(crate) fn request(asked: &Asked) -> Result<Request> {
    Ok(Request::new(
        uid("Principal", &asked.principal_id())?,
        uid("Action", &asked.permission)?,
        uid("Place", &asked.place_id())?,
        Context::empty(),
        None,
    )?)
}

fn policies(templates: &mut Templates, grants: &BTreeSet<&Grant>) -> Result<PolicySet> {
    let mut policies = PolicySet::new();
    for (number, grant) in grants.iter().enumerate() {
        let id = PolicyId::new(action_group(&grant.role, &grant.kind));
        if policies.template(&id).is_none() {
            policies.add_template(templates.of(grant)?)?;
        }
        let slots = HashMap::from([
            (SlotId::principal(), uid("Subject", &grant.subject)?),
            (SlotId::resource(), uid("Scope", &grant.scope())?),
        ]);
        policies.link(id, PolicyId::new(number.to_string()), slots)?;
    }
    Ok(policies)
}

impl Templates {
    fn of(&mut self, grant: &Grant) -> Result<Template> {
        let id = action_group(&grant.role, &grant.kind);
        if let Some(found) = self.0.get(&id) {
            return Ok(found.clone());
        }
        let text = format!(
            "permit(principal in ?principal, action in Action::{id:?}, resource in ?resource);"
        );
        let template = Template::parse(Some(PolicyId::new(&id)), text)?;
        self.0.insert(id, template.clone());
        Ok(template)
    }
}

/// The actions that a role has, of kinds that are registered below one.
fn action_group(role: &str, kind: &str) -> String {
    format!("{role} on {kind}")
}

fn entities<'a>(
    relations: &Relations,
    grants: &BTreeSet<&Grant>,
    asked: impl IntoIterator<Item = &'a Asked>,
) -> Result<Entities> {
    let mut parents: BTreeMap<EntityUid, HashSet<EntityUid>> = BTreeMap::new();
    let granted: BTreeSet<_> = grants.iter().map(|grant| (&*grant.role, &*grant.kind)).collect();
    for asked in asked {
        add_principal(relations, asked, &mut parents)?;
        add_action(relations, asked, &granted, &mut parents)?;
        add_place(asked, &mut parents)?;
    }
    let entities = parents.into_iter().map(|(uid, parents)| Entity::new_no_attrs(uid, parents));
    Entities::from_entities(entities, None).context("the entities are a hierarchy")
}

type Parents = BTreeMap<EntityUid, HashSet<EntityUid>>;

fn add_principal(relations: &Relations, asked: &Asked, all: &mut Parents) -> Result<()> {
    let principal = uid("Principal", &asked.principal_id())?;
    if all.contains_key(&principal) {
        return Ok(());
    }
    let subjects = relations.subjects(&asked.principal);
    for subject in subjects.iter().filter(|subject| subject.starts_with("user/")) {
        let groups = relations.groups(&asked.principal).map(|group| uid("Subject", group));
        all.insert(uid("Subject", subject)?, groups.collect::<Result<_>>()?);
    }
    let subjects = subjects.iter().map(|subject| uid("Subject", subject));
    all.insert(principal, subjects.collect::<Result<_>>()?);
    Ok(())
}

fn add_action(
    relations: &Relations,
    asked: &Asked,
    granted: &BTreeSet<(&str, &str)>,
    all: &mut Parents,
) -> Result<()> {
    let action = uid("Action", &asked.permission)?;
    if all.contains_key(&action) {
        return Ok(());
    }
    let above: BTreeSet<_> = relations.kinds_above(&asked.kind).collect();
    let has = |role: &str| relations.permissions(role).any(|found| found == asked.permission);
    let groups = granted.iter().filter(|(role, kind)| above.contains(kind) && has(role));
    let groups = groups.map(|(role, kind)| uid("Action", &action_group(role, kind)));
    all.insert(action, groups.collect::<Result<_>>()?);
    Ok(())
}

fn add_place(asked: &Asked, all: &mut Parents) -> Result<()> {
    for element in &asked.elements {
        all.insert(uid("Object", &element.id)?, parents_of(element)?);
    }
    let elements = asked.elements.iter().map(|element| uid("Object", &element.id));
    let kinds = asked.homes.iter().map(|home| uid("Scope", &scope_id("", home, &asked.kind)));
    all.insert(uid("Place", &asked.place_id())?, elements.chain(kinds).collect::<Result<_>>()?);
    Ok(())
}

fn parents_of(element: &Element) -> Result<HashSet<EntityUid>> {
    let ids = [&*element.id, ""];
    let of_home = |home: &String| ids.map(|id| uid("Scope", &scope_id(id, home, &element.kind)));
    let holder = element.holder.iter().map(|holder| uid("Object", holder));
    element.homes.iter().flat_map(of_home).chain(holder).collect()
}

fn uid(kind: &str, id: &str) -> Result<EntityUid> {
    let kind: EntityTypeName = kind.parse()?;
    Ok(EntityUid::from_type_name_and_id(kind, EntityId::new(id)))
}

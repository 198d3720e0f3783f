//! Which objects a read means.

use std::sync::Arc;

use milo_core::{
    definition::{ResourceDefinition, View},
    object::Object,
    scope::{Scope, ScopeKind},
    selector::{FieldOperator, FieldRequirement, LabelOperator, LabelRequirement},
};

use super::{
    attribute::{Attribute, Filing},
    cached::Cached,
};
use crate::request::options::Selection;

/// What a client selects, within what can be seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    seen: Option<Seen>,
    selection: Selection,
}

/// What one tenant sees of a kind that lives elsewhere: the objects that name it. The cache files
/// them under it, so that a tenant costs the others nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Seen {
    from: ScopeKind,
    /// The tenant's name or UID, as the kind's view says.
    tenant: Arc<str>,
}

impl Filter {
    /// All that can be seen from a control plane that the kind does not live in; none when the
    /// kind does not exist there.
    pub(crate) fn seen_from(scope: &Scope, definition: &ResourceDefinition) -> Option<Self> {
        let tenant = scope.tenant()?;
        let tenant = match definition.view(scope.kind())? {
            View::Label(_) | View::Field(_) => tenant.name(),
            View::LabelUid(_) => tenant.uid(),
            _ => return None,
        };
        let seen = Seen { from: scope.kind(), tenant: tenant.into() };
        Some(Self { seen: Some(seen), selection: Selection::default() })
    }

    /// The same view with another selection.
    pub(crate) fn selecting(&self, selection: Selection) -> Self {
        Self { seen: self.seen.clone(), selection }
    }

    /// What can be seen; none when everything can.
    pub(super) fn seen(&self) -> Option<&Seen> {
        self.seen.as_ref()
    }

    /// What the objects that are meant are filed under, if anything: all that can be seen, and
    /// what the selection asks of single values. Each holds all that is meant, and maybe more.
    pub(super) fn filings(&self, definition: &ResourceDefinition) -> Vec<Filing> {
        let seen = self.seen.iter().filter_map(|seen| {
            let attribute = Attribute::of_view(definition.view(seen.from)?, definition)?;
            Some((attribute, seen.tenant.clone()))
        });
        let labels = self.selection.labels.requirements().iter().filter_map(|label| {
            let equals = matches!(label.operator(), LabelOperator::Equals | LabelOperator::In);
            let [value] = label.values() else { return None };
            equals.then_some((Attribute::Label(label.key().into()), value.as_str().into()))
        });
        let fields = self.selection.fields.requirements().iter().filter_map(|field| {
            let equals = field.operator() == FieldOperator::Equals;
            let attribute = Attribute::field(field.path(), definition).filter(|_| equals)?;
            Some((attribute, field.value().into()))
        });
        let all = seen.chain(labels).chain(fields);
        all.filter(|(_, value)| !value.is_empty())
            .map(|(attribute, value)| Filing { attribute, value })
            .collect()
    }

    /// What is meant, for whoever finds objects by a selection alone.
    pub(crate) fn selection(&self, definition: &ResourceDefinition) -> Selection {
        let Selection { mut labels, mut fields } = self.selection.clone();
        if let Some(Seen { from, tenant }) = &self.seen {
            match definition.view(*from) {
                Some(View::Label(key) | View::LabelUid(key)) => {
                    let equals = LabelOperator::Equals;
                    // What cannot be a label's value is sorted out by whoever looks at the answer.
                    if let Ok(label) = LabelRequirement::new(key, equals, [&**tenant]) {
                        labels = labels.with(label);
                    }
                }
                Some(View::Field(path)) => {
                    let equals = FieldOperator::Equals;
                    fields = fields.with(FieldRequirement::new(path, equals, &**tenant));
                }
                _ => {}
            }
        }
        Selection { labels, fields }
    }

    /// Whether every object that can be seen is meant.
    pub(crate) fn selects_all(&self) -> bool {
        self.selection.labels.is_everything() && self.selection.fields.is_everything()
    }

    /// Whether every object is meant.
    pub(crate) fn is_everything(&self) -> bool {
        self.seen.is_none() && self.selects_all()
    }

    /// Whether an object can be seen and is selected.
    pub(crate) fn matches(&self, object: &Cached, definition: &ResourceDefinition) -> bool {
        // Looked at first: most objects of a kind belong to other tenants, and finding that out
        // costs little, whatever the client selects.
        self.sees(object, definition) && object.matches(&self.selection, definition)
    }

    /// Whether an object can be seen, whatever is selected.
    pub(super) fn sees(&self, object: &Cached, definition: &ResourceDefinition) -> bool {
        self.seen.as_ref().is_none_or(|seen| {
            let tenant =
                definition.view(seen.from).and_then(|view| object.tenant(view, definition));
            tenant == Some(&seen.tenant)
        })
    }

    /// Whether an object that is being written can be seen, whatever is selected.
    pub(crate) fn shows(&self, object: &Object, definition: &ResourceDefinition) -> bool {
        let Some(seen) = &self.seen else { return true };
        match definition.view(seen.from) {
            Some(View::Label(key) | View::LabelUid(key)) => {
                object.labels().any(|label| label == (key, &seen.tenant))
            }
            Some(View::Field(path)) => definition
                .selectable_fields()
                .iter()
                .find(|field| field.label() == path)
                .is_some_and(|field| field.value(object.fields()) == *seen.tenant),
            _ => false,
        }
    }
}

impl Seen {
    /// Who sees an object through one of the kind's views.
    pub(super) fn of<'a>(
        object: &'a Cached,
        definition: &'a ResourceDefinition,
    ) -> impl Iterator<Item = Self> + 'a {
        definition.views().filter_map(|(from, view)| {
            Some(Self { from, tenant: object.tenant(view, definition)?.into() })
        })
    }
}

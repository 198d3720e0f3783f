//! Structural schemas: what Kubernetes calls the schema of a custom resource, and all that it does
//! to an object.
//!
//! A [`Schema`] is compiled once from the `openAPIV3Schema` of a kind and then prunes unknown
//! fields, fills in defaults and validates, in that order on the write path. Rules and texts are
//! those of `apiextensions.k8s.io/v1`, so that tools which parse them keep working:
//!
//! * errors of the structure read like `spec.name in body should match '^[a-z]+$'`;
//! * errors that belong to no field are reported at `<nil>`;
//! * CEL rules (`x-kubernetes-validations`) run only on objects whose structure is sound.
//!
//! `apiVersion`, `kind` and `metadata` of the object have rules of their own elsewhere: they are
//! never pruned, defaulted or validated here, whether or not the document lists them. CEL rules at
//! the root see them, `metadata` with `name` and `generateName` alone.
//!
//! | file | what it does |
//! |---|---|
//! | `node`, `compile` | the compiled tree, and how a document becomes one |
//! | `prune`, `default` | change objects |
//! | `shape` | how values are merged and owned, for [`managed_fields`](crate::managed_fields) |
//! | `validate`, `checks`, `compose`, `unique`, `format` | find structural errors |
//! | `rule`, `expression`, `cel`, `convert`, `transition` | find violated CEL rules |

use serde_json::Value;

use crate::{
    object::Object,
    status::{FieldError, FieldErrorKind, FieldPath},
};

mod cel;
mod checks;
mod compile;
mod compose;
mod convert;
mod default;
mod expression;
mod format;
mod node;
mod path;
mod prune;
mod rule;
pub(crate) mod shape;
mod transition;
mod unique;
mod validate;
mod view;

use self::{
    node::Node,
    path::Path,
    shape::{MapShape, Shape},
    view::View,
};

/// How many problems of one object are looked for. Whoever has more is helped by the first ones.
const MOST_PROBLEMS: usize = 100;

/// A compiled structural schema. Compiling is slow, using it is not: share it in an `Arc`.
#[derive(Debug)]
pub struct Schema {
    document: Value,
    root: Node,
    shape: MapShape,
}

/// Why a document is not a structural schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct SchemaError {
    path: String,
    problem: String,
}

impl SchemaError {
    fn new(path: &FieldPath, problem: impl Into<String>) -> Self {
        Self { path: path.to_string(), problem: problem.into() }
    }

    /// Where in the document, such as `openAPIV3Schema.properties[spec].pattern`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl Schema {
    /// Compiles the schema of a whole object, as in `openAPIV3Schema` of a
    /// CustomResourceDefinition.
    ///
    /// # Errors
    /// When the document is not structural: a type is missing or unknown, a pattern or a CEL rule
    /// does not compile, the keys of a list map are missing, a default violates its own schema.
    pub fn compile(document: Value) -> Result<Self, SchemaError> {
        let root = compile::compile(&document)?;
        let shape = Shape::of_object(&root);
        Ok(Self { document, root, shape })
    }

    /// The document that was compiled.
    #[must_use]
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// How objects are merged and owned.
    pub(crate) fn shape(&self) -> &MapShape {
        &self.shape
    }

    /// Removes fields that the schema does not know and returns their paths, sorted, as they
    /// belong into `unknown field "spec.list[0].bar"`: the first hundred of them, long ones cut.
    ///
    /// Differs from upstream for `additionalProperties: true`, where upstream empties nested
    /// objects: here the values are kept.
    pub fn prune(&self, object: &mut Object) -> Vec<String> {
        let mut removed = prune::Removed::default();
        prune::object(&self.root, object.fields_mut(), &Path::Root, &mut removed);
        removed.into_paths()
    }

    /// Fills in defaults. A null where none is allowed is replaced by the default, and removed
    /// when there is none.
    pub fn apply_defaults(&self, object: &mut Object) {
        default::object(&self.root, object.fields_mut());
    }

    /// Validates the structure and then, unless it is unsound, the CEL rules. `old` is the stored
    /// object on update.
    ///
    /// On update, what was already wrong and has not changed is no error ("ratcheting", always on
    /// in Kubernetes since 1.33), so that a tightened schema does not lock existing objects.
    ///
    /// An empty result means valid.
    #[must_use]
    pub fn validate(&self, object: &Object, old: Option<&Object>) -> Vec<FieldError> {
        let new = View::Object(object.fields());
        let old = old.map(|old| View::Object(old.fields()));
        let mut errors = Vec::new();
        validate::value(&self.root, new, old, &Path::Root, &mut errors);
        if self.root.lists_below {
            self.check_lists(new, old, &mut errors);
        }
        if self.root.rules_below {
            if errors.iter().any(|error| blocks_rules(error.kind())) {
                errors.push(FieldError::invalid(
                    Path::Root.bracketed(),
                    Value::Null,
                    "some validation rules were not checked because the object was invalid; \
                     correct the existing errors to complete validation",
                ));
            } else {
                errors.extend(transition::run(&self.root, new, old));
            }
        }
        errors
    }

    /// Duplicates in sets and list maps. Upstream ratchets them all or not at all.
    fn check_lists(&self, new: View<'_>, old: Option<View<'_>>, errors: &mut Vec<FieldError>) {
        let mut found = Vec::new();
        unique::check(&self.root, new, &Path::Root, &mut found);
        if found.is_empty() {
            return;
        }
        let mut before = Vec::new();
        if let Some(old) = old {
            unique::check(&self.root, old, &Path::Root, &mut before);
        }
        if before.is_empty() {
            errors.append(&mut found);
        }
    }
}

/// Errors after which rules may not trust the shape of what they read.
fn blocks_rules(kind: FieldErrorKind) -> bool {
    matches!(
        kind,
        FieldErrorKind::NotSupported
            | FieldErrorKind::Required
            | FieldErrorKind::TooLong
            | FieldErrorKind::TooMany
            | FieldErrorKind::TypeInvalid
    )
}

//! Where a kind keeps what `autoscaling/v1` `Scale` shows of it.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceSubresourceScale;
use serde_json::{Map, Value};

use super::InvalidScale;
use crate::{json_path::JsonPath, object::Object};

/// Where the replicas of a kind are: what makes it scalable.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplicaPaths {
    spec: Vec<String>,
    status: Vec<String>,
    selector: Option<Vec<String>>,
}

impl ReplicaPaths {
    /// The wanted number is a field below `.spec`, as `.spec.replicas`; the present one below
    /// `.status`.
    ///
    /// # Errors
    /// When one is not there.
    pub fn new(spec: &str, status: &str) -> Result<Self, InvalidScale> {
        Ok(Self { spec: fields(spec, "spec")?, status: fields(status, "status")?, selector: None })
    }

    /// Says where the selector of what is counted is, as text, below `.spec` or `.status`:
    /// `.status.selector`.
    ///
    /// # Errors
    /// When it is not there.
    pub fn with_selector(mut self, selector: &str) -> Result<Self, InvalidScale> {
        let found = fields(selector, "status").or_else(|_| fields(selector, "spec"))?;
        self.selector = Some(found);
        Ok(self)
    }

    pub(super) fn from_crd(scale: &CustomResourceSubresourceScale) -> Result<Self, InvalidScale> {
        let paths = Self::new(&scale.spec_replicas_path, &scale.status_replicas_path)?;
        match scale.label_selector_path.as_deref().filter(|path| !path.is_empty()) {
            Some(selector) => paths.with_selector(selector),
            None => Ok(paths),
        }
    }

    /// The names of the fields that lead to the wanted number.
    #[must_use]
    pub fn spec(&self) -> &[String] {
        &self.spec
    }

    /// The wanted number, if the object has one.
    #[must_use]
    pub fn spec_replicas(&self, object: &Object) -> Option<i64> {
        find(object, &self.spec)?.as_i64()
    }

    /// Changes the wanted number.
    pub fn set_spec_replicas(&self, object: &mut Object, replicas: i64) {
        let Some((last, parents)) = self.spec.split_last() else { return };
        let mut fields = object.fields_mut();
        for parent in parents {
            let value = fields.entry(parent.as_str()).or_insert_with(|| Value::Object(Map::new()));
            if !value.is_object() {
                *value = Value::Object(Map::new());
            }
            let Some(inner) = value.as_object_mut() else { return };
            fields = inner;
        }
        fields.insert(last.clone(), replicas.into());
    }

    /// The present number; zero when nothing is known of it.
    #[must_use]
    pub fn status_replicas(&self, object: &Object) -> i64 {
        find(object, &self.status).and_then(Value::as_i64).unwrap_or_default()
    }

    /// The selector of what is counted.
    #[must_use]
    pub fn selector<'a>(&self, object: &'a Object) -> Option<&'a str> {
        find(object, self.selector.as_deref()?)?.as_str()
    }
}

fn find<'a>(object: &'a Object, path: &[String]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(object.fields().get(first)?, |value, field| value.get(field))
}

/// The fields of a path below `root`.
fn fields(path: &str, root: &str) -> Result<Vec<String>, InvalidScale> {
    let invalid = || InvalidScale { path: path.to_owned(), root: root.to_owned() };
    let parsed = JsonPath::parse(path).map_err(|_| invalid())?;
    let fields = parsed.fields().filter(|fields| fields.len() > 1 && fields[0] == root);
    Ok(fields.ok_or_else(invalid)?.into_iter().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn replicas_are_found_and_set() {
        let paths = ReplicaPaths::new(".spec.ships.count", ".status.afloat").unwrap();
        let paths = paths.with_selector(".status.selector").unwrap();
        let mut fleet = Object::from_value(json!({
            "spec": {}, "status": {"afloat": 2, "selector": "a=b"},
        }))
        .unwrap();
        assert_eq!((paths.spec_replicas(&fleet), paths.status_replicas(&fleet)), (None, 2));
        assert_eq!(paths.selector(&fleet), Some("a=b"));
        paths.set_spec_replicas(&mut fleet, 4);
        assert_eq!(fleet.fields()["spec"], json!({"ships": {"count": 4}}));
        assert_eq!(paths.spec_replicas(&fleet), Some(4));
    }

    #[test]
    fn replicas_are_below_spec_and_status() {
        for (spec, status) in [
            (".status.replicas", ".status.replicas"),
            (".spec.replicas", ".spec.replicas"),
            (".spec", ".status.replicas"),
            (".spec.list[0]", ".status.replicas"),
            ("", ".status.replicas"),
        ] {
            assert!(ReplicaPaths::new(spec, status).is_err(), "{spec} {status}");
        }
    }
}

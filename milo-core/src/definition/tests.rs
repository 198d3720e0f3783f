//! Definitions of real kinds, derived and from types.

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};

use super::*;
use crate::resourcemanager::{Organization, OrganizationMembership, Project};

#[test]
fn a_derived_kind_is_known_in_full() {
    let definition = ResourceDefinition::of::<OrganizationMembership>().unwrap();
    assert_eq!(definition.group(), "resourcemanager.miloapis.com");
    assert_eq!(definition.version(), "v1alpha1");
    assert_eq!(definition.api_version(), "resourcemanager.miloapis.com/v1alpha1");
    assert_eq!(definition.kind(), "OrganizationMembership");
    assert_eq!(definition.list_kind(), "OrganizationMembershipList");
    assert_eq!(definition.plural(), "organizationmemberships");
    assert_eq!(definition.singular(), "organizationmembership");
    assert!(definition.is_namespaced());
    assert!(definition.has_status());
    assert!(definition.short_names().is_empty());
    assert_eq!(definition.home(), ScopeKind::Platform);
    let columns: Vec<_> = definition.columns().iter().map(|c| (c.name(), c.priority())).collect();
    assert_eq!(columns[3..6], [("User Email", 1), ("User Given Name", 1), ("User Family Name", 1)]);
    let fields: Vec<_> =
        definition.selectable_fields().iter().map(SelectableField::label).collect();
    assert_eq!(fields, ["spec.userRef.name", "spec.organizationRef.name"]);
    let document = definition.schema().document();
    assert!(document.get("title").is_none());
    let minimum = "/properties/status/properties/conditions/items/properties\
                   /observedGeneration/minimum";
    assert_eq!(document.pointer(minimum), Some(&0.into()));
}

#[test]
fn a_kind_has_one_home_and_any_views() {
    let label = || View::Label("owner".into());
    let project = ResourceDefinition::of::<Project>()
        .unwrap()
        .seen_from(ScopeKind::Organization, View::Field("spec.owner".into()))
        .seen_from(ScopeKind::Organization, label())
        .seen_from(ScopeKind::Platform, label());
    assert_eq!(project.home(), ScopeKind::Platform);
    assert_eq!(project.view(ScopeKind::Organization), Some(&label()));
    assert!(project.view(ScopeKind::Platform).is_none());
    assert!(project.is_served_in(ScopeKind::Platform));
    assert!(!project.is_served_in(ScopeKind::User));
    let moved = project.living_in(ScopeKind::Organization);
    assert!(moved.view(ScopeKind::Organization).is_none());
    assert!(moved.is_served_in(ScopeKind::Organization));
}

#[test]
fn any_resource_type_will_do() {
    let config_map = ResourceDefinition::of_resource::<ConfigMap>().unwrap();
    assert_eq!((config_map.group(), config_map.api_version()), ("", "v1"));
    assert_eq!(config_map.plural(), "configmaps");
    assert!(config_map.is_namespaced());
    assert!(!config_map.has_status());
    assert_eq!(config_map.columns(), [Column::age()]);
    let metadata = config_map.schema().document().pointer("/properties/metadata").unwrap();
    assert_eq!(metadata["type"], "object");
    assert!(metadata.get("properties").is_none());

    let namespace = ResourceDefinition::of_resource::<Namespace>().unwrap();
    assert!(!namespace.is_namespaced());
    assert!(namespace.has_status());
    let phase = Column::new("Status", ColumnKind::String, ".status.phase").unwrap();
    let namespace = namespace
        .with_column(phase.clone())
        .with_short_name("ns")
        .with_category("all")
        .with_selectable_field(SelectableField::new("status.phase").unwrap());
    assert_eq!(namespace.columns(), [phase]);
    assert_eq!(
        (namespace.short_names(), namespace.categories()),
        (&["ns".to_owned()][..], &["all".to_owned()][..])
    );
    let text = namespace.schema().document().to_string();
    assert!(!text.contains("$ref"), "{text}");
}

/// The definition of organizations after a change.
fn changed(
    change: impl FnOnce(&mut CustomResourceDefinition),
) -> Result<ResourceDefinition, String> {
    let mut crd = Organization::crd();
    change(&mut crd);
    ResourceDefinition::from_crd(&crd).map_err(|error| error.to_string())
}

#[test]
fn the_first_version_that_is_served_and_stored_counts() {
    let definition = changed(|crd| {
        let stored = crd.spec.versions[0].clone();
        let old =
            CustomResourceDefinitionVersion { name: "v1".into(), storage: false, ..stored.clone() };
        crd.spec.versions = vec![old, stored];
    });
    assert_eq!(definition.unwrap().version(), "v1alpha1");
    let error = changed(|crd| crd.spec.versions[0].served = false).unwrap_err();
    assert!(error.contains("`Organization` has no version"), "{error}");
}

#[test]
fn what_cannot_be_served_is_refused_by_name() {
    let refused = |expected: &str, change: fn(&mut CustomResourceDefinition)| {
        let error = changed(change).unwrap_err();
        assert!(error.contains(expected), "{error}");
    };
    refused("has no schema", |crd| crd.spec.versions[0].schema = None);
    refused("plural `a/b`", |crd| crd.spec.names.plural = "a/b".into());
    refused("singular `-a`", |crd| crd.spec.names.singular = Some("-a".into()));
    refused("group `a..b`", |crd| crd.spec.group = "a..b".into());
    refused("version ``", |crd| crd.spec.versions[0].name = String::new());
    refused("kind ``", |crd| crd.spec.names.kind = String::new());
    refused("short name `O`", |crd| crd.spec.names.short_names = Some(vec!["O".into()]));
    let column = |crd: &mut CustomResourceDefinition| {
        crd.spec.versions[0].additional_printer_columns.as_mut().unwrap().remove(1)
    };
    let refused_column = |expected: &str, change: &dyn Fn(&mut CustomResourceDefinition)| {
        let error = changed(|crd| change(crd)).unwrap_err();
        assert!(error.contains(expected), "{error}");
    };
    refused_column("column `Type`: type `text` must be", &|crd| {
        let mut bad = column(crd);
        bad.type_ = "text".into();
        crd.spec.versions[0].additional_printer_columns = Some(vec![bad]);
    });
    refused_column("column `Type`: invalid JSONPath `..`", &|crd| {
        let mut bad = column(crd);
        bad.json_path = "..".into();
        crd.spec.versions[0].additional_printer_columns = Some(vec![bad]);
    });
    let error = SelectableField::new(".spec.items[0]").unwrap_err();
    assert!(error.to_string().contains("field names only"), "{error}");
}

/// As a user of the kit writes it, with nothing but kube's derive.
#[derive(kube::CustomResource, JsonSchema, serde::Serialize, serde::Deserialize, Clone, Debug)]
#[kube(group = "demo.example.com", version = "v1", kind = "Widget", shortname = "w", namespaced)]
struct WidgetSpec {
    /// How many,
    /// at least one.
    #[schemars(range(min = 1))]
    count: i32,
}

#[test]
fn a_plain_derive_gets_the_fields_of_every_object() {
    let widget = ResourceDefinition::of::<Widget>().unwrap();
    assert_eq!(widget.short_names(), ["w"]);
    assert!(!widget.has_status());
    let document = widget.schema().document();
    assert_eq!(document["properties"]["metadata"]["type"], "object");
    assert_eq!(document["properties"]["apiVersion"]["type"], "string");
    let count = &document["properties"]["spec"]["properties"]["count"];
    assert_eq!((&count["minimum"], &count["format"]), (&1.into(), &"int32".into()));
    assert_eq!(document["required"], serde_json::json!(["spec"]));

    let same = ResourceDefinition::of_resource::<Widget>().unwrap();
    let count = &same.schema().document()["properties"]["spec"]["properties"]["count"];
    assert_eq!(count["description"], "How many, at least one.");
    assert!(same.is_namespaced());
}

#[test]
fn without_columns_the_age_is_shown() {
    let definition = changed(|crd| crd.spec.versions[0].additional_printer_columns = None).unwrap();
    assert_eq!(definition.columns(), [Column::age()]);
}

#[test]
fn a_selectable_field_compares_texts() {
    let field = SelectableField::new(".spec.x").unwrap();
    for (value, expected) in [
        (serde_json::json!("a"), "a"),
        (serde_json::json!(7), "7"),
        (serde_json::json!(true), "true"),
        (serde_json::json!({}), ""),
        (Value::Null, ""),
    ] {
        let object = serde_json::json!({"spec": {"x": value}});
        assert_eq!(field.value(object.as_object().unwrap()), expected);
    }
    assert_eq!(field.value(&serde_json::Map::new()), "");
}

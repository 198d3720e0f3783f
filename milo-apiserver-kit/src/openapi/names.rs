//! Names that generators of clients rely on: of schemas and of operations.

/// The prefix of the types that every API shares.
pub(super) const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

/// The groups of Kubernetes itself that have a domain.
const BUILT_IN: [&str; 14] = [
    "admissionregistration.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "flowcontrol.apiserver.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "rbac.authorization.k8s.io",
    "resource.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
];

/// A schema's name: the group's domain reversed, the version, the kind.
/// `com.miloapis.resourcemanager.v1alpha1.Organization`. Those of Kubernetes itself are named as
/// there: `io.k8s.api.rbac.v1.Role`.
pub(super) fn schema(group: &str, version: &str, kind: &str) -> String {
    let domain = match group.split_once('.') {
        None if group.is_empty() => "io.k8s.api.core".to_owned(),
        None => format!("io.k8s.api.{group}"),
        Some((first, _)) if BUILT_IN.contains(&group) => format!("io.k8s.api.{first}"),
        Some(_) => group.rsplit('.').collect::<Vec<_>>().join("."),
    };
    format!("{domain}.{version}.{kind}")
}

/// A reference to a schema of the same document.
pub(super) fn reference(schema: &str) -> String {
    format!("#/components/schemas/{schema}")
}

/// An operation's identifier: verb, group, version, and what is operated on, in camel case.
/// `listResourcemanagerMiloapisComV1alpha1Organization`.
pub(super) fn operation(verb: &str, group: &str, version: &str, object: &str) -> String {
    let group = camel_case(short_group(group));
    format!("{verb}{}{}{}", capitalized(&group), capitalized(version), capitalized(object))
}

/// The tag that groups the operations of a version: `resourcemanagerMiloapisCom_v1alpha1`.
pub(super) fn tag(group: &str, version: &str) -> String {
    format!("{}_{version}", camel_case(short_group(group)))
}

/// The tag of a group: `resourcemanagerMiloapisCom`.
pub(super) fn group_tag(group: &str) -> String {
    camel_case(short_group(group))
}

/// A group without the domain of Kubernetes itself.
fn short_group(group: &str) -> &str {
    match group {
        "" => "core",
        group => group.strip_suffix(".k8s.io").unwrap_or(group),
    }
}

pub(super) fn camel_case(text: &str) -> String {
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |text, word| text + &capitalized(word))
}

pub(super) fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_are_named_by_the_reversed_domain() {
        assert_eq!(
            schema("resourcemanager.miloapis.com", "v1alpha1", "Organization"),
            "com.miloapis.resourcemanager.v1alpha1.Organization"
        );
        for (group, expected) in [
            ("", "io.k8s.api.core.v1.Kind"),
            ("autoscaling", "io.k8s.api.autoscaling.v1.Kind"),
            ("rbac.authorization.k8s.io", "io.k8s.api.rbac.v1.Kind"),
            ("gateway.networking.k8s.io", "io.k8s.networking.gateway.v1.Kind"),
        ] {
            assert_eq!(schema(group, "v1", "Kind"), expected);
        }
    }

    #[test]
    fn operations_are_named_by_verb_group_version_and_object() {
        for (group, object, expected) in [
            ("demo.example.com", "NamespacedWidget", "listDemoExampleComV1NamespacedWidget"),
            ("rbac.authorization.k8s.io", "ClusterRole", "listRbacAuthorizationV1ClusterRole"),
            ("my-group.io", "X", "listMyGroupIoV1X"),
            ("", "NamespacedPod", "listCoreV1NamespacedPod"),
        ] {
            assert_eq!(operation("list", group, "v1", object), expected);
        }
        assert_eq!(tag("demo.example.com", "v1"), "demoExampleCom_v1");
    }
}

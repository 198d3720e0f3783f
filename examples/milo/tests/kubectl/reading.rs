//! `get` in all its forms, and `describe`.

use crate::support::{ACME, Milo, organization};

#[test]
fn forms() {
    let Some(milo) = Milo::start() else { return };
    milo.run("get organizations").prints_and_warns("", "No resources found");
    milo.create(ACME);
    milo.create(&organization("beta"));
    let table = "
        NAME   DISPLAY NAME   TYPE       ONBOARDING   READY   AGE
        acme   Acme Inc.      Standard                        AGE
        beta                                                  AGE
        ";
    milo.run("get organizations").prints(table);
    milo.run("get organizations -o wide").prints(table);
    milo.run("get datum").prints(table);
    milo.run("get organization acme --no-headers")
        .prints("acme   Acme Inc.   Standard               AGE");
    milo.run("get organizations -o name").prints(
        "
        organization.resourcemanager.miloapis.com/acme
        organization.resourcemanager.miloapis.com/beta
        ",
    );
    milo.run("get organization acme -o yaml").prints(
        "
        apiVersion: resourcemanager.miloapis.com/v1alpha1
        kind: Organization
        metadata:
          annotations:
            kubernetes.io/display-name: Acme Inc.
          creationTimestamp: \"TIME\"
          generation: 1
          name: acme
          resourceVersion: \"RV\"
          uid: UID
        spec:
          type: Standard
        ",
    );
    milo.run("get organizations beta -o json").prints(
        r#"
        {
            "apiVersion": "resourcemanager.miloapis.com/v1alpha1",
            "kind": "Organization",
            "metadata": {
                "creationTimestamp": "TIME",
                "generation": 1,
                "name": "beta",
                "resourceVersion": "RV",
                "uid": "UID"
            }
        }
        "#,
    );
    milo.run("get organizations -o custom-columns=NAME:.metadata.name,KIND:.kind,TYPE:.spec.type")
        .prints(
            "
            NAME   KIND           TYPE
            acme   Organization   Standard
            beta   Organization   <none>
            ",
        );
    milo.run("get organizations -o jsonpath={.items[*].metadata.name}").prints("acme beta");
    milo.run("get organizations acme beta nobody --ignore-not-found -o name").prints(
        "
        organization.resourcemanager.miloapis.com/acme
        organization.resourcemanager.miloapis.com/beta
        ",
    );
    milo.run("get organization nobody").fails(
        "Error from server (NotFound): organizations.resourcemanager.miloapis.com \"nobody\" not found",
    );
}

#[test]
fn description() {
    let Some(milo) = Milo::start() else { return };
    milo.create(ACME);
    milo.run("describe organization acme").prints(
        "
        Name:         acme
        Namespace:
        Labels:       <none>
        Annotations:  kubernetes.io/display-name: Acme Inc.
        API Version:  resourcemanager.miloapis.com/v1alpha1
        Kind:         Organization
        Metadata:
          Creation Timestamp:  TIME
          Generation:          1
          Resource Version:    RV
          UID:                 UID
        Spec:
          Type:  Standard
        Events:  <none>
        ",
    );
}

/// Seven organizations, created in an order that is not that of their names.
const SEVEN: [&str; 7] = ["dora", "adam", "gail", "bert", "fred", "carl", "emil"];

fn seven_organizations() -> String {
    SEVEN.map(organization).join("---\n")
}

#[test]
fn chunks_and_order() {
    let Some(milo) = Milo::start() else { return };
    milo.create(&seven_organizations());
    let list = milo.run("get organizations --chunk-size=2 -v=6 --no-headers");
    let names = list.printed();
    let names: Vec<&str> = names.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(names, ["adam", "bert", "carl", "dora", "emil", "fred", "gail"]);
    assert_eq!(list.count_of_complaint("limit=2"), 4);
    assert_eq!(list.count_of_complaint("continue="), 3);

    milo.run("label organizations dora carl tier=gold").ok();
    milo.run("get organizations --chunk-size=1 -l tier=gold -o name").prints(
        "
        organization.resourcemanager.miloapis.com/carl
        organization.resourcemanager.miloapis.com/dora
        ",
    );
    for (number, name) in SEVEN.iter().enumerate() {
        milo.run(&format!("annotate organization {name} number={number}")).ok();
    }
    milo.run("get organizations --sort-by=.metadata.annotations.number -o name").prints(
        "
        organization.resourcemanager.miloapis.com/dora
        organization.resourcemanager.miloapis.com/adam
        organization.resourcemanager.miloapis.com/gail
        organization.resourcemanager.miloapis.com/bert
        organization.resourcemanager.miloapis.com/fred
        organization.resourcemanager.miloapis.com/carl
        organization.resourcemanager.miloapis.com/emil
        ",
    );
}

#[test]
fn label_selectors() {
    let Some(milo) = Milo::start() else { return };
    milo.create(&["acme", "beta", "gamma"].map(organization).join("---\n"));
    milo.run("label organization acme tier=gold").ok();
    milo.run("label organization beta tier=silver").ok();
    for (selector, names) in [
        ("tier=gold", "acme"),
        ("tier!=gold", "beta gamma"),
        ("tier", "acme beta"),
        ("!tier", "gamma"),
        ("'tier in (gold, silver)'", "acme beta"),
        ("'tier notin (gold)'", "beta gamma"),
        ("tier=gold,tier=silver", ""),
    ] {
        milo.run(&format!(
            "get organizations -l {selector} -o jsonpath={{.items[*].metadata.name}}"
        ))
        .prints(names);
    }
    milo.run("get organizations -l 'tier in (gold'").fails(
        "Error from server (BadRequest): Unable to find \"resourcemanager.miloapis.com/v1alpha1, Resource=organizations\" that match label selector \"tier in (gold\", field selector \"\": unable to parse requirement: found '', expected: ',' or ')'",
    );
}

fn membership(user: &str, organization: &str) -> String {
    format!(
        "apiVersion: resourcemanager.miloapis.com/v1alpha1\n\
         kind: OrganizationMembership\n\
         metadata:\n  name: member-{user}\n  namespace: organization-{organization}\n\
         spec:\n  organizationRef: {{name: {organization}}}\n  userRef: {{name: {user}}}\n"
    )
}

#[test]
fn field_selectors_and_namespaces() {
    let Some(milo) = Milo::start() else { return };
    milo.create(&organization("acme"));
    milo.create(&organization("beta"));
    let members = [("ada", "acme"), ("bob", "acme"), ("ada", "beta")];
    milo.create(&members.map(|(user, organization)| membership(user, organization)).join("---\n"));
    milo.run("get organizationmemberships -A").prints(
        "
        NAMESPACE           NAME         ORGANIZATION   ORGANIZATION DISPLAY NAME   USER   READY   AGE
        organization-acme   member-ada   acme                                       ada            AGE
        organization-acme   member-bob   acme                                       bob            AGE
        organization-beta   member-ada   beta                                       ada            AGE
        ",
    );
    milo.run("get organizationmemberships -n organization-acme -o wide").prints(
        "
        NAME         ORGANIZATION   ORGANIZATION DISPLAY NAME   USER   USER EMAIL   USER GIVEN NAME   USER FAMILY NAME   READY   AGE
        member-ada   acme                                       ada                                                              AGE
        member-bob   acme                                       bob                                                              AGE
        ",
    );
    let names = "-o jsonpath={.items[*].metadata.name}";
    for (selector, expected) in [
        ("-A --field-selector spec.userRef.name=ada", "member-ada member-ada"),
        ("-n organization-acme --field-selector spec.userRef.name!=ada", "member-bob"),
        ("-A --field-selector spec.userRef.name=ada,spec.organizationRef.name=beta", "member-ada"),
        ("-A --field-selector metadata.namespace=organization-acme", "member-ada member-bob"),
        ("-A --field-selector metadata.name=member-bob", "member-bob"),
    ] {
        milo.run(&format!("get organizationmemberships {selector} {names}")).prints(expected);
    }
    milo.run("get organizationmemberships")
        .prints_and_warns("", "No resources found in default namespace.");
    milo.run("delete organizationmembership member-bob -n organization-beta").fails(
        "Error from server (NotFound): organizationmemberships.resourcemanager.miloapis.com \"member-bob\" not found",
    );
    let unknown = milo.run("get organizationmemberships -A --field-selector spec.foo=1");
    let complaint = unknown.complained();
    assert!(
        complaint.starts_with(
            "Error from server (BadRequest): Unable to find \"resourcemanager.miloapis.com/v1alpha1, Resource=organizationmemberships\" that match label selector \"\", field selector \"spec.foo=1\": "
        ),
        "{complaint}"
    );
}

//! Everything that changes objects.

use crate::support::{ACME, Milo, organization};

#[test]
fn create_and_apply() {
    let Some(milo) = Milo::start() else { return };
    milo.file("acme.yaml", ACME);
    milo.file("beta.yaml", &ACME.replace("acme", "beta"));
    milo.run("create -f acme.yaml")
        .prints("organization.resourcemanager.miloapis.com/acme created");
    milo.run("create -f acme.yaml").fails(
        "Error from server (AlreadyExists): error when creating \"acme.yaml\": organizations.resourcemanager.miloapis.com \"acme\" already exists",
    );
    milo.run("apply -f beta.yaml").prints("organization.resourcemanager.miloapis.com/beta created");
    milo.run("apply -f beta.yaml")
        .prints("organization.resourcemanager.miloapis.com/beta unchanged");
    milo.file("beta.yaml", &ACME.replace("acme", "beta").replace("Inc.", "GmbH"));
    milo.run("apply -f beta.yaml")
        .prints("organization.resourcemanager.miloapis.com/beta configured");
    // An object that was not applied before is told about, once.
    milo.run("apply -f acme.yaml").prints_and_warns(
        "organization.resourcemanager.miloapis.com/acme configured",
        "Warning: resource organizations/acme is missing the kubectl.kubernetes.io/last-applied-configuration annotation which is required by kubectl apply. kubectl apply should only be used on resources created declaratively by either kubectl create --save-config or kubectl apply. The missing annotation will be patched automatically.",
    );
    milo.run("get organizations").prints(
        "
        NAME   DISPLAY NAME   TYPE       ONBOARDING   READY   AGE
        acme   Acme Inc.      Standard                        AGE
        beta   Acme GmbH      Standard                        AGE
        ",
    );
}

#[test]
fn what_is_no_longer_applied_goes_away() {
    let Some(milo) = Milo::start() else { return };
    let applied = "
        apiVersion: resourcemanager.miloapis.com/v1alpha1
        kind: Organization
        metadata:
          name: acme
          labels: {tier: gold, size: large}
        spec:
          contactInfo: {name: Ada, email: ada@example.com, businessName: Acme}
        ";
    milo.file("acme.yaml", applied);
    milo.run("apply -f acme.yaml").ok();
    milo.run("label organizations --all kept=yes")
        .prints("organization.resourcemanager.miloapis.com/acme labeled");
    let less = applied.replace("tier: gold, ", "").replace(", businessName: Acme", "");
    milo.file("acme.yaml", &less);
    milo.run("apply -f acme.yaml")
        .prints("organization.resourcemanager.miloapis.com/acme configured");
    milo.run("get organization acme -o jsonpath={.metadata.labels}{.spec}").prints(
        r#"{"kept":"yes","size":"large"}{"contactInfo":{"email":"ada@example.com","name":"Ada"}}"#,
    );
    milo.run("apply view-last-applied organization acme").prints(
        "
        apiVersion: resourcemanager.miloapis.com/v1alpha1
        kind: Organization
        metadata:
          annotations: {}
          labels:
            size: large
          name: acme
        spec:
          contactInfo:
            email: ada@example.com
            name: Ada
        ",
    );
    milo.run("delete -f acme.yaml")
        .prints("organization.resourcemanager.miloapis.com \"acme\" deleted");
}

#[test]
fn generated_names() {
    let Some(milo) = Milo::start() else { return };
    milo.file("new.yaml", &organization("NAME").replace("name: NAME", "generateName: org-"));
    for _ in 0..2 {
        let created = milo.run("create -f new.yaml").ok();
        let name = created
            .strip_prefix("organization.resourcemanager.miloapis.com/org-")
            .and_then(|rest| rest.strip_suffix(" created"));
        assert_eq!(name.map(str::len), Some(5), "{created}");
    }
    assert_eq!(milo.run("get organizations -o name").ok().lines().count(), 2);
}

#[test]
fn nothing_happens_in_a_dry_run() {
    let Some(milo) = Milo::start() else { return };
    milo.file("acme.yaml", ACME);
    milo.run("create --dry-run=server -f acme.yaml")
        .prints("organization.resourcemanager.miloapis.com/acme created (server dry run)");
    milo.run("apply --dry-run=server -f acme.yaml")
        .prints("organization.resourcemanager.miloapis.com/acme created (server dry run)");
    milo.run("get organizations").prints_and_warns("", "No resources found");
    milo.run("apply -f acme.yaml").ok();
    let before = milo.run("get organization acme -o yaml").ok();
    milo.run("apply --dry-run=server -f acme.yaml")
        .prints("organization.resourcemanager.miloapis.com/acme unchanged (server dry run)");
    milo.file("acme.yaml", &ACME.replace("Inc.", "GmbH"));
    milo.run("apply --dry-run=server -f acme.yaml")
        .prints("organization.resourcemanager.miloapis.com/acme configured (server dry run)");
    milo.run("label organization acme tier=gold --dry-run=server")
        .prints("organization.resourcemanager.miloapis.com/acme labeled (server dry run)");
    milo.run(r#"patch organization acme --type=merge --dry-run=server -p '{"metadata":{"labels":{"a":"b"}}}'"#)
        .prints("organization.resourcemanager.miloapis.com/acme patched");
    milo.run("delete organization acme --dry-run=server")
        .prints("organization.resourcemanager.miloapis.com \"acme\" deleted (server dry run)");
    assert_eq!(milo.run("get organization acme -o yaml").ok(), before);
}

#[test]
fn differences() {
    let Some(milo) = Milo::start() else { return };
    milo.file("acme.yaml", ACME);
    milo.run("apply -f acme.yaml").ok();
    milo.run("diff -f acme.yaml").prints("");
    milo.file("acme.yaml", &ACME.replace("Inc.", "GmbH"));
    milo.run("diff -f acme.yaml").differs(
        r#"
        diff -u -N LIVE/resourcemanager.miloapis.com.v1alpha1.Organization..acme MERGED/resourcemanager.miloapis.com.v1alpha1.Organization..acme
        --- LIVE/resourcemanager.miloapis.com.v1alpha1.Organization..acme	TIME
        +++ MERGED/resourcemanager.miloapis.com.v1alpha1.Organization..acme	TIME
        @@ -4,7 +4,7 @@
           annotations:
             kubectl.kubernetes.io/last-applied-configuration: |
               {"apiVersion":"resourcemanager.miloapis.com/v1alpha1","kind":"Organization","metadata":{"annotations":{"kubernetes.io/display-name":"Acme Inc."},"name":"acme"},"spec":{"type":"Standard"}}
        -    kubernetes.io/display-name: Acme Inc.
        +    kubernetes.io/display-name: Acme GmbH
           creationTimestamp: "TIME"
           generation: 1
           name: acme
        "#,
    );
    milo.file("beta.yaml", &organization("beta"));
    milo.run("diff -f beta.yaml").differs(
        r#"
        diff -u -N LIVE/resourcemanager.miloapis.com.v1alpha1.Organization..beta MERGED/resourcemanager.miloapis.com.v1alpha1.Organization..beta
        --- LIVE/resourcemanager.miloapis.com.v1alpha1.Organization..beta	TIME
        +++ MERGED/resourcemanager.miloapis.com.v1alpha1.Organization..beta	TIME
        @@ -0,0 +1,7 @@
        +apiVersion: resourcemanager.miloapis.com/v1alpha1
        +kind: Organization
        +metadata:
        +  creationTimestamp: "TIME"
        +  generation: 1
        +  name: beta
        +  uid: UID
        "#,
    );
}

#[test]
fn labels_and_annotations() {
    let Some(milo) = Milo::start() else { return };
    milo.create(ACME);
    let acme = "organization.resourcemanager.miloapis.com/acme";
    milo.run("label organization acme tier=gold").prints(&format!("{acme} labeled"));
    milo.run("label organization acme tier=gold").prints(&format!("{acme} not labeled"));
    milo.run("label organization acme tier=silver")
        .fails("error: 'tier' already has a value (gold), and --overwrite is false");
    milo.run("label organization acme tier=silver --overwrite").prints(&format!("{acme} labeled"));
    milo.run("get organizations -l tier=silver -o name").prints(acme);
    milo.run("label organization acme tier-").prints(&format!("{acme} unlabeled"));
    milo.run("annotate organization acme note='first words'").prints(&format!("{acme} annotated"));
    milo.run("annotate organization acme note-").prints(&format!("{acme} annotated"));
    // Nothing is left of what came and went, and none of it was a change of the specification.
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
}

#[test]
fn edit() {
    let Some(milo) = Milo::start() else { return };
    milo.create(ACME);
    milo.with_editor("sed -i 's/Acme Inc./Acme Ltd./'")
        .run("edit organization acme")
        .prints("organization.resourcemanager.miloapis.com/acme edited");
    milo.run("get organization acme --no-headers")
        .prints("acme   Acme Ltd.   Standard               AGE");
    milo.with_editor("true")
        .run("edit organization acme")
        .prints_and_warns("", "Edit cancelled, no changes made.");
    milo.with_editor("sed -i s/Standard/Wrong/").run("edit organization acme").fails(
        "
        error: organizations.resourcemanager.miloapis.com \"acme\" is invalid
        A copy of your changes has been stored to \"EDITED\"
        error: Edit cancelled, no valid changes were saved.
        ",
    );
}

#[test]
fn patch() {
    let Some(milo) = Milo::start() else { return };
    milo.create(ACME);
    let acme = "organization.resourcemanager.miloapis.com/acme";
    let contact = r#"patch organization acme --type=merge -p '{"spec":{"contactInfo":{"email":"a@b.c","name":"Ada"}}}'"#;
    milo.run(contact).prints(&format!("{acme} patched"));
    milo.run(contact).prints(&format!("{acme} patched (no change)"));
    milo.run(r#"patch organization acme --type=json -p '[{"op":"test","path":"/spec/contactInfo/name","value":"Ada"},{"op":"replace","path":"/spec/contactInfo/name","value":"Bob"}]'"#)
        .prints(&format!("{acme} patched"));
    milo.run(r#"patch organization acme --type=json -p '[{"op":"test","path":"/spec/contactInfo/name","value":"Ada"}]'"#)
        .fails("The request is invalid: the server rejected our request due to an error in our request");
    milo.run("get organization acme -o jsonpath={.metadata.generation}{.spec}")
        .prints(r#"3{"contactInfo":{"email":"a@b.c","name":"Bob"},"type":"Standard"}"#);
    // The status is another half of the object.
    milo.run(r#"patch organization acme --type=merge -p '{"status":{"observedGeneration":3}}'"#)
        .prints(&format!("{acme} patched (no change)"));
    milo.run(r#"patch organization acme --subresource=status --type=merge -p '{"status":{"observedGeneration":3},"spec":null}'"#)
        .prints(&format!("{acme} patched"));
    milo.run("get organization acme -o jsonpath={.metadata.generation}{.spec.type}{.status.observedGeneration}")
        .prints("3Standard3");
    let strategic = milo.run("patch organization acme -p '{\"spec\":{}}'").complained();
    let expected = "error: application/strategic-merge-patch+json is not supported by resourcemanager.miloapis.com/v1alpha1, Kind=Organization: the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json";
    assert!(strategic.starts_with(expected), "{strategic}");
}

#[test]
fn replace() {
    let Some(milo) = Milo::start() else { return };
    milo.create(ACME);
    let acme = milo.run("get organization acme -o yaml").ok();
    milo.file("acme.yaml", &acme.replace("Inc.", "Corp."));
    milo.run("replace -f acme.yaml")
        .prints("organization.resourcemanager.miloapis.com/acme replaced");
    milo.run("replace -f acme.yaml").fails(
        "Error from server (Conflict): error when replacing \"acme.yaml\": Operation cannot be fulfilled on organizations.resourcemanager.miloapis.com \"acme\": the object has been modified; please apply your changes to the latest version and try again",
    );
    // The status is replaced through its subresource, and nothing else is.
    let acme = milo.run("get organization acme -o yaml").ok();
    let status = "status: {observedGeneration: 1, conditions: []}\n";
    milo.file("acme.yaml", &format!("{}\n{status}", acme.replace("Corp.", "Ltd.")));
    milo.run("replace --subresource=status -f acme.yaml")
        .prints("organization.resourcemanager.miloapis.com/acme replaced");
    milo.run("get organization acme -o jsonpath={.status}")
        .prints(r#"{"conditions":[],"observedGeneration":1}"#);
    milo.file("beta.yaml", &organization("beta"));
    milo.run("replace -f beta.yaml").fails(
        "Error from server (NotFound): error when replacing \"beta.yaml\": organizations.resourcemanager.miloapis.com \"beta\" not found",
    );
    milo.run("get organization acme --no-headers")
        .prints("acme   Acme Corp.   Standard               AGE");
}

#[test]
fn delete() {
    let Some(milo) = Milo::start() else { return };
    milo.create(&["acme", "beta", "gamma", "delta"].map(organization).join("---\n"));
    milo.run("label organization beta gamma tier=gold").ok();
    milo.run("delete organization acme")
        .prints("organization.resourcemanager.miloapis.com \"acme\" deleted");
    milo.run("delete organization acme").fails(
        "Error from server (NotFound): organizations.resourcemanager.miloapis.com \"acme\" not found",
    );
    milo.run("delete organization acme --ignore-not-found").prints("");
    milo.run("delete organizations -l tier=gold").prints(
        "
        organization.resourcemanager.miloapis.com \"beta\" deleted
        organization.resourcemanager.miloapis.com \"gamma\" deleted
        ",
    );
    milo.create(&organization("acme"));
    milo.run("delete organizations --all").prints(
        "
        organization.resourcemanager.miloapis.com \"acme\" deleted
        organization.resourcemanager.miloapis.com \"delta\" deleted
        ",
    );
    milo.run("get organizations").prints_and_warns("", "No resources found");
    milo.run("delete organizations --all").prints("No resources found");
}

#[test]
fn what_was_written_survives_a_killed_server() {
    let Some(mut milo) = Milo::start() else { return };
    milo.create(ACME);
    let before = milo.run("get organizations -o yaml").ok();
    milo.kill_and_restart();
    assert_eq!(milo.run("get organizations -o yaml").ok(), before);
    let watch = milo.start("get organizations -w -o name");
    watch.prints("organization.resourcemanager.miloapis.com/acme");
    milo.create(&organization("beta"));
    watch.prints("organization.resourcemanager.miloapis.com/beta");
}

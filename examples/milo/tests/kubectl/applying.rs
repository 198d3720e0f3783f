//! Server-side apply: managers that share an object, conflicts, what is no longer applied.

use crate::support::{ACME, Milo, organization};

const APPLIED: &str = "organization.resourcemanager.miloapis.com/acme serverside-applied";

/// What kubectl says after the first line of a conflict.
const ADVICE: &str = "
Please review the fields above--they currently have other managers. Here
are the ways you can resolve this warning:
* If you intend to manage all of these fields, please re-run the apply
  command with the `--force-conflicts` flag.
* If you do not intend to manage all of the fields, please edit your
  manifest to remove references to the fields that should keep their
  current managers.
* You may co-own fields by updating your manifest to match the existing
  value; in this case, you'll become the manager if the other manager(s)
  stop managing the field (remove it from their configuration).
See https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts";

#[test]
fn two_managers_share_an_object() {
    let Some(milo) = Milo::start() else { return };
    milo.file("acme.yaml", ACME);
    milo.run("apply --server-side -f acme.yaml").prints(APPLIED);
    milo.run("apply --server-side -f acme.yaml").prints(APPLIED);
    milo.file("ci.yaml", &organization("acme").replace("acme", "acme\n  labels: {tier: gold}"));
    milo.run("apply --server-side --field-manager=ci -f ci.yaml").prints(APPLIED);
    milo.run("get organization acme --show-managed-fields -o yaml").prints(
        "
        apiVersion: resourcemanager.miloapis.com/v1alpha1
        kind: Organization
        metadata:
          annotations:
            kubernetes.io/display-name: Acme Inc.
          creationTimestamp: \"TIME\"
          generation: 1
          labels:
            tier: gold
          managedFields:
          - apiVersion: resourcemanager.miloapis.com/v1alpha1
            fieldsType: FieldsV1
            fieldsV1:
              f:metadata:
                f:labels:
                  f:tier: {}
            manager: ci
            operation: Apply
            time: \"TIME\"
          - apiVersion: resourcemanager.miloapis.com/v1alpha1
            fieldsType: FieldsV1
            fieldsV1:
              f:metadata:
                f:annotations:
                  f:kubernetes.io/display-name: {}
              f:spec:
                f:type: {}
            manager: kubectl
            operation: Apply
            time: \"TIME\"
          name: acme
          resourceVersion: \"RV\"
          uid: UID
        spec:
          type: Standard
        ",
    );
}

#[test]
fn conflicts_are_told_and_can_be_forced() {
    let Some(milo) = Milo::start() else { return };
    milo.file("acme.yaml", ACME);
    milo.run("apply --server-side -f acme.yaml").ok();
    milo.file("ci.yaml", &ACME.replace("Inc.", "GmbH"));
    let ci = "apply --server-side --field-manager=ci -f ci.yaml";
    milo.run(ci).fails(&format!(
        "error: Apply failed with 1 conflict: conflict with \"kubectl\": .metadata.annotations.kubernetes.io/display-name{ADVICE}"
    ));
    milo.run(&format!("{ci} --dry-run=server --force-conflicts"))
        .prints(&format!("{APPLIED} (server dry run)"));
    milo.run(&format!("{ci} --force-conflicts")).prints(APPLIED);
    milo.run("get organization acme --no-headers")
        .prints("acme   Acme GmbH   Standard               AGE");
    // Both want the type; only one wants the name that it has now.
    milo.run("apply --server-side -f acme.yaml").fails(&format!(
        "error: Apply failed with 1 conflict: conflict with \"ci\": .metadata.annotations.kubernetes.io/display-name{ADVICE}"
    ));
    // Whoever writes without applying owns what they wrote.
    milo.run("label organization acme tier=gold size=large").ok();
    milo.file(
        "ci.yaml",
        &organization("acme").replace("acme", "acme\n  labels: {tier: silver, size: small}"),
    );
    milo.run(ci).fails(&format!(
        "error: Apply failed with 2 conflicts: conflicts with \"kubectl-label\" using resourcemanager.miloapis.com/v1alpha1:\n- .metadata.labels.size\n- .metadata.labels.tier{ADVICE}"
    ));
}

#[test]
fn what_is_no_longer_applied_is_removed() {
    let Some(milo) = Milo::start() else { return };
    let contact = "spec:\n  contactInfo: {name: Ada, email: ada@example.com, businessName: Acme}\n";
    let all = organization("acme") + "  labels: {tier: gold, size: large}\n" + contact;
    milo.file("acme.yaml", &all);
    milo.run("apply --server-side -f acme.yaml").prints(APPLIED);
    milo.run("label organization acme kept=yes").ok();
    milo.file("acme.yaml", &all.replace("tier: gold, ", "").replace(", businessName: Acme", ""));
    milo.run("diff --server-side -f acme.yaml").differs(
        "
        diff -u -N LIVE/resourcemanager.miloapis.com.v1alpha1.Organization..acme MERGED/resourcemanager.miloapis.com.v1alpha1.Organization..acme
        --- LIVE/resourcemanager.miloapis.com.v1alpha1.Organization..acme	TIME
        +++ MERGED/resourcemanager.miloapis.com.v1alpha1.Organization..acme	TIME
        @@ -2,16 +2,14 @@
         kind: Organization
         metadata:
           creationTimestamp: \"TIME\"
        -  generation: 1
        +  generation: 2
           labels:
             kept: \"yes\"
             size: large
        -    tier: gold
           name: acme
           resourceVersion: \"RV\"
           uid: UID
         spec:
           contactInfo:
        -    businessName: Acme
             email: ada@example.com
             name: Ada
        ",
    );
    milo.run("apply --server-side -f acme.yaml").prints(APPLIED);
    milo.run("get organization acme -o jsonpath={.metadata.labels}{.spec}").prints(
        r#"{"kept":"yes","size":"large"}{"contactInfo":{"email":"ada@example.com","name":"Ada"}}"#,
    );
    milo.run("diff --server-side -f acme.yaml").prints("");
}

#[test]
fn what_was_applied_by_the_client_is_taken_over() {
    let Some(milo) = Milo::start() else { return };
    milo.file("acme.yaml", ACME);
    milo.run("apply -f acme.yaml").ok();
    milo.file("acme.yaml", &ACME.replace("Inc.", "GmbH"));
    milo.run("apply --server-side -f acme.yaml").prints(APPLIED);
    milo.run("get organization acme --no-headers")
        .prints("acme   Acme GmbH   Standard               AGE");
    let managers = "get organization acme --show-managed-fields -o jsonpath={.metadata.managedFields[*].manager}";
    // The annotation of the client is kept up to date by a manager of its own.
    milo.run(managers).prints("kubectl kubectl-last-applied");
    milo.file("acme.yaml", &ACME.replace("  kubernetes.io/display-name: Acme Inc.\n", "  x: y\n"));
    milo.run("apply --server-side -f acme.yaml").prints(APPLIED);
    milo.run(
        "get organization acme -o jsonpath={.metadata.annotations.kubernetes\\.io/display-name}",
    )
    .prints("");
    // And back again.
    milo.run("apply -f acme.yaml").ok();
}

#[test]
fn what_cannot_be_applied_is_refused() {
    let Some(milo) = Milo::start() else { return };
    milo.file("acme.yaml", &ACME.replace("type: ", "tipe: "));
    let complaint = milo.run("apply --server-side -f acme.yaml").complained();
    assert!(complaint.contains(".spec.tipe: field not declared in schema"), "{complaint}");
    milo.file("acme.yaml", &ACME.replace("Standard", "Wrong"));
    let complaint = milo.run("apply --server-side -f acme.yaml").complained();
    assert!(complaint.contains("spec.type: Unsupported value: \"Wrong\""), "{complaint}");
    milo.run("get organizations").prints_and_warns("", "No resources found");
}

#[test]
fn a_directory_of_several_kinds() {
    let Some(milo) = Milo::start() else { return };
    let project = organization("web").replace("Organization", "Project")
        + "spec: {ownerRef: {kind: Organization, name: acme}}\n";
    milo.file("all/1-acme.yaml", &(organization("acme") + "  labels: {from: here}\n"));
    milo.file("all/2-beta.yaml", &(organization("beta") + "  labels: {from: here}\n"));
    milo.file("all/3-web.yaml", &project);
    milo.run("apply -f all").prints(
        "
        organization.resourcemanager.miloapis.com/acme created
        organization.resourcemanager.miloapis.com/beta created
        project.resourcemanager.miloapis.com/web created
        ",
    );
    milo.run("apply -f all").prints(
        "
        organization.resourcemanager.miloapis.com/acme unchanged
        organization.resourcemanager.miloapis.com/beta unchanged
        project.resourcemanager.miloapis.com/web unchanged
        ",
    );
    milo.run("diff -f all").prints("");
    // What was applied before and is in no file any more is removed.
    milo.file("less/1-acme.yaml", &(organization("acme") + "  labels: {from: here}\n"));
    let kinds = "resourcemanager.miloapis.com/v1alpha1/Organization";
    milo.run(&format!("apply -f less --prune -l from=here --prune-allowlist={kinds}")).prints(
        "
        organization.resourcemanager.miloapis.com/acme unchanged
        organization.resourcemanager.miloapis.com/beta pruned
        ",
    );
    milo.run("delete -f all/3-web.yaml -f less").prints(
        "
        project.resourcemanager.miloapis.com \"web\" deleted
        organization.resourcemanager.miloapis.com \"acme\" deleted
        ",
    );
}

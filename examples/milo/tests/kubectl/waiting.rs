//! Commands that wait for what others do.

use crate::support::{ACME, Milo, organization};

#[test]
fn watch_a_collection() {
    let Some(milo) = Milo::start() else { return };
    milo.create(ACME);
    let watch = milo.start("get organizations -w --output-watch-events");
    // Widths are those of the first table: what follows is aligned to it.
    watch.prints("EVENT      NAME   DISPLAY NAME   TYPE       ONBOARDING   READY   AGE");
    watch.prints("ADDED      acme   Acme Inc.      Standard                        AGE");
    milo.create(&organization("beta"));
    watch.prints("ADDED      beta                                                  AGE");
    milo.run("annotate organization beta kubernetes.io/display-name=Beta").ok();
    watch.prints("MODIFIED   beta   Beta                                           AGE");
    milo.run("delete organization beta").ok();
    watch.prints("DELETED    beta   Beta                                           AGE");
    milo.run("delete organization acme").ok();
    watch.prints("DELETED    acme   Acme Inc.      Standard                        AGE");
}

#[test]
fn watch_a_selection() {
    let Some(milo) = Milo::start() else { return };
    milo.create(&organization("acme"));
    milo.create(&organization("beta"));
    milo.run("label organization acme tier=gold").ok();
    let watch = milo.start("get organizations -l tier=gold -w -o name");
    watch.prints("organization.resourcemanager.miloapis.com/acme");
    milo.run("label organization beta tier=silver").ok();
    milo.run("label organization beta tier=gold --overwrite").ok();
    watch.prints("organization.resourcemanager.miloapis.com/beta");
    // What leaves the selection is gone, as far as it is concerned.
    milo.run("label organization acme tier-").ok();
    watch.prints("organization.resourcemanager.miloapis.com/acme");
    milo.create(&organization("gamma").replace("gamma", "gamma\n  labels: {tier: gold}"));
    watch.prints("organization.resourcemanager.miloapis.com/gamma");
}

const READY: &str = r#"patch organization acme --subresource=status --type=merge -p '{"status":{"conditions":[{"type":"Ready","status":"STATUS","reason":"Checked","message":"","lastTransitionTime":"2026-01-02T03:04:05Z"}]}}'"#;

#[test]
fn wait_for_a_condition() {
    let Some(milo) = Milo::start() else { return };
    milo.create(ACME);
    let mut wait = milo.start("wait --for=condition=Ready organization/acme --timeout=25s -v=6");
    wait.wait_until_watching();
    milo.run(&READY.replace("STATUS", "False")).ok();
    wait.is_waiting();
    milo.run(&READY.replace("STATUS", "True")).ok();
    assert_eq!(
        wait.finish().printed(),
        "organization.resourcemanager.miloapis.com/acme condition met"
    );
    milo.run("get organization acme --no-headers")
        .prints("acme   Acme Inc.   Standard         True   AGE");
    milo.run("wait --for=condition=Ready organization/acme --timeout=25s")
        .prints("organization.resourcemanager.miloapis.com/acme condition met");
}

#[test]
fn wait_for_a_value() {
    let Some(milo) = Milo::start() else { return };
    milo.create(&organization("acme"));
    let wait = milo
        .start("wait --for=jsonpath={.spec.type}=Personal organization/acme --timeout=25s -v=6");
    wait.wait_until_watching();
    milo.run(r#"patch organization acme --type=merge -p '{"spec":{"type":"Personal"}}'"#).ok();
    assert_eq!(
        wait.finish().printed(),
        "organization.resourcemanager.miloapis.com/acme condition met"
    );
}

#[test]
fn wait_for_deletion() {
    let Some(milo) = Milo::start() else { return };
    milo.create(ACME);
    let wait = milo.start("wait --for=delete organization/acme --timeout=25s -v=6");
    wait.wait_until_watching();
    milo.run("delete organization acme").ok();
    assert_eq!(
        wait.finish().printed(),
        "organization.resourcemanager.miloapis.com/acme condition met"
    );
}

#[test]
fn delete_with_a_finalizer() {
    let Some(milo) = Milo::start() else { return };
    milo.create(&organization("acme").replace("acme", "acme\n  finalizers: [example.com/cleanup]"));
    let mut delete = milo.start("delete organization acme --wait --timeout=25s");
    delete.prints("organization.resourcemanager.miloapis.com \"acme\" deleted");
    milo.run("get organization acme -o yaml").prints(
        "
        apiVersion: resourcemanager.miloapis.com/v1alpha1
        kind: Organization
        metadata:
          creationTimestamp: \"TIME\"
          deletionGracePeriodSeconds: 0
          deletionTimestamp: \"TIME\"
          finalizers:
          - example.com/cleanup
          generation: 2
          name: acme
          resourceVersion: \"RV\"
          uid: UID
        ",
    );
    delete.is_waiting();
    milo.run(r#"patch organization acme --type=json -p '[{"op":"add","path":"/metadata/finalizers/-","value":"example.com/more"}]'"#)
        .fails("The Organization \"acme\" is invalid: metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{\"example.com/more\"}");
    milo.run(r#"patch organization acme --type=json -p '[{"op":"remove","path":"/metadata/finalizers"}]'"#)
        .prints("organization.resourcemanager.miloapis.com/acme patched");
    delete.finish().prints("");
    milo.run("get organization acme").fails(
        "Error from server (NotFound): organizations.resourcemanager.miloapis.com \"acme\" not found",
    );
}

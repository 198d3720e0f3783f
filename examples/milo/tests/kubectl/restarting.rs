//! What happens to watches when the server goes away and comes back.

use crate::support::{ACME, Kubectl, Milo, organization};

const ORGANIZATIONS: &str = "/apis/resourcemanager.miloapis.com/v1alpha1/organizations";

fn newest_version(kubectl: &Kubectl) -> String {
    let list = kubectl.run(&format!("get --raw {ORGANIZATIONS}")).ok();
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    list["metadata"]["resourceVersion"].as_str().unwrap().to_owned()
}

/// What has happened since, in a watch of a second: type and name of each event.
fn since(kubectl: &Kubectl, version: &str) -> Vec<String> {
    let url = format!("{ORGANIZATIONS}?watch=true&resourceVersion={version}&timeoutSeconds=1");
    let events = kubectl.run(&format!("get --raw {url}")).ok();
    let event = |line: &str| {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        let name = &event["object"]["metadata"]["name"];
        format!("{} {}", event["type"].as_str().unwrap(), name.as_str().unwrap())
    };
    events.lines().map(event).collect()
}

#[test]
fn a_watch_goes_on_where_it_was() {
    let Some(mut milo) = Milo::start() else { return };
    milo.create(ACME);
    let watch = milo.start("get organizations -w -o name");
    watch.prints("organization.resourcemanager.miloapis.com/acme");
    let version = newest_version(&milo);
    milo.create(&organization("beta"));
    watch.prints("organization.resourcemanager.miloapis.com/beta");
    milo.kill_and_restart();
    // kubectl does not connect again: it ends, as it does with any server that goes away.
    watch.finish().ok();
    milo.run("label organization acme tier=gold").ok();
    milo.create(&organization("gamma"));
    milo.run("delete organization beta").ok();
    assert_eq!(
        since(&milo, &version),
        ["ADDED beta", "MODIFIED acme", "ADDED gamma", "DELETED beta"]
    );
    // From the last that was seen there is nothing twice.
    let version = newest_version(&milo);
    assert_eq!(since(&milo, &version), [""; 0]);
    let watch = milo.start("get organizations -w -o name");
    watch.prints("organization.resourcemanager.miloapis.com/acme");
    watch.prints("organization.resourcemanager.miloapis.com/gamma");
    milo.create(&organization("delta"));
    watch.prints("organization.resourcemanager.miloapis.com/delta");
}

#[test]
fn a_server_that_stops_ends_its_watches() {
    let Some(mut milo) = Milo::start() else { return };
    milo.create(ACME);
    let watch = milo.start("get organizations -w -o name");
    watch.prints("organization.resourcemanager.miloapis.com/acme");
    let wait = milo.start("wait --for=condition=Ready organization/acme --timeout=25s -v=6");
    wait.wait_until_watching();
    let version = newest_version(&milo);
    milo.stop_and_restart();
    watch.finish().prints("");
    // `wait` watches again, on the server that has come back.
    let ready = r#"patch organization acme --subresource=status --type=merge -p '{"status":{"conditions":[{"type":"Ready","status":"True","reason":"Checked","message":"","lastTransitionTime":"2026-01-02T03:04:05Z"}]}}'"#;
    milo.run(ready).ok();
    assert_eq!(
        wait.finish().printed(),
        "organization.resourcemanager.miloapis.com/acme condition met"
    );
    assert_eq!(since(&milo, &version), ["MODIFIED acme"]);
}

//! Who may do what.

use std::fs;

use crate::support::{ACME, Milo};

/// A server that knows one user, who is not an administrator, and what that user's kubectl is
/// given.
fn with_ada() -> Option<Milo> {
    Milo::start_with(|directory| {
        let file = directory.join("tokens.csv");
        fs::write(&file, "ada-s3cret,ada,1,\"developers\"\n").unwrap();
        vec![format!("--token-auth-file={}", file.display())]
    })
}

#[test]
fn whoever_is_not_an_administrator_is_refused() {
    let Some(milo) = with_ada() else { return };
    milo.create(ACME);
    milo.file("beta.yaml", &ACME.replace("acme", "beta"));
    let ada = milo.with_token("ada-s3cret");
    let group = "API group \"resourcemanager.miloapis.com\"";
    let organizations = format!("resource \"organizations\" in {group} at the cluster scope");
    let kind = "organizations.resourcemanager.miloapis.com";
    for line in ["get organizations", "get organizations -w", "delete organizations --all"] {
        ada.run(line).fails(&format!(
            "Error from server (Forbidden): {kind} is forbidden: User \"ada\" cannot list {organizations}"
        ));
    }
    ada.run("get organization acme").fails(&format!(
        "Error from server (Forbidden): {kind} \"acme\" is forbidden: User \"ada\" cannot get {organizations}"
    ));
    ada.run("delete organization acme").fails(&format!(
        "Error from server (Forbidden): {kind} \"acme\" is forbidden: User \"ada\" cannot delete {organizations}"
    ));
    ada.run("create -f beta.yaml").fails(&format!(
        "Error from server (Forbidden): error when creating \"beta.yaml\": {kind} is forbidden: User \"ada\" cannot create {organizations}"
    ));
    ada.run("get organization acme --subresource=status").fails(&format!(
        "Error from server (Forbidden): {kind} \"acme\" is forbidden: User \"ada\" cannot get resource \"organizations/status\" in {group} at the cluster scope"
    ));
    ada.run("get organizationmemberships -n organization-acme").fails(&format!(
        "Error from server (Forbidden): organizationmemberships.resourcemanager.miloapis.com is forbidden: User \"ada\" cannot list resource \"organizationmemberships\" in {group} in the namespace \"organization-acme\""
    ));
    ada.in_organization("acme").run("get projects").fails(&format!(
        "Error from server (Forbidden): projects.resourcemanager.miloapis.com is forbidden: User \"ada\" cannot list resource \"projects\" in {group} at the cluster scope"
    ));
    ada.run("get --raw /metrics").fails(
        "Error from server (Forbidden): forbidden: User \"ada\" cannot get path \"/metrics\"",
    );
    // Discovery and health are for everybody who has signed in.
    assert_eq!(ada.run("api-resources -o name").ok().lines().count(), 9);
    // So is to ask who one is, and what one may do.
    ada.run("auth whoami").prints(
        "
        ATTRIBUTE   VALUE
        Username    ada
        UID         1
        Groups      [developers system:authenticated]
        ",
    );
    ada.run("auth can-i list organizationmemberships").differs("no");
    milo.run("auth can-i list organizationmemberships").prints("yes");
    milo.run("auth can-i --list").prints(
        "
        Resources   Non-Resource URLs   Resource Names   Verbs
        *.*         []                  []               [*]
                    [*]                 []               [*]
        ",
    );
    ada.run("get --raw /readyz").prints("ok");
    milo.run("get organizations -o name").prints("organization.resourcemanager.miloapis.com/acme");
}

#[test]
fn whoever_is_nobody_is_refused() {
    let Some(milo) = with_ada() else { return };
    let stranger = milo.with_token("guessed");
    for line in ["get organizations", "get --raw /apis", "get --raw /readyz", "version"] {
        // What stands between the brackets depends on which request was refused.
        let complaint = stranger.run(line).complained();
        let last = complaint.lines().last().unwrap_or_default();
        assert!(last.starts_with("error: You must be logged in to the server ("), "{complaint}");
    }
}

#[test]
fn who_am_i_and_what_may_i_do() {
    let Some(milo) = with_ada() else { return };
    let ada = milo.with_token("ada-s3cret");
    milo.run("auth whoami").prints(
        "
        ATTRIBUTE   VALUE
        Username    admin
        Groups      [system:masters system:authenticated]
        ",
    );
    ada.run("auth whoami").prints(
        "
        ATTRIBUTE   VALUE
        Username    ada
        UID         1
        Groups      [developers system:authenticated]
        ",
    );
    let warning = "Warning: resource 'organizations' is not namespace scoped in group 'resourcemanager.miloapis.com'";
    milo.run("auth can-i create organizations").prints_and_warns("yes", warning);
    let members = "create organizationmemberships -n organization-acme";
    milo.run(&format!("auth can-i {members}")).prints("yes");
    ada.run(&format!("auth can-i {members}")).differs("no");
    ada.run("auth can-i get /metrics").differs("no");
    ada.run("auth can-i get /version").prints("yes");
}

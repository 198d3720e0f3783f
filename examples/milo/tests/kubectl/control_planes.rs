//! The control planes of organizations: each sees what is its own, and nothing else.

use crate::support::{Kubectl, Milo, organization};

fn project(name: &str) -> String {
    organization(name).replace("Organization", "Project") + "spec: {}\n"
}

/// Two organizations with a project each, and a kubectl for each of them.
fn two_organizations(milo: &Milo) -> (Kubectl, Kubectl) {
    milo.create(&organization("acme"));
    milo.create(&organization("beta"));
    let (acme, beta) = (milo.in_organization("acme"), milo.in_organization("beta"));
    acme.create(&project("acme-web"));
    beta.create(&project("beta-web"));
    (acme, beta)
}

#[test]
fn a_project_belongs_to_its_control_plane() {
    let Some(milo) = Milo::start() else { return };
    let (acme, beta) = two_organizations(&milo);
    acme.run("api-resources -o name").prints(
        "
        selfsubjectreviews.authentication.k8s.io
        localsubjectaccessreviews.authorization.k8s.io
        selfsubjectaccessreviews.authorization.k8s.io
        selfsubjectrulesreviews.authorization.k8s.io
        subjectaccessreviews.authorization.k8s.io
        organizationmemberships.resourcemanager.miloapis.com
        projects.resourcemanager.miloapis.com
        ",
    );
    acme.run("get projects").prints(
        "
        NAME       READY   AGE
        acme-web           AGE
        ",
    );
    acme.run("get project acme-web -o yaml").prints(
        "
        apiVersion: resourcemanager.miloapis.com/v1alpha1
        kind: Project
        metadata:
          creationTimestamp: \"TIME\"
          generation: 1
          labels:
            resourcemanager.miloapis.com/organization-name: acme
            resourcemanager.miloapis.com/organization-uid: UID
          name: acme-web
          ownerReferences:
          - apiVersion: resourcemanager.miloapis.com/v1alpha1
            kind: Organization
            name: acme
            uid: UID
          resourceVersion: \"RV\"
          uid: UID
        spec:
          ownerRef:
            kind: Organization
            name: acme
        ",
    );
    // The platform has them all, and there the owner must be said.
    milo.run("get projects -o name").prints(
        "
        project.resourcemanager.miloapis.com/acme-web
        project.resourcemanager.miloapis.com/beta-web
        ",
    );
    milo.file("orphan.yaml", &project("orphan"));
    milo.run("create -f orphan.yaml")
        .fails("The Project \"orphan\" is invalid: spec.ownerRef: Required value");
    milo.file(
        "orphan.yaml",
        &project("orphan").replace("{}", "{ownerRef: {kind: Organization, name: nobody}}"),
    );
    milo.run("create -f orphan.yaml")
        .fails("The Project \"orphan\" is invalid: spec.ownerRef.name: Not found: \"nobody\"");
    // Whatever the owner is said to be, the control plane decides.
    beta.create(&project("claimed").replace("{}", "{ownerRef: {kind: Organization, name: acme}}"));
    beta.run("get project claimed -o jsonpath={.spec.ownerRef.name}").prints("beta");
}

#[test]
fn the_projects_of_others_are_not_there() {
    let Some(milo) = Milo::start() else { return };
    let (acme, _beta) = two_organizations(&milo);
    let missing = "Error from server (NotFound): projects.resourcemanager.miloapis.com \"beta-web\" not found";
    for line in [
        "get project beta-web",
        "get project beta-web -o yaml",
        "get project beta-web -w",
        "delete project beta-web",
        "label project beta-web tier=gold",
        "patch project beta-web --type=merge -p '{}'",
        "patch project beta-web --subresource=status --type=merge -p '{}'",
    ] {
        acme.run(line).fails(missing);
    }
    acme.run("get projects --field-selector metadata.name=beta-web")
        .prints_and_warns("", "No resources found");
    acme.run("get projects -l resourcemanager.miloapis.com/organization-name=beta")
        .prints_and_warns("", "No resources found");
    acme.file("beta-web.yaml", &milo.run("get project beta-web -o yaml").ok());
    acme.run("replace -f beta-web.yaml").fails(
        "Error from server (NotFound): error when replacing \"beta-web.yaml\": projects.resourcemanager.miloapis.com \"beta-web\" not found",
    );
    // But a name is taken on the whole platform.
    acme.file("beta-web.yaml", &project("beta-web"));
    acme.run("create -f beta-web.yaml").fails(
        "Error from server (AlreadyExists): error when creating \"beta-web.yaml\": projects.resourcemanager.miloapis.com \"beta-web\" already exists",
    );
    acme.run("delete projects --all")
        .prints("project.resourcemanager.miloapis.com \"acme-web\" deleted");
    milo.run("get projects -o name").prints("project.resourcemanager.miloapis.com/beta-web");
}

#[test]
fn the_projects_of_others_are_not_watched() {
    let Some(milo) = Milo::start() else { return };
    let (acme, beta) = two_organizations(&milo);
    let watch = acme.start("get projects -w --output-watch-events");
    watch.prints("EVENT      NAME       READY   AGE");
    watch.prints("ADDED      acme-web           AGE");
    beta.create(&project("beta-api"));
    beta.run("label project beta-web tier=gold").ok();
    beta.run("delete project beta-web").ok();
    acme.create(&project("acme-api"));
    watch.prints("ADDED      acme-api           AGE");
    milo.run("delete project acme-web").ok();
    watch.prints("DELETED    acme-web           AGE");
}

#[test]
fn an_organization_that_does_not_exist_has_no_control_plane() {
    let Some(milo) = Milo::start() else { return };
    let nobody = milo.in_organization("nobody");
    let complaint = nobody.run("get projects").complained();
    let missing = "Error from server (NotFound): the server could not find the requested resource";
    assert!(complaint.ends_with(missing), "{complaint}");
    // It ends with its organization.
    milo.create(&organization("acme"));
    let acme = milo.in_organization("acme");
    acme.run("get projects").prints_and_warns("", "No resources found");
    acme.run("get organizations")
        .fails("error: the server doesn't have a resource type \"organizations\"");
    milo.run("delete organization acme").ok();
    acme.run("get projects").fails(
        "Error from server (NotFound): Unable to list \"resourcemanager.miloapis.com/v1alpha1, Resource=projects\": the server could not find the requested resource",
    );
}

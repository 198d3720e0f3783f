//! What the server says of itself: kinds, schemas, version, health.

use crate::support::Milo;

#[test]
fn kinds_and_schemas() {
    let Some(milo) = Milo::start() else { return };
    milo.run("api-resources").prints(
        "
        NAME                        SHORTNAMES   APIVERSION                              NAMESPACED   KIND
        selfsubjectreviews                       authentication.k8s.io/v1                false        SelfSubjectReview
        localsubjectaccessreviews                authorization.k8s.io/v1                 true         LocalSubjectAccessReview
        selfsubjectaccessreviews                 authorization.k8s.io/v1                 false        SelfSubjectAccessReview
        selfsubjectrulesreviews                  authorization.k8s.io/v1                 false        SelfSubjectRulesReview
        subjectaccessreviews                     authorization.k8s.io/v1                 false        SubjectAccessReview
        organizationmemberships                  resourcemanager.miloapis.com/v1alpha1   true         OrganizationMembership
        organizations                            resourcemanager.miloapis.com/v1alpha1   false        Organization
        projects                                 resourcemanager.miloapis.com/v1alpha1   false        Project
        projectsuspensions                       resourcemanager.miloapis.com/v1alpha1   false        ProjectSuspension
        ",
    );
    milo.run("api-resources --api-group=resourcemanager.miloapis.com --namespaced=false -o wide")
        .prints(
            "
            NAME                 SHORTNAMES   APIVERSION                              NAMESPACED   KIND                VERBS                                                        CATEGORIES
            organizations                     resourcemanager.miloapis.com/v1alpha1   false        Organization        create,delete,deletecollection,get,list,patch,update,watch   datum
            projects                          resourcemanager.miloapis.com/v1alpha1   false        Project             create,delete,deletecollection,get,list,patch,update,watch
            projectsuspensions                resourcemanager.miloapis.com/v1alpha1   false        ProjectSuspension   create,delete,deletecollection,get,list,patch,update,watch
            ",
        );
    milo.run("api-resources --categories=datum -o name")
        .prints("organizations.resourcemanager.miloapis.com");
    milo.run("api-versions").prints(
        "
        authentication.k8s.io/v1
        authorization.k8s.io/v1
        resourcemanager.miloapis.com/v1alpha1
        ",
    );
    milo.run("explain organization.spec").prints(
        "
        GROUP:      resourcemanager.miloapis.com
        KIND:       Organization
        VERSION:    v1alpha1

        FIELD: spec <Object>


        DESCRIPTION:
            What the organization should be. A display name and a description are
            annotations of the object: `kubernetes.io/display-name` and
            `kubernetes.io/description`.

        FIELDS:
          contactInfo\t<Object>
            Whom to contact about the organization, for billing and legal matters.
            Onboarding is not complete without it.

          type\t<string>
          enum: Personal, Standard
            Whether the organization belongs to one person or to a team. Cannot be
            changed. Kept for older clients: leave it out of new organizations.
        ",
    );
    milo.run("explain organization.spec.contactInfo.email").prints(
        "
        GROUP:      resourcemanager.miloapis.com
        KIND:       Organization
        VERSION:    v1alpha1

        FIELD: email <string>


        DESCRIPTION:
            The e-mail address that notices are sent to.
        ",
    );
    milo.run("get nothings").fails("error: the server doesn't have a resource type \"nothings\"");
}

#[test]
fn version_and_health() {
    let Some(milo) = Milo::start() else { return };
    // A kubectl that is much older or newer says so, and works.
    let versions = milo.run("version").printed();
    assert!(versions.ends_with("\nServer Version: v1.33.0+milo-0.1.0"), "{versions}");
    milo.run("get --raw /readyz?verbose").prints(
        "
        [+]ping ok
        [+]etcd ok
        [+]informer-sync ok
        [+]shutdown ok
        readyz check passed
        ",
    );
    for path in ["/healthz", "/livez", "/readyz", "/readyz/ping"] {
        milo.run(&format!("get --raw {path}")).prints("ok");
    }
    let missing = "Error from server (NotFound): the server could not find the requested resource";
    milo.run("get --raw /readyz/nothing").fails(missing);
    milo.run("get --raw /nothing").fails(missing);
    milo.run("get --raw /apis/resourcemanager.miloapis.com/v1alpha1/nothings").fails(missing);
}

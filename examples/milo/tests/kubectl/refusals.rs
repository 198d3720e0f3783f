//! What is refused, and in which words.

use crate::support::{ACME, Milo, organization};

/// Follows the errors of an object that is so wrong that its rules were not looked at.
const UNCHECKED: &str = "* <nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";

#[test]
fn values_of_the_wrong_kind() {
    let Some(milo) = Milo::start() else { return };
    let enumeration = format!(
        "The Organization \"acme\" is invalid: \n* spec.type: Unsupported value: \"Wrong\": supported values: \"Personal\", \"Standard\"\n{UNCHECKED}"
    );
    let wrong_type = format!(
        "The Organization \"acme\" is invalid: \n* spec.type: Invalid value: \"integer\": spec.type in body must be of type string: \"integer\"\n* spec.type: Unsupported value: 5: supported values: \"Personal\", \"Standard\"\n{UNCHECKED}"
    );
    for (value, complaint) in [("Wrong", enumeration), ("5", wrong_type)] {
        let complaint = complaint.replace(": \n", ":\n");
        milo.file("acme.yaml", &ACME.replace("Standard", value));
        milo.run("create -f acme.yaml").fails(&complaint);
        milo.run("apply -f acme.yaml").fails(&complaint);
    }
    milo.create(ACME);
    milo.run(r#"patch organization acme --type=merge -p '{"spec":{"type":"Personal"}}'"#).fails(
        "The Organization \"acme\" is invalid: spec.type: Invalid value: \"string\": organization type is immutable",
    );
    milo.run(r#"patch organization acme --type=merge -p '{"spec":{"contactInfo":{"name":"Ada"}}}'"#)
        .fails(&format!(
            "The Organization \"acme\" is invalid:\n* spec.contactInfo.email: Required value\n{UNCHECKED}"
        ));
}

#[test]
fn unknown_fields() {
    let Some(milo) = Milo::start() else { return };
    milo.file("acme.yaml", &ACME.replace("type: ", "tipe: "));
    for verb in ["create", "apply"] {
        milo.run(&format!("{verb} -f acme.yaml")).fails(
            "Error from server (BadRequest): error when creating \"acme.yaml\": Organization in version \"v1alpha1\" cannot be handled as a Organization: strict decoding error: unknown field \"spec.tipe\"",
        );
    }
    milo.run("create --validate=warn -f acme.yaml").prints_and_warns(
        "organization.resourcemanager.miloapis.com/acme created",
        "Warning: unknown field \"spec.tipe\"",
    );
    milo.run("delete organization acme").ok();
    milo.run("create --validate=ignore -f acme.yaml")
        .prints("organization.resourcemanager.miloapis.com/acme created");
    milo.run("get organization acme -o jsonpath={.spec}").prints("{}");
    milo.run(r#"patch organization acme --type=merge -p '{"spec":{"tipe":"Standard"}}'"#)
        .prints_and_warns(
            "organization.resourcemanager.miloapis.com/acme patched (no change)",
            "Warning: unknown field \"spec.tipe\"",
        );
}

#[test]
fn metadata() {
    let Some(milo) = Milo::start() else { return };
    milo.file("new.yaml", &organization("Acme_"));
    milo.run("create -f new.yaml").fails(
        "The Organization \"Acme_\" is invalid: metadata.name: Invalid value: \"Acme_\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
    );
    milo.file("new.yaml", &organization("acme").replace("name: acme", "labels: {}"));
    milo.run("create -f new.yaml").fails(
        "The Organization \"\" is invalid: metadata.name: Required value: name or generateName is required",
    );
    milo.create(ACME);
    milo.run(r#"patch organization acme --type=merge -p '{"metadata":{"labels":{"a b":"c"}}}'"#)
        .fails("The Organization \"acme\" is invalid: metadata.labels: Invalid value: \"a b\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')");
    milo.run(r#"patch organization acme --type=merge -p '{"metadata":{"name":"beta"}}'"#).fails(
        "Error from server (BadRequest): the name of the object (beta) does not match the name on the URL (acme)",
    );
    milo.run(r#"patch organization acme --type=merge -p '{"metadata":{"resourceVersion":"1"}}'"#)
        .fails("Error from server (Conflict): Operation cannot be fulfilled on organizations.resourcemanager.miloapis.com \"acme\": the object has been modified; please apply your changes to the latest version and try again");
}

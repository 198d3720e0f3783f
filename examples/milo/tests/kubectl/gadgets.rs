//! A kind with namespaces, replicas and a log.

use crate::support::Workshop;

const GADGETS: &str = "
    {apiVersion: demo.example.com/v1, kind: Gadget, metadata: {name: a}, spec: {color: red, replicas: 2}}
    ---
    {apiVersion: demo.example.com/v1, kind: Gadget, metadata: {name: b}, spec: {color: blue, replicas: 1}}
    ---
    {apiVersion: demo.example.com/v1, kind: Gadget, metadata: {name: a, namespace: other}, spec: {color: red, replicas: 3}}
";

#[test]
fn namespaces_and_columns() {
    let Some(shop) = Workshop::start() else { return };
    let kubectl = &shop.kubectl;
    kubectl.file("gadgets.yaml", GADGETS);
    kubectl.run("create -f gadgets.yaml").prints(
        "
        gadget.demo.example.com/a created
        gadget.demo.example.com/b created
        gadget.demo.example.com/a created
        ",
    );
    kubectl.run("get gd").prints(
        "
        NAME   COLOR   REPLICAS
        a      red     2
        b      blue    1
        ",
    );
    kubectl.run("get gadgets -A -o wide").prints(
        "
        NAMESPACE   NAME   COLOR   REPLICAS   MADE
        default     a      red     2
        default     b      blue    1
        other       a      red     3
        ",
    );
    kubectl.run("get gadgets -A --chunk-size=1 --sort-by=.spec.replicas --no-headers").prints(
        "
        default   b     blue   1
        default   a     red    2
        other     a     red    3
        ",
    );
    kubectl.run("get gadgets -A --field-selector spec.color=red -o jsonpath={.items[*].metadata.namespace}")
        .prints("default other");
    kubectl.run("get gadgets -n other -o name").prints("gadget.demo.example.com/a");
    kubectl
        .run("get gadgets -n nowhere")
        .prints_and_warns("", "No resources found in nowhere namespace.");
    kubectl.run("describe gadget b").prints(
        "
        Name:         b
        Namespace:    default
        Labels:       <none>
        Annotations:  <none>
        API Version:  demo.example.com/v1
        Kind:         Gadget
        Metadata:
          Creation Timestamp:  TIME
          Generation:          1
          Resource Version:    RV
          UID:                 UID
        Spec:
          Color:     blue
          Replicas:  1
        Events:      <none>
        ",
    );
    kubectl.run("delete gadgets --all -A").prints(
        "
        gadget.demo.example.com \"a\" deleted
        gadget.demo.example.com \"b\" deleted
        gadget.demo.example.com \"a\" deleted
        ",
    );
}

#[test]
fn everything_about_a_kind_is_explained() {
    let Some(shop) = Workshop::start() else { return };
    shop.kubectl.run("explain gadgets --recursive").prints(
        "
        GROUP:      demo.example.com
        KIND:       Gadget
        VERSION:    v1

        DESCRIPTION:
            Auto-generated derived type for GadgetSpec via `CustomResource`

        FIELDS:
          apiVersion\t<string>
          kind\t<string>
          metadata\t<ObjectMeta>
            annotations\t<map[string]string>
            creationTimestamp\t<string>
            deletionGracePeriodSeconds\t<integer>
            deletionTimestamp\t<string>
            finalizers\t<[]string>
            generateName\t<string>
            generation\t<integer>
            labels\t<map[string]string>
            managedFields\t<[]ManagedFieldsEntry>
              apiVersion\t<string>
              fieldsType\t<string>
              fieldsV1\t<FieldsV1>
              manager\t<string>
              operation\t<string>
              subresource\t<string>
              time\t<string>
            name\t<string>
            namespace\t<string>
            ownerReferences\t<[]OwnerReference>
              apiVersion\t<string> -required-
              blockOwnerDeletion\t<boolean>
              controller\t<boolean>
              kind\t<string> -required-
              name\t<string> -required-
              uid\t<string> -required-
            resourceVersion\t<string>
            selfLink\t<string>
            uid\t<string>
          spec\t<Object> -required-
            color\t<string> -required-
            parts\t<[]Object>
              name\t<string> -required-
              size\t<integer>
            replicas\t<integer>
          status\t<Object>
            replicas\t<integer> -required-
        ",
    );
}

#[test]
fn a_log_is_followed() {
    let Some(shop) = Workshop::start() else { return };
    let say = |line: &str| shop.log.blocking_send(Ok(format!("{line}\n").into())).unwrap();
    shop.kubectl.file("gadgets.yaml", GADGETS);
    shop.kubectl.run("create -f gadgets.yaml").ok();
    let url = "/apis/demo.example.com/v1/namespaces/default/gadgets/a/log?follow=true";
    let mut follow = shop.kubectl.start(&format!("get --raw {url}"));
    for line in ["one", "two", "three"] {
        say(line);
        follow.prints(line);
        follow.is_waiting();
    }
    drop(shop.log);
    follow.finish().prints("");
}

#[test]
fn scale() {
    let Some(shop) = Workshop::start() else { return };
    let kubectl = &shop.kubectl;
    kubectl.file("gadgets.yaml", GADGETS);
    kubectl.run("create -f gadgets.yaml").ok();
    kubectl.run("scale gadget/a --replicas=5").prints("gadget.demo.example.com/a scaled");
    kubectl
        .run("get gadget a -o jsonpath={.spec}{.metadata.generation}")
        .prints(r#"{"color":"red","replicas":5}2"#);
    kubectl
        .run("scale gadget/a --current-replicas=4 --replicas=6")
        .fails("error: Expected replicas to be 4, was 5");
    kubectl.run("scale gadgets --all --replicas=0").prints(
        "
        gadget.demo.example.com/a scaled
        gadget.demo.example.com/b scaled
        ",
    );
    kubectl
        .run("get gadget b --subresource=scale -o jsonpath={.kind}{.spec}{.status}")
        .prints(r#"Scale{}{"replicas":0}"#);
    kubectl
        .run("scale gadget/nothing --replicas=1")
        .fails("Error from server (NotFound): gadgets.demo.example.com \"nothing\" not found");
}

#[test]
fn items_of_a_list_have_their_own_managers() {
    let Some(shop) = Workshop::start() else { return };
    let kubectl = &shop.kubectl;
    let gadget = |parts: &str| {
        format!(
            "{{apiVersion: demo.example.com/v1, kind: Gadget, metadata: {{name: a}}, spec: {{color: red, parts: [{parts}]}}}}"
        )
    };
    let apply = |manager: &str| {
        kubectl.run(&format!("apply --server-side --field-manager={manager} -f {manager}.yaml"))
    };
    kubectl.file("one.yaml", &gadget("{name: wheel, size: 1}, {name: door}"));
    apply("one").prints("gadget.demo.example.com/a serverside-applied");
    kubectl.file("two.yaml", &gadget("{name: roof, size: 3}"));
    apply("two").prints("gadget.demo.example.com/a serverside-applied");
    kubectl
        .run("get gadget a -o jsonpath={.spec.parts}")
        .prints(r#"[{"name":"wheel","size":1},{"name":"door"},{"name":"roof","size":3}]"#);
    kubectl.file("two.yaml", &gadget("{name: wheel, size: 2}"));
    let conflict = apply("two").complained();
    assert!(
        conflict.starts_with("error: Apply failed with 1 conflict: conflict with \"one\": .spec.parts[name=\"wheel\"].size\n"),
        "{conflict}"
    );
    kubectl.file("one.yaml", &gadget("{name: door}"));
    apply("one").prints("gadget.demo.example.com/a serverside-applied");
    kubectl
        .run("get gadget a -o jsonpath={.spec.parts}")
        .prints(r#"[{"name":"door"},{"name":"roof","size":3}]"#);
}

#[test]
fn who_am_i_and_what_may_i_do() {
    let Some(shop) = Workshop::start() else { return };
    let kubectl = &shop.kubectl;
    kubectl.run("auth whoami").prints(
        "
        ATTRIBUTE   VALUE
        Username    admin
        Groups      [system:masters system:authenticated]
        ",
    );
    kubectl.run("auth can-i create gadgets").prints("yes");
    kubectl.run("auth can-i create gadgets --subresource=scale -n other").prints("yes");
}

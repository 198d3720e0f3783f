//! `spec/wire.md` sections 1 and 7.1: discovery, the version, health, and the index.

mod support;

use serde_json::{Value, json};
use support::{GROUP, Wire};

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

#[tokio::test]
async fn the_index_and_what_is_not_in_it() {
    let wire = Wire::start().await;
    let index = wire.get("/").await.ok();
    let paths: Vec<&str> =
        index["paths"].as_array().unwrap().iter().map(|path| path.as_str().unwrap()).collect();
    assert!(paths.is_sorted(), "1.6: {paths:?}");
    for path in
        ["/apis", GROUP, "/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz", "/version"]
    {
        assert!(paths.contains(&path), "1.6: {path} in {paths:?}");
        assert_eq!(wire.get(path).await.code, 200, "1.6: {path}");
    }
    let nowhere = wire.get("/nowhere").await;
    assert_eq!((nowhere.code, nowhere.json()), (404, index.clone()), "1.6");
    // A method that a path does not have is told apart from a path that does not exist.
    assert_eq!(wire.call("POST", "/nowhere").send().await.code, 404, "1.6");
    let missing = "the server could not find the requested resource";
    for path in [
        "/apis/unheard.example.com",
        "/apis/unheard.example.com/v1",
        "/apis/resourcemanager.miloapis.com/v9",
        "/apis/resourcemanager.miloapis.com/v9/organizations",
        "/api/v1/pods",
        "/api/v2",
    ] {
        wire.get(path).await.refused(&format!("1.6: {path}"), 404, "NotFound", missing);
    }
    assert_eq!(wire.get("/apiary").await.json(), index, "1.6: not below /api");
    let refused = "the server does not allow this method on the requested resource";
    for path in ["/", "/version", "/healthz", GROUP] {
        wire.call("POST", path).send().await.refused(path, 405, "MethodNotAllowed", refused);
    }
}

#[tokio::test]
async fn the_version() {
    let wire = Wire::start().await;
    let answer = wire.get("/version").await;
    let version = answer.ok();
    assert!(answer.text().lines().count() > 1, "1.3: indented");
    for field in ["major", "minor", "gitVersion", "gitCommit", "buildDate", "platform"] {
        assert!(version[field].is_string(), "1.3: {field} in {version}");
    }
    let (major, minor) = (&version["major"], &version["minor"]);
    let prefix = format!("v{}.{}.", major.as_str().unwrap(), minor.as_str().unwrap());
    assert!(version["gitVersion"].as_str().unwrap().starts_with(&prefix), "1.3: {version}");
}

#[tokio::test]
async fn unaggregated_discovery() {
    let wire = Wire::start().await;
    let groups = wire.get("/apis").await.ok();
    assert_eq!(groups["kind"], "APIGroupList", "1.1");
    let group =
        json!({"groupVersion": "resourcemanager.miloapis.com/v1alpha1", "version": "v1alpha1"});
    assert_eq!(groups["groups"][0]["versions"], json!([group]), "1.1");
    assert_eq!(groups["groups"][0]["preferredVersion"], group, "1.1");
    let one = wire.get("/apis/resourcemanager.miloapis.com").await.ok();
    assert_eq!((&one["kind"], &one["preferredVersion"]), (&"APIGroup".into(), &group), "1.1");
    let list = wire.get(GROUP).await.ok();
    assert_eq!(list["kind"], "APIResourceList", "1.1");
    assert_eq!(wire.get(&format!("{GROUP}/")).await.ok(), list, "1.1: trailing slash");
    let find = |name: &str| {
        let resources = list["resources"].as_array().unwrap();
        resources.iter().find(|resource| resource["name"] == name).unwrap().clone()
    };
    let organizations = find("organizations");
    assert_eq!(organizations["singularName"], "organization", "1.1");
    assert_eq!(organizations["namespaced"], false, "1.1");
    let verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
    assert_eq!(organizations["verbs"], json!(verbs), "1.1");
    let status = find("organizations/status");
    assert_eq!(
        (&status["singularName"], &status["verbs"]),
        (&"".into(), &json!(["get", "patch", "update"]))
    );
    assert_eq!(find("organizationmemberships")["namespaced"], true, "1.1");
}

#[tokio::test]
async fn the_core_group() {
    let wire = Wire::start().await;
    for path in ["/api", "/api/"] {
        let versions = wire.get(path).await.ok();
        let address = json!([{"clientCIDR": "0.0.0.0/0", "serverAddress": "milo"}]);
        let expected = json!({
            "kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": address,
        });
        assert_eq!(versions, expected, "1.1");
        let aggregated = wire.call("GET", path).header("accept", AGGREGATED).send().await;
        assert_eq!(aggregated.header("content-type"), AGGREGATED, "1.2");
        assert_eq!(aggregated.header("cache-control"), "public", "1.2");
        assert_eq!(aggregated.ok()["items"], json!([]), "1.2");
    }
}

#[tokio::test]
async fn discovery_in_yaml() {
    let wire = Wire::start().await;
    for path in ["/api", "/apis", "/apis/resourcemanager.miloapis.com", GROUP] {
        let json = wire.get(path).await;
        let yaml = wire.call("GET", path).header("accept", "application/yaml").send().await;
        assert_eq!(yaml.header("content-type"), "application/yaml", "1.1: {path}");
        assert_eq!(yaml.header("etag"), json.header("etag"), "1.2: {path}");
        assert!(!yaml.text().starts_with('{'), "1.1: {path}: {}", yaml.text());
        let value: Value = serde_saphyr::from_str(yaml.text()).unwrap();
        assert_eq!(value, json.ok(), "1.1: {path}");
        let html = wire.call("GET", path).header("accept", "text/html").send().await;
        assert_eq!(html.code, 406, "1.1: {path}");
    }
}

#[tokio::test]
async fn aggregated_discovery() {
    let wire = Wire::start().await;
    for accept in [
        AGGREGATED.to_owned(),
        "application/json;as=APIGroupDiscoveryList;v=v2;g=apidiscovery.k8s.io".to_owned(),
        format!(
            "{AGGREGATED},application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"
        ),
    ] {
        let answer = wire.call("GET", "/apis").header("accept", &accept).send().await;
        assert_eq!(answer.header("content-type"), AGGREGATED, "1.2: {accept}");
        assert_eq!(answer.header("vary"), "Accept", "1.2");
        assert_eq!(answer.header("cache-control"), "public", "1.2");
        let list = answer.ok();
        assert_eq!(list["apiVersion"], "apidiscovery.k8s.io/v2", "1.2");
        let version = &list["items"][0]["versions"][0];
        assert_eq!(
            (&version["version"], &version["freshness"]),
            (&"v1alpha1".into(), &"Current".into())
        );
        for resource in version["resources"].as_array().unwrap() {
            assert!(resource["responseKind"].is_object(), "1.2: {resource}");
        }
        let tag = answer.header("etag");
        let again = wire.call("GET", "/apis").header("accept", &accept);
        let again = again.header("if-none-match", tag).send().await;
        assert_eq!((again.code, again.body.len()), (304, 0), "1.2: {tag}");
    }
    let accept = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
    let answer = wire.call("GET", "/apis").header("accept", accept).send().await;
    assert_eq!(answer.ok()["kind"], "APIGroupList", "1.2");
}

#[tokio::test]
async fn discovery_of_a_tenant() {
    let wire = Wire::start().await;
    wire.organization("acme").await;
    let names = |list: Value| -> Vec<String> {
        let resources = list["resources"].as_array().unwrap();
        resources.iter().map(|resource| resource["name"].as_str().unwrap().to_owned()).collect()
    };
    let tenant = names(wire.get(&format!("/organizations/acme/control-plane{GROUP}")).await.ok());
    assert!(tenant.contains(&"projects".to_owned()), "{tenant:?}");
    assert!(!tenant.contains(&"organizations".to_owned()), "{tenant:?}");
    let same = wire.get(&format!("{GROUP}/organizations/acme/control-plane{GROUP}")).await.ok();
    assert_eq!(names(same), tenant, "both forms of a control plane's path");
    assert_eq!(wire.get("/organizations/acme/control-plane/").await.code, 200);
}

#[tokio::test]
async fn health() {
    let wire = Wire::start().await;
    for (url, code, text) in [
        ("/healthz", 200, "ok"),
        ("/livez", 200, "ok"),
        ("/readyz", 200, "ok"),
        ("/readyz/ping", 200, "ok"),
        ("/readyz/etcd", 200, "ok"),
        ("/readyz/informer-sync", 200, "ok"),
        ("/livez?verbose", 200, "[+]ping ok\nlivez check passed\n"),
        (
            "/readyz?verbose=true&exclude=etcd&exclude=unheard",
            200,
            "[+]ping ok\n[+]etcd excluded: ok\n[+]informer-sync ok\n[+]shutdown ok\n\
             warn: some health checks cannot be excluded: no matches for \"unheard\"\n\
             readyz check passed\n",
        ),
        ("/readyz?exclude=etcd", 200, "ok"),
    ] {
        let answer = wire.get(url).await;
        assert_eq!((answer.code, answer.text()), (code, text), "7.1: {url}");
        assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8", "7.1: {url}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "7.1: {url}");
    }
    assert_eq!(wire.get("/livez/unheard").await.code, 404, "7.1");
}

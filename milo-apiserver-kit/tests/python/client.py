"""What Python's kubernetes client does with a server: client.py FUNCTION

Talks to the server of $KUBECONFIG. Ends with an exception when something is not as it should be.
"""

import json
import sys
import threading

from kubernetes import client, config, watch
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.exceptions import (
    ConflictError,
    NotFoundError,
    ResourceNotFoundError,
    UnprocessibleEntityError,
)

GROUP = "resourcemanager.miloapis.com"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
ORGANIZATIONS = (GROUP, VERSION, "organizations")


def organization(name, **more):
    return {
        "apiVersion": API_VERSION,
        "kind": "Organization",
        "metadata": {"name": name, **more.pop("metadata", {})},
        **more,
    }


def equal(found, expected):
    assert found == expected, f"{found!r} instead of {expected!r}"


def refused(error, status, call):
    """Calls, and expects an error of this class with this status."""
    try:
        call()
    except error as found:
        equal(found.status, status)
        return found
    raise AssertionError(f"not refused with {status}")


def custom_objects():
    api = client.CustomObjectsApi()
    for name in ("a", "b", "c"):
        created = api.create_cluster_custom_object(*ORGANIZATIONS, organization(name))
        equal(created["metadata"]["generation"], 1)
    refused(ApiException, 409, lambda: api.create_cluster_custom_object(*ORGANIZATIONS, organization("a")))
    refused(ApiException, 404, lambda: api.get_cluster_custom_object(*ORGANIZATIONS, "nobody"))

    # A list, whole and in pages.
    listed = api.list_cluster_custom_object(*ORGANIZATIONS)
    equal([item["metadata"]["name"] for item in listed["items"]], ["a", "b", "c"])
    page = api.list_cluster_custom_object(*ORGANIZATIONS, limit=2)
    equal(page["metadata"]["remainingItemCount"], 1)
    rest = api.list_cluster_custom_object(*ORGANIZATIONS, limit=2, _continue=page["metadata"]["continue"])
    equal([item["metadata"]["name"] for item in rest["items"]], ["c"])

    merged = api.patch_cluster_custom_object(*ORGANIZATIONS, "a", {"metadata": {"labels": {"tier": "gold"}}})
    equal(merged["metadata"]["labels"], {"tier": "gold"})
    operations = [{"op": "replace", "path": "/metadata/labels/tier", "value": "silver"}]
    json_patch = {"_content_type": "application/json-patch+json"}
    patched = api.patch_cluster_custom_object(*ORGANIZATIONS, "a", operations, **json_patch)
    equal(patched["metadata"]["labels"], {"tier": "silver"})
    some = api.list_cluster_custom_object(*ORGANIZATIONS, label_selector="tier=silver")
    equal([item["metadata"]["name"] for item in some["items"]], ["a"])
    status = {"status": {"observedGeneration": 1}}
    patched = api.patch_cluster_custom_object_status(*ORGANIZATIONS, "a", status)
    equal(patched["status"]["observedGeneration"], 1)
    patched["metadata"]["labels"] = {"tier": "bronze"}
    replaced = api.replace_cluster_custom_object(*ORGANIZATIONS, "a", patched)
    equal(replaced["metadata"]["labels"], {"tier": "bronze"})
    refused(ApiException, 409, lambda: api.replace_cluster_custom_object(*ORGANIZATIONS, "a", patched))

    # A watch from the list, while others write.
    def write():
        api.patch_cluster_custom_object(*ORGANIZATIONS, "b", {"metadata": {"labels": {"seen": "yes"}}})
        api.create_cluster_custom_object(*ORGANIZATIONS, organization("d"))
        api.delete_cluster_custom_object(*ORGANIZATIONS, "c")

    listed = api.list_cluster_custom_object(*ORGANIZATIONS)
    seen = []
    writer = threading.Thread(target=write)
    writer.start()
    stream = watch.Watch()
    for event in stream.stream(
        api.list_cluster_custom_object,
        *ORGANIZATIONS,
        resource_version=listed["metadata"]["resourceVersion"],
        timeout_seconds=30,
    ):
        seen.append((event["type"], event["object"]["metadata"]["name"]))
        if len(seen) == 3:
            stream.stop()
    writer.join()
    equal(seen, [("MODIFIED", "b"), ("ADDED", "d"), ("DELETED", "c")])

    # Without a version it begins with what there is, and ends when its time is up.
    stream = watch.Watch()
    names = [
        (event["type"], event["object"]["metadata"]["name"])
        for event in stream.stream(api.list_cluster_custom_object, *ORGANIZATIONS, timeout_seconds=1)
    ]
    equal(names, [("ADDED", "a"), ("ADDED", "b"), ("ADDED", "d")])

    deleted = api.delete_cluster_custom_object(*ORGANIZATIONS, "a")
    equal(deleted["status"], "Success")
    api.delete_collection_cluster_custom_object(*ORGANIZATIONS)
    equal(api.list_cluster_custom_object(*ORGANIZATIONS)["items"], [])


def organizations():
    dynamic = DynamicClient(client.ApiClient())
    return dynamic, dynamic.resources.get(api_version=API_VERSION, kind="Organization")


def dynamic():
    dynamic, api = organizations()
    equal((api.name, api.namespaced, api.group_version), ("organizations", False, API_VERSION))
    assert "status" in api.subresources, api.subresources
    members = dynamic.resources.get(api_version=API_VERSION, kind="OrganizationMembership")
    assert members.namespaced
    refused_kind = dict(api_version=API_VERSION, kind="Nothing")
    try:
        dynamic.resources.get(**refused_kind)
        raise AssertionError("found a kind that does not exist")
    except ResourceNotFoundError:
        pass

    created = api.create(body=organization("a", spec={"type": "Standard"}))
    equal((created.spec.type, created.metadata.generation), ("Standard", 1))
    refused(ConflictError, 409, lambda: api.create(body=organization("a")))
    refused(UnprocessibleEntityError, 422, lambda: api.create(body=organization("b", spec={"type": "Wrong"})))
    refused(NotFoundError, 404, lambda: api.get(name="nobody"))
    equal(api.get(name="a").metadata.uid, created.metadata.uid)
    api.create(body=organization("b", metadata={"labels": {"tier": "gold"}}))
    equal([item.metadata.name for item in api.get().items], ["a", "b"])
    equal([item.metadata.name for item in api.get(label_selector="tier=gold").items], ["b"])
    equal([item.metadata.name for item in api.get(field_selector="metadata.name=a").items], ["a"])

    merge = {"content_type": "application/merge-patch+json"}
    patched = api.patch(body={"metadata": {"labels": {"tier": "silver"}}}, name="b", **merge)
    equal(patched.metadata.labels.tier, "silver")
    # Without a type the client says strategic merge, which kinds with a schema do not have.
    refused(ApiException, 415, lambda: api.patch(body={"metadata": {}}, name="b"))
    patched = api.status.patch(body={"status": {"observedGeneration": 4}}, name="b", **merge)
    equal(patched.status.observedGeneration, 4)

    whole = api.get(name="b").to_dict()
    whole["metadata"]["annotations"] = {"note": "x"}
    equal(api.replace(body=whole, name="b").metadata.annotations.note, "x")
    refused(ConflictError, 409, lambda: api.replace(body=whole, name="b"))
    equal(api.delete(name="b").status, "Success")
    refused(NotFoundError, 404, lambda: api.delete(name="b"))


def dynamic_watch():
    _, api = organizations()
    api.create(body=organization("a"))
    version = api.get().metadata.resourceVersion

    def write():
        api.create(body=organization("b"))
        api.delete(name="a")

    writer = threading.Thread(target=write)
    writer.start()
    seen = []
    watcher = watch.Watch()
    for event in api.watch(resource_version=version, timeout=30, watcher=watcher):
        seen.append((event["type"], event["object"].metadata.name, event["object"].kind))
        if len(seen) == 2:
            watcher.stop()
    writer.join()
    equal(seen, [("ADDED", "b", "Organization"), ("DELETED", "a", "Organization")])


def dynamic_apply():
    _, api = organizations()

    def apply(manager, body, **more):
        return api.server_side_apply(body=body, name="a", field_manager=manager, **more)

    gold = organization("a", metadata={"labels": {"tier": "gold", "size": "large"}})
    created = apply("one", gold)
    equal(created.metadata.labels.to_dict(), {"tier": "gold", "size": "large"})
    equal([(entry.manager, entry.operation) for entry in created.metadata.managedFields], [("one", "Apply")])
    equal(apply("one", gold).metadata.resourceVersion, created.metadata.resourceVersion)

    silver = organization("a", metadata={"labels": {"tier": "silver"}})
    conflict = refused(ConflictError, 409, lambda: apply("two", silver))
    body = conflict.body if isinstance(conflict.body, str) else conflict.body.decode()
    equal(json.loads(body)["details"]["causes"][0]["message"], 'conflict with "one"')
    forced = apply("two", silver, force_conflicts=True)
    equal(forced.metadata.labels.to_dict(), {"tier": "silver", "size": "large"})

    # What is no longer applied goes away, and what somebody else has taken over stays.
    left = apply("one", organization("a"))
    equal(left.metadata.labels.to_dict(), {"tier": "silver"})
    equal([entry.manager for entry in left.metadata.managedFields], ["two"])


if __name__ == "__main__":
    config.load_kube_config()
    globals()[sys.argv[1]]()

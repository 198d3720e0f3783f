# What access means in Milo. `data` has the facts, `input` the question.
package milo

default allow := false

# A binding grants its role to its subjects on its target. `data.grants` has the roles by the kind
# and the ID of the target, the home of the binding, and the subject.
allow if {
	some cover in covers
	kinds_above[cover.kind]
	some home in cover.homes
	granted := data.grants[cover.kind][cover.id][home]
	some subject in subjects
	some role in granted[subject]
	has_permission(role)
}

has_permission(role) if data.roles[role].permissions[permission]

has_permission(role) if {
	count(data.inherits[role]) > 0
	some inherited in graph.reachable(data.inherits, {role})
	data.roles[inherited].permissions[permission]
}

# Permissions: to delete a collection is to delete; a subresource that is not registered is the
# object.
registration := data.registrations[input.service][input.plural]

verb := "delete" if input.verb == "deletecollection"

verb := input.verb if input.verb != "deletecollection"

main_permission := concat("", [input.service, "/", input.plural, ".", verb])

is_subresource if {
	input.subresource != ""
	registration.verbs[concat(".", [input.subresource, verb])]
}

permission := concat("", [input.service, "/", input.plural, "/", input.subresource, ".", verb]) if {
	is_subresource
}

permission := main_permission if {
	not is_subresource
	registration.verbs[verb]
}

kind := registration.kind

kinds_above := graph.reachable(data.parents, {kind})

# Subjects.
subjects contains "system/system:authenticated" if input.authenticated

subjects contains "system/system:authenticated-users" if input.authenticated

subjects contains "system/system:unauthenticated" if input.unauthenticated

is_user if {
	data.users[input.uid]
	not data.accounts[input.uid]
}

subjects contains concat("/", ["user", input.uid, data.users[input.uid]]) if is_user

subjects contains group if {
	is_user
	some group in data.memberships[input.uid]
}

subjects contains concat("/", ["account", name, input.uid]) if {
	not data.users[input.uid]
	some name in data.accounts[input.uid]
}

# The place: the object, what is above it, and the kind itself.
covers contains element if some element in elements

covers contains {"kind": element.kind, "id": "", "homes": element.homes} if some element in elements

covers contains {"kind": kind, "id": "", "homes": reach} if elements

elements := above if not object

elements := array.concat(above, [object]) if object

object := {"kind": kind, "id": id, "homes": reach} if {
	uid := data.objects[kind][plane][concat("/", [object_namespace, input.name])]
	is_object
	id := concat("/", [kind, object_namespace, input.name, uid])
}

# The homes whose bindings reach the place.
reach := {"platform"} | {home | some element in above; some home in element.homes}

is_object if {
	input.name != ""
	not input.verb in {"list", "watch", "create", "deletecollection"}
}

is_namespace if {
	is_object
	kind == "core.miloapis.com/Namespace"
}

namespace := input.name if is_namespace

namespace := input.namespace if not is_namespace

object_namespace := "" if is_namespace

object_namespace := input.namespace if not is_namespace

plane := "platform" if input.within != "project"

plane := concat(":", ["project", data.projects[input.tenant].uid]) if input.within == "project"

# What is above, seen from where the question is asked. Without a value, nothing is there.
above := holders if input.within == "platform"

above := seen_from if input.within == "project"

above := seen_from if {
	input.within == "organization"
	not is_object
	namespace == ""
}

above := holders if {
	input.within == "organization"
	not is_tenants_list
	every element in seen_from { element in holders }
}

above := holders if {
	input.within == "user"
	is_tenant
	holders == seen_from
}

above := array.concat(holders, seen_from) if {
	input.within == "user"
	not is_tenant
}

is_tenants_list if {
	not is_object
	namespace == ""
}

tenant_kinds := {
	"resourcemanager.miloapis.com/Organization",
	"resourcemanager.miloapis.com/Project",
	"iam.miloapis.com/User",
}

is_tenant if {
	is_object
	kind in tenant_kinds
}

means(uid) if input.tenant_uid == ""

means(uid) if input.tenant_uid == uid

seen_from := [organization(input.tenant)] if {
	input.within == "organization"
	means(data.organizations[input.tenant])
}

seen_from := project(input.tenant) if {
	input.within == "project"
	means(data.projects[input.tenant].uid)
}

seen_from := [user(input.tenant)] if {
	input.within == "user"
	means(data.users[input.tenant])
}

# What holds something that is stored with the platform.
default holders := []

holders := [organization(name)] if {
	startswith(namespace, "organization-")
	name := trim_prefix(namespace, "organization-")
	data.organizations[name]
}

holders := [organization(input.name)] if {
	is_tenant_by_name
	kind == "resourcemanager.miloapis.com/Organization"
	data.organizations[input.name]
}

holders := project(input.name) if {
	is_tenant_by_name
	kind == "resourcemanager.miloapis.com/Project"
	is_in_organization(data.projects[input.name])
}

holders := [user(input.name)] if {
	is_tenant_by_name
	kind == "iam.miloapis.com/User"
	data.users[input.name]
}

is_tenant_by_name if {
	is_tenant
	namespace == ""
}

is_in_organization(found) if data.organizations[found.organization] == found.organization_uid

organization(name) := {
	"kind": "resourcemanager.miloapis.com/Organization",
	"id": concat("/", ["resourcemanager.miloapis.com/Organization", "", name, uid]),
	"homes": {"platform", concat(":", ["organization", name])},
} if {
	uid := data.organizations[name]
}

project(name) := [element, holder] if {
	found := data.projects[name]
	is_in_organization(found)
	holder := organization(found.organization)
	element := {
		"kind": "resourcemanager.miloapis.com/Project",
		"id": concat("/", ["resourcemanager.miloapis.com/Project", "", name, found.uid]),
		"homes": holder.homes | {concat(":", ["project", found.uid])},
	}
}

user(name) := {
	"kind": "iam.miloapis.com/User",
	"id": concat("/", ["iam.miloapis.com/User", "", name, data.users[name]]),
	"homes": {"platform"},
}

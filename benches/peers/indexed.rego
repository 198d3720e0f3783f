# What access means once it is decided where in Milo a question belongs: `input` has the scopes of
# its place. `data.grants` has the roles by scope and subject.
package milo

default allow := false

allow if {
	some scope in input.scopes
	granted := data.grants[scope]
	some subject in data.subjects[input.principal]
	some role in granted[subject]
	data.permissions[role][input.permission]
}

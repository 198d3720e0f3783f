//! The objects and the questions of "Milo-1". Nothing of it is kept: what a binding says follows from
//! its number, so that ten million of them need no room here.

use std::collections::BTreeSet;

use milo_iam::{
    Principal, Question, TenantRef, Within,
    world::{Body, Fact, Key, KindName, RoleName, Subject, Target, Text},
};

const KINDS: usize = 25;
const VERBS: [&str; 8] = ["get", "list", "watch", "create", "update", "patch", "delete", "use"];
const ROLES: usize = 30;
const QUESTIONS: usize = 100_000;

/// A small generator of numbers that look random: the same world each time.
struct Random(u64);

impl Random {
    fn of(number: usize) -> Self {
        let mut random = Self((number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % limit.max(1)
    }
}

/// On what a binding is, by number.
#[derive(Clone, Copy)]
enum Scope {
    Organization,
    Project,
    Thing,
    Kind,
}

/// What a binding says, by numbers.
struct Binding {
    organization: usize,
    project: usize,
    thing: usize,
    kind: usize,
    user: usize,
    group: Option<usize>,
    role: usize,
    scope: Scope,
}

/// See the module.
pub(crate) struct Milo {
    bindings: usize,
    organization: KindName,
    project: KindName,
    things: Vec<KindName>,
}

fn iam(kind: &str) -> KindName {
    KindName::new("iam.miloapis.com", kind)
}

fn namespace(organization: usize) -> String {
    format!("organization-o{organization:05}")
}

fn user(number: usize) -> String {
    format!("u{number:07}")
}

impl Milo {
    pub(crate) fn new(bindings: usize) -> Self {
        let rm = |kind| KindName::new("resourcemanager.miloapis.com", kind);
        let things = (0..KINDS).map(|n| KindName::new("g.io", &format!("Thing{n:02}"))).collect();
        Self { bindings, organization: rm("Organization"), project: rm("Project"), things }
    }

    fn organizations(&self) -> usize {
        (self.bindings / 1000).max(1)
    }

    fn users(&self) -> usize {
        self.bindings / 5
    }

    fn groups(&self) -> usize {
        (self.bindings / 50).max(1)
    }

    /// All facts, in the order of their keys, as lists come.
    pub(crate) fn facts(&self) -> impl Iterator<Item = Fact> + '_ {
        let system = (0..self.bindings).filter(|b| matches!(self.binding(*b).scope, Scope::Kind));
        let own = (0..self.organizations()).flat_map(|organization| {
            let all = (organization..self.bindings).step_by(self.organizations());
            all.filter(|b| !matches!(self.binding(*b).scope, Scope::Kind))
        });
        let users = (0..self.users()).map(|u| {
            let name = user(u);
            Fact::new(Key::new(iam("User"), &name), &format!("u-{u}"), Body::User)
        });
        self.all_things()
            .chain(self.all_groups())
            .chain(self.memberships())
            .chain(system.chain(own).map(|b| self.binding_fact(b)))
            .chain(self.catalogue())
            .chain(users)
            .chain(self.tenants())
    }

    fn binding(&self, number: usize) -> Binding {
        let organizations = self.organizations();
        let mut random = Random::of(number);
        let organization = number % organizations;
        let user = organization + random.below(self.users() / organizations) * organizations;
        let group = organization + random.below(self.groups() / organizations) * organizations;
        Binding {
            organization,
            project: organization * 10 + random.below(10),
            thing: random.below(100),
            kind: random.below(KINDS),
            user,
            group: (random.below(10) < 3).then_some(group),
            role: random.below(ROLES),
            scope: match random.below(100) {
                0..5 => Scope::Organization,
                5..50 => Scope::Project,
                50..98 => Scope::Thing,
                _ => Scope::Kind,
            },
        }
    }

    fn all_things(&self) -> impl Iterator<Item = Fact> + '_ {
        let mut all: Vec<(u8, u32, u8)> = (0..self.bindings)
            .map(|b| self.binding(b))
            .filter(|binding| matches!(binding.scope, Scope::Thing))
            .map(|b| {
                let small = |number: usize| u8::try_from(number).unwrap();
                (small(b.kind), u32::try_from(b.project).unwrap(), small(b.thing))
            })
            .collect();
        all.sort_unstable();
        all.dedup();
        all.into_iter().map(|(k, p, t)| {
            let key = Key::new(self.things[usize::from(k)].clone(), &format!("t{t:02}"));
            let key = key.namespace("default").in_project(&format!("p-{p:06}"));
            Fact::new(key, &format!("t-{p}-{t}-{k}"), Body::Other)
        })
    }

    fn all_groups(&self) -> impl Iterator<Item = Fact> + '_ {
        let organizations = self.organizations();
        (0..organizations).flat_map(move |o| {
            (o..self.groups()).step_by(organizations).map(move |g| {
                let key = Key::new(iam("Group"), &format!("g{g:06}")).namespace(&namespace(o));
                Fact::new(key, &format!("g-{g}"), Body::Group)
            })
        })
    }

    fn memberships(&self) -> impl Iterator<Item = Fact> + '_ {
        let organizations = self.organizations();
        let of_user = move |u: usize| {
            let mut random = Random::of(usize::MAX / 2 + u);
            let o = u % organizations;
            (0..4 + usize::from(u % 5 < 2)).map(move |n| {
                let g = o + random.below(self.groups() / organizations) * organizations;
                let key = Key::new(iam("GroupMembership"), &format!("m{u:07}-{n}"));
                let body = Body::Membership {
                    group_namespace: namespace(o).into(),
                    group: format!("g{g:06}").into(),
                    user: user(u).into(),
                };
                Fact::new(key.namespace(&namespace(o)), &format!("m-{u}-{n}"), body)
            })
        };
        let of_organization =
            move |o: usize| (o..self.users()).step_by(organizations).flat_map(of_user);
        (0..organizations).flat_map(of_organization)
    }

    fn binding_fact(&self, number: usize) -> Fact {
        let b = self.binding(number);
        let object = |kind: &KindName, namespace: &str, name: String, uid: String| {
            let (name, uid) = (name.into(), uid.into());
            Target::Object { kind: kind.clone(), namespace: namespace.into(), name, uid }
        };
        let (o, p, t, k) = (b.organization, b.project, b.thing, b.kind);
        let target = match b.scope {
            Scope::Organization => {
                object(&self.organization, "", format!("o{o:05}"), format!("o-{o}"))
            }
            Scope::Project => object(&self.project, "", format!("p{p:06}"), format!("p-{p:06}")),
            Scope::Thing => {
                let (name, uid) = (format!("t{t:02}"), format!("t-{p}-{t}-{k}"));
                object(&self.things[k], "default", name, uid)
            }
            Scope::Kind => Target::Kind(self.things[k].clone()),
        };
        let subject = match b.group {
            Some(g) => Subject::Group {
                namespace: namespace(o).into(),
                name: format!("g{g:06}").into(),
                uid: format!("g-{g}").into(),
            },
            None => {
                Subject::User { name: user(b.user).into(), uid: format!("u-{}", b.user).into() }
            }
        };
        let role =
            RoleName { namespace: "milo-system".into(), name: format!("role{}", b.role).into() };
        let body = Body::Binding { role, subjects: vec![subject], target };
        let home = match b.scope {
            Scope::Kind => "milo-system".to_owned(),
            _ => namespace(o),
        };
        let name = format!("b{number:08}");
        Fact::new(Key::new(iam("PolicyBinding"), &name).namespace(&home), &name, body)
    }

    fn catalogue(&self) -> Vec<Fact> {
        let mut all = Vec::new();
        let mut register = |kind: &KindName, plural: String, parents: Vec<KindName>| {
            let verbs = VERBS.map(Text::from).to_vec();
            let (kind, name) = (kind.clone(), plural.as_str().into());
            let body = Body::ProtectedResource { kind, plural: name, verbs, parents };
            all.push(Fact::new(Key::new(iam("ProtectedResource"), &plural), &plural, body));
        };
        register(&self.organization, "organizations".into(), Vec::new());
        register(&self.project, "projects".into(), vec![self.organization.clone()]);
        for (n, kind) in self.things.iter().enumerate() {
            register(kind, format!("things{n:02}"), vec![self.project.clone()]);
        }
        for role in 0..ROLES {
            let permission = |n: usize| {
                let (kind, verb) = ((role * 7 + n) % KINDS, VERBS[(role + n) % VERBS.len()]);
                Text::from(format!("g.io/things{kind:02}.{verb}"))
            };
            let name = format!("role{role}");
            let inherits = (role % 3 == 0 && role > 0).then(|| RoleName {
                namespace: "".into(),
                name: format!("role{}", role - 1).into(),
            });
            let body = Body::Role {
                permissions: (0..40).map(permission).collect(),
                inherits: inherits.into_iter().collect(),
            };
            all.push(Fact::new(Key::new(iam("Role"), &name).namespace("milo-system"), &name, body));
        }
        all
    }

    fn tenants(&self) -> impl Iterator<Item = Fact> + '_ {
        let organizations = (0..self.organizations()).map(|o| {
            let key = Key::new(self.organization.clone(), &format!("o{o:05}"));
            Fact::new(key, &format!("o-{o}"), Body::Organization)
        });
        let projects = (0..self.organizations() * 10).map(|p| {
            let o = p / 10;
            let body = Body::Project {
                organization: format!("o{o:05}").into(),
                organization_uid: format!("o-{o}").into(),
            };
            let key = Key::new(self.project.clone(), &format!("p{p:06}"));
            Fact::new(key, &format!("p-{p:06}"), body)
        });
        organizations.chain(projects)
    }

    /// Half about what was bound, half random in the organization.
    pub(crate) fn questions(&self) -> Vec<Question> {
        let numbers = (0..self.bindings).step_by((self.bindings / QUESTIONS).max(1));
        let numbers: BTreeSet<usize> = numbers.collect();
        let mut random = Random::of(usize::MAX / 4);
        let ask = |b: usize| {
            let Binding { organization, mut project, mut thing, mut kind, user: u, .. } =
                self.binding(b);
            if random.below(2) == 0 {
                project = organization * 10 + random.below(10);
                (thing, kind) = (random.below(100), random.below(KINDS));
            }
            let verb = VERBS[[0, 4, 5, 6, 7][random.below(5)]];
            let permission = format!("g.io/things{kind:02}.{verb}").parse().unwrap();
            let project =
                TenantRef { name: format!("p{project:06}"), uid: format!("p-{project:06}") };
            Question::new(Principal::new(user(u)), permission)
                .within(Within::Project(project))
                .namespace("default")
                .name(format!("t{thing:02}"))
        };
        let mut asked: Vec<Question> = numbers.into_iter().map(ask).collect();
        // In no order, so that neighbours have nothing in common.
        let mut random = Random::of(7);
        for at in (1..asked.len()).rev() {
            asked.swap(at, random.below(at + 1));
        }
        asked
    }
}

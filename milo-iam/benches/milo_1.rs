//! The workload "Milo-1": an organization for each thousand bindings, ten projects in each, a hundred
//! things in a project, a user for five bindings, a group for fifty, 4.4 groups for a user.
//!
//! ```sh
//! cargo bench -p milo-iam --bench milo_1 -- 1000 10000 100000 1000000
//! ```
//!
//! Half of the questions come from bindings, half are random in the user's organization. Times are
//! in nanoseconds; the tails are of batches of one, clock included. Answers of the smallest size are
//! compared with the model's.

#![expect(clippy::unwrap_used, reason = "a broken benchmark should stop")]

use std::{hint::black_box, time::Instant};

use milo_iam::{
    Evaluator, Principal, Question, Snapshot, TenantRef, Within, model,
    world::{Body, Change, Fact, Key, KindName, RoleName, Subject, Target, Text, World},
};

const KINDS: usize = 25;
const VERBS: [&str; 8] = ["get", "list", "watch", "create", "update", "patch", "delete", "use"];
const ROLES: usize = 30;
const QUESTIONS: usize = 100_000;

/// A small generator of numbers that look random: the same world each time.
struct Random(u64);

impl Random {
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

struct Milo {
    bindings: usize,
    organization: KindName,
    project: KindName,
    user: KindName,
    things: Vec<KindName>,
    facts: Vec<Fact>,
    questions: Vec<Question>,
    random: Random,
}

impl Milo {
    fn new(bindings: usize) -> Self {
        let rm = |kind| KindName::new("resourcemanager.miloapis.com", kind);
        let mut milo = Self {
            bindings,
            organization: rm("Organization"),
            project: rm("Project"),
            user: KindName::new("iam.miloapis.com", "User"),
            things: (0..KINDS).map(|n| KindName::new("g.io", &format!("Thing{n}"))).collect(),
            facts: Vec::new(),
            questions: Vec::new(),
            random: Random(0x9e37_79b9_7f4a_7c15),
        };
        milo.catalogue();
        milo.tenants();
        milo.members();
        milo.bind();
        milo
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

    fn put(&mut self, key: Key, uid: &str, body: Body) {
        self.facts.push(Fact::new(key, uid, body));
    }

    fn catalogue(&mut self) {
        let iam = |kind| KindName::new("iam.miloapis.com", kind);
        let registered = |kind: KindName, plural: &str, parents| {
            let verbs = VERBS.map(Text::from).to_vec();
            (
                plural.to_owned(),
                Body::ProtectedResource { kind, plural: plural.into(), verbs, parents },
            )
        };
        let (organization, project) = (self.organization.clone(), self.project.clone());
        let mut all = vec![
            registered(organization.clone(), "organizations", Vec::new()),
            registered(project.clone(), "projects", vec![organization]),
        ];
        for (n, kind) in self.things.iter().enumerate() {
            all.push(registered(kind.clone(), &format!("things{n}"), vec![project.clone()]));
        }
        for (name, body) in all {
            self.put(Key::new(iam("ProtectedResource"), &name), &name, body);
        }
        for role in 0..ROLES {
            let permission = |n: usize| {
                let (kind, verb) = ((role * 7 + n) % KINDS, VERBS[(role + n) % VERBS.len()]);
                Text::from(format!("g.io/things{kind}.{verb}"))
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
            self.put(Key::new(iam("Role"), &name).namespace("milo-system"), &name, body);
        }
    }

    fn tenants(&mut self) {
        for o in 0..self.organizations() {
            let (name, uid) = (format!("o{o}"), format!("o-{o}"));
            self.put(Key::new(self.organization.clone(), &name), &uid, Body::Organization);
            for p in o * 10..o * 10 + 10 {
                let body = Body::Project {
                    organization: name.as_str().into(),
                    organization_uid: uid.as_str().into(),
                };
                let key = Key::new(self.project.clone(), &format!("p{p}"));
                self.put(key, &format!("p-{p}"), body);
            }
        }
    }

    fn members(&mut self) {
        let group = KindName::new("iam.miloapis.com", "Group");
        let membership = KindName::new("iam.miloapis.com", "GroupMembership");
        for g in 0..self.groups() {
            let namespace = format!("organization-o{}", g % self.organizations());
            let key = Key::new(group.clone(), &format!("g{g}")).namespace(&namespace);
            self.put(key, &format!("g-{g}"), Body::Group);
        }
        let per_organization = self.groups() / self.organizations();
        for u in 0..self.users() {
            let key = Key::new(self.user.clone(), &format!("u{u}"));
            self.put(key, &format!("u-{u}"), Body::User);
            let o = u % self.organizations();
            for n in 0..4 + usize::from(u % 5 < 2) {
                let g = o + self.random.below(per_organization) * self.organizations();
                let namespace = format!("organization-o{o}");
                let key = Key::new(membership.clone(), &format!("m{u}-{n}")).namespace(&namespace);
                let body = Body::Membership {
                    group_namespace: namespace.into(),
                    group: format!("g{g}").into(),
                    user: format!("u{u}").into(),
                };
                self.put(key, &format!("m-{u}-{n}"), body);
            }
        }
    }

    fn bind(&mut self) {
        let kind = KindName::new("iam.miloapis.com", "PolicyBinding");
        let organizations = self.organizations();
        for b in 0..self.bindings {
            let o = b % organizations;
            let u = o + self.random.below(self.users() / organizations) * organizations;
            let g = o + self.random.below(self.groups() / organizations) * organizations;
            let p = o * 10 + self.random.below(10);
            let (t, k) = (self.random.below(100), self.random.below(KINDS));
            let object = |kind: &KindName, namespace: &str, name: String, uid: String| {
                let (name, uid) = (name.into(), uid.into());
                Target::Object { kind: kind.clone(), namespace: namespace.into(), name, uid }
            };
            let mut namespace = format!("organization-o{o}");
            let target = match self.random.below(100) {
                0..5 => object(&self.organization, "", format!("o{o}"), format!("o-{o}")),
                5..50 => object(&self.project, "", format!("p{p}"), format!("p-{p}")),
                50..98 => {
                    let (name, uid) = (format!("t{t}"), format!("t-{p}-{t}-{k}"));
                    let thing = self.things[k].clone();
                    let key = Key::new(thing.clone(), &name).namespace("default");
                    let fact = Fact::new(key.in_project(&format!("p-{p}")), &uid, Body::Other);
                    self.facts.push(fact);
                    object(&thing, "default", name, uid)
                }
                _ => {
                    namespace = "milo-system".to_owned();
                    Target::Kind(self.things[k].clone())
                }
            };
            let subject = if self.random.below(10) < 3 {
                Subject::Group {
                    namespace: format!("organization-o{o}").into(),
                    name: format!("g{g}").into(),
                    uid: format!("g-{g}").into(),
                }
            } else {
                Subject::User { name: format!("u{u}").into(), uid: format!("u-{u}").into() }
            };
            let role = self.random.below(ROLES);
            let role =
                RoleName { namespace: "milo-system".into(), name: format!("role{role}").into() };
            let body = Body::Binding { role, subjects: vec![subject], target };
            let name = format!("b{b}");
            self.put(Key::new(kind.clone(), &name).namespace(&namespace), &name, body);
            if b % (self.bindings / QUESTIONS).max(1) == 0 {
                self.ask(u, o, [p, t, k]);
            }
        }
    }

    /// Half about what was just bound, half random in the organization.
    fn ask(&mut self, u: usize, o: usize, [mut p, mut t, mut k]: [usize; 3]) {
        if self.random.below(2) == 0 {
            (p, t, k) =
                (o * 10 + self.random.below(10), self.random.below(100), self.random.below(KINDS));
        }
        let verb = VERBS[[0, 4, 5, 6, 7][self.random.below(5)]];
        let permission = format!("g.io/things{k}.{verb}").parse().unwrap();
        let project = TenantRef { name: format!("p{p}"), uid: format!("p-{p}") };
        let question = Question::new(Principal::new(format!("u{u}")), permission)
            .within(Within::Project(project))
            .namespace("default")
            .name(format!("t{t}"));
        self.questions.push(question);
    }
}

/// Mean, and the given percentiles of single calls, in nanoseconds.
fn measure<T>(items: &[T], mut call: impl FnMut(&T) -> bool) -> Measured {
    let mut allowed = 0;
    let start = Instant::now();
    for item in items {
        allowed += usize::from(black_box(call(black_box(item))));
    }
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    let mean = start.elapsed().as_secs_f64() * 1e9 / items.len() as f64;
    let mut single: Vec<u64> = items
        .iter()
        .map(|item| {
            let start = Instant::now();
            black_box(call(black_box(item)));
            u64::try_from(start.elapsed().as_nanos()).unwrap()
        })
        .collect();
    single.sort_unstable();
    let at = |per_mille: usize| single[(single.len() - 1) * per_mille / 1000];
    (mean, [at(500), at(990), at(999)], allowed)
}

/// Kibibytes that the process holds.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

type Measured = (f64, [u64; 3], usize);

/// Checks that were looked up before: all of them, those that are denied, and a few over and over.
fn by_ids(snapshot: &Snapshot, questions: &[Question]) -> (Measured, Measured, Measured) {
    let checks: Vec<_> = questions.iter().filter_map(|q| snapshot.resolve(q)).collect();
    let all = measure(&checks, milo_iam::Check::is_allowed);
    let denied: Vec<_> = checks.iter().filter(|check| !check.is_allowed()).cloned().collect();
    let hot: Vec<_> = checks.iter().take(64).cycle().take(QUESTIONS).cloned().collect();
    let denied = measure(&denied, milo_iam::Check::is_allowed);
    (all, denied, measure(&hot, milo_iam::Check::is_allowed))
}

fn run(bindings: usize) {
    let milo = Milo::new(bindings);
    let questions = milo.questions;
    let world: World = milo.facts.into_iter().collect();
    let before = resident();
    let start = Instant::now();
    let snapshot = Snapshot::of(world.clone());
    let cold = start.elapsed();
    let index = (resident().saturating_sub(before)) * 1024 / bindings;
    if bindings <= 1000 {
        for question in questions.iter().take(2000) {
            assert_eq!(snapshot.check(question), model::check(&world, question), "{question}");
        }
    }
    let (ids, deny, hot) = by_ids(&snapshot, &questions);
    let texts = measure(&questions, |question| snapshot.check(question));
    drop(snapshot);
    let applied = churn(world, bindings);
    println!(
        "| {bindings} | {:.0} | {} / {} / {} | {:.0} | {:.0} | {:.0} | {} / {} | {} | {} | {:.2} s |",
        ids.0,
        ids.1[0],
        ids.1[1],
        ids.1[2],
        deny.0,
        hot.0,
        texts.0,
        applied[0],
        applied[1],
        ids.2 * 100 / questions.len().max(1),
        index,
        cold.as_secs_f64(),
    );
}

/// Microseconds from a change to its publication: median and 99th percentile.
fn churn(world: World, bindings: usize) -> [u128; 2] {
    let kind = KindName::new("iam.miloapis.com", "PolicyBinding");
    let some: Vec<_> = world.of_kind(&kind).step_by((bindings / 500).max(1)).cloned().collect();
    let evaluator = Evaluator::new();
    evaluator.relist(1, world).unwrap();
    let mut times = Vec::new();
    let mut revision = 1;
    for binding in some {
        for change in [Change::Remove(binding.key().clone()), Change::Put(binding)] {
            revision += 1;
            let start = Instant::now();
            evaluator.apply(revision, [change]).unwrap();
            times.push(start.elapsed().as_micros());
        }
    }
    times.sort_unstable();
    [times[times.len() / 2], times[times.len() * 99 / 100]]
}

fn main() {
    let sizes: Vec<usize> = std::env::args().filter_map(|text| text.parse().ok()).collect();
    let sizes = if sizes.is_empty() { vec![1_000, 10_000, 100_000] } else { sizes };
    println!(
        "| bindings | by ids, mean | p50 / p99 / p99.9 | denied | hot | from strings | \
         change, p50 / p99 in us | allowed % | index, bytes a binding | cold build |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for size in sizes {
        run(size);
    }
}

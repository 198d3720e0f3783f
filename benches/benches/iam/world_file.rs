//! Reads a file of [`milo_1`](crate::milo_1) into facts and questions.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    path::Path,
};

use anyhow::{Context as _, Result, bail};
use milo_iam::{
    Principal, Question, TenantRef, Within,
    world::{Body, Fact, Key, KindName, RoleName, Subject, Target, Text, World},
};

use crate::milo_1::{KINDS, VERBS};

const IAM: &str = "iam.miloapis.com";
const SYSTEM: &str = "milo-system";

/// A world, and what is asked about it.
pub(crate) struct WorldFile {
    pub(crate) world: World,
    pub(crate) questions: Vec<Question>,
}

impl WorldFile {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let mut reader = Reader::new();
        reader.catalogue();
        for line in BufReader::new(File::open(path)?).lines() {
            let line = line?;
            reader.line(&line).with_context(|| line.clone())?;
        }
        // As lists bring them.
        reader.facts.sort_by(|one, other| one.key().cmp(other.key()));
        Ok(Self { world: reader.facts.into_iter().collect(), questions: reader.questions })
    }
}

struct Reader {
    organization: KindName,
    project: KindName,
    user: KindName,
    group: KindName,
    membership: KindName,
    role: KindName,
    binding: KindName,
    things: Vec<KindName>,
    facts: Vec<Fact>,
    questions: Vec<Question>,
}

impl Reader {
    fn new() -> Self {
        let rm = |kind| KindName::new("resourcemanager.miloapis.com", kind);
        let iam = |kind| KindName::new(IAM, kind);
        Self {
            organization: rm("Organization"),
            project: rm("Project"),
            user: iam("User"),
            group: iam("Group"),
            membership: iam("GroupMembership"),
            role: iam("Role"),
            binding: iam("PolicyBinding"),
            things: (0..KINDS).map(|n| KindName::new("g.io", &format!("Thing{n}"))).collect(),
            facts: Vec::new(),
            questions: Vec::new(),
        }
    }

    fn put(&mut self, key: Key, uid: &str, body: Body) {
        self.facts.push(Fact::new(key, uid, body));
    }

    /// Things are in projects, and projects in organizations.
    fn catalogue(&mut self) {
        let (organization, project) = (self.organization.clone(), self.project.clone());
        let mut kinds = vec![
            (organization.clone(), "organizations".to_owned(), Vec::new()),
            (project.clone(), "projects".to_owned(), vec![organization]),
        ];
        for (n, kind) in self.things.iter().enumerate() {
            kinds.push((kind.clone(), format!("things{n}"), vec![project.clone()]));
        }
        for (kind, plural, parents) in kinds {
            let verbs = VERBS.map(Text::from).to_vec();
            let body = Body::ProtectedResource { kind, plural: (*plural).into(), verbs, parents };
            self.put(Key::new(KindName::new(IAM, "ProtectedResource"), &plural), &plural, body);
        }
    }

    fn line(&mut self, line: &str) -> Result<()> {
        let words: Vec<_> = line.split(' ').collect();
        match *words {
            ["role", role, inherits, ref permissions @ ..] => {
                self.role(role, inherits, permissions);
            }
            ["organization", o] => {
                let key = Key::new(self.organization.clone(), &format!("o{o}"));
                self.put(key, &format!("o-{o}"), Body::Organization);
            }
            ["project", p, o] => {
                let (organization, uid) = (format!("o{o}").into(), format!("o-{o}").into());
                let body = Body::Project { organization, organization_uid: uid };
                self.put(Key::new(self.project.clone(), &format!("p{p}")), &format!("p-{p}"), body);
            }
            ["group", g, o] => {
                let key = Key::new(self.group.clone(), &format!("g{g}"));
                self.put(key.namespace(&namespace(o)), &format!("g-{g}"), Body::Group);
            }
            ["user", u] => {
                let key = Key::new(self.user.clone(), &format!("u{u}"));
                self.put(key, &format!("u-{u}"), Body::User);
            }
            ["member", u, n, g, o] => self.member(u, n, g, o),
            ["bind", b, o, role, ref rest @ ..] => self.bind(b, o, role, rest)?,
            ["ask", u, verb, p, t, k] => self.ask(u, verb, [p, t, k])?,
            _ => bail!("no such line"),
        }
        Ok(())
    }

    fn role(&mut self, role: &str, inherits: &str, permissions: &[&str]) {
        let name = |role| RoleName { namespace: "".into(), name: format!("role{role}").into() };
        let inherits = if inherits == role { Vec::new() } else { vec![name(inherits)] };
        let permissions = permissions.iter().copied().map(Text::from).collect();
        let uid = format!("role{role}");
        let key = Key::new(self.role.clone(), &uid).namespace(SYSTEM);
        self.put(key, &uid, Body::Role { permissions, inherits });
    }

    fn member(&mut self, u: &str, n: &str, g: &str, o: &str) {
        let key = Key::new(self.membership.clone(), &format!("m{u}-{n}"));
        let body = Body::Membership {
            group_namespace: namespace(o).into(),
            group: format!("g{g}").into(),
            user: format!("u{u}").into(),
        };
        self.put(key.namespace(&namespace(o)), &format!("m-{u}-{n}"), body);
    }

    fn bind(&mut self, b: &str, o: &str, role: &str, rest: &[&str]) -> Result<()> {
        let [subject, number, target @ ..] = rest else { bail!("no subject") };
        let (home, name, uid) = match *subject {
            "group" => (namespace(o), format!("g{number}"), format!("g-{number}")),
            _ => (namespace(o), format!("u{number}"), format!("u-{number}")),
        };
        let subject = match *subject {
            "group" => {
                Subject::Group { namespace: (*home).into(), name: name.into(), uid: uid.into() }
            }
            _ => Subject::User { name: name.into(), uid: uid.into() },
        };
        let target = self.target(target)?;
        let home = if matches!(target, Target::Kind(_)) { SYSTEM.to_owned() } else { home };
        let role = RoleName { namespace: SYSTEM.into(), name: format!("role{role}").into() };
        let key = Key::new(self.binding.clone(), &format!("b{b}")).namespace(&home);
        self.put(key, &format!("b{b}"), Body::Binding { role, subjects: vec![subject], target });
        Ok(())
    }

    fn target(&mut self, words: &[&str]) -> Result<Target> {
        let object = |kind: &KindName, name: String, uid: String| {
            let (name, uid) = (name.into(), uid.into());
            Target::Object { kind: kind.clone(), namespace: "".into(), name, uid }
        };
        Ok(match *words {
            ["organization", o] => object(&self.organization, format!("o{o}"), format!("o-{o}")),
            ["project", p] => object(&self.project, format!("p{p}"), format!("p-{p}")),
            ["kind", k] => Target::Kind(self.thing(k)?),
            // A thing is there because it is bound.
            ["thing", p, t, k] => {
                let key = Key::new(self.thing(k)?, &format!("t{t}")).namespace("default");
                let uid = format!("t-{p}-{t}-{k}");
                let fact = Fact::new(key.in_project(&format!("p-{p}")), &uid, Body::Other);
                let target = fact.as_target();
                self.facts.push(fact);
                target
            }
            _ => bail!("no such target"),
        })
    }

    fn thing(&self, k: &str) -> Result<KindName> {
        self.things.get(k.parse::<usize>()?).cloned().context("no such kind")
    }

    fn ask(&mut self, u: &str, verb: &str, [p, t, k]: [&str; 3]) -> Result<()> {
        let permission = format!("g.io/things{k}.{verb}").parse()?;
        let project = TenantRef { name: format!("p{p}"), uid: format!("p-{p}") };
        let question = Question::new(Principal::new(format!("u{u}")), permission)
            .within(Within::Project(project))
            .namespace("default")
            .name(format!("t{t}"));
        self.questions.push(question);
        Ok(())
    }
}

fn namespace(o: &str) -> String {
    format!("organization-o{o}")
}

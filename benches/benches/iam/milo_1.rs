//! The workload "Milo-1", written as a file that every engine reads: an organization for each
//! thousand bindings, ten projects in each, a hundred names of things in a project, a user for five
//! bindings, a group for fifty, 4.4 groups for a user; 25 kinds of 8 verbs, 30 roles.
//!
//! 5 % of the bindings are on an organization, 45 % on a project, 48 % on a thing, 2 % on a kind;
//! 30 % are to groups. Half of the questions come from bindings, half are random in the
//! organization of the user. The same size gives the same file.

use std::{
    fs::File,
    io::{BufWriter, Result, Write},
    path::Path,
};

pub(crate) const KINDS: usize = 25;
pub(crate) const VERBS: [&str; 8] =
    ["get", "list", "watch", "create", "update", "patch", "delete", "use"];
const ROLES: usize = 30;
/// Of a role, without those that it inherits. With so many, about a third of the questions is allowed.
const PERMISSIONS: usize = 12;
/// At most.
const QUESTIONS: usize = 100_000;
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// Writes the world and the questions.
pub(crate) fn write(path: &Path, bindings: usize) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let mut milo = Milo { file: &mut file, bindings, random: fastrand::Rng::with_seed(SEED) };
    milo.catalogue()?;
    milo.tenants()?;
    milo.members()?;
    milo.bind()?;
    file.flush()
}

struct Milo<'a> {
    file: &'a mut BufWriter<File>,
    bindings: usize,
    random: fastrand::Rng,
}

impl Milo<'_> {
    fn organizations(&self) -> usize {
        (self.bindings / 1000).max(1)
    }

    fn users(&self) -> usize {
        self.bindings / 5
    }

    fn groups(&self) -> usize {
        (self.bindings / 50).max(1)
    }

    fn below(&mut self, limit: usize) -> usize {
        self.random.usize(..limit.max(1))
    }

    /// A third of the roles inherits the one before.
    fn catalogue(&mut self) -> Result<()> {
        for role in 0..ROLES {
            let inherits = if role % 3 == 0 && role > 0 { role - 1 } else { role };
            write!(self.file, "role {role} {inherits}")?;
            for n in 0..PERMISSIONS {
                let (kind, verb) = ((role * 7 + n) % KINDS, VERBS[(role + n) % VERBS.len()]);
                write!(self.file, " g.io/things{kind}.{verb}")?;
            }
            writeln!(self.file)?;
        }
        Ok(())
    }

    fn tenants(&mut self) -> Result<()> {
        for o in 0..self.organizations() {
            writeln!(self.file, "organization {o}")?;
            for p in o * 10..o * 10 + 10 {
                writeln!(self.file, "project {p} {o}")?;
            }
        }
        Ok(())
    }

    fn members(&mut self) -> Result<()> {
        let organizations = self.organizations();
        for g in 0..self.groups() {
            writeln!(self.file, "group {g} {}", g % organizations)?;
        }
        let in_each = self.groups() / organizations;
        for u in 0..self.users() {
            let o = u % organizations;
            writeln!(self.file, "user {u}")?;
            for n in 0..4 + usize::from(u % 5 < 2) {
                let g = o + self.below(in_each) * organizations;
                writeln!(self.file, "member {u} {n} {g} {o}")?;
            }
        }
        Ok(())
    }

    fn bind(&mut self) -> Result<()> {
        let organizations = self.organizations();
        for b in 0..self.bindings {
            let o = b % organizations;
            let u = o + self.below(self.users() / organizations) * organizations;
            let g = o + self.below(self.groups() / organizations) * organizations;
            let place = self.place(o);
            let [p, t, k] = place;
            let target = match self.below(100) {
                0..5 => format!("organization {o}"),
                5..50 => format!("project {p}"),
                50..98 => format!("thing {p} {t} {k}"),
                _ => format!("kind {k}"),
            };
            let subject =
                if self.below(10) < 3 { format!("group {g}") } else { format!("user {u}") };
            let role = self.below(ROLES);
            writeln!(self.file, "bind {b} {o} {role} {subject} {target}")?;
            if b % (self.bindings / QUESTIONS).max(1) == 0 {
                self.ask(u, o, place)?;
            }
        }
        Ok(())
    }

    /// A project of an organization, the name of a thing, and a kind.
    fn place(&mut self, o: usize) -> [usize; 3] {
        [o * 10 + self.below(10), self.below(100), self.below(KINDS)]
    }

    fn ask(&mut self, u: usize, o: usize, bound: [usize; 3]) -> Result<()> {
        let [p, t, k] = if self.below(2) == 0 { self.place(o) } else { bound };
        let verb = VERBS[[0, 4, 5, 6, 7][self.below(5)]];
        writeln!(self.file, "ask {u} {verb} {p} {t} {k}")
    }
}

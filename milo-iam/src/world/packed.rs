//! Many facts in little room: one text, in which whatever comes twice is written once.
//!
//! Numbers are written in characters of six bits, so that all is text and can be sliced. A name is a
//! number and, unless that says which of the shared ones it is, the name itself.

use std::{collections::HashMap, sync::Arc};

use super::{
    Fact,
    view::{BodyRef, FactRef, KeyRef, KindRef, Rest, RoleRef, SubjectRef, SubjectsRef, TargetRef},
};

/// The least length of a name that is worth sharing.
const WORTH_SHARING: usize = 3;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Packed {
    text: Box<str>,
    /// Where shared names end; they are at the beginning of the text.
    shared: Box<[u32]>,
    /// Where facts end.
    ends: Box<[u32]>,
    /// Roles and registrations, by position: there are few.
    whole: Box<[(u32, Arc<Fact>)]>,
}

impl Packed {
    /// Of facts by position; positions may be left free.
    pub(super) fn of(facts: &[Option<FactRef<'_>>], whole: &[(u32, Arc<Fact>)]) -> Self {
        let mut names = Names::default();
        facts.iter().flatten().for_each(|fact| write_fact(fact, &mut names));
        let mut writer = Writer::sharing(&names);
        let shared = std::mem::take(&mut writer.ends);
        for fact in facts {
            if let Some(fact) = fact {
                write_fact(fact, &mut writer);
            }
            writer.end();
        }
        Self {
            text: writer.text.into(),
            shared: shared.into(),
            ends: writer.ends.into(),
            whole: whole.into(),
        }
    }

    /// The fact at a position.
    pub(super) fn get(&self, position: usize) -> Option<FactRef<'_>> {
        let first = self.shared.last().copied().unwrap_or_default();
        let start = if position == 0 { first } else { *self.ends.get(position - 1)? };
        if *self.ends.get(position)? == start {
            return self.whole(position).map(|fact| FactRef::from(&**fact));
        }
        Some(Reader { packed: self, at: start as usize }.fact())
    }

    /// The fact at a position, if it is there as it came.
    pub(super) fn whole(&self, position: usize) -> Option<&Arc<Fact>> {
        self.whole.iter().find(|(at, _)| *at as usize == position).map(|(_, fact)| fact)
    }

    fn name(&self, index: usize) -> &str {
        let end = |index: usize| self.shared.get(index).map_or(0, |end| *end as usize);
        let start = if index == 0 { 0 } else { end(index - 1) };
        self.text.get(start..end(index)).unwrap_or_default()
    }

    /// How many bytes it holds.
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() + self.text.len() + 4 * (self.shared.len() + self.ends.len())
    }
}

/// What takes the parts of facts, in order.
trait Sink<'a> {
    fn number(&mut self, number: usize);
    fn name(&mut self, name: &'a str);
}

/// How often each name comes.
#[derive(Default)]
struct Names<'a> {
    counts: HashMap<&'a str, usize, foldhash::fast::RandomState>,
    in_order: Vec<&'a str>,
}

impl<'a> Sink<'a> for Names<'a> {
    fn number(&mut self, _: usize) {}

    fn name(&mut self, name: &'a str) {
        if name.len() >= WORTH_SHARING {
            let count = self.counts.entry(name).or_default();
            *count += 1;
            if *count == 2 {
                self.in_order.push(name);
            }
        }
    }
}

struct Writer<'a> {
    text: String,
    shared: HashMap<&'a str, usize, foldhash::fast::RandomState>,
    ends: Vec<u32>,
}

impl<'a> Writer<'a> {
    fn sharing(names: &Names<'a>) -> Self {
        let mut writer = Self { text: String::new(), shared: HashMap::default(), ends: Vec::new() };
        for (index, name) in names.in_order.iter().enumerate() {
            writer.text.push_str(name);
            writer.end();
            writer.shared.insert(name, index);
        }
        writer
    }

    fn end(&mut self) {
        // INVARIANT: the facts of one chunk are objects that a server took, a megabyte each at most.
        self.ends.push(u32::try_from(self.text.len()).unwrap_or(u32::MAX));
    }
}

impl<'a> Sink<'a> for Writer<'a> {
    fn number(&mut self, mut number: usize) {
        while number >= 64 {
            self.text.push(char::from((number % 64) as u8 | 64));
            number /= 64;
        }
        self.text.push(char::from(number as u8));
    }

    fn name(&mut self, name: &'a str) {
        if let Some(index) = self.shared.get(name) {
            self.number(2 * index);
        } else {
            self.number(2 * name.len() + 1);
            self.text.push_str(name);
        }
    }
}

const ORGANIZATION: usize = 1;
const PROJECT: usize = 2;
const USER: usize = 3;
const SERVICE_ACCOUNT: usize = 4;
const GROUP: usize = 5;
const MEMBERSHIP: usize = 6;
const BINDING: usize = 7;

fn write_fact<'a>(fact: &FactRef<'a>, sink: &mut impl Sink<'a>) {
    let KeyRef { kind, project, namespace, name } = fact.key;
    write_kind(kind, sink);
    sink.number(usize::from(project.is_some()));
    project.into_iter().chain([namespace, name, fact.uid]).for_each(|name| sink.name(name));
    match fact.body() {
        // What is whole is not written.
        BodyRef::Other | BodyRef::Whole(_) => sink.number(0),
        BodyRef::Organization => sink.number(ORGANIZATION),
        BodyRef::Project { organization, organization_uid } => {
            sink.number(PROJECT);
            [organization, organization_uid].into_iter().for_each(|name| sink.name(name));
        }
        BodyRef::User => sink.number(USER),
        BodyRef::ServiceAccount => sink.number(SERVICE_ACCOUNT),
        BodyRef::Group => sink.number(GROUP),
        BodyRef::Membership { group_namespace, group, user } => {
            sink.number(MEMBERSHIP);
            [group_namespace, group, user].into_iter().for_each(|name| sink.name(name));
        }
        BodyRef::Binding { role, target, subjects } => {
            sink.number(BINDING);
            [role.namespace, role.name].into_iter().for_each(|name| sink.name(name));
            write_target(target, sink);
            sink.number(subjects.clone().count());
            subjects.for_each(|subject| write_subject(subject, sink));
        }
    }
}

fn write_kind<'a>(kind: KindRef<'a>, sink: &mut impl Sink<'a>) {
    sink.name(kind.service);
    sink.name(kind.kind);
}

fn write_target<'a>(target: TargetRef<'a>, sink: &mut impl Sink<'a>) {
    match target {
        TargetRef::Kind(kind) => {
            sink.number(0);
            write_kind(kind, sink);
        }
        TargetRef::Object { kind, namespace, name, uid } => {
            sink.number(1);
            write_kind(kind, sink);
            [namespace, name, uid].into_iter().for_each(|name| sink.name(name));
        }
    }
}

fn write_subject<'a>(subject: SubjectRef<'a>, sink: &mut impl Sink<'a>) {
    match subject {
        SubjectRef::User { name, uid } => {
            sink.number(USER);
            [name, uid].into_iter().for_each(|name| sink.name(name));
        }
        SubjectRef::ServiceAccount { name, uid } => {
            sink.number(SERVICE_ACCOUNT);
            [name, uid].into_iter().for_each(|name| sink.name(name));
        }
        SubjectRef::Group { namespace, name, uid } => {
            sink.number(GROUP);
            [namespace, name, uid].into_iter().for_each(|name| sink.name(name));
        }
        SubjectRef::System(name) => {
            sink.number(0);
            sink.name(name);
        }
    }
}

/// Reads what was written, from a place on.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    packed: &'a Packed,
    at: usize,
}

impl<'a> Reader<'a> {
    fn number(&mut self) -> usize {
        let (mut number, mut shift) = (0, 0);
        loop {
            let byte = self.packed.text.as_bytes().get(self.at).copied().unwrap_or_default();
            self.at += 1;
            number |= usize::from(byte & 63) << shift;
            if byte & 64 == 0 {
                return number;
            }
            shift += 6;
        }
    }

    fn name(&mut self) -> &'a str {
        let number = self.number();
        if number % 2 == 0 {
            return self.packed.name(number / 2);
        }
        let start = self.at;
        self.at += number / 2;
        self.packed.text.get(start..self.at).unwrap_or_default()
    }

    fn kind(&mut self) -> KindRef<'a> {
        KindRef { service: self.name(), kind: self.name() }
    }

    fn fact(mut self) -> FactRef<'a> {
        let kind = self.kind();
        let project = (self.number() == 1).then(|| self.name());
        let key = KeyRef { kind, project, namespace: self.name(), name: self.name() };
        FactRef { key, uid: self.name(), body: Rest::Packed(self) }
    }

    pub(super) fn body(mut self) -> BodyRef<'a> {
        match self.number() {
            ORGANIZATION => BodyRef::Organization,
            PROJECT => {
                BodyRef::Project { organization: self.name(), organization_uid: self.name() }
            }
            USER => BodyRef::User,
            SERVICE_ACCOUNT => BodyRef::ServiceAccount,
            GROUP => BodyRef::Group,
            MEMBERSHIP => BodyRef::Membership {
                group_namespace: self.name(),
                group: self.name(),
                user: self.name(),
            },
            BINDING => {
                let role = RoleRef { namespace: self.name(), name: self.name() };
                let target = self.target();
                let count = self.number();
                BodyRef::Binding { role, target, subjects: SubjectsRef::Packed(self, count) }
            }
            _ => BodyRef::Other,
        }
    }

    fn target(&mut self) -> TargetRef<'a> {
        let is_object = self.number() == 1;
        let kind = self.kind();
        if !is_object {
            return TargetRef::Kind(kind);
        }
        TargetRef::Object { kind, namespace: self.name(), name: self.name(), uid: self.name() }
    }

    pub(super) fn subject(&mut self) -> SubjectRef<'a> {
        match self.number() {
            USER => SubjectRef::User { name: self.name(), uid: self.name() },
            SERVICE_ACCOUNT => SubjectRef::ServiceAccount { name: self.name(), uid: self.name() },
            GROUP => {
                SubjectRef::Group { namespace: self.name(), name: self.name(), uid: self.name() }
            }
            _ => SubjectRef::System(self.name()),
        }
    }
}

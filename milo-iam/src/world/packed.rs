//! Many facts in little room: one text, in which whatever comes twice is written once.
//!
//! Numbers are written in characters of six bits, so that all is text and can be sliced. A name is a
//! number and, unless that says which of the shared ones it is, the name itself.

use std::{collections::HashMap, sync::Arc};

use super::{
    Fact, KindName,
    view::{BodyRef, FactRef, KeyRef, KindRef, Rest, RoleRef, SubjectRef, SubjectsRef, TargetRef},
};

/// The least length of a name that is worth sharing.
const WORTH_SHARING: usize = 3;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Packed {
    text: Box<str>,
    /// Where the shared names end, which are at the beginning of the text, and then where facts end.
    ends: Box<[u16]>,
    /// How many shared names there are.
    shared: usize,
    kinds: Box<[KindName]>,
    /// Roles and registrations, by position: there are few.
    whole: Box<[(u32, Arc<Fact>)]>,
}

impl Packed {
    /// Of facts by position; positions may be left free. None when they do not fit.
    pub(super) fn of(facts: &[Option<FactRef<'_>>], whole: &[(u32, Arc<Fact>)]) -> Option<Self> {
        let mut names = Names::default();
        facts.iter().flatten().for_each(|fact| write_fact(fact, &mut names));
        let mut writer = Writer::sharing(&names)?;
        let shared = writer.ends.len();
        for fact in facts {
            if let Some(fact) = fact {
                write_fact(fact, &mut writer);
            }
            writer.end()?;
        }
        Some(Self {
            text: writer.text.into(),
            ends: writer.ends.into(),
            shared,
            kinds: names.kinds.into_iter().map(KindRef::to_owned).collect(),
            whole: whole.into(),
        })
    }

    /// The fact at a position.
    #[inline]
    pub(super) fn get(&self, position: usize) -> Option<FactRef<'_>> {
        let at = self.shared + position;
        let start = if at == 0 { 0 } else { *self.ends.get(at - 1)? };
        if *self.ends.get(at)? == start {
            return self.whole(position).map(|fact| FactRef::from(&**fact));
        }
        Some(Reader { packed: self, at: usize::from(start) }.fact())
    }

    /// The fact at a position, if it is there as it came.
    pub(super) fn whole(&self, position: usize) -> Option<&Arc<Fact>> {
        self.whole.iter().find(|(at, _)| *at as usize == position).map(|(_, fact)| fact)
    }

    #[inline]
    fn name(&self, index: usize) -> &str {
        let end = |index: usize| self.ends.get(index).map_or(0, |end| usize::from(*end));
        let start = if index == 0 { 0 } else { end(index - 1) };
        self.text.get(start..end(index)).unwrap_or_default()
    }

    /// How many bytes it holds.
    pub(super) fn memory(&self) -> usize {
        let kinds = size_of_val(&*self.kinds) + 64 * self.kinds.len();
        size_of::<Self>() + self.text.len() + size_of_val(&*self.ends) + kinds
    }
}

/// What takes the parts of facts, in order.
trait Sink<'a> {
    /// The index of a kind.
    fn kind(&mut self, kind: KindRef<'a>) -> usize;
    fn number(&mut self, number: usize);
    fn name(&mut self, name: &'a str);
}

/// How often each name comes.
#[derive(Default)]
struct Names<'a> {
    counts: HashMap<&'a str, usize, foldhash::fast::RandomState>,
    in_order: Vec<&'a str>,
    kinds: Vec<KindRef<'a>>,
}

impl<'a> Sink<'a> for Names<'a> {
    fn kind(&mut self, kind: KindRef<'a>) -> usize {
        if !self.kinds.contains(&kind) {
            self.kinds.push(kind);
        }
        0
    }

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
    kinds: Vec<KindRef<'a>>,
    ends: Vec<u16>,
}

impl<'a> Writer<'a> {
    fn sharing(names: &Names<'a>) -> Option<Self> {
        let mut writer = Self {
            text: String::new(),
            shared: HashMap::default(),
            kinds: names.kinds.clone(),
            ends: Vec::new(),
        };
        for (index, name) in names.in_order.iter().enumerate() {
            writer.text.push_str(name);
            writer.end()?;
            writer.shared.insert(name, index);
        }
        Some(writer)
    }

    fn end(&mut self) -> Option<()> {
        self.ends.push(u16::try_from(self.text.len()).ok()?);
        Some(())
    }
}

impl<'a> Sink<'a> for Writer<'a> {
    fn kind(&mut self, kind: KindRef<'a>) -> usize {
        // INVARIANT: the names of the same facts were looked at before.
        self.kinds.iter().position(|known| *known == kind).unwrap_or_default()
    }

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
    let kind = sink.kind(kind);
    sink.number(2 * kind + usize::from(project.is_some()));
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

fn write_target<'a>(target: TargetRef<'a>, sink: &mut impl Sink<'a>) {
    match target {
        TargetRef::Kind(kind) => {
            let kind = sink.kind(kind);
            sink.number(2 * kind);
        }
        TargetRef::Object { kind, namespace, name, uid } => {
            let kind = sink.kind(kind);
            sink.number(2 * kind + 1);
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
    #[inline]
    fn number(&mut self) -> usize {
        let byte = self.packed.text.as_bytes().get(self.at).copied().unwrap_or_default();
        if byte & 64 == 0 {
            self.at += 1;
            return usize::from(byte);
        }
        self.long_number()
    }

    fn long_number(&mut self) -> usize {
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

    #[inline]
    fn name(&mut self) -> &'a str {
        let number = self.number();
        if number.is_multiple_of(2) {
            return self.packed.name(number / 2);
        }
        let start = self.at;
        self.at += number / 2;
        self.packed.text.get(start..self.at).unwrap_or_default()
    }

    fn kind(&self, index: usize) -> KindRef<'a> {
        // INVARIANT: what was written names a kind of the chunk.
        let known = self.packed.kinds.get(index).or_else(|| self.packed.kinds.first());
        known.map_or(KindRef { service: "", kind: "" }, KindRef::from)
    }

    #[inline]
    fn fact(mut self) -> FactRef<'a> {
        let number = self.number();
        let kind = self.kind(number / 2);
        let project = (number % 2 == 1).then(|| self.name());
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
        let number = self.number();
        let kind = self.kind(number / 2);
        if number.is_multiple_of(2) {
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

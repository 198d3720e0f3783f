//! Facts by number. Numbers are not given twice.

use std::sync::Arc;

use super::{
    Body, Fact,
    packed::Packed,
    view::{BodyRef, FactRef},
};
use crate::persistent::Array;

/// Facts in a chunk. Those of a full one are packed. Few in debug builds, so that the small worlds of
/// tests have packed facts too.
const CHUNK: usize = if cfg!(debug_assertions) { 8 } else { 128 };

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Records {
    chunks: Array<Chunk>,
    given: u32,
}

#[derive(Clone, Debug)]
enum Chunk {
    /// The newest facts, and those that are too large to be packed, as they came.
    Open(Vec<Option<Arc<Fact>>>),
    Full {
        packed: Packed,
        /// Which facts are still there, bit by bit.
        live: u128,
        /// How many facts are packed.
        packed_facts: u32,
    },
}

impl Records {
    /// How many numbers were given.
    pub(super) fn given(&self) -> u32 {
        self.given
    }

    /// Adds a fact, and gives its number.
    pub(super) fn push(&mut self, fact: Arc<Fact>) -> u32 {
        let number = self.given;
        // INVARIANT: whoever makes worlds that change makes a new one long before; see `World`.
        self.given = self.given.saturating_add(1);
        let last = self.chunks.len().wrapping_sub(1);
        match self.chunks.get_mut(last) {
            Some(Chunk::Open(facts)) if facts.len() < CHUNK => {
                facts.push(Some(fact));
                if facts.len() == CHUNK
                    && let Some(full) = pack(facts)
                {
                    self.chunks.set(last, Arc::new(full));
                }
            }
            _ => {
                let mut facts = Vec::with_capacity(CHUNK);
                facts.push(Some(fact));
                self.chunks.push(Arc::new(Chunk::Open(facts)));
            }
        }
        number
    }

    /// A fact, to look at.
    pub(super) fn at(&self, number: u32) -> Option<FactRef<'_>> {
        let position = number as usize % CHUNK;
        match self.chunks.get(number as usize / CHUNK)? {
            Chunk::Open(facts) => facts.get(position)?.as_deref().map(FactRef::from),
            Chunk::Full { packed, live, .. } => {
                (live >> position & 1 == 1).then(|| packed.get(position)).flatten()
            }
        }
    }

    /// A fact, to keep.
    pub(super) fn get(&self, number: u32) -> Option<Arc<Fact>> {
        let position = number as usize % CHUNK;
        match self.chunks.get(number as usize / CHUNK)? {
            Chunk::Open(facts) => facts.get(position)?.clone(),
            Chunk::Full { packed, .. } => packed
                .whole(position)
                .cloned()
                .or_else(|| self.at(number).map(|fact| Arc::new(fact.to_owned()))),
        }
    }

    /// Takes a fact out.
    pub(super) fn forget(&mut self, number: u32) {
        let position = number as usize % CHUNK;
        match self.chunks.get_mut(number as usize / CHUNK) {
            Some(Chunk::Open(facts)) => {
                if let Some(fact) = facts.get_mut(position) {
                    *fact = None;
                }
            }
            Some(Chunk::Full { packed, live, packed_facts }) => {
                *live &= !(1 << position);
                // What is gone leaves when it takes more room than what is there.
                if 2 * live.count_ones() <= *packed_facts {
                    let is_live = |at: &usize| *live >> at & 1 == 1;
                    let facts: Vec<Option<FactRef<'_>>> = (0..CHUNK)
                        .map(|at| Some(at).filter(is_live).and_then(|at| packed.get(at)))
                        .collect();
                    let whole: Vec<(u32, Arc<Fact>)> = (0..CHUNK)
                        .filter(is_live)
                        .filter_map(|at| Some((at as u32, packed.whole(at)?.clone())))
                        .collect();
                    let facts: Vec<_> = facts.into_iter().map(without_whole).collect();
                    if let Some(fewer) = Packed::of(&facts, &whole) {
                        (*packed, *packed_facts) = (fewer, live.count_ones());
                    }
                }
            }
            None => {}
        }
    }

    /// How many bytes it holds.
    pub(super) fn memory(&self) -> usize {
        let chunk = |chunk: &Chunk| match chunk {
            // Only the newest are open.
            Chunk::Open(facts) => facts.len() * size_of::<Fact>(),
            Chunk::Full { packed, .. } => packed.memory(),
        };
        self.chunks.memory() + self.chunks.iter().map(chunk).sum::<usize>()
    }
}

fn without_whole(fact: Option<FactRef<'_>>) -> Option<FactRef<'_>> {
    fact.filter(|fact| !matches!(fact.body(), BodyRef::Whole(_)))
}

fn pack(facts: &[Option<Arc<Fact>>]) -> Option<Chunk> {
    let is_whole =
        |fact: &Fact| matches!(fact.body(), Body::Role { .. } | Body::ProtectedResource { .. });
    let mut live = 0;
    let mut whole = Vec::new();
    let mut views = Vec::with_capacity(CHUNK);
    for (fact, at) in facts.iter().zip(0u32..) {
        live |= u128::from(fact.is_some()) << at;
        views.push(without_whole(fact.as_deref().map(FactRef::from)));
        whole.extend(fact.clone().filter(|fact| is_whole(fact)).map(|fact| (at, fact)));
    }
    let packed = Packed::of(&views, &whole)?;
    Some(Chunk::Full { packed, live, packed_facts: live.count_ones() })
}

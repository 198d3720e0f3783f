//! How states are published: one writer at a time, and readers that never wait for it.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

/// What publishing is made of. Tests put a scheduler's primitives in the place of the real ones.
pub(crate) trait Primitives<W, S> {
    type Cell: Send + Sync;
    type Lock: Send + Sync;

    fn cell(state: Arc<S>) -> Self::Cell;
    fn load(cell: &Self::Cell) -> Arc<S>;
    fn store(cell: &Self::Cell, state: Arc<S>);
    fn lock(writer: W) -> Self::Lock;
    fn with<R>(lock: &Self::Lock, run: impl FnOnce(&mut W) -> R) -> R;
}

/// An atomic pointer, and a mutex for writers.
pub(crate) struct Real;

impl<W: Send, S: Send + Sync> Primitives<W, S> for Real {
    type Cell = ArcSwap<S>;
    type Lock = Mutex<W>;

    fn cell(state: Arc<S>) -> ArcSwap<S> {
        ArcSwap::new(state)
    }

    fn load(cell: &ArcSwap<S>) -> Arc<S> {
        cell.load_full()
    }

    fn store(cell: &ArcSwap<S>, state: Arc<S>) {
        cell.store(state);
    }

    fn lock(writer: W) -> Mutex<W> {
        Mutex::new(writer)
    }

    fn with<R>(lock: &Mutex<W>, run: impl FnOnce(&mut W) -> R) -> R {
        run(&mut lock.lock())
    }
}

/// A state that is replaced as a whole, and what makes the next one.
pub(crate) struct Publication<W, S, P: Primitives<W, S> = Real> {
    state: P::Cell,
    writer: P::Lock,
}

impl<W, S, P: Primitives<W, S>> fmt::Debug for Publication<W, S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publication").finish_non_exhaustive()
    }
}

impl<W, S, P: Primitives<W, S>> Publication<W, S, P> {
    pub(crate) fn new(writer: W, state: S) -> Self {
        Self { state: P::cell(Arc::new(state)), writer: P::lock(writer) }
    }

    /// The newest state.
    pub(crate) fn load(&self) -> Arc<S> {
        P::load(&self.state)
    }

    /// Makes the next state of the newest one and publishes it, then runs `after`. Nobody else
    /// writes meanwhile; nothing is published when `make` fails.
    pub(crate) fn publish<E>(
        &self,
        make: impl FnOnce(&mut W, &S) -> Result<S, E>,
        after: impl FnOnce(&S),
    ) -> Result<(), E> {
        P::with(&self.writer, |writer| {
            let state = Arc::new(make(writer, &P::load(&self.state))?);
            P::store(&self.state, state.clone());
            after(&state);
            Ok(())
        })
    }

    /// Uses the writer, without publishing.
    pub(crate) fn with_writer<R>(&self, run: impl FnOnce(&mut W) -> R) -> R {
        P::with(&self.writer, run)
    }
}

#[cfg(test)]
mod tests {
    use shuttle::{sync, thread};

    use super::*;

    struct Scheduled;

    impl<W: Send + 'static, S: Send + Sync + 'static> Primitives<W, S> for Scheduled {
        type Cell = sync::Mutex<Arc<S>>;
        type Lock = sync::Mutex<W>;

        fn cell(state: Arc<S>) -> Self::Cell {
            sync::Mutex::new(state)
        }

        fn load(cell: &Self::Cell) -> Arc<S> {
            cell.lock().unwrap().clone()
        }

        fn store(cell: &Self::Cell, state: Arc<S>) {
            *cell.lock().unwrap() = state;
        }

        fn lock(writer: W) -> Self::Lock {
            sync::Mutex::new(writer)
        }

        fn with<R>(lock: &Self::Lock, run: impl FnOnce(&mut W) -> R) -> R {
            run(&mut lock.lock().unwrap())
        }
    }

    /// A revision, and facts that the writer keeps in two steps.
    type State = (u64, [u64; 2]);

    fn apply(
        publication: &Publication<[u64; 2], State, Scheduled>,
        revision: u64,
    ) -> Result<(), ()> {
        let make = |writer: &mut [u64; 2], known: &State| {
            if revision <= known.0 {
                return Err(());
            }
            writer[0] = revision;
            thread::yield_now();
            writer[1] = revision;
            Ok((revision, *writer))
        };
        publication.publish(make, |_| thread::yield_now())
    }

    /// Under every schedule that is tried: a reader sees whole states only, of revisions that go up,
    /// and after a write at least that write.
    #[test]
    fn readers_see_whole_states_in_order() {
        let scenario = || {
            let publication: Arc<Publication<[u64; 2], State, Scheduled>> =
                Arc::new(Publication::new([0; 2], (0, [0; 2])));
            let writers: Vec<_> = [[1, 3], [2, 4]]
                .into_iter()
                .map(|revisions| {
                    let publication = publication.clone();
                    thread::spawn(move || {
                        for revision in revisions {
                            if apply(&publication, revision).is_ok() {
                                assert!(publication.load().0 >= revision);
                            } else {
                                assert!(publication.load().0 > revision);
                            }
                        }
                    })
                })
                .collect();
            let reader = thread::spawn(move || {
                let mut last = 0;
                for _ in 0..4 {
                    let (revision, facts) = *publication.load();
                    assert_eq!(facts, [revision; 2]);
                    assert!(revision >= last);
                    last = revision;
                    thread::yield_now();
                }
            });
            writers.into_iter().for_each(|writer| writer.join().unwrap());
            reader.join().unwrap();
        };
        shuttle::check_random(scenario, 2000);
        shuttle::check_pct(scenario, 1000, 3);
    }
}

//! Memory that is asked for before it is needed.

/// Bytes in a line of the processor's cache.
const LINE: usize = 64;

/// Asks the processor for the memory of things that will be read soon, a line of its cache at a time.
/// To wait for several pieces of memory at once takes as long as for one.
#[inline]
pub(crate) fn prefetch<T>(things: &[T]) {
    for thing in things.iter().step_by(LINE.div_ceil(size_of::<T>().max(1))) {
        #[cfg(target_arch = "x86_64")]
        safe_arch::prefetch_t0(thing);
        #[cfg(not(target_arch = "x86_64"))]
        let _ = thing;
    }
}

//! Memory that is asked for before it is needed.

/// Asks the processor for the memory of something that will be read soon. To wait for several pieces
/// of memory at once takes as long as for one.
#[inline]
pub(crate) fn prefetch<T>(thing: &T) {
    #[cfg(target_arch = "x86_64")]
    safe_arch::prefetch_t0(thing);
    #[cfg(not(target_arch = "x86_64"))]
    let _ = thing;
}

//! Searching lists that are in order, and sorting them: what tables and rows have in common.

/// The first place in a list that is not below something, from about where it is guessed to be.
/// `is_below` holds for the entries before that place, and for none after it.
#[inline]
pub(crate) fn first_not_below<T>(list: &[T], guess: usize, is_below: impl Fn(&T) -> bool) -> usize {
    let below = |at: usize| list.get(at).is_some_and(&is_below);
    let (mut low, mut high, mut step) = (guess, guess, 8);
    while low > 0 && !below(low) {
        (high, low, step) = (low, low.saturating_sub(step), 4 * step);
    }
    step = 8;
    while below(high) {
        (low, high, step) = (high, (high + step).min(list.len()), 4 * step);
    }
    low + list.get(low..high).unwrap_or_default().partition_point(is_below)
}

/// Sorts what is spread evenly over numbered buckets that are themselves in order.
pub(crate) fn sort_by_bucket<T: Clone + Ord>(
    list: &mut Vec<T>,
    buckets: usize,
    bucket: impl Fn(&T) -> usize,
) {
    let mut ends = vec![0usize; buckets + 1];
    list.iter().for_each(|entry| ends[bucket(entry) + 1] += 1);
    for at in 1..ends.len() {
        ends[at] += ends[at - 1];
    }
    let mut sorted = list.clone();
    for entry in list.drain(..) {
        let place = &mut ends[bucket(&entry)];
        sorted[*place] = entry;
        *place += 1;
    }
    let mut rest = &mut *sorted;
    let mut start = 0;
    for end in &ends[..buckets] {
        let (these, others) = rest.split_at_mut(end - start);
        these.sort_unstable();
        (rest, start) = (others, *end);
    }
    *list = sorted;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn places_are_found_from_any_guess(
            mut list in prop::collection::vec(0u32..500, 0..300),
            wanted in 0u32..510,
            guess in 0usize..300,
        ) {
            list.sort_unstable();
            let expected = list.partition_point(|other| *other < wanted);
            let found = first_not_below(&list, guess % list.len().max(1), |other| *other < wanted);
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn buckets_do_not_change_the_order(mut list in prop::collection::vec(0usize..500, 0..300)) {
            let mut expected = list.clone();
            expected.sort_unstable();
            sort_by_bucket(&mut list, 17, |entry| entry * 17 / 500);
            prop_assert_eq!(list, expected);
        }
    }
}

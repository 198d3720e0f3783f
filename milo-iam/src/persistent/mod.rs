//! Collections of which one can keep the past: to copy one costs little, and to change the copy
//! copies the part that changes.

mod array;
mod entry;
mod fingerprint;
mod order;
mod prefetch;
mod sorted;
mod table;

pub(crate) use array::Array;
pub(crate) use entry::{Entry, Hashed, Kept, Printed};
pub(crate) use fingerprint::Fingerprint;
pub(crate) use order::Order;
pub(crate) use prefetch::prefetch;
pub(crate) use sorted::{first_not_below, sort_by_bucket};
pub(crate) use table::{Table, hash_of};

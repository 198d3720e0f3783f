//! Cases that need more than requests and expectations.

use crate::case::Case;

pub(crate) fn cases() -> Vec<Case> {
    Vec::new()
}

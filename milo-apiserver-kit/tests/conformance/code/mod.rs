//! Cases that need more than requests and expectations.

mod http1;
mod load;
mod outage;
mod races;
mod streams;
mod transport;

use crate::case::Case;

pub(crate) fn cases() -> Vec<Case> {
    [
        races::cases(),
        streams::cases(),
        http1::cases(),
        transport::cases(),
        outage::cases(),
        load::cases(),
    ]
    .concat()
}

//! The conformance suite of the generic store on every engine that is built in.

#![allow(clippy::panic, clippy::unwrap_used, reason = "tests say what they expect by unwrapping")]

mod memory {
    use milo_apiserver_kit::{store_suite, testing::store::Store};
    use milo_core::storage::Memory;

    store_suite!(async || Ok(Store::new(Memory::new())));
}

mod embedded {
    use milo_apiserver_kit::{store_suite, testing::store::Store};
    use milo_core::storage::Embedded;

    store_suite!(async || {
        let directory = tempfile::tempdir()?;
        Ok(Store::new(Embedded::open(directory.path())?).keeping(directory))
    });
}

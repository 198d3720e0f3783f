//! Replays what is kept in `fuzz/corpus`: every input that once found something, and the smallest
//! set that reaches whatever has been reached.

#![expect(clippy::unwrap_used, reason = "tests say what they expect by unwrapping")]

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

/// Far more than any input needs, on a busy machine too.
const LIMIT: Duration = Duration::from_secs(10);

fn replay(name: &str) {
    let (_, target) = milo_fuzz::TARGETS.iter().find(|(known, _)| *known == name).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    // Nothing at all is an input too.
    target(&[]);
    let mut count = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        let started = Instant::now();
        let result = std::panic::catch_unwind(|| target(&bytes));
        assert!(result.is_ok(), "see above: {}", path.display());
        assert!(started.elapsed() < LIMIT, "{:?} for {}", started.elapsed(), path.display());
        count += 1;
    }
    println!("{name}: {count} inputs");
}

macro_rules! replays {
    ($($name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                replay(stringify!($name));
            }
        )*

        #[test]
        fn every_target_is_replayed() {
            let replayed = [$(stringify!($name)),*];
            for (name, _) in milo_fuzz::TARGETS {
                assert!(replayed.contains(name), "{name}");
            }
        }
    };
}

replays!(
    apply,
    continue_token,
    json_body,
    json_patch,
    merge_patch,
    path,
    review,
    schema,
    selector,
    sequence,
    watch,
    yaml_body,
);

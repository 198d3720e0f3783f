//! What is forgotten, and what is not.

use super::{failure::Outcome, lab::Lab, vocabulary::*};
use crate::{
    key::KeyRange,
    storage::{ReadError, Revision, WatchError},
};

pub(super) async fn compaction_forgets_only_the_past(lab: Lab) -> Outcome {
    let storage = lab.storage();
    let (a, b, c) = (key("ns", "a"), key("ns", "b"), key("ns", "c"));
    let empty = storage.revision().await?;
    let first = storage.commit(put(&a, "1").put(b.clone(), bytes("1"))).await?;
    let second = storage.commit(put(&b, "2")).await?;
    let third = storage.commit(delete(&b).put(c.clone(), bytes("3"))).await?;
    let fourth = storage.commit(put(&c, "4")).await?;
    storage.compact(third).await?;
    for old in [Revision::ZERO, empty, first, second] {
        ensure_matches!(
            storage.list(&namespace("ns"), all().at(old)).await,
            Err(ReadError::Expired { requested, compacted })
                if requested == old && compacted == third
        );
        ensure_matches!(
            storage.watch(&namespace("ns"), old).await,
            Err(WatchError::Expired { requested, compacted })
                if requested == old && compacted == third
        );
    }
    let page = storage.list(&namespace("ns"), all().at(third)).await?;
    ensure_eq!(page.records, [record(&a, first, "1"), record(&c, third, "3")]);
    ensure_eq!(page.revision, third);
    let page = storage.list(&namespace("ns"), all()).await?;
    ensure_eq!(page.records, [record(&a, first, "1"), record(&c, fourth, "4")]);
    ensure_eq!(storage.get(&a).await?, Some(record(&a, first, "1")));
    let events = history(&**storage, &namespace("ns"), third, fourth).await?;
    ensure_eq!(events, [put_event(record(&c, fourth, "4"), Some(record(&c, third, "3")))]);
    Ok(())
}

pub(super) async fn compacting_too_far_or_again_is_no_error(lab: Lab) -> Outcome {
    let storage = lab.storage();
    let a = key("ns", "a");
    storage.compact(Revision::ZERO).await?;
    let first = storage.commit(put(&a, "1")).await?;
    let second = storage.commit(put(&a, "2")).await?;
    let signed_max = Revision::new(i64::MAX.unsigned_abs());
    let far = Revision::new(second.get() + 1_000_000);
    for floor in [far, second, second, first, signed_max, Revision::new(u64::MAX), Revision::ZERO] {
        storage.compact(floor).await?;
        let now = storage.revision().await?;
        let page = storage.list(&KeyRange::all(), all().at(now)).await?;
        ensure_eq!(page.records, [record(&a, second, "2")], "after compacting to {floor}");
        storage.watch(&KeyRange::all(), now).await?;
    }
    let third = storage.commit(put(&a, "3")).await?;
    ensure_eq!(storage.get(&a).await?, Some(record(&a, third, "3")));
    Ok(())
}

//! What outlives the process.

use super::{failure::Outcome, lab::Lab, vocabulary::*};
use crate::{key::KeyRange, storage::ReadError};

pub(super) async fn a_restart_keeps_every_revision(lab: Lab) -> Outcome {
    let (a, b) = (key("ns", "a"), key("ns", "b"));
    let start = lab.storage().revision().await?;
    let first = lab.storage().commit(put(&a, "1")).await?;
    let second = lab.storage().commit(put(&a, "2").put(b.clone(), bytes("2"))).await?;
    let third = lab.storage().commit(delete(&b)).await?;
    let told = history(&**lab.storage(), &KeyRange::all(), start, third).await?;

    let lab = lab.restart().await?;
    let storage = lab.storage();
    let now = storage.revision().await?;
    ensure!(now >= third, "at {now} after a restart, and at {third} before");
    ensure_eq!(storage.get(&a).await?, Some(record(&a, second, "2")));
    ensure_eq!(storage.get(&b).await?, None);
    let old = storage.list(&KeyRange::all(), all().at(first)).await?;
    ensure_eq!(old.records, [record(&a, first, "1")]);
    ensure_eq!(history(&**storage, &KeyRange::all(), start, third).await?, told);
    let fourth = storage.commit(put(&b, "4")).await?;
    ensure!(fourth > now, "revision {fourth} was used before");
    Ok(())
}

pub(super) async fn a_restart_keeps_the_compaction_floor(lab: Lab) -> Outcome {
    let a = key("ns", "a");
    let first = lab.storage().commit(put(&a, "1")).await?;
    let second = lab.storage().commit(put(&a, "2")).await?;
    let third = lab.storage().commit(put(&a, "3")).await?;
    lab.storage().compact(second).await?;

    let lab = lab.restart().await?;
    let storage = lab.storage();
    ensure_matches!(
        storage.list(&KeyRange::all(), all().at(first)).await,
        Err(ReadError::Expired { requested, compacted })
            if requested == first && compacted >= second
    );
    let page = storage.list(&KeyRange::all(), all()).await?;
    ensure_eq!(page.records, [record(&a, third, "3")]);
    let page = storage.list(&KeyRange::all(), all().at(second)).await?;
    ensure_eq!(page.records, [record(&a, second, "2")]);
    Ok(())
}

/// What was told before a restart and after it is the whole history, once.
pub(super) async fn watches_resume_after_a_restart(lab: Lab) -> Outcome {
    let start = lab.storage().revision().await?;
    let (mut lab, mut told, mut last) = (lab, Told::after(start), start);
    for life in 0..3 {
        let mut watch = lab.storage().watch(&namespace("ns"), told.revision).await?;
        for number in 0..20 {
            let value = format!("{life}-{number}");
            let revision = lab.storage().commit(put(&key("ns", &value), &value)).await?;
            ensure!(revision > last, "revision {revision} after {last}");
            last = revision;
        }
        // Some of it is read in the next life.
        while told.events.len() < 20 * life + 10 {
            told.add(next(&mut watch).await?)?;
        }
        drop(watch);
        lab = lab.restart().await?;
        let current = lab.storage().revision().await?;
        ensure!(current >= last, "at {current} after a restart, and at {last} before");
    }
    let mut watch = lab.storage().watch(&namespace("ns"), told.revision).await?;
    watch.request_progress();
    told.read_until(&mut watch, last).await?;
    let whole = history(&**lab.storage(), &namespace("ns"), start, last).await?;
    ensure_eq!(told.events, whole);
    ensure_eq!(whole.len(), 60);
    Ok(())
}

//! What has been compacted is gone, and is said to be.

use super::{
    failure::{Outcome, ensure_eq},
    lab::{Lab, items, pod, version},
};

pub(super) async fn case_38_compact_revision(lab: &Lab) -> Outcome {
    let old = lab.pods().create(&pod("ns/foo")).await?;
    let middle = lab.pods().set("ns/foo", "note", "middle").await?;
    let new = lab.pods().set("ns/foo", "note", "new").await?;
    lab.compact(version(&middle)?).await?;
    let exactly = |at: u64| format!("resourceVersion={at}&resourceVersionMatch=Exact");
    for pods in [lab.pods(), lab.newcomer().await?.pods()] {
        let gone = pods.ask("", &exactly(version(&old)?)).await?;
        let text = "The resourceVersion for the provided list is too old.";
        gone.refused(410, "Expired", text)?;
        let kept = pods.list("", &exactly(version(&middle)?)).await?;
        ensure_eq!(items(&kept), std::slice::from_ref(&middle), "the floor itself is kept");
        ensure_eq!(items(&pods.list("", "").await?), std::slice::from_ref(&new));
    }
    Ok(())
}

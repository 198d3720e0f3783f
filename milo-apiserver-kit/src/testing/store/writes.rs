//! Creating objects.

use super::{
    failure::{Failure, Outcome, ensure, ensure_eq},
    lab::{Lab, key, pod, pod_on, url, version},
};

pub(super) async fn case_01_create(lab: &Lab) -> Outcome {
    let created = lab.pods().create(&pod_on("ns/foo", "n1")).await?;
    ensure_eq!(key(&created), "ns/foo");
    ensure_eq!(created["spec"]["nodeName"], "n1");
    lab.check_stored("ns/foo").await?;
    let record = lab.stored("ns/foo").await?.ok_or_else(|| Failure::new("nothing is stored"))?;
    ensure_eq!(version(&created)?, record.revision.get(), "the version is the commit's");
    let mut versioned = pod("ns/bar");
    versioned["metadata"]["resourceVersion"] = "1".into();
    let refused = lab.post(&url("pods", "ns"), &versioned).await?;
    ensure!(matches!(refused.code, 400 | 422 | 500), "a new object with a version: {refused:?}");
    let text = "resourceVersion should not be set on objects to be created";
    ensure!(refused.json()["message"].as_str().is_some_and(|m| m.contains(text)), "{refused:?}");
    ensure_eq!(lab.stored("ns/bar").await?, None);
    Ok(())
}

pub(super) async fn case_03_create_with_key_exist(lab: &Lab) -> Outcome {
    lab.pods().create(&pod_on("ns/foo", "n1")).await?;
    let before = lab.stored("ns/foo").await?;
    let again = lab.post(&url("pods", "ns"), &pod_on("ns/foo", "n2")).await?;
    again.refused(409, "AlreadyExists", "\"foo\" already exists")?;
    ensure_eq!(lab.stored("ns/foo").await?, before);
    // The same name elsewhere is another object.
    lab.pods().create(&pod("other/foo")).await?;
    Ok(())
}

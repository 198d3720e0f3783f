//! What cannot be a key is refused by every verb, and touches nothing.

use milo_core::{key::KeyRange, storage::ListOptions};
use serde_json::Value;

use super::{
    failure::{Failure, Outcome, ensure, ensure_eq},
    lab::{Lab, keys, pod, url, version},
};
use crate::testing::wire::MERGE_PATCH;

pub(super) async fn case_39_key_schema(lab: &Lab) -> Outcome {
    lab.pods().create(&pod("ns/foo")).await?;
    let everything = async || -> Result<_, Failure> {
        let options = ListOptions::default();
        Ok(lab.storage().engine().list(&KeyRange::all(), options).await?.records)
    };
    let before = everything().await?;
    for name in [".", "..", "a%2Fb", "..%2Ffoo", "a%00b", "%2E%2E"] {
        let at = format!("{}/{name}", url("pods", "ns"));
        let mut body = pod("ns/foo");
        let decoded = name.replace("%2F", "/").replace("%2E", ".").replace("%00", "\0");
        body["metadata"]["name"] = decoded.into();
        for answer in [
            lab.get(&at).await?,
            lab.put(&at, &body).await?,
            lab.patch(&at, MERGE_PATCH, &body).await?,
            lab.delete(&at, &Value::Null).await?,
            lab.post(&url("pods", "ns"), &body).await?,
        ] {
            ensure!(matches!(answer.code, 400 | 404 | 405 | 422), "{name}: {answer:?}");
        }
        let at = url("pods", name);
        let answer = lab.post(&at, &pod("ns/foo")).await?;
        ensure!(matches!(answer.code, 400 | 404 | 405 | 422), "namespace {name}: {answer:?}");
    }
    ensure_eq!(everything().await?, before, "what is stored");
    // A resource whose name begins like another's is another one.
    let written = lab.unrelated().await?;
    let list = lab.pods().list("", &format!("resourceVersion={written}")).await?;
    ensure_eq!(keys(&list), ["ns/foo"]);
    ensure!(version(&list)? >= written, "{list} is older than {written}");
    ensure_eq!(keys(&lab.pods().list("unrelated", "").await?), Vec::<String>::new());
    Ok(())
}

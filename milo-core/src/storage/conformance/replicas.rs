//! What several servers on one store see of one another.

use super::{failure::Outcome, lab::Lab, vocabulary::*};

pub(super) async fn a_replica_reads_what_another_wrote(lab: Lab) -> Outcome {
    let (here, there) = (lab.storage(), lab.replica().await?);
    let a = key("ns", "a");
    for number in 0..50 {
        let value = number.to_string();
        let (writer, reader) = if number % 2 == 0 { (here, &there) } else { (&there, here) };
        let revision = writer.commit(put(&a, &value)).await?;
        let expected = record(&a, revision, &value);
        ensure_eq!(reader.get(&a).await?, Some(expected.clone()));
        let now = reader.revision().await?;
        ensure!(now >= revision, "revision {now} after a commit at {revision}");
        let page = reader.list(&namespace("ns"), all()).await?;
        ensure_eq!(page.records, [expected.clone()]);
        ensure!(page.revision >= revision, "a list at {} after {revision}", page.revision);
        let page = reader.list(&namespace("ns"), all().at(revision)).await?;
        ensure_eq!((page.records, page.revision), (vec![expected], revision));
    }
    Ok(())
}

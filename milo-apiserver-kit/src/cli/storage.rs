//! The command `storage`: back up, restore, check and move.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use anyhow::bail;
use clap::Subcommand;
use milo_core::storage::{
    StorageLocation,
    snapshot::{self, Origin, Report, Restored, Source, WriteOptions},
};

use super::{
    Options,
    meter::{self, mebibytes},
    run::Signals,
};

/// What can be done with what is stored.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum StorageCommand {
    /// Writes everything that is stored to a file, also while a server is running
    ///
    /// The snapshot shows one moment: all that was acknowledged before, and no half transaction. It
    /// is written to FILE.partial first; FILE is complete when it is there. It holds every object
    /// with its secrets, so only you may read it.
    Snapshot {
        /// The file to write
        #[arg(value_name = "FILE")]
        file: PathBuf,

        /// Replace the file if there is one of that name
        #[arg(long)]
        force: bool,
    },

    /// Restores a snapshot into an empty storage
    ///
    /// Objects are as they were, with their UIDs. What clients remember of the old storage stays
    /// valid or is refused as expired, never mistaken: the storage goes on with resource versions
    /// far above all that were ever given out. In the embedded storage objects also keep their
    /// resource versions; in PostgreSQL and etcd they get new ones, in the same order.
    Restore {
        /// The snapshot
        #[arg(value_name = "FILE")]
        file: PathBuf,

        /// Remove first what an interrupted restore or copy left in the storage
        #[arg(long)]
        restart: bool,
    },

    /// Checks a snapshot, or everything that is stored
    ///
    /// Reads all of it, compares checksums, looks at each object, and counts them. Each object that
    /// is not as it should be is named, a hundred at most, and the exit code is then 1.
    Verify {
        /// A snapshot, or a storage as --storage names it; what --storage says if not given
        #[arg(value_name = "FILE|STORAGE")]
        what: Option<String>,
    },

    /// Copies everything from one storage to another, which must be empty
    ///
    /// Both are named as with --storage; `embedded` is in the data directory. Stop the server first:
    /// what it writes after the copy has begun is not copied. Objects keep their UIDs and the order
    /// of their last changes; resource versions: see restore. In the end both are compared.
    Copy {
        /// Where from
        #[arg(value_name = "FROM")]
        from: StorageLocation,

        /// Where to
        #[arg(value_name = "TO")]
        to: StorageLocation,

        /// Remove first what an interrupted copy left in TO
        #[arg(long)]
        restart: bool,
    },
}

impl StorageCommand {
    /// Does it, unless a signal comes first.
    pub(super) async fn run(self, options: &Options) -> anyhow::Result<()> {
        let mut signals = Signals::new()?;
        tokio::select! {
            done = self.work(options) => done,
            () = signals.first() => bail!("interrupted"),
        }
    }

    async fn work(self, options: &Options) -> anyhow::Result<()> {
        match self {
            Self::Snapshot { file, force } => snapshot(&file, force, &stored(options)?).await,
            Self::Restore { file, restart } => restore(&file, restart, &stored(options)?).await,
            Self::Verify { what } => verify(what.as_deref(), options).await,
            Self::Copy { from, to, restart } => {
                let (from, to) = (options.in_data_dir(from), options.in_data_dir(to));
                copy(&from, &to, restart).await
            }
        }
    }
}

/// What `--storage` says, if it is something that outlives a program.
fn stored(options: &Options) -> anyhow::Result<StorageLocation> {
    let location = options.location();
    if location.is_memory() {
        bail!("what is in memory is gone with its server: choose another --storage");
    }
    Ok(location)
}

async fn snapshot(file: &Path, force: bool, location: &StorageLocation) -> anyhow::Result<()> {
    let source = Source::at(location).await?;
    let origin = source.origin();
    let options = WriteOptions::default().replace(force);
    let written = meter::show(|observer| snapshot::write(source, file, options, observer)).await?;
    println!(
        "wrote {}: {} objects, {}, at revision {} of {}",
        file.display(),
        written.objects,
        mebibytes(written.bytes),
        written.revision,
        whose(origin, location),
    );
    Ok(())
}

fn whose(origin: Origin, location: &StorageLocation) -> String {
    match origin {
        Origin::Server => format!("{location}, from its running server"),
        _ => location.to_string(),
    }
}

async fn restore(file: &Path, restart: bool, location: &StorageLocation) -> anyhow::Result<()> {
    let restored =
        meter::show(|observer| snapshot::restore(file, location, restart, observer)).await?;
    println!("restored {} to {location}", file.display());
    tell_restored(&restored);
    Ok(())
}

async fn copy(from: &StorageLocation, to: &StorageLocation, restart: bool) -> anyhow::Result<()> {
    let copied = meter::show(|observer| snapshot::copy(from, to, restart, observer)).await?;
    println!("copied {from} to {to}, and compared them");
    tell_restored(&copied);
    if copied.origin == Origin::Server {
        println!("its server was running: what it writes after that revision is not in the copy");
    }
    Ok(())
}

fn tell_restored(restored: &Restored) {
    let snapshot = &restored.snapshot;
    println!(
        "{} objects, {}, as they were at revision {} on {}",
        snapshot.objects,
        mebibytes(snapshot.bytes),
        snapshot.revision,
        snapshot.taken,
    );
    let kept = if restored.revisions_kept {
        "objects keep their resource versions"
    } else {
        "objects have new resource versions, in the order of their last changes"
    };
    println!("{kept}; the storage is at revision {}", restored.revision);
}

async fn verify(what: Option<&str>, options: &Options) -> anyhow::Result<()> {
    let source = match what {
        None => Source::at(&stored(options)?).await?,
        Some(text) => source_named(text, options).await?,
    };
    let report = meter::show(|observer| snapshot::check(source, observer)).await?;
    print!("{}", table(&report));
    let summary = &report.summary;
    println!(
        "{} objects, {}, at revision {}, SHA-256 {}",
        summary.objects,
        mebibytes(summary.bytes),
        summary.revision,
        summary.digest,
    );
    for problem in &report.problems {
        println!("{}: {}", problem.key, problem.text);
    }
    match report.problem_count {
        0 => Ok(()),
        1 => bail!("one object is not as it should be"),
        count => bail!("{count} objects are not as they should be"),
    }
}

/// A storage, or else a file.
async fn source_named(text: &str, options: &Options) -> anyhow::Result<Source> {
    if let Ok(location) = text.parse::<StorageLocation>() {
        return Ok(Source::at(&options.in_data_dir(location)).await?);
    }
    let path = Path::new(text);
    if path.is_dir() {
        // A data directory, or the storage in it.
        let inner = path.join("storage");
        let directory = if inner.is_dir() { inner } else { path.to_owned() };
        return Ok(Source::at(&StorageLocation::embedded(directory)).await?);
    }
    Ok(Source::file(path).await?)
}

/// How many there are of each resource.
fn table(report: &Report) -> String {
    let rows: Vec<_> = report.resources.iter().map(|(name, n)| (name.to_string(), n)).collect();
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut table = String::new();
    for (name, number) in rows {
        // Writing to a string cannot fail.
        let _ = writeln!(table, "{name:width$}  {number}");
    }
    table
}

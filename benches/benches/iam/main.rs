//! The permission evaluator, next to engines that others wrote, on the workload "Milo-1".
//!
//! ```sh
//! cargo bench -p benches --bench iam                 # 1,000 to 1,000,000 bindings
//! cargo bench -p benches --bench iam -- 1000 10000   # other sizes
//! ```
//!
//! A world is written to a file once, and every engine reads that file, in a process of its own, and
//! is asked the same questions. Tables go to the standard output, curves to `benches/iam.svg`.

mod engines;
mod evaluator;
mod measure;
mod milo_1;
#[path = "../../peers/mod.rs"]
mod peers;
mod plot;
mod report;
mod world_file;

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use engines::{ENGINES, Outcome};
use report::Row;
use world_file::WorldFile;

const SIZES: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// Begins the arguments of a process that runs one engine.
const CHILD: &str = "--engine";

fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let [first, engine, file] = &*arguments
        && first == CHILD
    {
        return run(engine.parse()?, Path::new(file));
    }
    let sizes: Vec<usize> = arguments.iter().filter_map(|text| text.parse().ok()).collect();
    let sizes = if sizes.is_empty() { SIZES.to_vec() } else { sizes };
    let mut rows = Vec::new();
    for bindings in sizes {
        let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("milo-1.{bindings}"));
        milo_1::write(&file, bindings)?;
        for (engine, _) in ENGINES.iter().enumerate().filter(|(_, e)| bindings <= e.most_bindings) {
            rows.push(Row { engine, bindings, outcome: run_apart(engine, &file)? });
            eprintln!("{}: {bindings} bindings done", ENGINES[engine].name);
        }
        std::fs::remove_file(&file)?;
    }
    print!("{}", report::tables(&rows));
    let svg = Path::new(env!("CARGO_MANIFEST_DIR")).join("iam.svg");
    std::fs::write(&svg, plot::svg(&rows))?;
    println!("\nThe curves are in {}.", svg.display());
    let (compared, mismatches) = report::mismatches(&rows);
    println!("{compared} answers compared with the evaluator's: {mismatches} mismatches.");
    ensure!(mismatches == 0, "engines that answer differently must not be compared");
    Ok(())
}

/// Runs an engine and prints what it did.
fn run(engine: usize, file: &Path) -> Result<()> {
    let engine = ENGINES.get(engine).context("there is no such engine")?;
    let file = WorldFile::read(file)?;
    let questions = engine.questions.min(file.questions.len());
    let outcome = (engine.run)(&file, questions)?;
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}

/// Runs an engine in a process of its own, whose memory is the engine's.
fn run_apart(engine: usize, file: &Path) -> Result<Outcome> {
    let mut child = Command::new(std::env::current_exe()?);
    let child = child.arg(CHILD).arg(engine.to_string()).arg(file).stderr(Stdio::inherit());
    let output = child.output()?;
    ensure!(output.status.success(), "{} failed: {}", ENGINES[engine].name, output.status);
    Ok(serde_json::from_slice(&output.stdout)?)
}

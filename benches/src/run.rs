//! One run: every target, one after the other, with every workload.

use std::sync::Arc;

use anyhow::Context as _;

use crate::cli::Cli;
use crate::object::ObjectTemplate;
use crate::report::{Report, TargetReport};
use crate::target::{Target, TargetSpec};
use crate::workload::Bench;

/// Measures all targets of the command line.
///
/// # Errors
///
/// When a target cannot be reached or a workload cannot run. Failed requests are no
/// error: they are counted in the report.
pub(crate) async fn run(cli: &Cli) -> anyhow::Result<Report> {
    let specs = TargetSpec::all(&cli.target)?;
    let template = Arc::new(ObjectTemplate::load(cli.object.body_template.as_deref())?);
    let mut targets = Vec::new();
    for spec in &specs {
        let target = Target::open(spec, cli).await?;
        let report = measure(&target, cli, &template).await;
        let report = report.with_context(|| format!("target {:?}", target.name()));
        target.close().await;
        targets.push(report?);
    }
    Ok(Report::new(cli, targets))
}

async fn measure(
    target: &Target,
    cli: &Cli,
    template: &Arc<ObjectTemplate>,
) -> anyhow::Result<TargetReport> {
    let mut report = TargetReport::new(target);
    let mut bench = Bench::new(target, cli, Arc::clone(template));
    for &name in &cli.load.workloads {
        let measured = bench.run(name).await;
        let measured = measured.with_context(|| format!("workload {:?}", name.as_str()))?;
        report.workloads.extend(measured);
    }
    Ok(report)
}

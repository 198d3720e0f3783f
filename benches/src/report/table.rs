//! The report as text.

use std::fmt::Write as _;

use super::{Ratio, Report, TargetReport, cpu_per_request, describe};
use crate::workload::Measurement;

const MIB: f64 = 1024.0 * 1024.0;

/// Renders everything: a table for each target, what failed, and the ratios.
pub(super) fn render(report: &Report) -> String {
    let mut text = format!("{}\n", describe(&report.settings));
    for target in &report.targets {
        text.push('\n');
        text.push_str(&heading(target));
        text.push_str(&align(&measurements(target)));
        target.workloads.iter().for_each(|measurement| note(measurement, &mut text));
    }
    if let (false, Some(first)) = (report.ratios.is_empty(), report.targets.first()) {
        let _ =
            writeln!(text, "\nRatio to {} (per second: more is better; others: less)", first.name);
        text.push_str(&align(&ratio_rows(&report.ratios)));
    }
    text
}

fn heading(target: &TargetReport) -> String {
    let mut text = target.name.clone();
    if let Some(seconds) = target.time_to_ready_seconds {
        let _ = write!(text, ": ready after {:.1} ms", seconds * 1e3);
    }
    if let Some(usage) = target.usage_when_ready {
        let _ = write!(text, " with {:.1} MiB", usage.rss as f64 / MIB);
    }
    text.push('\n');
    text
}

fn measurements(target: &TargetReport) -> Vec<Vec<String>> {
    let titles = [
        "workload",
        "requests",
        "errors",
        "per s",
        "p50 ms",
        "p90 ms",
        "p99 ms",
        "max ms",
        "MiB/s",
        "RSS MiB",
        "peak MiB",
        "server us/req",
        "server CPU",
        "driver CPU",
    ];
    let mut rows = vec![titles.map(str::to_owned).to_vec()];
    rows.extend(target.workloads.iter().map(row));
    rows
}

fn row(measurement: &Measurement) -> Vec<String> {
    let latency = measurement.latency_ms;
    let server = measurement.server;
    let cores = |seconds: Option<f64>| {
        seconds.filter(|_| measurement.seconds > 0.0).map(|seconds| seconds / measurement.seconds)
    };
    vec![
        measurement.workload.to_owned(),
        measurement.requests.to_string(),
        measurement.errors.to_string(),
        format!("{:.1}", measurement.per_second),
        format!("{:.2}", latency.p50),
        format!("{:.2}", latency.p90),
        format!("{:.2}", latency.p99),
        format!("{:.2}", latency.max),
        format!("{:.2}", measurement.bytes_per_second / MIB),
        optional(server.map(|usage| usage.rss as f64 / MIB), 1),
        optional(server.map(|usage| usage.peak as f64 / MIB), 1),
        optional(cpu_per_request(measurement).map(|seconds| seconds * 1e6), 1),
        optional(cores(measurement.server_cpu_seconds), 2),
        optional(cores(measurement.driver_cpu_seconds), 2),
    ]
}

/// What does not fit into the table.
fn note(measurement: &Measurement, text: &mut String) {
    let counts: Vec<String> = measurement
        .counts
        .iter()
        .map(|(name, count)| format!("{name} {}", (count * 10.0).round() / 10.0))
        .collect();
    if !counts.is_empty() {
        let _ = writeln!(text, "  {}: {}", measurement.workload, counts.join(", "));
    }
    if let Some(error) = &measurement.first_error {
        let _ = writeln!(text, "  {}: first error: {error}", measurement.workload);
    }
}

fn ratio_rows(ratios: &[Ratio]) -> Vec<Vec<String>> {
    let titles = ["target", "workload", "per s", "p50", "p99", "RSS", "peak", "CPU/req"];
    let mut rows = vec![titles.map(str::to_owned).to_vec()];
    rows.extend(ratios.iter().map(|ratio| {
        let mut row = vec![ratio.target.clone(), ratio.workload.to_owned()];
        let numbers =
            [ratio.per_second, ratio.p50, ratio.p99, ratio.rss, ratio.peak, ratio.cpu_per_request];
        row.extend(numbers.map(|number| optional(number, 2)));
        row
    }));
    rows
}

fn optional(number: Option<f64>, digits: usize) -> String {
    number.map_or_else(|| "-".to_owned(), |number| format!("{number:.digits$}"))
}

/// Numbers to the right, words to the left.
fn align(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let is_word = |column: usize| matches!(rows[0][column].as_str(), "workload" | "target");
    let mut text = String::new();
    for row in rows {
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            // Writing to a string cannot fail.
            let _ = if is_word(column) {
                write!(text, "  {cell:<width$}")
            } else {
                write!(text, "  {cell:>width$}")
            };
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = [["workload", "per s"], ["get", "12345.0"]];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(align(&rows), "  workload    per s\n  get       12345.0\n");
    }
}

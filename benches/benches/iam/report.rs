//! The tables.

use std::fmt::Write as _;

use crate::engines::{ENGINES, Outcome};

/// What one engine did with one world.
pub(crate) struct Row {
    pub(crate) engine: usize,
    pub(crate) bindings: usize,
    pub(crate) outcome: Outcome,
}

/// All engines, and what only the evaluator is measured for, in Markdown.
pub(crate) fn tables(rows: &[Row]) -> String {
    let mut text = String::from(
        "| engine | bindings | mean | p50 | p99 | p99.9 | allowed, p50 | denied, p50 | until it \
         answers | memory | times the evaluator's p50 |\n|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        line(&mut text, row, rows);
    }
    text.push_str(
        "\n| bindings | allowed | by ids, mean (p99) | hot, mean | from strings, mean (hot) | all denied to \
         mixed | change visible, p50 / p99 | bytes a binding: grants + names + facts | cold build |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows.iter().filter(|row| row.engine == 0) {
        details(&mut text, row, rows);
    }
    text
}

fn line(text: &mut String, row: &Row, rows: &[Row]) {
    let Outcome { measured, build_seconds, slices, bytes, .. } = &row.outcome;
    let mixed = measured.mixed;
    let (build, memory) = match slices {
        0 => (time(build_seconds * 1e9), size(*bytes)),
        slices => {
            let each = build_seconds * 1e9 / *slices as f64;
            (format!("{} a question", time(each)), format!("{} a question", size(bytes / slices)))
        }
    };
    let ratio = rows.iter().find(|other| other.engine == 0 && other.bindings == row.bindings);
    let ratio = ratio.map(|ids| mixed.p50 as f64 / ids.outcome.measured.mixed.p50 as f64);
    let _ = writeln!(
        text,
        "| {} | {} | {} | {} | {} | {} | {} | {} | {build} | {memory} | {:.*} |",
        ENGINES[row.engine].name,
        count(row.bindings),
        time(mixed.mean),
        time(mixed.p50 as f64),
        time(mixed.p99 as f64),
        time(mixed.p999 as f64),
        time(measured.allowed.p50 as f64),
        time(measured.denied.p50 as f64),
        usize::from(ratio < Some(10.0)),
        ratio.unwrap_or(f64::NAN),
    );
}

fn details(text: &mut String, row: &Row, rows: &[Row]) {
    let Outcome { measured, build_seconds, details, .. } = &row.outcome;
    let Some(details) = details else { return };
    let [facts, grants, names] = details.memory;
    let allowed = measured.answers.iter().filter(|allowed| **allowed).count();
    let strings = rows.iter().find(|other| other.engine == 1 && other.bindings == row.bindings);
    let _ = writeln!(
        text,
        "| {} | {} % | {} ({}) | {} | {} ({}) | {:.2} | {} / {} | {} + {} + {} | {} |",
        count(row.bindings),
        allowed * 100 / measured.answers.len().max(1),
        time(measured.mixed.mean),
        time(measured.mixed.p99 as f64),
        time(details.hot[0].mean),
        strings.map_or_else(String::new, |row| time(row.outcome.measured.mixed.mean)),
        time(details.hot[1].mean),
        measured.denied.mean / measured.mixed.mean,
        time(details.change[0] as f64),
        time(details.change[1] as f64),
        grants / row.bindings.max(1),
        names / row.bindings.max(1),
        facts / row.bindings.max(1),
        time(build_seconds * 1e9),
    );
}

/// How many answers were compared with the evaluator's, and how many differ.
pub(crate) fn mismatches(rows: &[Row]) -> (usize, usize) {
    let (mut compared, mut mismatches) = (0, 0);
    for row in rows.iter().filter(|row| row.engine > 0) {
        let ids = rows.iter().find(|ids| ids.engine == 0 && ids.bindings == row.bindings);
        let Some(ids) = ids else { continue };
        let pairs = row.outcome.measured.answers.iter().zip(&ids.outcome.measured.answers);
        compared += pairs.clone().count();
        mismatches += pairs.filter(|(one, other)| one != other).count();
    }
    (compared, mismatches)
}

/// Nanoseconds in a unit that fits.
pub(crate) fn time(nanoseconds: f64) -> String {
    let (value, unit) = match nanoseconds {
        small if small < 1e3 => return format!("{small:.0} ns"),
        small if small < 1e6 => (small / 1e3, "µs"),
        small if small < 1e9 => (small / 1e6, "ms"),
        large => (large / 1e9, "s"),
    };
    format!("{value:.*} {unit}", if value < 10.0 { 2 } else { 1 })
}

fn size(bytes: usize) -> String {
    match bytes as f64 / 1024.0 {
        small if small < 1024.0 => format!("{small:.1} KiB"),
        large => format!("{:.1} MiB", large / 1024.0),
    }
}

/// A number with its thousands apart.
pub(crate) fn count(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

//! The curves: medians over the number of bindings, both logarithmic.

use std::fmt::Write as _;

use crate::{
    engines::ENGINES,
    report::{Row, count, time},
};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 440.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 520.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 390.0;

/// Powers of ten between which an axis runs.
struct Axis {
    from: f64,
    to: f64,
}

impl Axis {
    /// Around values.
    fn around(values: impl Iterator<Item = f64> + Clone) -> Self {
        let from = values.clone().fold(f64::INFINITY, f64::min).log10().floor();
        let to = values.fold(1.0, f64::max).log10().ceil();
        Self { from, to: to.max(from + 1.0) }
    }

    /// Where a value is, from 0 to 1.
    fn place(&self, value: f64) -> f64 {
        (value.log10() - self.from) / (self.to - self.from)
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        (self.from as i32..=self.to as i32).map(|power| 10f64.powi(power))
    }
}

/// Draws the medians of mixed questions.
pub(crate) fn svg(rows: &[Row]) -> String {
    let x = Axis::around(rows.iter().map(|row| row.bindings as f64));
    let y = Axis::around(rows.iter().map(|row| row.outcome.measured.mixed.p50 as f64));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n"
    );
    text(
        &mut svg,
        LEFT,
        22.0,
        "start",
        "Median time of a check (Milo-1, half of the questions are about bindings)",
    );
    text(&mut svg, f64::midpoint(LEFT, RIGHT), 428.0, "middle", "bindings");
    grid(&mut svg, &x, &y);
    for (engine, described) in ENGINES.iter().enumerate() {
        let points: Vec<_> = rows
            .iter()
            .filter(|row| row.engine == engine)
            .map(|row| {
                let median = row.outcome.measured.mixed.p50 as f64;
                (across(x.place(row.bindings as f64)), up(y.place(median)))
            })
            .collect();
        curve(&mut svg, &points, described.color, described.name);
    }
    svg.push_str("</svg>\n");
    svg
}

fn across(place: f64) -> f64 {
    LEFT + place * (RIGHT - LEFT)
}

fn up(place: f64) -> f64 {
    BOTTOM - place * (BOTTOM - TOP)
}

fn grid(svg: &mut String, x: &Axis, y: &Axis) {
    for bindings in x.ticks() {
        let at = across(x.place(bindings));
        line(svg, (at, TOP), (at, BOTTOM));
        text(svg, at, BOTTOM + 16.0, "middle", &count(bindings as usize));
    }
    for nanoseconds in y.ticks() {
        let at = up(y.place(nanoseconds));
        line(svg, (LEFT, at), (RIGHT, at));
        let label = time(nanoseconds).replace(".00", "").replace(".0", "");
        text(svg, LEFT - 6.0, at + 4.0, "end", &label);
    }
}

fn line(svg: &mut String, from: (f64, f64), to: (f64, f64)) {
    let _ = writeln!(
        svg,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"#ddd\"/>",
        from.0, from.1, to.0, to.1
    );
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>");
}

/// A curve with its name behind its last point.
fn curve(svg: &mut String, points: &[(f64, f64)], color: &str, name: &str) {
    let Some(last) = points.last() else { return };
    let path: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let path = path.join(" ");
    let _ = writeln!(
        svg,
        "<polyline points=\"{path}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"/>"
    );
    for (x, y) in points {
        let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{color}\"/>");
    }
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{color}\">{name}</text>",
        last.0 + 8.0,
        last.1 + 4.0
    );
}

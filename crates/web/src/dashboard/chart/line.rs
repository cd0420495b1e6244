//! An estimate over time, with a band around it and lines that matter.

use std::fmt::Write as _;

use maud::{Markup, html};
use uplift_model::Time;

use super::scale::{Scale, round};
use crate::dashboard::format;

/// Most points that are drawn; of more, every second, third... is.
const MAX_POINTS: usize = 240;
/// Width of the drawing in its own units.
const WIDTH: f64 = 1_000.0;

/// A value at a moment, with an interval where there is one.
#[derive(Debug, Clone)]
pub(crate) struct Point {
    pub(crate) at: Time,
    pub(crate) value: f64,
    pub(crate) band: Option<(f64, f64)>,
    /// What else is known of the moment, for the table.
    pub(crate) note: String,
}

/// A chart of one value.
pub(crate) struct Line<'a> {
    /// What it shows, for those who hear it.
    pub(crate) label: &'a str,
    /// What the value is called in the table.
    pub(crate) value: &'a str,
    pub(crate) points: &'a [Point],
    /// Lines across, each with its name: zero, a margin, a threshold.
    pub(crate) rules: &'a [(f64, &'static str)],
    pub(crate) format: format::Written,
    /// What the notes are about; none where there are none.
    pub(crate) notes: Option<&'static str>,
    /// Which values there can be.
    pub(crate) within: (f64, f64),
    /// How far ticks are apart at least.
    pub(crate) step: f64,
    /// How moments are written.
    pub(crate) moment: fn(Time) -> String,
}

impl Default for Line<'_> {
    fn default() -> Self {
        Self {
            label: "",
            value: "Value",
            points: &[],
            rules: &[],
            format: format::number,
            notes: None,
            within: (f64::NEG_INFINITY, f64::INFINITY),
            step: 0.0,
            moment: format::moment,
        }
    }
}

/// What is drawn of several values: a name, the points, and how they are written.
pub(crate) type Series = (&'static str, Vec<Point>, format::Written);

/// Draws it, with a table of its values.
pub(crate) fn line(chart: &Line<'_>) -> Markup {
    let step = chart.points.len().div_ceil(MAX_POINTS).max(1);
    // The last point matters most: steps are counted from there.
    let skip = (chart.points.len().max(1) - 1) % step;
    let points: Vec<&Point> = chart.points.iter().skip(skip).step_by(step).collect();
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return html! { p.muted { "Nothing was seen yet." } };
    };
    let scale = scale(chart, &points);
    let across = across(first.at, last.at);
    let format = chart.format;
    let summary = format!(
        "{}: {} at {}, {} at {}",
        chart.label,
        format(first.value),
        (chart.moment)(first.at),
        format(last.value),
        (chart.moment)(last.at)
    );
    html! {
        figure.chart {
            div.plot {
                div.y aria-hidden="true" { @for tick in scale.ticks() { span { (format(tick)) } } }
                svg viewBox="0 0 1000 100" preserveAspectRatio="none" role="img" aria-label=(summary) {
                    @for tick in scale.ticks() { path.grid d={ "M0 " (scale.down(tick)) "H1000" } {} }
                    @if let Some(area) = area(&points, &scale, &across) { path.band d=(area) {} }
                    @for (value, name) in chart.rules.iter().filter(|(value, _)| *value >= scale.low && *value <= scale.high) {
                        path.rule d={ "M0 " (scale.down(*value)) "H1000" } { title { (name) " " (format(*value)) } }
                    }
                    path.line d=(way(&points, &scale, &across)) {}
                    path.dots d={ "M" (across(last.at)) " " (scale.down(last.value)) "h0" } {}
                    @for (place, point) in points.iter().enumerate() {
                        @let (from, to) = column(&points, place, &across);
                        rect.hit x=(from) y="0" width=(round((to - from).max(0.5))) height="100" { title { (told(chart, point)) } }
                    }
                }
                div.x aria-hidden="true" { span { ((chart.moment)(first.at)) } @if points.len() > 1 { span { ((chart.moment)(last.at)) } } }
            }
            (table(chart, &points))
        }
    }
}

fn scale(chart: &Line<'_>, points: &[&Point]) -> Scale {
    // Early intervals are wide and would press everything else flat: they are cut at three times the last one.
    let (low, high) = match points.last().and_then(|last| last.band.map(|band| (last.value, band))) {
        Some((value, (low, high))) => (value - 3.0 * (value - low), value + 3.0 * (high - value)),
        None => (f64::NEG_INFINITY, f64::INFINITY),
    };
    let bands = points.iter().filter_map(|point| point.band).flat_map(|(from, to)| [from.max(low), to.min(high)]);
    let rules = chart.rules.iter().map(|(value, _)| *value);
    let values = points.iter().map(|point| point.value).chain(bands).chain(rules);
    Scale::holding(chart.step, values.map(|value| value.clamp(chart.within.0, chart.within.1)))
}

/// Where moments lie between the first and the last.
fn across(first: Time, last: Time) -> impl Fn(Time) -> f64 {
    let whole = last.micros_since(first) as f64;
    move |at| if whole <= 0.0 { WIDTH / 2.0 } else { round(WIDTH * at.micros_since(first) as f64 / whole) }
}

/// The part of the width in which a point is the nearest one.
fn column(points: &[&Point], place: usize, across: &impl Fn(Time) -> f64) -> (f64, f64) {
    let at = |place: usize| points.get(place).map(|point| across(point.at));
    let here = at(place).unwrap_or_default();
    let before = place.checked_sub(1).and_then(at);
    let after = at(place + 1);
    (
        before.map_or(0.0, |before| round(f64::midpoint(before, here))),
        after.map_or(WIDTH, |after| round(f64::midpoint(here, after))),
    )
}

fn way(points: &[&Point], scale: &Scale, across: &impl Fn(Time) -> f64) -> String {
    let mut way = String::new();
    for point in points.iter().filter(|point| point.value.is_finite()) {
        let head = if way.is_empty() { 'M' } else { 'L' };
        // Writing to a String cannot fail.
        let _ = write!(way, "{head}{} {}", across(point.at), scale.down(point.value));
    }
    way
}

fn area(points: &[&Point], scale: &Scale, across: &impl Fn(Time) -> f64) -> Option<String> {
    let banded: Vec<(f64, f64, f64)> =
        points.iter().filter_map(|point| point.band.map(|(low, high)| (across(point.at), low, high))).collect();
    if banded.len() < 2 {
        return None;
    }
    let mut area = String::new();
    for (x, _, high) in &banded {
        let head = if area.is_empty() { 'M' } else { 'L' };
        let _ = write!(area, "{head}{x} {}", scale.down(*high));
    }
    for (x, low, _) in banded.iter().rev() {
        let _ = write!(area, "L{x} {}", scale.down(*low));
    }
    area.push('Z');
    Some(area)
}

fn told(chart: &Line<'_>, point: &Point) -> String {
    let format = chart.format;
    let mut told = format!("{}\n{}", (chart.moment)(point.at), format(point.value));
    if let Some((low, high)) = point.band {
        let _ = write!(told, " [{}, {}]", format(low), format(high));
    }
    if !point.note.is_empty() {
        let _ = write!(told, "\n{}", point.note);
    }
    told
}

fn table(chart: &Line<'_>, points: &[&Point]) -> Markup {
    let format = chart.format;
    let banded = points.iter().any(|point| point.band.is_some());
    html! {
        details.values {
            summary { "Values" }
            div.wide role="region" aria-label={ (chart.label) ", as a table" } tabindex="0" {
                table {
                    thead { tr {
                        th scope="col" { "Time" }
                        th.num scope="col" { (chart.value) }
                        @if banded { th.num scope="col" { "Low" } th.num scope="col" { "High" } }
                        @if let Some(notes) = chart.notes { th.num scope="col" { (notes) } }
                    } }
                    tbody { @for point in points.iter().rev() { tr {
                        td { ((chart.moment)(point.at)) }
                        td.num { (format(point.value)) }
                        @if banded {
                            td.num { @if let Some((low, _)) = point.band { (format(low)) } }
                            td.num { @if let Some((_, high)) = point.band { (format(high)) } }
                        }
                        @if chart.notes.is_some() { td.num { (point.note) } }
                    } } }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(hour: i64, value: f64, band: Option<(f64, f64)>) -> Point {
        Point { at: Time::from_micros(hour * 3_600_000_000), value, band, note: "n".to_owned() }
    }

    #[test]
    fn any_points_make_a_chart_within_its_frame() {
        let many: Vec<Point> = (0..5_000).map(|hour| point(hour, hour as f64, None)).collect();
        for points in [
            vec![],
            vec![point(0, 0.1, None)],
            vec![point(0, f64::NAN, None), point(1, 1.0, Some((f64::NEG_INFINITY, f64::INFINITY)))],
            vec![point(0, -1.0, Some((-1.0, 1.0))), point(1, 0.2, Some((0.1, 0.3)))],
            many,
        ] {
            let html = line(&Line { points: &points, within: (-1.0, 1e4), ..Line::default() }).into_string();
            assert!(!html.contains("NaN") && !html.contains("inf"), "{html}");
            assert!(html.matches("<rect").count() <= MAX_POINTS + 1, "{}", html.len());
        }
    }
}

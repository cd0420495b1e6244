//! What happened within a task, one row a span, under each other in time.

use maud::{Markup, html};
use uplift_cycle::detect::bottlenecks;

use super::scale::round;
use crate::dashboard::format;

/// Something that took time.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    /// Microseconds since the Unix epoch.
    pub(crate) start_us: i64,
    pub(crate) end_us: i64,
    /// What it was.
    pub(crate) name: Markup,
    /// The same for those who hover.
    pub(crate) told: String,
    /// A tone of the style sheet: `llm`, `tool`, `task`, `bad`, `idle`.
    pub(crate) tone: &'static str,
    /// What is said of it at the end of its row.
    pub(crate) aside: Markup,
    /// How deep it is nested.
    pub(crate) depth: usize,
}

impl Span {
    /// How long it took, milliseconds.
    pub(crate) fn took_ms(&self) -> f64 {
        self.end_us.saturating_sub(self.start_us) as f64 / 1e3
    }

    fn is_moment(&self) -> bool {
        self.end_us <= self.start_us
    }
}

/// Deepest nesting that is shown.
const MAX_DEPTH: usize = 6;

/// How long the end waited for each span, microseconds; none for those it did not wait for. The `whole` span of the
/// task itself is none of them.
pub(crate) fn critical(spans: &[Span], whole: impl Fn(usize) -> bool) -> Vec<Option<i64>> {
    let steps = || spans.iter().enumerate().filter(|(place, _)| !whole(*place));
    let around = bottlenecks::Span {
        start_us: steps().map(|(_, span)| span.start_us).min().unwrap_or_default(),
        end_us: steps().map(|(_, span)| span.end_us).max().unwrap_or_default(),
        parent: None,
    };
    let within = spans.iter().enumerate().map(|(place, span)| bottlenecks::Span {
        start_us: span.start_us,
        end_us: span.end_us,
        parent: (!whole(place)).then_some(0),
    });
    let tree: Vec<bottlenecks::Span> = std::iter::once(around).chain(within).collect();
    bottlenecks::waited_for(&tree, 0).into_iter().skip(1).collect()
}

/// Draws them in the order given.
pub(crate) fn waterfall(spans: &[Span], on_path: &[Option<i64>]) -> Markup {
    let start = spans.iter().map(|span| span.start_us).min().unwrap_or_default();
    let end = spans.iter().map(|span| span.end_us).max().unwrap_or_default();
    let whole = end.saturating_sub(start).max(1) as f64;
    let across = |us: i64| round(100.0 * us.saturating_sub(start) as f64 / whole);
    html! {
        div.wide role="region" aria-label="Waterfall" tabindex="0" {
            table.waterfall {
                thead { tr {
                    th scope="col" { "What" }
                    th scope="col" { span.ends { span { "0" } span { (format::millis(whole / 1e3)) } } }
                    th.num scope="col" { "Took" }
                    th scope="col" { "" }
                } }
                tbody {
                    @for (span, waited) in spans.iter().zip(on_path) {
                        @let critical = waited.is_some();
                        @let depth = format!("depth{}", span.depth.min(MAX_DEPTH));
                        tr.critical[critical] {
                            td.(depth) { (span.name) @if critical { span.sr { " (on the critical path)" } } }
                            td {
                                svg.fall width="100%" height="16" role="img" aria-label=(span.told) {
                                    title { (span.told) }
                                    @if span.is_moment() {
                                        circle.(span.tone) cx={ (across(span.start_us)) "%" } cy="8" r="3" {}
                                    } @else {
                                        rect.(span.tone) x={ (across(span.start_us)) "%" } y="3" height="10" rx="1"
                                            width={ (round((across(span.end_us) - across(span.start_us)).max(0.3))) "%" } {}
                                    }
                                }
                            }
                            td.num { @if !span.is_moment() { (format::millis(span.took_ms())) } }
                            td { (span.aside) }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start_us: i64, end_us: i64) -> Span {
        Span { start_us, end_us, name: html! {}, told: String::new(), tone: "tool", aside: html! {}, depth: 0 }
    }

    #[test]
    fn the_critical_path_is_what_the_end_waited_for() {
        // The whole task; a model call, two tools at once of which one is longer, a moment, a last call.
        let spans = [span(0, 100), span(0, 30), span(30, 50), span(30, 70), span(70, 70), span(72, 100)];
        assert_eq!(critical(&spans, |place| place == 0), [None, Some(30), None, Some(40), None, Some(28)]);
        assert_eq!(critical(&[], |_| false), []);
        // Clocks that disagree make no endless way, and no panic.
        let wild = [span(i64::MIN, i64::MAX), span(5, 1)];
        assert_eq!(critical(&wild, |_| false), [Some(i64::MAX), None]);
        waterfall(&wild, &critical(&wild, |_| false));
    }
}

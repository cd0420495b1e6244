//! Amounts side by side, such as those of days; several of one day stand on each other.

use maud::{Markup, html};

use super::scale::{Scale, round};

/// Places that the width is divided into at least: a single bar is no wall.
const MIN_PLACES: usize = 10;

/// One bar.
#[derive(Debug, Clone)]
pub(crate) struct Bar {
    /// What it stands for.
    pub(crate) name: String,
    /// From the bottom up, each with a tone of the style sheet (`plain`, `good`, `bad`, `idle`).
    pub(crate) parts: Vec<(f64, &'static str)>,
}

/// Draws them, with a table of their values; `names` are those of the parts.
pub(crate) fn bars(label: &str, names: &[&str], bars: &[Bar], format: fn(f64) -> String) -> Markup {
    let (Some(first), Some(last)) = (bars.first(), bars.last()) else {
        return html! { p.muted { "Nothing was seen yet." } };
    };
    let total = |bar: &Bar| bar.parts.iter().map(|(value, _)| value.max(0.0)).sum::<f64>();
    let scale = Scale::holding(1.0, bars.iter().map(total).chain([0.0]));
    let width = 1_000.0 / bars.len().max(MIN_PLACES) as f64;
    let told = |bar: &Bar| {
        let parts: Vec<String> =
            names.iter().zip(&bar.parts).map(|(name, (value, _))| format!("{name} {}", format(*value))).collect();
        format!("{}\n{}", bar.name, parts.join("\n"))
    };
    html! {
        figure.chart {
            div.plot {
                div.y aria-hidden="true" { @for tick in scale.ticks() { span { (format(tick)) } } }
                svg viewBox="0 0 1000 100" preserveAspectRatio="none" role="img"
                    aria-label={ (label) ", from " (first.name) " to " (last.name) } {
                    @for tick in scale.ticks() { path.grid d={ "M0 " (scale.down(tick)) "H1000" } {} }
                    @for (place, bar) in bars.iter().enumerate() {
                        @let left = round(width * place as f64 + width * 0.12);
                        @for (low, high, tone) in stacked(bar) {
                            rect.bar.(tone) x=(left) width=(round(width * 0.76)) y=(scale.down(high))
                                height=(round(scale.down(low) - scale.down(high))) {}
                        }
                        rect.hit x=(round(width * place as f64)) y="0" width=(round(width)) height="100" { title { (told(bar)) } }
                    }
                }
                div.x aria-hidden="true" { @if bars.len() >= MIN_PLACES { span { (first.name) } span { (last.name) } } @else if bars.len() > 1 { span { (first.name) " – " (last.name) } } @else { span { (first.name) } } }
            }
            details.values {
                summary { "Values" }
                div.wide role="region" aria-label={ (label) ", as a table" } tabindex="0" {
                    table {
                        thead { tr { th scope="col" { "Day" } @for name in names { th.num scope="col" { (name) } } } }
                        tbody { @for bar in bars.iter().rev() { tr {
                            td { (bar.name) }
                            @for (value, _) in &bar.parts { td.num { (format(*value)) } }
                        } } }
                    }
                }
            }
        }
    }
}

fn stacked(bar: &Bar) -> Vec<(f64, f64, &'static str)> {
    let mut low = 0.0;
    let mut parts = Vec::with_capacity(bar.parts.len());
    for (value, tone) in &bar.parts {
        let high = low + value.max(0.0);
        if high > low {
            parts.push((low, high, *tone));
        }
        low = high;
    }
    parts
}

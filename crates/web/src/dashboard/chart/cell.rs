//! Drawings within a row of a table.

use maud::{Markup, html};

use super::scale::round;
use crate::dashboard::format;

/// Where a change lies on an axis from -1 to 1, percent. The middle is stretched, so that a change of a few percent can
/// be told from none.
fn place(change: f64) -> f64 {
    let change = change.clamp(-1.0, 1.0);
    round(50.0 + 50.0 * change.signum() * change.abs().sqrt())
}

/// A relative change with its interval; `margin` is the worsening that is allowed.
pub(crate) fn interval(estimate: f64, low: f64, high: f64, margin: Option<f64>) -> Markup {
    if !(estimate.is_finite() && low.is_finite() && high.is_finite()) {
        return html! {};
    }
    let tone = if low > 0.0 {
        "good"
    } else if high < 0.0 {
        "bad"
    } else {
        "open"
    };
    let told = format!("{} [{}, {}]", format::change(estimate), format::change(low), format::change(high));
    html! {
        svg.interval.(tone) width="100%" height="16" role="img" aria-label=(told) {
            title { (told) }
            @if let Some(margin) = margin {
                rect.margin x={ (place(-margin)) "%" } width={ (round(50.0 - place(-margin))) "%" } y="0" height="16" {}
            }
            line.zero x1="50%" x2="50%" y1="0" y2="16" {}
            line.span x1={ (place(low)) "%" } x2={ (place(high)) "%" } y1="8" y2="8" {}
            circle.dot cx={ (place(estimate)) "%" } cy="8" r="3.5" {}
        }
    }
}

/// How far something has come on its way to a threshold, with what is said of it.
pub(crate) fn meter(value: f64, threshold: f64, told: &str) -> Markup {
    let part = if threshold > 0.0 && value.is_finite() { (value / threshold).clamp(0.0, 1.0) } else { 0.0 };
    let tone = if part >= 1.0 { "bad" } else { "open" };
    html! {
        svg.meter.(tone) width="100%" height="8" role="img" aria-label=(told) {
            title { (told) }
            rect.whole x="0" y="0" width="100%" height="8" {}
            rect.part x="0" y="0" width={ (round(100.0 * part)) "%" } height="8" {}
        }
    }
}

/// A part of a whole.
pub(crate) fn share(part: f64, told: &str) -> Markup {
    let part = if part.is_finite() { part.clamp(0.0, 1.0) } else { 0.0 };
    html! {
        svg.meter.open width="100%" height="8" role="img" aria-label=(told) {
            title { (told) }
            rect.whole x="0" y="0" width="100%" height="8" {}
            rect.part x="0" y="0" width={ (round(100.0 * part)) "%" } height="8" {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_is_within_the_cell() {
        assert_eq!(
            [-2.0, -1.0, 0.0, 0.04, 1.0].map(|change| place(change).to_string()),
            ["0", "0", "50", "60", "100"]
        );
        assert_eq!(interval(f64::NAN, 0.0, 0.0, None).into_string(), "");
        assert!(meter(f64::NAN, 0.0, "x").into_string().contains("width=\"0%\""));
    }
}

//! How an entity hangs together with others: what reaches it on the left, what it reaches on the right.

use maud::{Markup, html};

use super::scale::round;
use crate::dashboard::format;

/// Most entities of a side that are drawn; the table has all of them.
const MAX_NODES: usize = 12;
/// Height of a row, and the three columns: where their boxes begin, and how wide they are.
const ROW: f64 = 30.0;
const BOX: f64 = 170.0;
const COLUMNS: [f64; 3] = [4.0, 275.0, 546.0];
const WIDTH: f64 = 720.0;
/// Where the right one of two boxes begins: near enough to fit a phone.
const NEAR: f64 = 224.0;
/// Longest name that fits, characters.
const MAX_NAME: usize = 22;

/// An entity at the other end of a tie.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) address: String,
    /// What ties them.
    pub(crate) tie: String,
    /// From 0 to 1.
    pub(crate) strength: f64,
}

/// Draws them.
pub(crate) fn graph(middle: &str, left: &[Node], right: &[Node]) -> Markup {
    let rows = left.len().max(right.len()).clamp(1, MAX_NODES);
    let height = ROW * rows as f64 + 8.0;
    let centre = height / 2.0;
    // A side without anybody takes no room.
    let (at, width) = match (left.is_empty(), right.is_empty()) {
        (false, false) => (COLUMNS, WIDTH),
        (true, _) => ([COLUMNS[0], COLUMNS[0], NEAR], NEAR + BOX + 4.0),
        (false, true) => ([COLUMNS[0], NEAR, NEAR], NEAR + BOX + 4.0),
    };
    let one_sided = width < WIDTH;
    let label = format!("{middle}: {} before it, {} after it", left.len(), right.len());
    html! {
        div.wide role="region" aria-label="Graph of relationships" tabindex="0" {
            svg.graph.one-sided[one_sided] width=(width) height=(height) viewBox={ "0 0 " (width) " " (height) } role="group" aria-label=(label) {
                (side(left, at[0], at[0] + BOX, at[1], height, centre))
                (side(right, at[2], at[2], at[1] + BOX, height, centre))
                rect.middle x=(at[1]) y=(round(centre - 12.0)) width=(BOX) height="24" rx="3" {}
                text x=(at[1] + BOX / 2.0) y=(round(centre + 4.0)) text-anchor="middle" { (format::cut(middle, MAX_NAME)) }
            }
        }
    }
}

fn side(nodes: &[Node], x: f64, from: f64, to: f64, height: f64, centre: f64) -> Markup {
    let shown = nodes.len().min(MAX_NODES);
    let top = (height - ROW * shown as f64) / 2.0;
    let bend = f64::midpoint(from, to);
    html! {
        @for (place, node) in nodes.iter().take(shown).enumerate() {
            @let y = round(top + ROW * (place as f64 + 0.5));
            @let width = round(0.75 + 2.25 * node.strength.clamp(0.0, 1.0));
            path.tie d={ "M" (from) " " (y) "C" (bend) " " (y) " " (bend) " " (centre) " " (to) " " (centre) }
                stroke-width=(width) { title { (node.tie) " " (format::number(node.strength)) } }
            a href=(node.address) {
                rect x=(x) y=(round(y - 12.0)) width=(BOX) height="24" rx="3" {}
                text x=(x + BOX / 2.0) y=(round(y + 4.0)) text-anchor="middle" { (format::cut(&node.name, MAX_NAME)) }
                title { (node.name) ": " (node.tie) ", strength " (format::number(node.strength)) }
            }
        }
    }
}

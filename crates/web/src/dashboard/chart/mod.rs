//! Charts: drawn by the server as SVG that needs no inline style and no script.
//!
//! Words stand beside the drawing, not in it: a drawing is stretched to the width there is, and letters must not be.
//! Every value can be read on hover and in the table that each chart brings along.
//!
//! In reading order: [`scale`] (ticks), [`line`] (an estimate with its band over time), [`bars`] (amounts by day),
//! [`cell`] (an interval or a share within a row of a table), [`waterfall`] (spans of a task), [`graph`] (how an entity
//! hangs together with others).

mod bars;
mod cell;
mod graph;
mod line;
mod scale;
mod waterfall;

pub(super) use bars::{Bar, bars};
pub(super) use cell::{interval, meter, share};
pub(super) use graph::{Node, graph};
pub(super) use line::{Line, Point, Series, line};
pub(super) use waterfall::{Span, critical, waterfall};

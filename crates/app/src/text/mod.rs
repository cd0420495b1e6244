//! Text for people: what came from events is cleaned, cut to width and laid out.

/// Appends to a `String` in the words of `format!`. Writing to memory cannot fail.
macro_rules! put {
    ($text:expr, $($words:tt)+) => {{
        let _ = std::fmt::Write::write_fmt($text, format_args!($($words)+));
    }};
}
pub(crate) use put;

mod clean;
mod number;
mod table;

pub(crate) use clean::{clean, clip, width};
pub(crate) use number::{bytes, count, duration_ms, percent, plural, short_time};
pub(crate) use table::{Column, Table};

use std::io::{IsTerminal, Write};

/// Widest line where the output is no terminal.
const WIDTH_ELSEWHERE: usize = 160;
/// Narrowest line that tables are laid out for.
const LEAST_WIDTH: usize = 60;

/// How to write to where the output goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Style {
    /// Columns of a line.
    pub(crate) width: usize,
    /// Whether colours are welcome.
    pub(crate) colour: bool,
}

impl Style {
    /// For standard output as it is.
    pub(crate) fn of_stdout() -> Self {
        if !std::io::stdout().is_terminal() {
            return Self { width: WIDTH_ELSEWHERE, colour: false };
        }
        let width = console::Term::stdout().size_checked().map_or(WIDTH_ELSEWHERE, |(_, columns)| columns.into());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { width: width.max(LEAST_WIDTH), colour: !dumb && !refused }
    }

    /// `text` in bold where that is welcome.
    pub(crate) fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// `text` dimmed where that is welcome.
    pub(crate) fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    /// `text` as something good.
    pub(crate) fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// `text` as something bad.
    pub(crate) fn bad(self, text: &str) -> String {
        self.paint("31", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Writes `text` to standard output. A reader that has gone away (`| head`) is no failure.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Writes a JSON value to standard output, indented.
pub(crate) fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    print(&format!("{}\n", serde_json::to_string_pretty(value)?))
}

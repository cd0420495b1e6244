//! Aligned tables, cut to the width of the terminal.

use super::{Style, clean, clip, width};

/// Columns between two columns.
const GAP: usize = 2;
/// The last column is never squeezed below this.
const LEAST_LAST: usize = 20;

/// On which side cells stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Align {
    /// Texts.
    Left,
    /// Numbers.
    Right,
}

/// A column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    title: &'static str,
    align: Align,
    /// Widest it gets.
    most: usize,
}

/// A table; its last column takes what is left of the line.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

impl Column {
    /// A column of texts, at most `most` columns wide.
    pub(crate) const fn text(title: &'static str, most: usize) -> Self {
        Self { title, align: Align::Left, most }
    }

    /// A column of numbers.
    pub(crate) const fn number(title: &'static str) -> Self {
        Self { title, align: Align::Right, most: 16 }
    }
}

impl Table {
    /// A table without rows.
    pub(crate) fn new(columns: impl Into<Vec<Column>>) -> Self {
        Self { columns: columns.into(), rows: Vec::new() }
    }

    /// Adds a row; its cells are cleaned, so texts from events may be given as they are.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| clean(&cell)).collect());
    }

    /// Whether there is nothing to show.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as text, a line a row, each at most `style.width` wide as long as that leaves room for the last
    /// column.
    pub(crate) fn render(&self, style: Style) -> String {
        let widths = self.widths(style.width);
        let titles: Vec<String> = self.columns.iter().map(|column| column.title.to_owned()).collect();
        let mut text = style.bold(&self.line(&titles, &widths));
        text.push('\n');
        for row in &self.rows {
            text.push_str(&self.line(row, &widths));
            text.push('\n');
        }
        text
    }

    fn widths(&self, total: usize) -> Vec<usize> {
        let mut widths: Vec<usize> = self
            .columns
            .iter()
            .enumerate()
            .map(|(place, column)| {
                let cells = self.rows.iter().filter_map(|row| row.get(place)).map(|cell| width(cell)).max();
                cells.unwrap_or(0).min(column.most).max(width(column.title))
            })
            .collect();
        let before: usize = widths.iter().rev().skip(1).map(|width| width + GAP).sum();
        if let Some(last) = widths.last_mut() {
            *last = (*last).min(total.saturating_sub(before).max(LEAST_LAST));
        }
        widths
    }

    fn line(&self, cells: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for ((cell, column), &columns) in cells.iter().zip(&self.columns).zip(widths) {
            let cell = clip(cell, columns);
            let padding = " ".repeat(columns.saturating_sub(width(&cell)));
            match column.align {
                Align::Left => put!(&mut line, "{cell}{padding}"),
                Align::Right => put!(&mut line, "{padding}{cell}"),
            }
            line.push_str(&" ".repeat(GAP));
        }
        line.truncate(line.trim_end().len());
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_fit() {
        let mut table = Table::new([Column::number("ID"), Column::text("AGENT", 8), Column::text("WHAT", 200)]);
        table.row(["1".into(), "support".into(), "short".into()]);
        table.row(["12".into(), "a-very-long-name".into(), "\u{1b}[31mword ".repeat(30)]);
        let text = table.render(Style { width: 60, colour: false });
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "ID  AGENT     WHAT");
        assert_eq!(lines[1], " 1  support   short");
        assert!(lines[2].starts_with("12  a-very-…  word word"), "{}", lines[2]);
        assert!(width(lines[2]) <= 60 && lines[2].ends_with('…'), "{}", lines[2]);
        assert!(!text.contains('\u{1b}'));
    }
}

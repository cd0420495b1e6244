//! Reports, which we write ourselves in a small part of Markdown: headings, lists, tables, code, plain words. Whatever else
//! stands in one is shown as it is.

use maud::{Markup, html};

/// What lines are a part of.
enum Block<'a> {
    Heading(&'a str),
    Items(Vec<&'a str>),
    Table(Vec<Vec<&'a str>>),
    Words(Vec<&'a str>),
}

/// A report for people. Headings begin at the third level: the page has those above.
pub(super) fn render(report: &str) -> Markup {
    html! {
        div.report { @for block in blocks(report) { @match block {
            Block::Heading(text) => h3 { (inline(text)) },
            Block::Items(items) => ul { @for item in items { li { (inline(item)) } } },
            Block::Words(lines) => p { @for line in lines { (inline(line)) " " } },
            Block::Table(rows) => (table(&rows)),
        } } }
    }
}

fn blocks(report: &str) -> Vec<Block<'_>> {
    let mut blocks: Vec<Block<'_>> = Vec::new();
    let mut open = false;
    for line in report.lines().map(str::trim_end) {
        if line.is_empty() {
            open = false;
            continue;
        }
        let heading = line.trim_start_matches('#');
        if heading.len() < line.len() && heading.starts_with(' ') {
            blocks.push(Block::Heading(heading.trim_start()));
            open = false;
        } else if let Some(item) = line.strip_prefix("- ") {
            match blocks.last_mut() {
                Some(Block::Items(items)) if open => items.push(item),
                _ => blocks.push(Block::Items(vec![item])),
            }
            open = true;
        } else if let Some(row) = line.strip_prefix('|').and_then(|line| line.strip_suffix('|')) {
            let cells = cells(row);
            match blocks.last_mut() {
                Some(Block::Table(rows)) if open => rows.push(cells),
                _ => blocks.push(Block::Table(vec![cells])),
            }
            open = true;
        } else {
            match blocks.last_mut() {
                Some(Block::Words(lines)) if open => lines.push(line),
                _ => blocks.push(Block::Words(vec![line])),
            }
            open = true;
        }
    }
    blocks
}

/// The cells of a row; an escaped bar is part of its cell.
fn cells(row: &str) -> Vec<&str> {
    let (mut cells, mut start, mut escaped) = (Vec::new(), 0, false);
    for (place, character) in row.char_indices() {
        if character == '|' && !escaped {
            cells.push(row[start..place].trim());
            start = place + 1;
        }
        escaped = character == '\\' && !escaped;
    }
    cells.push(row[start..].trim());
    cells
}

fn table(rows: &[Vec<&str>]) -> Markup {
    let rules = |row: &[&str]| {
        row.iter().all(|cell| !cell.is_empty() && cell.bytes().all(|byte| matches!(byte, b'-' | b':')))
    };
    let (head, body) = match rows {
        [head, line, body @ ..] if rules(line) => (Some(head), body),
        body => (None, body),
    };
    html! {
        div.wide role="region" aria-label="Table of the report" tabindex="0" {
            table {
                @if let Some(head) = head { thead { tr { @for cell in head { th scope="col" { (inline(cell)) } } } } }
                tbody { @for row in body { tr { @for cell in row { td { (inline(cell)) } } } } }
            }
        }
    }
}

/// Words with code spans; backslashes before signs fall away.
fn inline(text: &str) -> Markup {
    let mut parts: Vec<(bool, String)> = vec![(false, String::new())];
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let code = parts.last().is_some_and(|(code, _)| *code);
        match character {
            '`' => parts.push((!code, String::new())),
            '\\' if !code && characters.peek().is_some_and(char::is_ascii_punctuation) => {
                let next = characters.next().unwrap_or('\\');
                if let Some((_, part)) = parts.last_mut() {
                    part.push(next);
                }
            }
            other => {
                if let Some((_, part)) = parts.last_mut() {
                    part.push(other);
                }
            }
        }
    }
    html! { @for (code, part) in parts { @if code { code { (part) } } @else { (part) } } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_shown_and_nothing_in_them_acts() {
        let report = "# Improvement 1 of `a`: kept\n\n- one \\_two\\_\n- `<b>`\n\n| a | b |\n|---|---|\n| x \\| y | <i> |\n\nWords [link](javascript:alert(1)) <script>\n";
        let html = render(report).into_string();
        assert_eq!(
            html,
            "<div class=\"report\"><h3>Improvement 1 of <code>a</code>: kept</h3><ul><li>one _two_</li>\
             <li><code>&lt;b&gt;</code></li></ul><div class=\"wide\" role=\"region\" aria-label=\"Table of the report\" \
             tabindex=\"0\"><table><thead><tr><th scope=\"col\">a</th><th scope=\"col\">b</th></tr></thead><tbody><tr>\
             <td>x | y</td><td>&lt;i&gt;</td></tr></tbody></table></div><p>Words [link](javascript:alert(1)) \
             &lt;script&gt; </p></div>"
        );
        for odd in ["|", "||", "#", "# ", "`", "\\", "- ", "|-|\n|-|", "|a|\n|-|-|\n|b|c|d|"] {
            render(odd);
        }
    }
}

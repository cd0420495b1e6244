//! Pages in Markdown: their blocks, headings, links, tables and words in code type.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository")
}

/// All pages below a folder of the repository, and of its subfolders, by their path.
pub fn below(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root().join(&folder)).expect("a folder") {
            let entry = entry.expect("an entry");
            let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                folders.push(path);
            } else if entry.path().extension().is_some_and(|ending| ending == "md") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// A page of the repository.
pub struct Page {
    /// Its path from the root.
    pub path: String,
    text: String,
}

/// What stands between two lines of backticks.
#[derive(Debug, PartialEq)]
pub struct Block {
    /// Where it begins, from 1.
    pub line: usize,
    pub language: String,
    /// The file it is said to be.
    pub file: Option<String>,
    pub text: String,
}

impl Page {
    pub fn read(path: &str) -> Self {
        let text = std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        Self { path: path.to_owned(), text }
    }

    pub fn of(text: &str) -> Self {
        Self { path: "page.md".to_owned(), text: text.to_owned() }
    }

    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut open: Option<Block> = None;
        for (number, line) in self.text.lines().enumerate() {
            match (&mut open, line.trim_start().strip_prefix("```")) {
                (Some(_), Some("")) => blocks.extend(open.take()),
                (Some(block), _) => block.text.extend([line, "\n"]),
                (None, Some(info)) => {
                    let mut words = info.split_whitespace().map(str::to_owned);
                    let language = words.next().unwrap_or_default();
                    open = Some(Block { line: number + 1, language, file: words.next(), text: String::new() });
                }
                (None, None) => {}
            }
        }
        assert_eq!(open, None, "{}: a block has no end", self.path);
        for block in &mut blocks {
            let named = block.text.lines().next().and_then(file_in_comment);
            block.file = block.file.take().or(named);
        }
        blocks
    }

    /// Its lines outside of blocks, numbered from 1.
    pub fn prose(&self) -> Vec<(usize, &str)> {
        let mut inside = false;
        let mut lines = Vec::new();
        for (number, line) in self.text.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                inside = !inside;
            } else if !inside {
                lines.push((number + 1, line));
            }
        }
        lines
    }

    /// The anchors of its headings, as GitHub makes them.
    pub fn anchors(&self) -> BTreeSet<String> {
        let mut times: HashMap<String, usize> = HashMap::new();
        let mut anchors = BTreeSet::new();
        for (_, line) in self.prose() {
            let Some(heading) = line.strip_prefix('#').map(|rest| rest.trim_start_matches('#')) else { continue };
            let anchor = slug(heading.trim());
            let time = times.entry(anchor.clone()).or_default();
            anchors.insert(if *time == 0 { anchor } else { format!("{anchor}-{time}") });
            *time += 1;
        }
        anchors
    }

    /// Where its links and pictures lead, with their lines.
    pub fn links(&self) -> Vec<(usize, String)> {
        let mut links = Vec::new();
        for (number, line) in self.prose() {
            let line = without_code(line);
            for (begin, end) in [("](", ')'), ("src=\"", '"'), ("srcset=\"", '"'), ("href=\"", '"')] {
                for (at, _) in line.match_indices(begin) {
                    let rest = &line[at + begin.len()..];
                    links.extend(rest.find(end).map(|end| (number, rest[..end].to_owned())));
                }
            }
        }
        links
    }

    /// What its prose has in code type, broken lines made whole.
    pub fn code(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut paragraph = String::new();
        for (_, line) in self.prose().into_iter().chain([(0, "")]) {
            if line.trim().is_empty() || line.starts_with('|') || line.starts_with("- ") {
                found.extend(spans(&paragraph));
                paragraph.clear();
            }
            paragraph.extend([line.trim(), " "]);
        }
        found.extend(spans(&paragraph));
        found
    }

    /// The rows of its tables below each heading, with the heading: cells without the code type around them.
    pub fn rows(&self) -> Vec<(String, Vec<String>)> {
        let mut heading = String::new();
        let mut rows = Vec::new();
        for (_, line) in self.prose() {
            if let Some(text) = line.strip_prefix('#') {
                text.trim_start_matches('#').trim().clone_into(&mut heading);
            } else if let Some(row) = line.strip_prefix('|').and_then(|row| row.trim_end().strip_suffix('|')) {
                let cells: Vec<String> = row.replace("\\|", "\u{1}").split('|').map(cell).collect();
                if !cells.iter().all(|cell| cell.chars().all(|character| "-: ".contains(character))) {
                    rows.push((heading.clone(), cells));
                }
            }
        }
        rows
    }
}

fn cell(text: &str) -> String {
    text.replace('\u{1}', "|").trim().to_owned()
}

/// The words between single backticks of a paragraph.
fn spans(paragraph: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut parts = paragraph.split('`');
    while let (Some(_), Some(code)) = (parts.next(), parts.next()) {
        if !code.is_empty() {
            found.push(code.to_owned());
        }
    }
    found
}

fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("`")
}

/// The file that a comment on a block's first line names: `# change.yaml`, perhaps with more behind a colon.
fn file_in_comment(line: &str) -> Option<String> {
    let rest = line.strip_prefix("# ").or_else(|| line.strip_prefix("// "))?;
    let name = rest.split([':', ' ']).next()?;
    let (stem, ending) = name.rsplit_once('.')?;
    let known = ["yaml", "json", "ndjson", "toml", "py", "sh", "service", "txt"];
    (!stem.is_empty() && !stem.starts_with('/') && known.contains(&ending)).then(|| name.to_owned())
}

fn slug(heading: &str) -> String {
    let plain: String =
        heading.chars().filter(|character| character.is_alphanumeric() || " -_".contains(*character)).collect();
    plain.to_lowercase().replace(' ', "-")
}

#[test]
fn blocks_are_found_with_their_files() {
    let page = Page::of(
        "# A\n```console\n$ a\n```\ntext `b` and `c\nd`\n```yaml\n# change.yaml: why\nx: 1\n```\n```json e.json\n{}\n```\n",
    );
    let files: Vec<_> = page.blocks().into_iter().map(|block| (block.language, block.line, block.file)).collect();
    let named = |name: &str| Some(name.to_owned());
    assert_eq!(
        files,
        [
            ("console".to_owned(), 2, None),
            ("yaml".to_owned(), 7, named("change.yaml")),
            ("json".to_owned(), 11, named("e.json")),
        ]
    );
    assert_eq!(page.code(), ["b", "c d"]);
}

#[test]
fn anchors_and_links_are_those_of_github() {
    let page = Page::of("# A b, c!\n## `[x]`\n## A b, c!\n[l](a.md#b) `[no](x)` <img src=\"i.png\">\n");
    assert_eq!(page.anchors().into_iter().collect::<Vec<_>>(), ["a-b-c", "a-b-c-1", "x"]);
    assert_eq!(page.links(), [(4, "a.md#b".to_owned()), (4, "i.png".to_owned())]);
}

//! The paths a Rust file names, with the groups of `use` written out.

/// One path such as `std::fs::read`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CodePath {
    /// From 1.
    pub(super) line: usize,
    pub(super) segments: Vec<String>,
}

impl CodePath {
    pub(super) fn first(&self) -> &str {
        &self.segments[0]
    }

    /// Whether the path has these segments next to each other, anywhere in it.
    pub(super) fn contains(&self, wanted: &[&str]) -> bool {
        self.segments.windows(wanted.len()).any(|window| window == wanted)
    }
}

/// All paths in code that was blanked by [`super::source::Source`], lone names included.
pub(super) fn paths(code: &str) -> Vec<CodePath> {
    let breaks = code.match_indices('\n').map(|(at, _)| at).collect();
    let mut reader = Reader { code, bytes: code.as_bytes(), breaks, at: 0, found: Vec::new() };
    while reader.at < reader.bytes.len() {
        if reader.at_word() {
            reader.path(&[]);
        } else {
            reader.at += 1;
        }
    }
    reader.found
}

struct Reader<'a> {
    code: &'a str,
    bytes: &'a [u8],
    /// Where the lines end: counting them anew for every path would take quadratic time.
    breaks: Vec<usize>,
    at: usize,
    found: Vec<CodePath>,
}

impl Reader<'_> {
    fn at_word(&self) -> bool {
        self.bytes.get(self.at).is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_')
    }

    fn space(&mut self) {
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
    }

    /// Whether `text` comes next, spaces aside; if so, steps over it.
    fn eat(&mut self, text: &str) -> bool {
        let before = self.at;
        self.space();
        if self.bytes[self.at..].starts_with(text.as_bytes()) {
            self.at += text.len();
            return true;
        }
        self.at = before;
        false
    }

    fn word(&mut self) -> String {
        let start = self.at;
        while self.bytes.get(self.at).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_') {
            self.at += 1;
        }
        self.code[start..self.at].to_owned()
    }

    /// Reads one path at a word, below `prefix`.
    fn path(&mut self, prefix: &[String]) {
        let line = self.breaks.partition_point(|end| *end < self.at) + 1;
        let mut segments = prefix.to_vec();
        segments.push(self.word());
        while self.eat("::") {
            self.space();
            if self.at_word() {
                let word = self.word();
                segments.push(word);
            } else if self.eat("{") {
                self.group(&segments);
                return;
            } else {
                break;
            }
        }
        self.found.push(CodePath { line, segments });
    }

    /// Reads what stands between the braces of a `use` group, and the closing one.
    fn group(&mut self, prefix: &[String]) {
        while self.at < self.bytes.len() && !self.eat("}") {
            self.space();
            if self.at_word() {
                self.path(prefix);
            } else {
                self.at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(code: &str) -> Vec<String> {
        paths(code).into_iter().map(|path| format!("{}@{}", path.segments.join("::"), path.line)).collect()
    }

    #[test]
    fn groups_are_written_out() {
        let code = "use std::{\n    fs,\n    io::{self, Read as R},\n};\nuse a::b;";
        // `as` and the new name are read as paths of their own; no check looks for them.
        let expected = [
            "use@1",
            "std::fs@2",
            "std::io::self@3",
            "std::io::Read@3",
            "std::io::as@3",
            "std::io::R@3",
            "use@5",
            "a::b@5",
        ];
        assert_eq!(texts(code), expected);
    }

    #[test]
    fn calls_and_types_are_paths_too() {
        assert!(texts("let t = jiff::Timestamp::now();").contains(&"jiff::Timestamp::now@1".to_owned()));
        assert!(texts("Vec::<std::fs::File>::new()").contains(&"std::fs::File@1".to_owned()));
    }

    #[test]
    fn segments_are_compared_whole() {
        let path = &paths("rand::rngs::SmallRng")[0];
        assert!(!path.contains(&["rand", "rng"]) && path.contains(&["rand", "rngs"]));
        assert_eq!(path.first(), "rand");
    }
}

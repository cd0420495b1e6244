//! Files that pages show: each can be read for what it is, and settings are taken.

use serde_json::Value;

use super::page::{Block, Page};
use super::{guide, has_python};
use crate::support::{folder, run};

fn blocks(language: &str) -> Vec<(String, Block)> {
    let of = |path: String| {
        let blocks = Page::read(&path).blocks().into_iter().filter(|block| block.language == language);
        blocks.map(|block| (format!("{path}:{}", block.line), block)).collect::<Vec<_>>()
    };
    let found: Vec<_> = guide().into_iter().flat_map(of).collect();
    assert!(!found.is_empty(), "no page has {language}");
    found
}

#[test]
fn json_can_be_read() {
    for (place, block) in blocks("json") {
        let whole = serde_json::from_str::<Value>(&block.text);
        // Or one value a line.
        let lines = block.text.lines().try_for_each(|line| serde_json::from_str::<Value>(line).map(drop));
        assert!(whole.is_ok() || lines.is_ok(), "{place}: {whole:?}");
    }
}

#[test]
fn yaml_can_be_read() {
    for (place, block) in blocks("yaml") {
        let read = serde_saphyr::from_str::<Value>(&block.text);
        assert!(read.is_ok(), "{place}: {read:?}");
    }
}

#[test]
fn settings_are_taken() {
    let folder = folder();
    for (place, block) in blocks("toml") {
        let file = folder.path().join("shown.toml");
        std::fs::write(&file, &block.text).unwrap();
        let ran = run(["config", "show", "--config", file.to_str().unwrap()]);
        assert_eq!(ran.code, 0, "{place}: {}", ran.err);
    }
}

#[test]
fn python_can_be_read() {
    if !has_python() {
        println!("skipped: there is no python3");
        return;
    }
    for (place, block) in blocks("python") {
        let mut python = std::process::Command::new("python3");
        python.args(["-c", "import ast, sys; ast.parse(sys.argv[1])", &block.text]);
        let output = python.output().unwrap();
        assert!(output.status.success(), "{place}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

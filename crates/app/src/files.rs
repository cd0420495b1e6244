//! Files that people write: YAML, JSON or TOML, told by the name and, on standard input, by the content.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use serde_json::Value;

/// Largest file that is read, bytes.
const MAX_FILE_BYTES: u64 = 16 << 20;
/// In TOML, where a list cannot stand alone, several things stand in this table: `[[entities]]`.
const LIST: &str = "entities";

/// The things a file describes: documents, the entries of a list, or what stands under `entities`.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<Value>> {
    let name = path.display();
    let (text, extension) = if path.as_os_str() == "-" {
        (bounded(std::io::stdin().lock()).context("cannot read standard input")?, String::new())
    } else {
        let file = std::fs::File::open(path).with_context(|| format!("cannot read {name}"))?;
        let extension = path.extension().map(|end| end.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        (bounded(file).with_context(|| format!("cannot read {name}"))?, extension)
    };
    let things = parse(&text, &extension).with_context(|| format!("{name} cannot be taken; nothing was written"))?;
    if things.is_empty() {
        bail!("there is nothing in {name}");
    }
    Ok(things)
}

fn bounded(reader: impl Read) -> anyhow::Result<String> {
    let mut text = String::new();
    reader.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        bail!("it is larger than {} MiB", MAX_FILE_BYTES >> 20);
    }
    Ok(text)
}

/// The things in a text of this kind of file.
fn parse(text: &str, extension: &str) -> anyhow::Result<Vec<Value>> {
    let documents = match extension {
        "toml" => {
            vec![toml::from_str::<Value>(text).map_err(|error| anyhow!("it is not TOML: {}", first_line(&error)))?]
        }
        "json" | "ndjson" | "jsonl" => json(text)?,
        // JSON, one value after another, is not all YAML; YAML is hardly ever JSON.
        "" if text.trim_start().starts_with(['{', '[']) => json(text)?,
        "yaml" | "yml" | "" => yaml(text)?,
        other => bail!("`.{other}` is no kind of file that is read here: use .yaml, .json or .toml"),
    };
    let mut things = Vec::new();
    for document in documents {
        match document {
            Value::Null => {}
            Value::Array(entries) => things.extend(entries),
            Value::Object(mut fields) if fields.len() == 1 && fields.get(LIST).is_some_and(Value::is_array) => {
                if let Some(Value::Array(entries)) = fields.remove(LIST) {
                    things.extend(entries);
                }
            }
            thing => things.push(thing),
        }
    }
    Ok(things)
}

fn json(text: &str) -> anyhow::Result<Vec<Value>> {
    let values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    values.map(|value| value.map_err(|error| anyhow!("it is not JSON: {error}"))).collect()
}

fn yaml(text: &str) -> anyhow::Result<Vec<Value>> {
    // `yes` and `no` are texts, as in YAML 1.2 and in JSON.
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    serde_saphyr::from_multiple_with_options(text, options).map_err(|error| anyhow!("it is not YAML: {error}"))
}

/// A value as YAML, with long texts as blocks.
pub(crate) fn as_yaml(value: &Value) -> anyhow::Result<String> {
    let mut text = serde_saphyr::to_string(value).context("it cannot be written as YAML")?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

fn first_line(error: &impl ToString) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_of_file_says_the_same() {
        let expected =
            vec![json!({"entity": "agent/x", "edits": [{"edit": "add_context", "name": "faq"}], "n": 1.5})];
        for (extension, text) in [
            ("yaml", "entity: agent/x\nedits:\n  - edit: add_context\n    name: faq\nn: 1.5\n"),
            ("yml", "---\n- entity: agent/x\n  edits: [{edit: add_context, name: faq}]\n  n: 1.5\n"),
            ("json", r#"[{"entity":"agent/x","edits":[{"edit":"add_context","name":"faq"}],"n":1.5}]"#),
            ("", r#"{"entity":"agent/x","edits":[{"edit":"add_context","name":"faq"}],"n":1.5}"#),
            ("", "entity: agent/x\nedits: [{edit: add_context, name: faq}]\nn: 1.5"),
            ("toml", "entity = \"agent/x\"\nedits = [{ edit = \"add_context\", name = \"faq\" }]\nn = 1.5\n"),
            (
                "toml",
                "[[entities]]\nentity = \"agent/x\"\nn = 1.5\n[[entities.edits]]\nedit = \"add_context\"\nname = \"faq\"\n",
            ),
        ] {
            assert_eq!(parse(text, extension).unwrap(), expected, "{extension}: {text}");
        }
        assert_eq!(parse("a: 1\n---\nb: 2\n", "yaml").unwrap(), [json!({"a": 1}), json!({"b": 2})]);
        assert_eq!(parse("{\"a\":1}\n{\"b\":2}\n", "ndjson").unwrap(), [json!({"a": 1}), json!({"b": 2})]);
        assert_eq!(parse("answer: no\n", "yaml").unwrap(), [json!({"answer": "no"})]);
    }

    #[test]
    fn what_cannot_be_read_says_where() {
        // Each line stands for nine of the line before.
        let nine = |name: char, item: &str| format!("{name}: &{name} [{}]\n", [item; 9].join(","));
        let bomb: Vec<String> =
            ('a'..='k')
                .map(|name| {
                    if name == 'a' {
                        nine(name, "x")
                    } else {
                        nine(name, &format!("*{}", char::from(name as u8 - 1)))
                    }
                })
                .collect();
        let bomb = bomb.concat();
        for (extension, text, expected) in [
            ("yaml", "a: [1", "YAML"),
            ("yaml", "a: 1\na: 2\n", "a"),
            ("yaml", bomb.as_str(), "YAML"),
            ("json", "{", "line 1"),
            ("toml", "a = ", "line 1"),
            ("ini", "a=1", "`.ini`"),
        ] {
            let error = format!("{:#}", parse(text, extension).unwrap_err());
            assert!(error.contains(expected), "{extension}: {error}");
            assert!(error.len() < 500, "{extension}: {error}");
        }
    }

    #[test]
    fn yaml_comes_back_as_it_went_out() {
        for value in [
            json!({"instruction": {"text": "Help.\nAlways.\n"}, "list": [], "empty": {}, "none": null}),
            json!({"odd": ["no", "1", "1.0", "null", "~", " x ", "# x", "a: b", "- a", "'", "\"", "\u{1b}[31m", "é"]}),
            json!([{"n": 1}, {"n": 1.5}, {"n": -3}, {"b": true}, "two\n\nlines", "\ttab", "trailing \nspace"]),
        ] {
            let text = as_yaml(&value).unwrap();
            assert!(!text.contains('\u{1b}'), "{text}");
            assert_eq!(yaml(&text).unwrap(), [value], "{text}");
        }
    }
}

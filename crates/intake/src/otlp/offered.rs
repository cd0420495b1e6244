//! The tools that a model or an agent was offered: their names, by which those are found that are never used.

use serde::Deserialize;

use super::keys::{Field, Seen};
use super::names::name;
use super::read::Read;
use super::text::string;
use super::view::Value;

/// Most tools of one span.
const MAX_TOOLS: usize = 256;
/// Longest list of definitions, and longest definition, that is read, bytes.
const MAX_BYTES: usize = 256 << 10;
/// Tools of `OpenInference`: a number, and what is said of the tool with it.
const INFERENCE: &str = "llm.tools.";
/// Tools of Traceloop, in the same way.
const TRACELOOP: &str = "llm.request.functions.";

/// A tool as it is defined to a model, in one of several forms.
#[derive(Deserialize)]
#[serde(untagged)]
enum Definition {
    /// By itself, or within `function`.
    Known { name: Option<String>, function: Option<Function> },
    /// JSON within JSON, as Vercel's AI SDK writes it.
    Text(String),
    /// Something else.
    Other(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
struct Function {
    name: String,
}

impl Definition {
    fn name(self) -> Option<String> {
        match self {
            Self::Known { name, function } => name.or_else(|| Some(function?.name)),
            Self::Text(text) => match serde_json::from_str(&text).ok()? {
                Self::Known { name, function } => name.or_else(|| Some(function?.name)),
                _ => None,
            },
            Self::Other(_) => None,
        }
    }
}

/// Names of tools, each once, as a list in JSON.
#[derive(Default)]
struct Names {
    list: String,
    seen: Seen,
    count: usize,
}

impl Names {
    fn put(&mut self, text: &str) {
        let Some(name) = name(text) else { return };
        if self.count < MAX_TOOLS && self.seen.insert(&name) {
            self.list.push(if self.count == 0 { '[' } else { ',' });
            string(&mut self.list, &name);
            self.count += 1;
        }
    }
}

/// The names of the tools that a span offers, as a list in JSON; none if it says nothing of them.
pub(super) fn offered(read: &Read<'_, '_>) -> Option<String> {
    let mut names = Names::default();
    if let Some(text) = read.value(Field::Offered).and_then(Value::said).filter(|text| text.len() <= MAX_BYTES) {
        let definitions: Vec<Definition> = serde_json::from_str(&text).unwrap_or_default();
        definitions.into_iter().filter_map(Definition::name).for_each(|name| names.put(&name));
    }
    for attribute in read.items() {
        let Some((form, text)) = numbered(&attribute.key).zip(attribute.value.text()) else { continue };
        match form {
            Form::Name => names.put(text),
            Form::Definition if text.len() <= MAX_BYTES => {
                let definition = serde_json::from_str::<Definition>(text).ok();
                definition.and_then(Definition::name).iter().for_each(|name| names.put(name));
            }
            Form::Definition => {}
        }
    }
    (names.count > 0).then(|| names.list + "]")
}

/// How an attribute speaks of one tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Name,
    Definition,
}

fn numbered(key: &str) -> Option<Form> {
    if let Some(rest) = key.strip_prefix(TRACELOOP) {
        return (after_number(rest)? == ".name").then_some(Form::Name);
    }
    match after_number(key.strip_prefix(INFERENCE)?)? {
        ".tool.name" => Some(Form::Name),
        ".tool.json_schema" => Some(Form::Definition),
        _ => None,
    }
}

fn after_number(rest: &str) -> Option<&str> {
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    rest.get(digits..).filter(|_| digits > 0)
}

//! What is left of attributes when no text is kept: names, numbers and types.

use serde_json::Value;

/// Longest text that may be a name, bytes.
const MAX_NAME_BYTES: usize = 128;

/// Words in the keys of what people, models and tools said.
const TEXTS: &[&str] = &[
    "answer",
    "answers",
    "argument",
    "arguments",
    "args",
    "body",
    "completion",
    "completions",
    "content",
    "contents",
    "description",
    "document",
    "documents",
    "input",
    "inputs",
    "instruction",
    "instructions",
    "kwargs",
    "message",
    "messages",
    "msg",
    "output",
    "outputs",
    "parameters",
    "params",
    "payload",
    "prompt",
    "prompts",
    "query",
    "question",
    "reasoning",
    "response",
    "responses",
    "result",
    "results",
    "stacktrace",
    "stderr",
    "stdout",
    "template",
    "text",
    "texts",
    "thought",
    "thoughts",
    "transcript",
    "value",
    "values",
    "variables",
];

/// Words at the end of keys of what is no text whatever comes before: `gen_ai.response.model`, `prompt.version`.
const NAMES: &[&str] = &[
    "code", "format", "hash", "id", "kind", "model", "name", "reason", "reasons", "role", "status", "type", "version",
];

/// The object without texts; none where nothing is left, or where it cannot be read.
pub(super) fn without_texts(attributes: &str) -> Option<String> {
    let mut value: Value = serde_json::from_str(attributes).ok()?;
    let fields = value.as_object_mut()?;
    fields.retain(|key, value| keep(key, value));
    if fields.is_empty() { None } else { Some(value.to_string()) }
}

/// Takes the texts out of a value under this key. Says whether the value stays.
fn keep(key: &str, value: &mut Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
        _ if holds_text(key) => false,
        Value::String(text) => text.len() <= MAX_NAME_BYTES,
        Value::Array(items) => {
            items.retain_mut(|item| keep(key, item));
            !items.is_empty()
        }
        Value::Object(fields) => {
            fields.retain(|key, value| keep(key, value));
            !fields.is_empty()
        }
    }
}

/// Whether a key is that of what somebody said: one of its words says so, and the last one does not say otherwise.
fn holds_text(key: &str) -> bool {
    let words = words(key);
    let last = words.iter().rev().find(|word| !word.bytes().all(|byte| byte.is_ascii_digit()));
    last.is_some_and(|word| !NAMES.contains(&word.as_str()))
        && words.iter().any(|word| TEXTS.contains(&word.as_str()))
}

/// The words of a key, in lower case: `llm.input_messages.0.toolCalls` has six.
fn words(key: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for character in key.chars() {
        let begins = character.is_uppercase() && was_lower;
        was_lower = character.is_lowercase();
        if begins || !character.is_alphanumeric() {
            words.push(String::new());
        }
        if character.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(character.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_numbers_and_types_stay() {
        let table = [
            (
                r#"{"arguments":{"order":4711},"tools":["a","b"],"task_class":"refund"}"#,
                r#"{"task_class":"refund","tools":["a","b"]}"#,
            ),
            (r#"{"gen_ai.input.messages":"[]","gen_ai.usage.input_tokens":5}"#, r#"{"gen_ai.usage.input_tokens":5}"#),
            (
                r#"{"gen_ai.prompt.0.content":"x","gen_ai.prompt.0.role":"user"}"#,
                r#"{"gen_ai.prompt.0.role":"user"}"#,
            ),
            (
                r#"{"gen_ai.response.model":"m","gen_ai.output.type":"json"}"#,
                r#"{"gen_ai.output.type":"json","gen_ai.response.model":"m"}"#,
            ),
            (r#"{"input.value":"q","input.mime_type":"text/plain"}"#, r#"{"input.mime_type":"text/plain"}"#),
            (
                r#"{"exception.message":"m","exception.type":"T","exception.stacktrace":"s"}"#,
                r#"{"exception.type":"T"}"#,
            ),
            (r#"{"toolArguments":"x","request":{"Messages":["x"],"model":"m"}}"#, r#"{"request":{"model":"m"}}"#),
            (
                r#"{"contexts":["refund_policy"],"score":0.5,"ok":true,"none":null}"#,
                r#"{"contexts":["refund_policy"],"none":null,"ok":true,"score":0.5}"#,
            ),
        ];
        for (sent, expected) in table {
            let left: Value = serde_json::from_str(&without_texts(sent).unwrap()).unwrap();
            assert_eq!(left, serde_json::from_str::<Value>(expected).unwrap(), "{sent}");
        }
    }

    #[test]
    fn what_is_longer_than_a_name_is_none() {
        let long = format!(r#"{{"note":"{}","tags":["{}"]}}"#, "x".repeat(129), "y".repeat(500));
        assert_eq!(without_texts(&long), None);
        assert_eq!(without_texts("[1]"), None);
        assert_eq!(without_texts("no json"), None);
    }
}

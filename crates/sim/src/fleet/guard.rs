//! What guards refuse.

use serde_json::Value;
use uplift_model::revision::GuardCheck;

/// Whether these arguments pass. A guard looks at the field it names and at nothing else; a field that is not there
/// passes every check but "required", so that a check of a value does not demand one.
pub fn passes(check: &GuardCheck, arguments: &Value) -> bool {
    match check {
        GuardCheck::Required { field } => arguments.get(field).is_some_and(|value| !is_empty(value)),
        GuardCheck::Length { field, min, max } => given(arguments, field, |value| {
            let length = value.as_str().map(|text| text.chars().count());
            length.is_some_and(|length| (*min as usize..=*max as usize).contains(&length))
        }),
        GuardCheck::Range { field, min, max } => {
            given(arguments, field, |value| value.as_f64().is_some_and(|number| (*min..=*max).contains(&number)))
        }
        GuardCheck::Type { field, json_type } => given(arguments, field, |value| type_of(value) == json_type),
    }
}

fn given(arguments: &Value, field: &str, holds: impl Fn(&Value) -> bool) -> bool {
    arguments.get(field).is_none_or(holds)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn checks_hold_what_they_say() {
        let field = || "x".to_owned();
        let range = || GuardCheck::Range { field: field(), min: 1.0, max: 5.0 };
        let length = || GuardCheck::Length { field: field(), min: 1, max: 2 };
        let text = || GuardCheck::Type { field: field(), json_type: "string".to_owned() };
        let required = || GuardCheck::Required { field: field() };
        let table = [
            (required(), json!({"x": 0}), true),
            (required(), json!({"x": ""}), false),
            (required(), json!({}), false),
            (range(), json!({"x": 5}), true),
            (range(), json!({"x": 6}), false),
            (range(), json!({}), true),
            (length(), json!({"x": "ab"}), true),
            (length(), json!({"x": "abc"}), false),
            (text(), json!({"x": "1"}), true),
            (text(), json!({"x": 1}), false),
        ];
        for (check, arguments, expected) in table {
            assert_eq!(passes(&check, &arguments), expected, "{check:?} {arguments}");
        }
    }
}

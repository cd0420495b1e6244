use std::sync::LazyLock;

use proptest::prelude::*;
use uplift_model::event::{Clock, EntityRef, EventKind, Source};
use uplift_model::{EntityKey, EntityType, Time};

use super::*;

/// To compile the patterns takes longer than a case does.
static DEFAULT: LazyLock<Redactor> = LazyLock::new(|| Redactor::new(&ContentPolicy::default()).unwrap());

const KEY: &str = "sk-abcdefghijklmnopqrstuvwx";

fn event(content: Option<&str>, attributes: Option<&str>) -> Event {
    Event {
        id: "1".to_owned(),
        ts: Time::from_micros(1),
        clock: Clock::Own,
        kind: EventKind::ToolExecuted,
        environment: "default".to_owned(),
        entity: EntityRef::Key(EntityKey::new(EntityType::Agent, 1)),
        task_id: None,
        parent_task_id: None,
        session_id: None,
        trace_id: None,
        span_id: None,
        tool: Some("book".to_owned()),
        outcome: None,
        duration_ms: None,
        tokens_in: None,
        tokens_out: None,
        tokens_cached: None,
        cost_usd: None,
        error_type: None,
        content: content.map(str::to_owned),
        attributes: attributes.map(str::to_owned),
        exposures: Vec::new(),
        source: Source::Environment,
        link: None,
    }
}

fn policy(capture: ContentCapture, max_bytes: usize, mask: &[&str]) -> ContentPolicy {
    ContentPolicy { capture, max_bytes, mask: mask.iter().map(|&pattern| pattern.to_owned()).collect() }
}

fn masked(patterns: &[&str], text: &str) -> String {
    let redactor = Redactor::new(&policy(ContentCapture::Full, 16, patterns)).unwrap();
    let mut event = event(Some(text), None);
    redactor.redact(&mut event);
    event.content.unwrap()
}

#[test]
fn credentials_are_masked_as_they_come() {
    let redactor = Redactor::new(&ContentPolicy::default()).unwrap();
    let table = [
        (format!("key {KEY}."), "key [masked]."),
        (format!("{KEY} and {KEY}"), "[masked] and [masked]"),
        (format!("ghp_{}", "a1".repeat(18)), "[masked]"),
        ("AKIAABCDEFGHIJKLMNOP".to_owned(), "[masked]"),
        ("Authorization: Bearer abcdefghij+/klmnopqrst==".to_owned(), "Authorization: [masked]"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefghijk".to_owned(), "[masked]"),
        (
            "a task-based desk-top, AKIA and the bearer of it".to_owned(),
            "a task-based desk-top, AKIA and the bearer of it",
        ),
        // JSON in a text, and JSON in that: what stands behind `\n` does not begin with n.
        (format!(r#"{{"a":"see:\n{KEY}\n"}}"#), r#"{"a":"see:\n[masked]\n"}"#),
        (format!(r#"[{{\"a\":\"see:\\n{KEY}\\n\"}}]"#), r#"[{\"a\":\"see:\\n[masked]\\n\"}]"#),
        (format!("größer\u{a0}{KEY}é"), "größer\u{a0}[masked]é"),
    ];
    for (text, expected) in table {
        let mut event = event(Some(&text), None);
        let changed = redactor.mask(&mut event);
        assert_eq!(event.content.as_deref(), Some(expected), "{text}");
        assert_eq!(changed, text != expected);
    }
}

#[test]
fn patterns_do_not_hide_from_each_other_and_marks_are_left_alone() {
    let table: [(&[&str], &str, &str); 8] = [
        (&["abc", "cde"], "xabcdex", "x[masked]x"),
        (&["secret", "(?m)^password.*$"], "password a secret\nnext secret", "[masked]\nnext [masked]"),
        (&[r"\w+"], "ab [masked] cd", "[masked] [masked] [masked]"),
        (&["^whole$"], "whole", "[masked]"),
        (&["^whole$"], "the whole", "the whole"),
        (&[".+"], "a [masked] b", "[masked]"),
        // Half an escape would be left over.
        (&[r"\s+x"], r"a\nx", "a[masked]"),
        (&["(?P<a>x)y", "(?P<a>z)"], "xy z", "[masked] [masked]"),
    ];
    for (patterns, text, expected) in table {
        assert_eq!(masked(patterns, text), expected, "{patterns:?} on {text}");
        assert_eq!(masked(patterns, expected), expected, "{patterns:?} again on {expected}");
    }
}

#[test]
fn texts_in_attributes_are_masked_where_they_stand() {
    let redactor = Redactor::new(&ContentPolicy::default()).unwrap();
    let table = [
        (format!(r#"{{"n": 1.50, "a":"{KEY}" }}"#), r#"{"n": 1.50, "a":"[masked]" }"#.to_owned()),
        (format!(r#"{{"a":["x",{{"b":"say \"{KEY}\""}}]}}"#), r#"{"a":["x",{"b":"say \"[masked]\""}]}"#.to_owned()),
        (r#"{"a":"sk-abcdefghij\u006blmnopqrstuvwx"}"#.to_owned(), r#"{"a":"[masked]"}"#.to_owned()),
        (r#"{"h":"Bearer abcdefghijkl\u002Bmnopqrstuvw"}"#.to_owned(), r#"{"h":"[masked]"}"#.to_owned()),
        (format!(r#"{{"{KEY}":1,"k":"no"}}"#), format!(r#"{{"{KEY}":1,"k":"no"}}"#)),
    ];
    for (sent, expected) in table {
        let mut event = event(None, Some(&sent));
        event.error_type = Some(format!("Bad {KEY}"));
        assert!(redactor.mask(&mut event));
        assert_eq!(event.attributes.as_deref(), Some(expected.as_str()));
        assert_eq!(event.error_type.as_deref(), Some("Bad [masked]"));
    }
}

#[test]
fn long_texts_are_cut_between_characters() {
    let redactor = Redactor::new(&policy(ContentCapture::Truncated, 20, &[])).unwrap();
    let mut event = event(Some("ééééééééééé"), Some(r#"{"n":1,"a":"0123456789012345678901","b":"short\n"}"#));
    redactor.redact(&mut event);
    assert_eq!(event.content.as_deref(), Some("éééééé…[cut]"));
    assert_eq!(event.attributes.as_deref(), Some(r#"{"n":1,"a":"012345678901…[cut]","b":"short\n"}"#));
    // What is masked is short enough.
    let redactor =
        Redactor::new(&ContentPolicy { mask: vec!["x+".to_owned()], ..policy(ContentCapture::Truncated, 20, &[]) });
    let mut event = self::event(Some(&"x".repeat(100)), None);
    redactor.unwrap().redact(&mut event);
    assert_eq!(event.content.as_deref(), Some(MASK));
}

#[test]
fn without_texts_only_names_and_numbers_are_left() {
    let redactor = Redactor::new(&policy(ContentCapture::None, 16, &[])).unwrap();
    let mut event = event(Some("said"), Some(r#"{"arguments":{"seat":12},"count":3}"#));
    redactor.redact(&mut event);
    assert_eq!((event.content.as_deref(), event.attributes.as_deref()), (None, Some(r#"{"count":3}"#)));
    assert!(!redactor.keeps_texts() && !Redactor::keeping_nothing().keeps_texts());
}

#[test]
fn bad_patterns_are_named_with_their_place_and_the_reason() {
    for (pattern, part) in [
        ("(", "unclosed group"),
        (r"\p{Nothing}", "not found"),
        ("a*", "nothing"),
        ("", "nothing"),
        (r"(?:\w{200}){200}", "too large"),
        ("(?=x)", "look-around"),
    ] {
        let error = Redactor::new(&policy(ContentCapture::Full, 16, &["fine", pattern])).unwrap_err();
        let said = error.to_string();
        assert_eq!(error.place, 2);
        assert!(
            said.contains(part) && said.contains("content.mask, pattern 2") && said.lines().count() == 1,
            "{said}"
        );
    }
}

/// Texts of which many hold credentials, whole and broken, beside quotes, escapes and letters of several bytes.
fn texts() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just(KEY.to_owned()),
        Just(format!("gho_{}", "Z9".repeat(20))),
        Just("AKIAABCDEFGHIJKLMNOP".to_owned()),
        Just("bEaReR 0123456789abcdef/+~_-.==".to_owned()),
        Just("eyJ0123456789.0123456789-_.0123456789".to_owned()),
        Just(MASK.to_owned()),
        Just("\\n".to_owned()),
        Just("\\\"".to_owned()),
        Just("\"".to_owned()),
        "[a-zA-Z0-9 .=+/_-]{0,12}",
        "\\PC{0,6}",
        any::<char>().prop_map(String::from),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn values() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        texts().prop_map(serde_json::Value::String),
        any::<i64>().prop_map(serde_json::Value::from),
        Just(serde_json::Value::Null),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::Array),
            proptest::collection::vec((texts(), inner), 0..4)
                .prop_map(|fields| serde_json::Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn redacted_attributes_are_an_object_and_to_redact_again_changes_nothing(
        content in texts(),
        values in proptest::collection::vec((texts(), values()), 0..5),
        capture in prop_oneof![Just(ContentCapture::Full), Just(ContentCapture::Truncated), Just(ContentCapture::None)],
        max_bytes in 16_usize..80,
    ) {
        let redactor = Redactor { capture, max_bytes, ..DEFAULT.clone() };
        let sent = serde_json::Value::Object(values.into_iter().collect());
        let mut once = event(Some(&content), Some(&sent.to_string()));
        redactor.redact(&mut once);
        if let Some(attributes) = &once.attributes {
            prop_assert!(matches!(serde_json::from_str(attributes), Ok(serde_json::Value::Object(_))), "{attributes}");
        }
        if capture == ContentCapture::Truncated {
            prop_assert!(once.content.as_ref().is_none_or(|text| text.len() <= max_bytes));
        }
        let mut twice = once.clone();
        redactor.redact(&mut twice);
        prop_assert_eq!(twice, once);
    }

    #[test]
    fn no_credential_is_left_however_it_is_wrapped(before in texts(), after in texts(), depth in 0_usize..4) {
        const ANOTHER: &str = "pk-zyxwvutsrqponmlkjihgfedcba";
        let mut text = format!("{before} {ANOTHER} {after}");
        for _ in 0..depth {
            text = serde_json::Value::String(text).to_string();
        }
        let sent = serde_json::json!({ "a": [text.as_str()] }).to_string();
        let mut event = event(Some(&text), Some(&sent));
        prop_assert!(DEFAULT.mask(&mut event));
        let left = |text: Option<&str>| text.is_some_and(|text| text.contains(ANOTHER));
        prop_assert!(!left(event.content.as_deref()) && !left(event.attributes.as_deref()));
    }
}

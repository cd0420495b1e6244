//! Streams: formats, boundaries, chunks, and input that is not JSON at all.

mod common;

use common::{DEFAULTS, NOW, decode, decode_with, event_line, show};
use proptest::prelude::*;
use uplift_intake::{Decoder, Item};
use uplift_model::policy::IntakePolicy;

#[test]
fn formats_are_told_apart_and_places_are_counted() {
    let (a, b) = (event_line("a"), event_line("b"));
    let table: [(String, &[&str]); 16] = [
        (format!("{a}\n{b}\n"), &["line 1 a", "line 2 b"]),
        (format!("{a}\r\n\r\n  \n{b}"), &["line 1 a", "line 4 b"]),
        (format!("\u{feff}{a}\n{b}"), &["line 1 a", "line 2 b"]),
        (format!("\n\n  {a}"), &["line 3 a"]),
        (format!("[{a},{b}]"), &["item 0 a", "item 1 b"]),
        (format!("\u{feff} \n[ {a} ,\r\n {b} ]\n"), &["item 0 a", "item 1 b"]),
        ("[]".into(), &[]),
        (String::new(), &[]),
        ("\u{feff}".into(), &[]),
        (" \n\t ".into(), &[]),
        (format!("{a}\nnot json\n{b}"), &["line 1 a", "line 2 malformed_json", "line 3 b"]),
        (format!("[{a},5,{b}]"), &["item 0 a", "item 1 not_an_object", "item 2 b"]),
        (format!("[{a},,{b},]"), &["item 0 a", "item 1 malformed_array", "item 2 b", "item 3 malformed_array"]),
        (format!("[{a}] {b}"), &["item 0 a", "item 1 malformed_array"]),
        (format!("[{a},"), &["item 0 a", "item 1 truncated"]),
        (format!("[{a},{}", &b[..20]), &["item 0 a", "item 1 truncated"]),
    ];
    for (text, expected) in table {
        assert_eq!(show(&decode(text.as_bytes())), expected, "{text}");
    }
}

#[test]
fn brackets_and_commas_in_strings_end_nothing() {
    let tricky = r#"{"id":"a","event_type":"ERROR","agent":"x","content":"]},{\"[\\"}"#;
    assert_eq!(show(&decode(format!("[{tricky},{tricky}]").as_bytes())), ["item 0 a", "item 1 a"]);
}

#[test]
fn where_a_body_breaks_off_is_said_in_bytes() {
    let items = decode(b"[ {\"id\":");
    let Item::Rejection(rejection) = &items[0] else { panic!("{items:?}") };
    assert!(rejection.detail.contains("ends at byte 8"), "{rejection}");
    assert!(rejection.detail.contains("begins at byte 2"), "{rejection}");
    let items = decode(b"{\"id\":\"a\xFF\"}");
    let Item::Rejection(rejection) = &items[0] else { panic!("{items:?}") };
    assert!(rejection.detail.contains("byte offset 8"), "{rejection}");
}

#[test]
fn an_item_over_the_limit_is_dropped_and_the_rest_goes_on() {
    let limits = IntakePolicy { max_event_bytes: 1_024, ..IntakePolicy::default() };
    let long = format!(r#"{{"id":"l","event_type":"ERROR","agent":"x","content":"{}"}}"#, "y".repeat(100_000));
    let short = event_line("s");
    for text in [format!("{short}\n{long}\n{short}"), format!("[{short},{long},{short}]")] {
        let items = decode_with(&limits, text.as_bytes(), &[7]);
        let shown = show(&items);
        assert_eq!(shown.len(), 3, "{shown:?}");
        assert!(shown[1].ends_with("event_too_large") && shown[2].ends_with(" s"), "{shown:?}");
    }
}

#[test]
fn bombs_of_depth_are_refused() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let bomb = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
        let events = [
            bomb.clone(),
            format!(r#"{{"id":"a","event_type":"ERROR","agent":"x","attributes":{{"b":{bomb}}}}}"#),
            format!(r#"{{"id":"a","event_type":"ERROR","agent":"x","content":{bomb}}}"#),
            format!(r#"{{"id":"a","event_type":"ERROR","agent":"x","unknown":{bomb}}}"#),
            format!(r#"{{"id":"a","event_type":"ERROR","agent":"x","exposures":{bomb}}}"#),
            format!(r#"{{"id":{bomb},"event_type":"ERROR","agent":"x"}}"#),
        ];
        for event in events {
            for text in [event.clone(), format!("[{event}]")] {
                let items = decode(text.as_bytes());
                assert!(!items.iter().any(|item| matches!(item, Item::Event(_))), "{}", &text[..60]);
            }
        }
    }
}

/// Cuts `bytes` at places that `cuts` gives, again and again.
fn chunked(bytes: &[u8], cuts: &[usize]) -> Vec<Item> {
    decode_with(&DEFAULTS, bytes, cuts)
}

fn mutated_lines() -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), any::<u8>(), 0..3_u8);
    (prop::collection::vec(change, 0..6), any::<bool>()).prop_map(|(changes, array)| {
        let lines = ["a", "b", "c"].map(event_line);
        let text = if array { format!("[{}]", lines.join(",\n")) } else { lines.join("\n") };
        let mut bytes = text.into_bytes();
        for (place, byte, how) in changes {
            if bytes.is_empty() {
                break;
            }
            let at = place.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        decode(&bytes);
    }

    #[test]
    fn json_like_noise_gives_the_same_items_in_any_chunks(
        text in r#"[\[\]{}",:\\ \n0-9a-zé]{0,80}"#,
        cuts in prop::collection::vec(1..9_usize, 1..20),
    ) {
        prop_assert_eq!(chunked(text.as_bytes(), &cuts), decode(text.as_bytes()));
    }

    #[test]
    fn mutated_events_give_the_same_items_in_any_chunks(
        bytes in mutated_lines(),
        cuts in prop::collection::vec(1..200_usize, 1..20),
    ) {
        prop_assert_eq!(chunked(&bytes, &cuts), decode(&bytes));
    }

    #[test]
    fn random_bytes_with_a_mark_give_the_same_items_in_any_chunks(
        mut bytes in prop::collection::vec(prop::sample::select(vec![0xEF, 0xBB, 0xBF, b'[', b'\n', b'{', b' ', b'1']), 0..12),
        cuts in prop::collection::vec(1..4_usize, 1..8),
    ) {
        bytes.push(b'\n');
        prop_assert_eq!(chunked(&bytes, &cuts), decode(&bytes));
    }
}

#[test]
fn finishing_twice_adds_nothing() {
    let mut decoder = Decoder::new(&DEFAULTS, NOW);
    let mut items = Vec::new();
    decoder.push(b"[1", &mut items);
    decoder.finish(&mut items);
    let once = items.len();
    decoder.finish(&mut items);
    assert_eq!(items.len(), once);
}

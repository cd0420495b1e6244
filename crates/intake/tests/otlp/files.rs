//! Saved requests in the forms that tools write.

use prost::Message;
use uplift_intake::otlp::file::{FileDecoder, encoding};
use uplift_intake::otlp::proto::{ExportLogsServiceRequest, ExportTraceServiceRequest};
use uplift_intake::otlp::{Encoding, OtlpError};

use crate::common::{Setting, data, request, span};

/// The ids of all events of a file that arrives in pieces of this size.
fn ids(kind: Encoding, bytes: &[u8], size: usize) -> Result<Vec<String>, OtlpError> {
    let setting = Setting::default();
    let mut found = Vec::new();
    let mut take =
        |export: uplift_intake::otlp::Export| found.extend(export.events.into_iter().map(|event| event.id));
    let mut decoder = FileDecoder::new(kind);
    for piece in bytes.chunks(size) {
        decoder.push(piece, &setting.context(), &mut take)?;
    }
    decoder.finish(&setting.context(), &mut take)?;
    Ok(found)
}

fn one(id: &str) -> String {
    // Brackets and quotes in texts are no structure.
    request(&[span("a\"}{[\\", &serde_json::json!({"{": "]}"}), &serde_json::json!({"spanId": id}))])
}

#[test]
fn json_of_every_form() {
    let (a, b) = (one("aaaaaaaaaaaaaaaa"), one("bbbbbbbbbbbbbbbb"));
    let inner = a.strip_prefix("{\"resourceSpans\":").and_then(|rest| rest.strip_suffix('}')).unwrap();
    let pretty = serde_json::to_string_pretty(&serde_json::from_str::<serde_json::Value>(&a).unwrap()).unwrap();
    let log = "{\"resourceLogs\":[{\"scopeLogs\":[{\"logRecords\":[{\"severityNumber\":17}]}]}]}";
    let table = [
        (a.clone(), 1),
        (pretty, 1),
        (format!("{a}\n{b}\n"), 2),
        (format!("{a}\r\n\r\n{b}"), 2),
        (format!(" [{a},\n{b}]\n"), 2),
        (format!("{{\"batches\":{inner}}}"), 1),
        (format!("{{\"trace\":{a}}}"), 1),
        (format!("{{\"trace\":{{\"batches\":{inner}}}}}"), 1),
        (format!("{log}\n{a}"), 2),
    ];
    for (text, count) in table {
        assert_eq!(encoding(text.as_bytes()), Some(Encoding::Json), "{text}");
        for size in [1, 7, text.len()] {
            assert_eq!(ids(Encoding::Json, text.as_bytes(), size).map(|ids| ids.len()), Ok(count), "{text}");
        }
    }
    let (whole, unclosed) = (format!("[{a}]"), format!("[{a},"));
    for (text, words) in [
        (&a[..a.len() - 1], "ends within a request"),
        ("{\"resourceSpans\":7}", "invalid type"),
        ("7", "object"),
        ("[[[[", "object"),
        ("]", "object"),
        (&whole[1..], "object"),
        ("[", "ends within an array"),
        (&unclosed, "ends within an array"),
    ] {
        let error = ids(Encoding::Json, text.as_bytes(), 5).unwrap_err();
        assert!(error.detail.contains(words), "{}", error.detail);
    }
}

#[test]
fn protobuf_of_every_form() {
    let encoded = |id: &str| serde_json::from_str::<ExportTraceServiceRequest>(&one(id)).unwrap();
    let (a, b) = (encoded("aaaaaaaaaaaaaaaa"), encoded("bbbbbbbbbbbbbbbb"));
    let log: ExportLogsServiceRequest = serde_json::from_str(
        "{\"resourceLogs\":[{\"scopeLogs\":[{\"logRecords\":[{\"severityNumber\":17,\"timeUnixNano\":\"1769860800000000000\"}]}]}]}",
    )
    .unwrap();
    let framed = |bytes: Vec<u8>| [(bytes.len() as u32).to_be_bytes().as_slice(), &bytes].concat();
    let table = [
        (a.encode_to_vec(), 1),
        ([a.encode_to_vec(), b.encode_to_vec()].concat(), 2),
        ([a.encode_length_delimited_to_vec(), b.encode_length_delimited_to_vec()].concat(), 2),
        ([framed(a.encode_to_vec()), framed(b.encode_to_vec())].concat(), 2),
        (log.encode_to_vec(), 1),
        ([a.encode_length_delimited_to_vec(), log.encode_length_delimited_to_vec()].concat(), 2),
    ];
    for (bytes, count) in table {
        assert_eq!(encoding(&bytes), Some(Encoding::Protobuf));
        assert_eq!(ids(Encoding::Protobuf, &bytes, 11).map(|ids| ids.len()), Ok(count), "{bytes:?}");
    }
    assert!(ids(Encoding::Protobuf, &a.encode_to_vec()[1..], 11).is_err());
}

#[test]
fn what_is_no_otlp_is_told_apart() {
    for text in [
        "",
        "\n",
        "{\"id\":\"1\",\"event_type\":\"ERROR\"}",
        "[{\"id\":\"1\"}]",
        "[]",
        "{}",
        "hello world",
        "\u{1f}\u{8b}",
    ] {
        assert_eq!(encoding(text.as_bytes()), None, "{text}");
    }
    assert_eq!(encoding(&[0x1f, 0x8b, 8, 0, 0]), None, "gzip is unpacked before");
}

#[test]
fn what_tempo_saved() {
    let Some(folder) = data("agentevals") else { return };
    let read = |name: &str| ids(Encoding::Json, &std::fs::read(folder.join(name)).unwrap(), 4_096).unwrap();
    let (saved, converted) = (read("tempo_export_with_batches.json"), read("tempo_export.otlp.json"));
    assert_eq!((saved.len(), &saved), (86, &converted), "the same trace in two forms");
}

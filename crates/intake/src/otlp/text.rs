//! Writing JSON straight into a text, and ids as hex.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

const HEX: &[u8; 16] = b"0123456789abcdef";

/// How many bytes are looked at together.
const CHUNK: usize = 16;

/// Whether a byte must be escaped in a JSON string.
const fn escapes(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Writes a JSON string.
pub(super) fn string(out: &mut String, text: &str) {
    out.push('"');
    let (mut from, mut chunk_at) = (0, 0);
    for chunk in text.as_bytes().chunks(CHUNK) {
        // Without a branch for each byte, most chunks are passed over at once.
        if chunk.iter().fold(false, |any, byte| any | escapes(*byte)) {
            for (at, byte) in chunk.iter().enumerate().filter(|(_, byte)| escapes(**byte)) {
                out.push_str(&text[from..chunk_at + at]);
                from = chunk_at + at + 1;
                escape(out, *byte);
            }
        }
        chunk_at += chunk.len();
    }
    out.push_str(&text[from..]);
    out.push('"');
}

fn escape(out: &mut String, byte: u8) {
    match byte {
        b'"' => out.push_str("\\\""),
        b'\\' => out.push_str("\\\\"),
        b'\n' => out.push_str("\\n"),
        b'\r' => out.push_str("\\r"),
        b'\t' => out.push_str("\\t"),
        _ => {
            out.push_str("\\u00");
            push_hex(out, byte);
        }
    }
}

/// Writes a whole number.
pub(super) fn integer(out: &mut String, number: i64) {
    use std::fmt::Write;
    // Writing to a text does not fail.
    let _ = write!(out, "{number}");
}

/// Writes a number; JSON has no words for what is no number, so those are strings.
pub(super) fn real(out: &mut String, number: f64) {
    if number.is_nan() {
        out.push_str("\"NaN\"");
    } else if number.is_infinite() {
        out.push_str(if number > 0.0 { "\"Infinity\"" } else { "\"-Infinity\"" });
    } else if let Ok(text) = serde_json::to_string(&number) {
        out.push_str(&text);
    }
}

/// Bytes in lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        push_hex(&mut out, *byte);
    }
    out
}

fn push_hex(out: &mut String, byte: u8) {
    out.push(char::from(HEX[usize::from(byte >> 4)]));
    out.push(char::from(HEX[usize::from(byte & 15)]));
}

/// An id from hex, in either case, or from Base64.
pub(super) fn id_bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N {
        let most = N.div_ceil(3) * 4;
        return (text.len() == most).then(|| from_base64(text)).flatten()?.try_into().ok();
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

/// Bytes in Base64.
pub(super) fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD_NO_PAD.decode(text.trim_end_matches('=')).ok()
}

/// The beginning of a text, at most `most` bytes long.
pub(super) fn clip(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most.min(text.len()))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_what_serde_json_writes() {
        for text in [
            "",
            "plain",
            "a text that is longer than one chunk, \"quoted\" é\n",
            "q\"b\\n\n\r\t\u{1}\u{1f}\u{7f}é\u{2028}𝄞",
            "\"",
            "ends\\",
        ] {
            let mut out = String::new();
            string(&mut out, text);
            assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text, "{out}");
        }
    }

    #[test]
    fn numbers() {
        let table = [(0.0, "0.0"), (1.5, "1.5"), (f64::NAN, "\"NaN\""), (f64::NEG_INFINITY, "\"-Infinity\"")];
        for (number, expected) in table {
            let mut out = String::new();
            real(&mut out, number);
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn ids_in_hex_of_either_case_and_in_base64() {
        let bytes = [0x5b, 0x8e, 0xff, 0xf7, 0x98, 0x03, 0x81, 0x03];
        assert_eq!(hex(&bytes), "5b8efff798038103");
        for text in ["5b8efff798038103", "5B8EFFF798038103", "W47/95gDgQM="] {
            assert_eq!(id_bytes::<8>(text), Some(bytes), "{text}");
        }
        for text in ["", "5b8efff79803810", "5b8efff79803810g", "W47/95gDgQM", "W47/95gD!QM=", "é8efff79803810"] {
            assert_eq!(id_bytes::<8>(text), None, "{text}");
        }
        assert_eq!(id_bytes::<16>("AAAAAAAAAAAAAAAAAAAAAQ==").map(|bytes| bytes[15]), Some(1));
    }
}

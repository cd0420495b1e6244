//! Saved requests, as exporters and trace stores write them: one request or many, in JSON (one object, an array, one a
//! line, Tempo's `batches` and `trace`) or protobuf (one request, or each behind its length).

use super::collect::Collector;
use super::{Encoding, Export, OtlpContext, OtlpError, Signal, decode_json, protobuf};

/// Longest piece of a file: a request in JSON, or all of a file in protobuf, bytes.
pub const MAX_PIECE_BYTES: usize = 256 << 20;
/// As much of a file is enough to tell what it is, bytes.
pub const HEAD_BYTES: usize = 4_096;
/// Among so many bytes of protobuf there is one that no text has.
const PEEK_BYTES: usize = 64;
/// How a group of a request begins in protobuf.
const GROUP: u8 = 0x0A;
/// Keys with which saved requests begin.
const KEYS: [&str; 6] = ["resourceSpans", "resource_spans", "batches", "trace", "resourceLogs", "resource_logs"];

/// Tells by its beginning, [`HEAD_BYTES`] of it unpacked, whether a file holds OTLP, and how it is written. In protobuf
/// that is a guess, which reading it confirms.
pub fn encoding(head: &[u8]) -> Option<Encoding> {
    let start = head.trim_ascii_start();
    if matches!(start.first()?, b'{' | b'[') {
        let object = start.strip_prefix(b"[").unwrap_or(start).trim_ascii_start().strip_prefix(b"{")?;
        let key = object.trim_ascii_start().strip_prefix(b"\"")?;
        let key = key.split(|byte| *byte == b'"').next()?;
        return KEYS.iter().any(|known| known.as_bytes() == key).then_some(Encoding::Json);
    }
    // A request begins with its first group (field 1), behind its length if there are several.
    let length = head.iter().take(10).position(|byte| byte & 0x80 == 0).map(|last| last + 1)?;
    let begins = [0, length, 4].into_iter().any(|at| head.get(at) == Some(&GROUP));
    let text = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\r' | 0x20..=0x7E) || *byte >= 0x80;
    (begins && !head.iter().take(PEEK_BYTES).all(text)).then_some(Encoding::Protobuf)
}

/// Reads a file piece by piece, as its bytes arrive. Memory is bounded by one request.
#[derive(Debug)]
pub struct FileDecoder {
    encoding: Encoding,
    buffer: Vec<u8>,
    /// How far the buffer was looked through.
    at: usize,
    depth: usize,
    /// Within the brackets of an array of requests.
    in_array: bool,
    in_string: bool,
    escaped: bool,
}

impl FileDecoder {
    /// A decoder at the start of a file.
    pub const fn new(encoding: Encoding) -> Self {
        Self { encoding, buffer: Vec::new(), at: 0, depth: 0, in_array: false, in_string: false, escaped: false }
    }

    /// Takes the next bytes; what comes of each request they complete is handed to `out`.
    ///
    /// # Errors
    /// When a request cannot be read, or is longer than [`MAX_PIECE_BYTES`]. Those before it were handed out; after it
    /// nothing more can be read.
    pub fn push(
        &mut self,
        bytes: &[u8],
        context: &OtlpContext<'_>,
        out: &mut impl FnMut(Export),
    ) -> Result<(), OtlpError> {
        self.buffer.extend_from_slice(bytes);
        if self.encoding == Encoding::Json {
            while let Some(end) = self.end_of_object()? {
                let piece = &self.buffer[..end];
                out(decode_json(None, piece, context)?);
                self.buffer.drain(..end);
                self.at = 0;
            }
        }
        if self.buffer.len() > MAX_PIECE_BYTES {
            let detail =
                format!("a request is longer than {MAX_PIECE_BYTES} bytes: split the file, one request a line");
            return Err(OtlpError { detail });
        }
        Ok(())
    }

    /// Says that the file has ended; what was waiting for its end is handed to `out`.
    ///
    /// # Errors
    /// When what is left over cannot be read.
    pub fn finish(self, context: &OtlpContext<'_>, out: &mut impl FnMut(Export)) -> Result<(), OtlpError> {
        match self.encoding {
            Encoding::Protobuf => saved_protobuf(&self.buffer, context, out),
            Encoding::Json if self.depth == 0 && !self.in_array => Ok(()),
            Encoding::Json => {
                let what = if self.depth > 0 { "a request" } else { "an array of requests" };
                Err(OtlpError { detail: format!("the file ends within {what}: it was not written to its end") })
            }
        }
    }

    /// The end of the first object, once all of it is there. What stands around objects is dropped.
    fn end_of_object(&mut self) -> Result<Option<usize>, OtlpError> {
        if self.depth == 0 {
            // Line ends, and the brackets and commas of an array.
            let mut start = 0;
            while let Some(byte) = self.buffer.get(start) {
                match byte {
                    b'[' if !self.in_array => self.in_array = true,
                    b']' if self.in_array => self.in_array = false,
                    b',' => {}
                    byte if byte.is_ascii_whitespace() => {}
                    _ => break,
                }
                start += 1;
            }
            self.buffer.drain(..start);
            self.at = 0;
            match self.buffer.first() {
                None => return Ok(None),
                Some(b'{') => {}
                Some(_) => {
                    let detail = "between requests stands something else than an object: save one request a line";
                    return Err(OtlpError { detail: detail.to_owned() });
                }
            }
        }
        while let Some(byte) = self.buffer.get(self.at) {
            self.at += 1;
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_string => self.escaped = true,
                b'"' => self.in_string = !self.in_string,
                _ if self.in_string => {}
                b'{' => self.depth += 1,
                b'}' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Ok(Some(self.at));
                    }
                }
                _ => {}
            }
        }
        Ok(None)
    }
}

fn saved_protobuf(bytes: &[u8], context: &OtlpContext<'_>, out: &mut impl FnMut(Export)) -> Result<(), OtlpError> {
    // One request, or several that stand behind each other, which is one request in protobuf.
    if protobuf::signal(bytes).is_some() {
        return one(bytes, context, out);
    }
    for framing in [protobuf::behind_varint as protobuf::Framing, protobuf::behind_four_bytes] {
        let mut rest = bytes;
        let mut pieces = 0_usize;
        while let Some((_, after)) = framing(rest).filter(|(piece, _)| protobuf::is_request(piece)) {
            (rest, pieces) = (after, pieces + 1);
        }
        if pieces > 0 && rest.is_empty() {
            let mut rest = bytes;
            while let Some((piece, after)) = framing(rest) {
                one(piece, context, out)?;
                rest = after;
            }
            return Ok(());
        }
    }
    let detail = "the file is neither an export request in protobuf nor a series of them, each behind its length";
    Err(OtlpError { detail: detail.to_owned() })
}

fn one(bytes: &[u8], context: &OtlpContext<'_>, out: &mut impl FnMut(Export)) -> Result<(), OtlpError> {
    // A request without items is of no signal, and comes to nothing.
    let Some(signal) = protobuf::signal(bytes) else { return Ok(()) };
    let mut collector = Collector::new(context);
    let read = match signal {
        Signal::Traces => protobuf::traces(bytes, &mut collector),
        Signal::Logs => protobuf::logs(bytes, &mut collector),
    };
    read.map_err(|broken| OtlpError { detail: format!("a request in the file cannot be read: {}", broken.words()) })?;
    out(collector.finish());
    Ok(())
}

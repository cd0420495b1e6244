//! Where one item ends and the next begins.
//!
//! A small scanner over bytes that knows strings, escapes and depth, and nothing else of JSON: items are checked
//! later, one by one. Whatever way the stream is cut into chunks, the frames are the same.

use crate::interpret::too_large;
use crate::rejection::{Fault, Place, Rejection, RejectionCode};

const BOM: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// An item, or what stands in its place.
pub(crate) enum Frame<'a> {
    Item(Place, &'a [u8]),
    Bad(Rejection),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first byte that is neither space nor part of a byte order mark, of which so many bytes were seen.
    Start {
        bom: usize,
    },
    Lines,
    /// In an array, before an item. A comma stood before it, or not.
    Gap {
        comma: bool,
    },
    Item(Scan),
    /// After the end of the array; whether something was said about what stands there.
    After {
        told: bool,
    },
}

/// Where the scanner is within an item.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Scan {
    depth: u64,
    in_string: bool,
    escaped: bool,
}

/// Cuts a stream of bytes into items. Holds at most one item.
#[derive(Debug)]
pub(crate) struct Framer {
    state: State,
    max_bytes: usize,
    /// The part of the current item that came in earlier chunks.
    carry: Vec<u8>,
    /// The current item is too long: its bytes are dropped.
    dropping: bool,
    /// Lines or items that have ended.
    ended: u64,
    /// Bytes seen in earlier chunks.
    offset: u64,
    /// Where the current item begins.
    began: u64,
}

impl Framer {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self {
            state: State::Start { bom: 0 },
            max_bytes,
            carry: Vec::new(),
            dropping: false,
            ended: 0,
            offset: 0,
            began: 0,
        }
    }

    /// Takes the next bytes of the stream.
    pub(crate) fn push(&mut self, bytes: &[u8], sink: &mut impl FnMut(Frame<'_>)) {
        let mut at = 0;
        while at < bytes.len() {
            at = match self.state {
                State::Start { bom } => self.start(bytes, at, bom),
                State::Lines => self.line(bytes, at, sink),
                State::Gap { comma } => self.gap(bytes, at, comma, sink),
                State::Item(scan) => self.item(bytes, at, scan, sink),
                State::After { told } => self.after(bytes, at, told, sink),
            };
        }
        self.offset += bytes.len() as u64;
    }

    /// Says that the stream has ended.
    pub(crate) fn finish(&mut self, sink: &mut impl FnMut(Frame<'_>)) {
        match self.state {
            State::Start { bom: 0 | 3 } | State::After { .. } => {}
            State::Start { bom } => {
                self.carry.extend_from_slice(&BOM[..bom]);
                self.end_line(&[], sink);
            }
            State::Lines => self.end_line(&[], sink),
            State::Gap { .. } => {
                let detail = format!(
                    "the array has no closing bracket: the text ends at byte {} after {} items, which were read",
                    self.offset, self.ended
                );
                sink(Frame::Bad(self.bad(RejectionCode::Truncated, detail)));
            }
            State::Item(_) => {
                let detail = format!(
                    "the text ends at byte {} inside the item that begins at byte {}: send it again from this item on",
                    self.offset, self.began
                );
                sink(Frame::Bad(self.bad(RejectionCode::Truncated, detail)));
            }
        }
        self.state = State::After { told: true };
    }

    fn bad(&self, code: RejectionCode, detail: impl Into<String>) -> Rejection {
        Fault::new(code, detail).at(Place::Index(self.ended), None)
    }

    fn start(&mut self, bytes: &[u8], at: usize, bom: usize) -> usize {
        let byte = bytes[at];
        let first = self.offset + at as u64 == bom as u64;
        if first && bom < BOM.len() && byte == BOM[bom] {
            self.state = State::Start { bom: bom + 1 };
            return at + 1;
        }
        if matches!(bom, 1 | 2) {
            // It began like a byte order mark and is none: those bytes belong to the first line.
            self.carry.extend_from_slice(&BOM[..bom]);
            self.state = State::Lines;
            return at;
        }
        match byte {
            b'\n' => self.ended += 1,
            byte if byte.is_ascii_whitespace() => {}
            b'[' => {
                // Lines were counted so far; from here on it is items.
                self.ended = 0;
                self.state = State::Gap { comma: false };
            }
            _ => {
                self.state = State::Lines;
                return at;
            }
        }
        at + 1
    }

    fn line(&mut self, bytes: &[u8], at: usize, sink: &mut impl FnMut(Frame<'_>)) -> usize {
        let rest = &bytes[at..];
        if let Some(length) = rest.iter().position(|byte| *byte == b'\n') {
            self.end_line(&rest[..length], sink);
            at + length + 1
        } else {
            self.keep(rest);
            bytes.len()
        }
    }

    fn end_line(&mut self, last: &[u8], sink: &mut impl FnMut(Frame<'_>)) {
        self.ended += 1;
        self.end(Place::Line(self.ended), last, sink);
    }

    /// Hands on the item whose last bytes are `last`.
    fn end(&mut self, place: Place, last: &[u8], sink: &mut impl FnMut(Frame<'_>)) {
        let fits = !self.dropping && self.carry.len() + last.len() <= self.max_bytes;
        if !fits {
            sink(Frame::Bad(too_large(self.max_bytes).at(place, None)));
        } else if self.carry.is_empty() {
            hand_on(place, last, sink);
        } else {
            self.carry.extend_from_slice(last);
            hand_on(place, &self.carry, sink);
        }
        self.carry.clear();
        self.dropping = false;
    }

    /// Keeps bytes of an item that goes on in the next chunk.
    fn keep(&mut self, part: &[u8]) {
        if self.dropping || self.carry.len() + part.len() > self.max_bytes {
            self.dropping = true;
            self.carry = Vec::new();
        } else {
            self.carry.extend_from_slice(part);
        }
    }

    fn gap(&mut self, bytes: &[u8], at: usize, comma: bool, sink: &mut impl FnMut(Frame<'_>)) -> usize {
        match bytes[at] {
            byte if byte.is_ascii_whitespace() => {}
            b']' => {
                if comma {
                    let detail = "a comma stands before the closing bracket: take it out";
                    sink(Frame::Bad(self.bad(RejectionCode::MalformedArray, detail)));
                }
                self.state = State::After { told: false };
            }
            b',' => {
                let detail = "there is no item before this comma: take the comma out";
                sink(Frame::Bad(self.bad(RejectionCode::MalformedArray, detail)));
                self.ended += 1;
                self.state = State::Gap { comma: true };
            }
            _ => {
                self.began = self.offset + at as u64;
                self.state = State::Item(Scan::default());
                return at;
            }
        }
        at + 1
    }

    fn item(&mut self, bytes: &[u8], from: usize, mut scan: Scan, sink: &mut impl FnMut(Frame<'_>)) -> usize {
        let rest = &bytes[from..];
        let Some(length) = scan.find_end(rest) else {
            self.keep(rest);
            self.state = State::Item(scan);
            return bytes.len();
        };
        self.end(Place::Index(self.ended), &rest[..length], sink);
        self.ended += 1;
        self.state = if rest[length] == b',' { State::Gap { comma: true } } else { State::After { told: false } };
        from + length + 1
    }

    fn after(&mut self, bytes: &[u8], at: usize, told: bool, sink: &mut impl FnMut(Frame<'_>)) -> usize {
        if told {
            return bytes.len();
        }
        if !bytes[at].is_ascii_whitespace() {
            let detail = format!(
                "there is more text after the end of the array, at byte {}: it was not read",
                self.offset + at as u64
            );
            sink(Frame::Bad(self.bad(RejectionCode::MalformedArray, detail)));
            self.state = State::After { told: true };
        }
        at + 1
    }
}

impl Scan {
    /// Where the item ends: at a comma or closing bracket outside of every string and bracket.
    fn find_end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            if self.in_string {
                if self.escaped {
                    self.escaped = false;
                } else if byte == b'\\' {
                    self.escaped = true;
                } else if byte == b'"' {
                    self.in_string = false;
                }
            } else {
                match byte {
                    b'"' => self.in_string = true,
                    b'{' | b'[' => self.depth += 1,
                    b',' | b']' if self.depth == 0 => return Some(at),
                    b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                    _ => {}
                }
            }
            at += 1;
        }
        None
    }
}

fn hand_on(place: Place, item: &[u8], sink: &mut impl FnMut(Frame<'_>)) {
    let item = item.trim_ascii();
    // Blank lines separate nothing; an empty item of an array cannot occur.
    if !item.is_empty() {
        sink(Frame::Item(place, item));
    }
}

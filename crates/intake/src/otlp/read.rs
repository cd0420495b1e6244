//! The attributes of one span or record, looked through once, and what of them remains for the event's own.

use super::keys::{FIELDS, Field, Seen, hash, known};
use super::origin::Members;
use super::text::string;
use super::view::{Attribute, Value};

/// No attribute says it.
const NONE: u32 = u32::MAX;
/// Put before the name of an attribute whose name is taken.
const PREFIX: &str = "attribute.";

/// Attributes by what they say.
#[derive(Debug)]
pub(super) struct Read<'s, 'a> {
    items: &'s [Attribute<'a>],
    /// For each field the rank and the place of the best attribute.
    best: [(u8, u32); FIELDS],
    taken: [bool; FIELDS],
    marks: &'s mut Vec<(u64, Option<Field>)>,
}

impl<'s, 'a> Read<'s, 'a> {
    /// Looks through them. `marks` is working memory.
    pub(super) fn new(items: &'s [Attribute<'a>], marks: &'s mut Vec<(u64, Option<Field>)>) -> Self {
        marks.clear();
        let mut best = [(u8::MAX, NONE); FIELDS];
        for (at, attribute) in items.iter().enumerate() {
            let hash = hash(&attribute.key);
            let found = known(&attribute.key, hash);
            marks.push((hash, found.map(|(field, _)| field)));
            if let Some((field, rank)) = found {
                let slot = &mut best[field as usize];
                // What says nothing does not stand in the way of what does.
                if rank < slot.0 && attribute.value != Value::Empty {
                    *slot = (rank, at as u32);
                }
            }
        }
        Self { items, best, taken: [false; FIELDS], marks }
    }

    pub(super) fn value(&self, field: Field) -> Option<&'s Value<'a>> {
        self.items.get(self.best[field as usize].1 as usize).map(|attribute| &attribute.value)
    }

    /// The attribute of this name.
    pub(super) fn named(&self, key: &str) -> Option<&'s Value<'a>> {
        self.items.iter().find(|attribute| attribute.key == key).map(|attribute| &attribute.value)
    }

    /// All of them.
    pub(super) const fn items(&self) -> &'s [Attribute<'a>] {
        self.items
    }

    pub(super) fn text(&self, field: Field) -> Option<&'s str> {
        self.value(field).and_then(Value::text)
    }

    pub(super) fn has(&self, field: Field) -> bool {
        self.best[field as usize].1 != NONE
    }

    /// The rank of what says it: 0 is the name that the field is known by first.
    pub(super) fn rank(&self, field: Field) -> u8 {
        self.best[field as usize].0
    }

    /// Says that the event holds the value itself: it need not stand among the attributes.
    pub(super) fn take(&mut self, field: Field) {
        self.taken[field as usize] = true;
    }

    /// Says so if another field has the very same value.
    pub(super) fn take_if_same(&mut self, field: Field, as_other: Field) {
        if self.value(field).is_some_and(|value| self.value(as_other) == Some(value)) {
            self.take(field);
        }
    }

    /// Writes what the event does not hold itself.
    pub(super) fn write(&self, writer: &mut Writer) {
        for (at, (attribute, (hash, field))) in self.items.iter().zip(self.marks.iter()).enumerate() {
            if let Some(field) = field {
                let best = self.best[*field as usize].1 as usize;
                let same = best == at || self.items.get(best).is_some_and(|best| best.value == attribute.value);
                if same && (best != at || self.taken[*field as usize]) {
                    continue;
                }
            }
            writer.put_hashed(&attribute.key, *hash, &attribute.value);
        }
    }
}

/// Writes the attributes of an event, each name once, up to a length.
#[derive(Debug, Default)]
pub(super) struct Writer {
    out: String,
    seen: Seen,
    most: usize,
    /// What did not fit.
    pub(super) left_out: u64,
}

impl Writer {
    /// Begins an object of at most `most` bytes with these members.
    pub(super) fn begin(&mut self, members: &Members, most: usize) {
        self.out.clear();
        self.out.push('{');
        self.out.push_str(&members.json);
        self.seen.begin(&members.hashes);
        self.most = most;
        self.left_out = 0;
    }

    pub(super) fn put(&mut self, key: &str, value: &Value<'_>) {
        self.put_hashed(key, hash(key), value);
    }

    pub(super) fn put_text(&mut self, key: &str, text: &str) {
        if !text.is_empty() {
            self.put(key, &Value::Text(text.into()));
        }
    }

    fn put_hashed(&mut self, key: &str, hash: u64, value: &Value<'_>) {
        let before = self.out.len();
        let size = match value {
            Value::Text(text) | Value::Json(text) => text.len(),
            _ => 0,
        };
        if before + key.len() + size > self.most || !self.name(key, hash) {
            self.left_out += 1;
            return;
        }
        value.write(&mut self.out);
        self.out.push(',');
        // What has to be escaped is longer than it looked.
        if self.out.len() > self.most {
            self.out.truncate(before);
            self.left_out += 1;
        }
    }

    fn name(&mut self, key: &str, hash: u64) -> bool {
        if self.seen.insert_hash(hash) {
            string(&mut self.out, key);
        } else {
            let other = [PREFIX, key].concat();
            if !self.seen.insert(&other) {
                return false;
            }
            string(&mut self.out, &other);
        }
        self.out.push(':');
        true
    }

    /// The object, if it has any members.
    pub(super) fn finish(&mut self) -> Option<String> {
        if self.out.len() <= 1 {
            return None;
        }
        self.out.pop();
        self.out.push('}');
        Some(self.out.as_str().to_owned())
    }
}

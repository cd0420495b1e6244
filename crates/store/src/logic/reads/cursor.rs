//! Cursors: the key of the last item of a page, as short text that only this store reads.

use crate::error::StoreError;
use crate::logic::fault::Fault;

/// Most characters of a bad cursor that are shown.
const SHOWN: usize = 80;

/// A cursor on its way out: the list's mark, then the parts of the key.
pub(super) struct Cursor(String);

impl Cursor {
    /// Begins a cursor of the list `mark`.
    pub(super) fn of(mark: &str) -> Self {
        Self(mark.to_owned())
    }

    /// Adds a number.
    pub(super) fn number(mut self, number: i64) -> Self {
        self.0.push('.');
        self.0.push_str(&number.to_string());
        self
    }

    /// Adds a number with all its bits.
    pub(super) fn real(self, number: f64) -> Self {
        self.number(number.to_bits() as i64)
    }

    /// Adds a text, which may hold anything.
    pub(super) fn text(mut self, text: &str) -> Self {
        self.0.push('.');
        for byte in text.bytes() {
            for half in [byte >> 4, byte & 15] {
                self.0.extend(char::from_digit(u32::from(half), 16));
            }
        }
        self
    }

    /// The cursor as it goes out.
    pub(super) fn finish(self) -> String {
        self.0
    }
}

/// A cursor that came in, read part by part.
pub(super) struct Parts<'c> {
    whole: &'c str,
    parts: std::str::Split<'c, char>,
}

impl<'c> Parts<'c> {
    /// Takes a cursor of the list `mark` apart.
    pub(super) fn of(mark: &str, whole: &'c str) -> Result<Self, Fault> {
        let mut parts = Self { whole, parts: whole.split('.') };
        if parts.parts.next() == Some(mark) { Ok(parts) } else { Err(parts.bad()) }
    }

    /// The error that the cursor is not one of this list.
    pub(super) fn bad(&self) -> Fault {
        StoreError::BadCursor { cursor: self.whole.chars().take(SHOWN).collect() }.into()
    }

    /// The next part as a number.
    pub(super) fn number(&mut self) -> Result<i64, Fault> {
        let part = self.parts.next().ok_or_else(|| self.bad())?;
        part.parse().map_err(|_| self.bad())
    }

    /// The next part as a number with all its bits.
    pub(super) fn real(&mut self) -> Result<f64, Fault> {
        let number = f64::from_bits(self.number()? as u64);
        if number.is_finite() { Ok(number) } else { Err(self.bad()) }
    }

    /// The next part as a text.
    pub(super) fn text(&mut self) -> Result<String, Fault> {
        let part = self.parts.next().ok_or_else(|| self.bad())?;
        let digits: Option<Vec<u32>> = part.chars().map(|digit| digit.to_digit(16)).collect();
        let digits = digits.filter(|digits| digits.len() % 2 == 0).ok_or_else(|| self.bad())?;
        let bytes = digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect();
        String::from_utf8(bytes).map_err(|_| self.bad())
    }

    /// Checks that nothing is left.
    pub(super) fn end(mut self) -> Result<(), Fault> {
        if self.parts.next().is_none() { Ok(()) } else { Err(self.bad()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_round_trip_and_belong_to_one_list() {
        let text = Cursor::of("e").number(-7).text("a.b\u{e9}").real(0.1).finish();
        let mut parts = Parts::of("e", &text).unwrap();
        assert_eq!(parts.number().unwrap(), -7);
        assert_eq!(parts.text().unwrap(), "a.b\u{e9}");
        assert!((parts.real().unwrap() - 0.1).abs() < f64::EPSILON);
        parts.end().unwrap();
        assert!(Parts::of("t", &text).is_err());
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in ["", "e", "e.x", "e.1.2", "e.9223372036854775808"] {
            let read = Parts::of("e", bad).and_then(|mut parts| {
                parts.number()?;
                parts.end()
            });
            assert!(read.is_err(), "{bad}");
        }
        for bad in ["e.abc", "e.zz", "e.ff", "e.\u{e9}\u{e9}"] {
            assert!(Parts::of("e", bad).unwrap().text().is_err(), "{bad}");
        }
        let nan = Cursor::of("e").real(f64::NAN).finish();
        assert!(Parts::of("e", &nan).unwrap().real().is_err());
    }
}

//! PostgreSQL's decimals, which sums of integers come as.

use rusqlite::types::ValueRef;

const NEGATIVE: u16 = 0x4000;
const POSITIVE: u16 = 0x0000;

/// What is sent is no decimal that we can hold.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unreadable(&'static str);

/// Reads a decimal in the server's binary form: an integer where it is whole and fits into 64 bits, else the nearest
/// number. Groups of four decimal digits, the first with this weight; see "numeric" in the server's `numeric.c`.
pub(super) fn read(raw: &[u8]) -> Result<ValueRef<'static>, Unreadable> {
    let short = |at: usize| {
        let bytes = raw.get(at..at + 2).ok_or(Unreadable("a decimal is cut short"))?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    };
    let (groups, weight, sign) = (usize::from(short(0)?), short(2)? as i16, short(4)?);
    let negative = match sign {
        POSITIVE => false,
        NEGATIVE => true,
        // No number, or an infinite one: nothing that is summed here gives either.
        _ => return Ok(ValueRef::Null),
    };
    let mut digits = String::from(if negative { "-0" } else { "0" });
    let mut whole: Option<i128> = Some(0);
    // Groups of zeros at the end are not sent.
    let count = groups.max(usize::try_from(weight).map_or(0, |weight| weight + 1));
    for group in 0..count {
        let four = if group < groups { short(8 + 2 * group)? } else { 0 };
        let place = i32::from(weight) - group as i32;
        if place >= 0 {
            whole = whole.and_then(|whole| whole.checked_mul(10_000)?.checked_add(four.into()));
        } else if four != 0 {
            whole = None;
        }
        digits.extend([1_000, 100, 10, 1].map(|unit| char::from(b'0' + (four / unit % 10) as u8)));
    }
    let signed = whole.map(|whole| if negative { -whole } else { whole });
    if let Some(number) = signed.and_then(|number| i64::try_from(number).ok()) {
        return Ok(ValueRef::Integer(number));
    }
    let exponent = 4 * (i32::from(weight) - count as i32 + 1);
    format!("{digits}e{exponent}").parse().map(ValueRef::Real).map_err(|_| Unreadable("a decimal cannot be read"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(weight: i16, sign: u16, groups: &[u16]) -> Vec<u8> {
        let head = [groups.len() as u16, weight as u16, sign, 0];
        head.iter().chain(groups).flat_map(|short| short.to_be_bytes()).collect()
    }

    #[test]
    fn decimals_are_read() {
        let integer = |number| Some(ValueRef::Integer(number));
        for (weight, sign, groups, expected) in [
            (0, POSITIVE, &[][..], integer(0)),
            (0, POSITIVE, &[7][..], integer(7)),
            (1, NEGATIVE, &[1, 2][..], integer(-10_002)),
            (2, POSITIVE, &[5][..], integer(500_000_000)),
            (4, POSITIVE, &[922, 3372, 368, 5477, 5807][..], integer(i64::MAX)),
            (4, POSITIVE, &[922, 3372, 368, 5477, 5808][..], Some(ValueRef::Real(9_223_372_036_854_775_808.0))),
            (0, POSITIVE, &[2, 5000][..], Some(ValueRef::Real(2.5))),
            (-1, NEGATIVE, &[1][..], Some(ValueRef::Real(-0.0001))),
            (-2, POSITIVE, &[12, 3400][..], Some(ValueRef::Real(0.000_000_123_4))),
            (0, 0xc000, &[][..], Some(ValueRef::Null)),
        ] {
            assert_eq!(read(&raw(weight, sign, groups)).ok(), expected, "{weight} {groups:?}");
        }
        assert!(read(&[0, 1]).is_err());
        assert!(read(&raw(0, POSITIVE, &[1])[..9]).is_err());
    }
}

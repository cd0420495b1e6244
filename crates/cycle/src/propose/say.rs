//! Sentences from fixed templates. Events are hostile until shown otherwise, so a template takes identifiers and
//! numbers, and there is no way to put anything else into one.

use std::fmt::Write as _;

/// Longest identifier that is used, in bytes.
const MOST_BYTES: usize = 64;

/// A name that is an identifier: `[\w.-]{1,64}`, ASCII. Names that are none make no proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Ident<'a>(&'a str);

impl<'a> Ident<'a> {
    /// The name, if it is an identifier.
    pub(super) fn of(name: &'a str) -> Option<Self> {
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
        (plain && (1..=MOST_BYTES).contains(&name.len())).then_some(Self(name))
    }

    /// The name.
    pub(super) fn as_str(self) -> &'a str {
        self.0
    }

    /// The name, to keep.
    pub(super) fn owned(self) -> String {
        self.0.to_owned()
    }
}

/// What may stand in a sentence.
#[derive(Debug, Clone, Copy)]
pub(super) enum Word<'a> {
    /// A name.
    Name(Ident<'a>),
    /// A number of things.
    Count(usize),
    /// A share from 0 to 1, shown as whole percent.
    Share(f64),
    /// A whole amount, such as milliseconds or tokens.
    Amount(i64),
}

/// The template with its `{}` filled in, in order. What is missing stays out.
pub(super) fn say(template: &'static str, words: &[Word<'_>]) -> String {
    let mut words = words.iter();
    let mut text = String::with_capacity(template.len() + 64);
    for (place, part) in template.split("{}").enumerate() {
        if place > 0 {
            // Writing to a text never fails.
            let _ = match words.next() {
                Some(Word::Name(name)) => write!(text, "{}", name.as_str()),
                Some(Word::Count(count)) => write!(text, "{count}"),
                Some(Word::Share(share)) => write!(text, "{:.0} %", share * 100.0),
                Some(Word::Amount(amount)) => write!(text, "{amount}"),
                None => Ok(()),
            };
        }
        text.push_str(part);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_identifiers_are_names() {
        for (name, plain) in [
            ("get_order.v2-b", true),
            ("a", true),
            ("", false),
            ("two words", false),
            ("a\nb", false),
            ("`a`", false),
            ("a:b", false),
            ("**a**", false),
            ("größe", false),
            ("[a](b)", false),
        ] {
            assert_eq!(Ident::of(name).is_some(), plain, "{name:?}");
        }
        let (longest, longer) = ("x".repeat(64), "x".repeat(65));
        assert!(Ident::of(&longest).is_some() && Ident::of(&longer).is_none());
    }

    #[test]
    fn templates_are_filled_in_order() {
        let name = Ident::of("book").unwrap();
        let words = [Word::Name(name), Word::Count(3), Word::Share(0.254), Word::Amount(1_500)];
        assert_eq!(say("`{}` {} of {}, {} ms", &words), "`book` 3 of 25 %, 1500 ms");
        assert_eq!(say("{} and {}", &[Word::Count(1)]), "1 and ");
    }
}

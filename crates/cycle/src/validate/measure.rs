//! How much of a configuration a change replaces.

use serde_json::Value;
use uplift_model::revision::{Configuration, Instruction};

/// Most cells of the table by which two texts are compared character by character; about 10 ms.
const MAX_CHAR_CELLS: usize = 4_000_000;
/// The same, word by word.
const MAX_WORD_CELLS: usize = 16_000_000;

/// A parameter that changed by more than its value says at once.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    /// Its name.
    pub(super) name: String,
    /// The factor between the old value and the new, at least 1; infinite where there is none.
    pub(super) factor: f64,
}

/// The share of a text that has to be changed to make another of it, from 0 to 1; 0 where there was no text.
///
/// The edit distance over the length of the longer text. Long texts are compared word by word, very long ones only by
/// what they have in common at both ends: that is an upper bound, so it rather asks once too often.
pub(super) fn changed_share(old: &str, new: &str) -> f64 {
    if old.is_empty() || old == new {
        return 0.0;
    }
    let chars = (old.chars().collect::<Vec<_>>(), new.chars().collect::<Vec<_>>());
    if let Some(share) = distance_share(&chars.0, &chars.1, MAX_CHAR_CELLS) {
        return share;
    }
    let words = (old.split_whitespace().collect::<Vec<_>>(), new.split_whitespace().collect::<Vec<_>>());
    if let Some(share) = distance_share(&words.0, &words.1, MAX_WORD_CELLS) {
        return share;
    }
    let (left, right) = differing(&chars.0, &chars.1);
    left.len().max(right.len()) as f64 / chars.0.len().max(chars.1.len()) as f64
}

/// What lies between the common beginning and the common end.
fn differing<'a, T: PartialEq>(old: &'a [T], new: &'a [T]) -> (&'a [T], &'a [T]) {
    let start = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[start..], &new[start..]);
    let end = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
    (&old[..old.len() - end], &new[..new.len() - end])
}

fn distance_share<T: PartialEq>(old: &[T], new: &[T], most_cells: usize) -> Option<f64> {
    let (left, right) = differing(old, new);
    (left.len().saturating_mul(right.len()) <= most_cells).then(|| {
        let distance = strsim::generic_levenshtein(&Items(left), &Items(right));
        distance as f64 / old.len().max(new.len()).max(1) as f64
    })
}

/// A slice as the library wants it: something whose reference can be walked.
struct Items<'a, T>(&'a [T]);

impl<'b, T> IntoIterator for &'b Items<'_, T> {
    type Item = &'b T;
    type IntoIter = std::slice::Iter<'b, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

/// Characters of an instruction with its guidelines.
pub(super) fn instruction_chars(instruction: &Instruction) -> usize {
    let guidelines = instruction.guidelines.iter().map(|guideline| guideline.text.chars().count());
    instruction.text.chars().count() + guidelines.sum::<usize>()
}

/// By what factor numeric parameters rose or fell. Zero has no factor and counts as 1: from no retries to three is a
/// factor of 3. A number that became something else, or changed its sign, has an infinite one. New and removed
/// parameters have none.
pub(super) fn parameter_steps(old: &Configuration, new: &Configuration) -> Vec<Step> {
    let steps = old.parameters.iter().filter_map(|(name, before)| {
        let after = new.parameters.get(name).filter(|after| *after != before)?;
        let factor = factor(before.as_f64()?, after);
        Some(Step { name: name.clone(), factor })
    });
    steps.collect()
}

fn factor(before: f64, after: &Value) -> f64 {
    let Some(after) = after.as_f64() else { return f64::INFINITY };
    let shown = |value: f64| if value == 0.0 { 1.0 } else { value };
    if before * after < 0.0 {
        return f64::INFINITY;
    }
    let ratio = (shown(after) / shown(before)).abs();
    ratio.max(ratio.recip())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn shares_of_texts() {
        let long = "word ".repeat(10_000);
        let cases = [
            ("", "anything", 0.0),
            ("same", "same", 0.0),
            ("abcd", "abcx", 0.25),
            ("abcd", "", 1.0),
            ("abcd", "wxyz", 1.0),
            (long.as_str(), &long.replacen("word", "other", 1), 5.0 / 50_001.0),
        ];
        for (old, new, share) in cases {
            let found = changed_share(old, new);
            assert!((found - share).abs() < 1e-6, "{found} {share}");
        }
    }

    #[test]
    fn very_long_texts_are_compared_by_their_ends_and_at_once() {
        let old = format!("{}{}", "a ".repeat(50_000), "b ".repeat(50_000));
        let new = format!("{}{}", "a ".repeat(50_000), "c ".repeat(50_000));
        assert!((changed_share(&old, &new) - 0.5).abs() < 0.01);
        let new = format!("c{old}c");
        assert!((changed_share(&old, &new) - 1.0).abs() < 1e-9, "an upper bound");
        let text = "one two three four ".repeat(500);
        let other = format!("x {} y", text.replace("two", "2"));
        let share = changed_share(&text, &other);
        assert!(share > 0.2 && share < 0.3, "{share}");
    }

    #[test]
    fn factors_of_parameters() {
        let of = |value: Value| {
            let parameters = [("p".to_owned(), value)].into_iter().filter(|(_, value)| !value.is_null());
            Configuration { parameters: parameters.collect(), ..Configuration::default() }
        };
        let cases = [
            (json!(10), json!(30), Some(3.0)),
            (json!(30), json!(10), Some(3.0)),
            (json!(0), json!(3), Some(3.0)),
            (json!(0.5), json!(0), Some(2.0)),
            (json!(1), json!(-1), Some(f64::INFINITY)),
            (json!(1), json!("x"), Some(f64::INFINITY)),
            (json!("x"), json!(1), None),
            (json!(1), Value::Null, None),
            (Value::Null, json!(1), None),
            (json!(1), json!(1), None),
        ];
        for (before, after, expected) in cases {
            let found = parameter_steps(&of(before.clone()), &of(after.clone()));
            let factor = found.first().map(|step| step.factor);
            assert_eq!(factor, expected, "{before} {after}");
        }
    }
}

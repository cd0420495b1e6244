//! What a call cost, where it reports tokens and no cost.

use std::collections::HashMap;

use uplift_model::policy::ModelPrice;

/// Models whose price is remembered; beyond, it is looked up each time.
const MAX_KNOWN: usize = 256;
const PER: f64 = 1e6;

/// Prices by model.
#[derive(Debug)]
pub(super) struct Prices<'p> {
    list: &'p [ModelPrice],
    known: HashMap<String, Option<usize>>,
}

/// Tokens of one call, cached ones among those read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tokens {
    pub(super) read: Option<u64>,
    pub(super) written: Option<u64>,
    pub(super) cached: Option<u64>,
}

impl<'p> Prices<'p> {
    pub(super) fn new(list: &'p [ModelPrice]) -> Self {
        Self { list, known: HashMap::new() }
    }

    /// US dollars for the tokens of a call, if one of the names the model goes by has a price.
    pub(super) fn cost<'m>(&mut self, models: impl IntoIterator<Item = &'m str>, tokens: Tokens) -> Option<f64> {
        if self.list.is_empty() {
            return None;
        }
        let price = models.into_iter().find_map(|model| self.price(model))?;
        let [read, written, cached] = [tokens.read, tokens.written, tokens.cached].map(Option::unwrap_or_default);
        let fresh = read.saturating_sub(cached) as f64;
        let cached = cached as f64 * price.cached.unwrap_or(price.input);
        Some((fresh * price.input + cached + written as f64 * price.output) / PER)
    }

    fn price(&mut self, model: &str) -> Option<&'p ModelPrice> {
        if let Some(found) = self.known.get(model) {
            return self.list.get((*found)?);
        }
        let found = self.list.iter().position(|price| fits(&price.model, model));
        if self.known.len() < MAX_KNOWN {
            self.known.insert(model.to_owned(), found);
        }
        self.list.get(found?)
    }
}

/// Whether `pattern`, in which a `*` stands for any letters, fits all of `text`.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(head) else { return false };
    let mut pieces: Vec<&str> = rest.split('*').collect();
    let last = pieces.pop().unwrap_or_default();
    for piece in pieces {
        // The first place that fits leaves the most for the rest.
        let Some(at) = text.find(piece) else { return false };
        text = &text[at + piece.len()..];
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_letters() {
        let table = [
            ("gpt-4o", "gpt-4o", true),
            ("gpt-4o", "gpt-4o-mini", false),
            ("gpt-4o*", "gpt-4o-mini", true),
            ("*", "", true),
            ("*sonnet*", "claude-3-5-sonnet-20240620", true),
            ("claude-*-sonnet", "claude-3-5-sonnet-20240620", false),
            ("a*b*b", "ab", false),
            ("a*b*b", "abb", true),
            ("**x", "x", true),
        ];
        for (pattern, text, expected) in table {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn the_first_price_that_fits_counts_and_cached_tokens_are_apart() {
        let price = |model: &str, cached| ModelPrice { model: model.into(), input: 2.0, output: 10.0, cached };
        let list = [price("gpt-4o-mini*", None), price("gpt-4o*", Some(0.5))];
        let tokens = Tokens { read: Some(1_000_000), written: Some(100_000), cached: Some(400_000) };
        let table: [(&[&str], _); 4] = [
            (&["gpt-4o-mini"], Some(3.0)),
            (&["gpt-4o-2024"], Some(1.2 + 0.2 + 1.0)),
            (&["other", "gpt-4o"], Some(1.2 + 0.2 + 1.0)),
            (&["other"], None),
        ];
        for (models, expected) in table {
            let cost = Prices::new(&list).cost(models.iter().copied(), tokens);
            assert_eq!(cost.map(|cost| (cost * 1e9).round()), expected.map(|cost| (cost * 1e9_f64).round()));
        }
    }
}

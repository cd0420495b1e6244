//! Tokens and cost of a call.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::keys::Field;
use super::price::{Prices, Tokens};
use super::read::Read;
use super::view::Value;

/// Most tokens of one call.
const MAX_TOKENS: f64 = 1e9;
/// Highest cost of one call, US dollars.
const MAX_COST_USD: f64 = 1e4;
/// Longest list of amounts in JSON that is read, bytes.
const MAX_DETAILS_BYTES: usize = 2_048;
/// Where Google's ADK writes the answer of a model, with the tokens.
const ADK_ANSWER: &str = "gcp.vertex.agent.llm_response";
/// Longest answer that is looked through for tokens, bytes.
const MAX_ANSWER_BYTES: usize = 256 << 10;

/// The tokens of a call, those that were cached among those read.
pub(super) fn tokens(read: &mut Read<'_, '_>) -> Tokens {
    let mut count = |field| {
        let number = read.value(field).and_then(Value::number).and_then(whole)?;
        read.take(field);
        Some(number)
    };
    let mut tokens =
        Tokens { read: count(Field::TokensIn), written: count(Field::TokensOut), cached: count(Field::TokensCached) };
    if tokens == Tokens::default()
        && let Some(details) = details(read, Field::UsageDetails)
    {
        let count = |keys: [&str; 3]| keys.iter().find_map(|key| details.get(*key)).copied().and_then(whole);
        tokens.read = count(["input", "input_tokens", "prompt_tokens"]);
        tokens.written = count(["output", "output_tokens", "completion_tokens"]);
        tokens.cached = count(["cache_read_input_tokens", "input_cached_tokens", "input_cache_read"]);
    }
    if tokens.cached.is_none() && tokens.read.is_some() {
        tokens.cached = read.named(ADK_ANSWER).and_then(Value::text).and_then(cached_by_adk);
    }
    // Some providers count cached ones apart, which shows where there are more of them.
    if let (Some(cached), Some(all)) = (tokens.cached, &mut tokens.read)
        && cached > *all
    {
        *all += cached;
    }
    tokens
}

/// Cached tokens, which ADK does not report beside the others.
fn cached_by_adk(answer: &str) -> Option<u64> {
    #[derive(Deserialize)]
    struct Answer {
        usage_metadata: Usage,
    }
    #[derive(Deserialize)]
    struct Usage {
        cached_content_token_count: f64,
    }
    if answer.len() > MAX_ANSWER_BYTES || !answer.contains("cached_content_token_count") {
        return None;
    }
    let answer: Answer = serde_json::from_str(answer).ok()?;
    whole(answer.usage_metadata.cached_content_token_count)
}

fn whole(number: f64) -> Option<u64> {
    ((0.0..=MAX_TOKENS).contains(&number) && number.fract() == 0.0).then_some(number as u64)
}

/// What the call cost: as it says itself, else, for the call of a model, by its tokens.
pub(super) fn cost(read: &mut Read<'_, '_>, tokens: Tokens, is_call: bool, prices: &mut Prices<'_>) -> Option<f64> {
    // -0.0 is equal to 0.0 and has other bits, which would give a retry another digest.
    let sound = |cost: &f64| (0.0..=MAX_COST_USD).contains(cost);
    if let Some(cost) = read.value(Field::Cost).and_then(Value::number).filter(sound) {
        read.take(Field::Cost);
        return Some(cost.abs());
    }
    if let Some(details) = details(read, Field::CostDetails) {
        let sum = || details.iter().filter(|(key, _)| *key != "total").map(|(_, cost)| cost).sum();
        return Some(details.get("total").copied().unwrap_or_else(sum)).filter(sound).map(f64::abs);
    }
    // The tokens of an agent are those of its calls, which have their own prices.
    if !is_call || tokens == Tokens::default() {
        return None;
    }
    let models = [Field::ResponseModel, Field::RequestModel].into_iter().filter_map(|field| read.text(field));
    prices.cost(models, tokens).filter(sound)
}

/// Amounts by kind, in an order that is always the same.
fn details(read: &Read<'_, '_>, field: Field) -> Option<BTreeMap<String, f64>> {
    let text = read.text(field).filter(|text| text.len() <= MAX_DETAILS_BYTES)?;
    serde_json::from_str(text).ok()
}

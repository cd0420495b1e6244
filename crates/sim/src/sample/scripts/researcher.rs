//! Searches, opens, summarises. Planted: `web_search` is slow in the last 24 hours; `translate_text` and
//! `style_handbook` are offered and never used.

use serde_json::json;

use crate::sample::log::TaskLog;

const SEARCH_MS: f64 = 800.0;
const SLOW_SEARCH_MS: f64 = 2_000.0;
const FAILURE: f64 = 0.05;
/// How often a page cannot be opened; the task goes on without it.
const PAGE_ERROR: f64 = 0.01;

pub(in crate::sample) fn play(log: &mut TaskLog<'_>) {
    log.context("source_guide", 0.8);
    log.context("citation_rules", 0.6);
    log.llm(900.0);
    for _ in 0..log.dice.between(2, 4) {
        search(log);
        log.llm(1_400.0);
    }
    for _ in 0..log.dice.between(1, 2) {
        open_page(log);
    }
    if log.class() == "market" && log.dice.chance(0.7) {
        let table = log.dice.between(1, 40);
        log.tool("extract_table", 350.0, &json!({ "table": table }), "{\"rows\":12}");
    }
    log.llm(2_600.0);
    let words = log.dice.between(80, 400);
    log.tool("summarize", 600.0, &json!({ "max_words": words }), "{\"ok\":true}");
    log.finish(FAILURE);
}

fn search(log: &mut TaskLog<'_>) {
    // Planted: from 0.8 s to 2 s over night.
    let median_ms = if log.is_slow_day() { SLOW_SEARCH_MS } else { SEARCH_MS };
    let (topic, page) = (log.dice.between(1, 90_000), log.dice.between(1, 3));
    let hits = log.dice.between(3, 40);
    let arguments = json!({ "query": format!("topic {topic} figures"), "page": page });
    log.tool("web_search", median_ms, &arguments, &format!("{{\"hits\":{hits}}}"));
}

fn open_page(log: &mut TaskLog<'_>) {
    let arguments = json!({ "url": format!("https://example.org/articles/{}", log.dice.between(1, 90_000)) });
    if log.dice.chance(PAGE_ERROR) {
        let error = if log.dice.chance(0.5) {
            ("Timeout", format!("no answer within {} ms", log.dice.between(5_000, 9_000)))
        } else {
            ("HttpError", format!("status {}", log.dice.pick(&[403, 404, 502])))
        };
        log.tool_error("open_page", 1_500.0, &arguments, error);
    } else {
        let characters = log.dice.between(900, 20_000);
        log.tool("open_page", 450.0, &arguments, &format!("{{\"characters\":{characters}}}"));
    }
}

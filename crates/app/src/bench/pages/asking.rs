//! Asks for pages at a steady rate, whether earlier answers have come or not: an answer that is late makes those after it
//! late, and that counts.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::bail;
use serde::Serialize;
use serde_json::json;
use uplift_model::Time;

use super::fleet::Found;
use crate::bench::http::Connection;

/// Events that come in meanwhile, a second, in this many requests.
pub(super) const EVENTS_PER_SECOND: usize = 100;
const REQUESTS_PER_SECOND: usize = 4;

/// How much is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    /// Requests of each page.
    pub(super) requests: usize,
    /// Requests a second, of all pages together.
    pub(super) rate: f64,
    /// Connections that ask.
    pub(super) connections: usize,
    /// The engine's time.
    pub(super) now: Time,
}

/// How long a page took.
#[derive(Debug, Serialize)]
pub(super) struct Asked {
    /// Its address, with a `#` where ids differ.
    pub(super) page: &'static str,
    pub(super) requests: usize,
    /// The largest answer.
    pub(super) bytes: u64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) most_ms: f64,
}

/// A page, and the addresses that are asked for in turn.
struct Page {
    name: &'static str,
    addresses: Vec<String>,
}

/// Lists whose later pages are asked for, too.
const LISTS: &[(&str, &str, &str)] = &[
    ("/opportunities", "/opportunities", "/opportunities, next"),
    ("/improvements", "/improvements", "/improvements, next"),
    ("/entities", "/entities", "/entities, next"),
    ("/tasks", "/tasks", "/tasks, next"),
    ("/audit", "/audit", "/audit, next"),
];

/// Measures every page.
pub(super) fn ask(address: &str, found: &Found, load: Load) -> anyhow::Result<Vec<Asked>> {
    let pages = pages(address, found)?;
    // Each page once before it counts: what is read for the first time comes from the disk.
    let mut connection = Connection::open(address)?;
    for page in &pages {
        let path = &page.addresses[0];
        let (status, body) = connection.get(path)?;
        anyhow::ensure!(status == 200, "{path} is answered with {status}: {}", String::from_utf8_lossy(&body));
    }
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let sending = scope.spawn(|| report(address, load.now, &done));
        let taken = measure(address, &pages, load);
        done.store(true, Ordering::Relaxed);
        sending.join().map_err(|_| anyhow::anyhow!("the thread that reports panicked"))??;
        taken
    })
}

fn pages(address: &str, found: &Found) -> anyhow::Result<Vec<Page>> {
    let one = |name: &'static str| Page { name, addresses: vec![name.to_owned()] };
    let many = |name, addresses: &[String]| Page { name, addresses: addresses.to_vec() };
    let mut pages = vec![one("/"), one("/analytics"), one("/alerts"), one("/alerts?all=yes"), one("/settings")];
    let mut connection = Connection::open(address)?;
    for (name, path, later) in LISTS {
        pages.push(one(name));
        let (_, body) = connection.get(path)?;
        if let Some(next) = next(&String::from_utf8_lossy(&body)) {
            pages.push(Page { name: later, addresses: vec![next] });
        }
    }
    let of_entities = |path: &str| -> Vec<String> {
        let id = |page: &String| page.rsplit('/').next().unwrap_or_default().to_owned();
        found.entity_pages.iter().map(|page| format!("{path}{}", id(page))).collect()
    };
    pages.extend([
        one("/improvements?status=deployed"),
        many("/opportunities/#", &found.opportunity_pages),
        many("/improvements/#", &found.improvement_pages),
        many("/entities/agent/#", &found.entity_pages),
        many("/entities/agent/#/revisions/#", &found.revision_pages),
        many("/tasks?entity_type=agent&entity=#", &of_entities("/tasks?entity_type=agent&entity=")),
        many("/tasks/#", &found.task_pages),
    ]);
    Ok(pages)
}

/// Where a list goes on.
fn next(html: &str) -> Option<String> {
    let link = html
        .split("href=\"")
        .skip(1)
        .find(|rest| rest.split('"').next().is_some_and(|link| link.contains("cursor=")))?;
    Some(link.split('"').next()?.replace("&amp;", "&"))
}

fn measure(address: &str, pages: &[Page], load: Load) -> anyhow::Result<Vec<Asked>> {
    let (next, began) = (AtomicUsize::new(0), Instant::now());
    let all = pages.len() * load.requests;
    let asking = || -> anyhow::Result<Vec<(usize, f64, usize)>> {
        let mut connection = Connection::open(address)?;
        let mut taken = Vec::with_capacity(all / load.connections.max(1));
        loop {
            let turn = next.fetch_add(1, Ordering::Relaxed);
            if turn >= all {
                return Ok(taken);
            }
            let (place, round) = (turn % pages.len(), turn / pages.len());
            let page = &pages[place];
            let path = &page.addresses[round % page.addresses.len()];
            let due = began + Duration::from_secs_f64(turn as f64 / load.rate);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let (status, body) = connection.get(path)?;
            if status != 200 {
                bail!("{path} is answered with {status}");
            }
            taken.push((place, due.elapsed().as_secs_f64() * 1e3, body.len()));
        }
    };
    let taken = thread::scope(|scope| {
        let threads: Vec<_> = (0..load.connections.max(1)).map(|_| scope.spawn(asking)).collect();
        let joined =
            threads.into_iter().map(|thread| thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?);
        joined.collect::<anyhow::Result<Vec<_>>>()
    })?;
    let taken: Vec<(usize, f64, usize)> = taken.into_iter().flatten().collect();
    let each = pages.iter().enumerate().map(|(place, page)| {
        let of_page = || taken.iter().filter(|(of, ..)| *of == place);
        let mut times: Vec<f64> = of_page().map(|(_, ms, _)| *ms).collect();
        times.sort_unstable_by(f64::total_cmp);
        Asked {
            page: page.name,
            requests: times.len(),
            bytes: of_page().map(|(.., bytes)| *bytes as u64).max().unwrap_or_default(),
            p50_ms: quantile(&times, 0.5),
            p99_ms: quantile(&times, 0.99),
            most_ms: times.last().copied().unwrap_or_default(),
        }
    });
    Ok(each.collect())
}

/// The smallest value that so many are not above; `sorted` ascends.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// Reports tasks at a steady rate, as agents at work do, until it is told to stop.
fn report(address: &str, now: Time, done: &AtomicBool) -> anyhow::Result<()> {
    let mut connection = Connection::open(address)?;
    let pause = Duration::from_secs(1) / REQUESTS_PER_SECOND as u32;
    for request in 0_usize.. {
        if done.load(Ordering::Relaxed) {
            break;
        }
        let lines: Vec<String> = (0..EVENTS_PER_SECOND / REQUESTS_PER_SECOND)
            .map(|line| {
                json!({
                    "id": "1", "ts": now.to_string(), "event_type": "TASK_COMPLETED", "agent": "refunds",
                    "task_id": format!("measured-{}-{request}-{line}", std::process::id()), "outcome": "SUCCESS",
                })
                .to_string()
            })
            .collect();
        let (status, body) = connection.post("/api/events", "application/x-ndjson", lines.join("\n").as_bytes())?;
        anyhow::ensure!(status == 200, "events are answered with {status}: {}", String::from_utf8_lossy(&body));
        thread::sleep(pause);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_occurred() {
        let values: Vec<f64> = (1..=200).map(f64::from).collect();
        assert_eq!((quantile(&values, 0.5), quantile(&values, 0.99), quantile(&values, 1.0)), (100.0, 198.0, 200.0));
        assert_eq!((quantile(&[7.0], 0.99), quantile(&[], 0.5)), (7.0, 0.0));
    }

    #[test]
    fn the_next_page_is_found() {
        let html = r#"<a href="/x">x</a><a rel="next" href="/tasks?a=1&amp;cursor=t%2E1">More</a>"#;
        assert_eq!(next(html).as_deref(), Some("/tasks?a=1&cursor=t%2E1"));
        assert_eq!(next("<a href=\"/tasks\">x</a>"), None);
    }
}

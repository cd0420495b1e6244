//! Sequences of tool calls that go with failure, or with success.
//!
//! Tasks with a known outcome are split by a hash of their ids: two thirds to search in, one third held out. In the
//! first, every closed subsequence of tool calls (other calls may come between) is compared by Fisher's exact test
//! within strata, in both directions. Thousands are compared, so labels are permuted within strata and a pattern
//! counts only if its p lies below the alpha quantile of the smallest p of a permutation (Westfall and Young,
//! 1993): the chance of any false pattern, failure or success, is alpha. The held-out tasks then replicate it.

mod mine;

use std::collections::BTreeMap;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use uplift_model::Time;
use uplift_model::event::Outcome;
use uplift_model::opportunity::{Evidence, Finding, Impact, MAX_EVIDENCE_EVENTS, OpportunityKind, OpportunitySource};
use uplift_model::policy::DetectionPolicy;
use uplift_model::time::MICROS_PER_DAY;

use super::confidence;
use super::fisher::{LnFactorials, Margins, Tails};
use super::input::{EntityWindow, TaskSample};
use super::text;
use mine::{Bits, Pattern};

/// Most patterns reported of each kind.
const MOST_REPORTED: usize = 5;
/// Least tasks of either outcome to search in.
const LEAST_A_SIDE: usize = 5;
/// Least tasks with a pattern, and least share of them.
const LEAST_SUPPORT: (usize, f64) = (5, 0.02);
/// Two patterns whose tasks overlap this much (shared by either) say the same.
const SAME_OVERLAP: f64 = 0.8;
/// A pattern is replicated when its p on the held-out tasks lies below this.
const REPLICATED: f64 = 0.05;
/// What is left of the confidence where held-out tasks only point the same way, and where they do not.
const UNREPLICATED: (f64, f64) = (0.85, 0.5);

/// The tasks of one side of the split.
struct Side<'a> {
    tasks: Vec<&'a TaskSample>,
    failed: Bits,
    /// The numbers of the tasks of each stratum.
    strata: Vec<Vec<usize>>,
}

impl<'a> Side<'a> {
    fn new(tasks: Vec<&'a TaskSample>) -> Self {
        let mut failed = Bits::empty(tasks.len());
        let mut strata: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (number, task) in tasks.iter().enumerate() {
            if task.outcome != Some(Outcome::Success) {
                failed.insert(number);
            }
            strata.entry(&task.stratum).or_default().push(number);
        }
        let strata = strata.into_values().collect();
        Self { tasks, failed, strata }
    }

    fn tails(&self, with: &Bits, ln: &LnFactorials) -> Tails {
        let count = |stratum: &[usize], bits: &Bits| stratum.iter().filter(|task| bits.contains(**task)).count();
        let margins: Vec<Margins> = self
            .strata
            .iter()
            .map(|stratum| Margins {
                tasks: stratum.len(),
                failed: count(stratum, &self.failed),
                with: count(stratum, with),
            })
            .collect();
        Tails::new(&margins, ln)
    }
}

/// A pattern that passed.
struct Significant {
    kind: OpportunityKind,
    pattern: Pattern,
    p: f64,
    adjusted_p: f64,
}

/// The strongest failure and success patterns of a window, at most five of each, none without
/// `policy.min_tasks` tasks of known outcome. The search is reproducible: its seed comes from the window.
pub fn find(window: &EntityWindow, policy: &DetectionPolicy) -> Vec<Finding> {
    let mut known: Vec<&TaskSample> = window.tasks.iter().filter(|task| task.outcome.is_some()).collect();
    // The order of arrival must not show in how labels are permuted.
    known.sort_by(|a, b| (&a.trace_key, &a.task_id).cmp(&(&b.trace_key, &b.task_id)));
    if known.len() < policy.min_tasks.max(1) as usize {
        return Vec::new();
    }
    let (held_out, search): (Vec<&TaskSample>, Vec<&TaskSample>) =
        known.into_iter().partition(|task| hash(&[&task.trace_key, &task.task_id]).is_multiple_of(3));
    let (search, held_out) = (Side::new(search), Side::new(held_out));
    let failed = search.failed.len();
    if failed < LEAST_A_SIDE || search.tasks.len() - failed < LEAST_A_SIDE {
        return Vec::new();
    }
    let sequences: Vec<Vec<&str>> =
        search.tasks.iter().map(|task| task.calls.iter().map(|call| call.tool.as_str()).collect()).collect();
    let (names, encoded) = mine::encode(&sequences);
    let least = LEAST_SUPPORT.0.max((LEAST_SUPPORT.1 * encoded.len() as f64).ceil() as usize);
    let patterns = mine::mine(&encoded, policy.pattern_max_length as usize, least);
    let ln = LnFactorials::up_to(search.tasks.len().max(held_out.tasks.len()));
    let significant = significant(&search, patterns, &ln, policy, seed(window));
    strongest(significant)
        .into_iter()
        .map(|found| Report::new(window, &search, &held_out, &names, &ln, found).finding())
        .collect()
}

/// Those whose p survives the correction for having looked at all of them.
fn significant(
    side: &Side<'_>,
    patterns: Vec<Pattern>,
    ln: &LnFactorials,
    policy: &DetectionPolicy,
    seed: u64,
) -> Vec<Significant> {
    let tested: Vec<(Pattern, Tails)> = patterns
        .into_iter()
        .map(|pattern| {
            let tails = side.tails(&pattern.tasks, ln);
            (pattern, tails)
        })
        .collect();
    let observed = |pattern: &Pattern, tails: &Tails| {
        let failed = pattern.tasks.common(&side.failed);
        (tails.upper(failed), tails.lower(failed))
    };
    let best = tested.iter().map(|(pattern, tails)| observed(pattern, tails)).map(|(up, down)| up.min(down));
    let Some(smallest) = smallest_under_permutation(side, &tested, best.fold(1.0, f64::min), policy, seed) else {
        return Vec::new();
    };
    tested
        .into_iter()
        .filter_map(|(pattern, tails)| {
            let (up, down) = observed(&pattern, &tails);
            let p = up.min(down);
            // A little slack: equal tables must compare as equal however they were summed.
            let beaten = smallest.partition_point(|other| *other <= p * (1.0 + 1e-9));
            let adjusted_p = (1 + beaten) as f64 / (1 + smallest.len()) as f64;
            let kind = if up < down { OpportunityKind::FailurePattern } else { OpportunityKind::SuccessPattern };
            (adjusted_p <= policy.pattern_alpha).then_some(Significant { kind, pattern, p, adjusted_p })
        })
        .collect()
}

/// The smallest p of each permutation, ascending; none as soon as it is clear that not even `best` will pass.
fn smallest_under_permutation(
    side: &Side<'_>,
    tested: &[(Pattern, Tails)],
    best: f64,
    policy: &DetectionPolicy,
    seed: u64,
) -> Option<Vec<f64>> {
    let permutations = policy.pattern_permutations as usize;
    let allowed = policy.pattern_alpha * (permutations + 1) as f64;
    if tested.is_empty() || best > policy.pattern_alpha || allowed < 1.0 {
        return None;
    }
    let tables: Vec<(&Bits, usize, Vec<f64>)> = tested
        .iter()
        .map(|(pattern, tails)| {
            let (least, table) = tails.smaller();
            (&pattern.tasks, least, table)
        })
        .collect();
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut strata: Vec<(Vec<usize>, usize)> = side
        .strata
        .iter()
        .map(|stratum| (stratum.clone(), stratum.iter().filter(|task| side.failed.contains(**task)).count()))
        .collect();
    let mut failed = Bits::empty(side.tasks.len());
    let mut smallest = Vec::with_capacity(permutations);
    let mut beaten = 0;
    for _ in 0..permutations {
        permute(&mut strata, &mut failed, &mut rng);
        let mut least_p = 1.0_f64;
        for (with, least, table) in &tables {
            let common = with.common(&failed);
            least_p =
                least_p.min(common.checked_sub(*least).and_then(|place| table.get(place)).copied().unwrap_or(1.0));
        }
        beaten += usize::from(least_p <= best * (1.0 + 1e-9));
        if (beaten + 1) as f64 > allowed {
            return None;
        }
        smallest.push(least_p);
    }
    smallest.sort_by(f64::total_cmp);
    Some(smallest)
}

/// Gives each stratum's failures to tasks of the stratum at random (a partial Fisher-Yates shuffle).
fn permute(strata: &mut [(Vec<usize>, usize)], failed: &mut Bits, rng: &mut SmallRng) {
    failed.clear();
    for (tasks, count) in strata {
        for place in 0..*count {
            let other = rng.random_range(place..tasks.len());
            tasks.swap(place, other);
            failed.insert(tasks[place]);
        }
    }
}

/// The strongest few of each kind; what a stronger one explains is dropped: its sub- and super-patterns, and those
/// in nearly the same tasks.
fn strongest(mut found: Vec<Significant>) -> Vec<Significant> {
    found.sort_by(|a, b| {
        a.p.total_cmp(&b.p)
            .then_with(|| b.pattern.tasks.len().cmp(&a.pattern.tasks.len()))
            .then_with(|| a.pattern.tools.cmp(&b.pattern.tools))
    });
    let mut kept: Vec<Significant> = Vec::new();
    for candidate in found {
        let of_kind = kept.iter().filter(|other| other.kind == candidate.kind);
        let explained = of_kind.clone().any(|other| {
            let (a, b) = (&candidate.pattern, &other.pattern);
            let common = a.tasks.common(&b.tasks) as f64;
            let either = (a.tasks.len() + b.tasks.len()) as f64 - common;
            mine::is_within(&a.tools, &b.tools)
                || mine::is_within(&b.tools, &a.tools)
                || common >= SAME_OVERLAP * either
        });
        if !explained && of_kind.count() < MOST_REPORTED {
            kept.push(candidate);
        }
    }
    kept
}

/// Counts of one side for one pattern.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    with: usize,
    without: usize,
    /// Share of tasks with the pattern that fail, where tasks of the same stratum are without it.
    failure_with: f64,
    /// Share of those others that would fail if they were spread over the strata as the tasks with it are. (Pooled
    /// shares would mix the pattern up with where it occurs, and may even point the other way.)
    failure_without: f64,
}

impl Counts {
    fn of(side: &Side<'_>, with: &Bits) -> Self {
        let count = |stratum: &[usize], holds: &dyn Fn(usize) -> bool| {
            stratum.iter().filter(|task| holds(**task)).count() as f64
        };
        let (mut compared, mut failed_with, mut failed_without) = (0.0, 0.0, 0.0);
        for stratum in &side.strata {
            let with_it = count(stratum, &|task| with.contains(task));
            let without_it = stratum.len() as f64 - with_it;
            if with_it > 0.0 && without_it > 0.0 {
                compared += with_it;
                failed_with += count(stratum, &|task| with.contains(task) && side.failed.contains(task));
                let others = count(stratum, &|task| !with.contains(task) && side.failed.contains(task));
                failed_without += with_it * others / without_it;
            }
        }
        let share = |failed: f64| if compared > 0.0 { failed / compared } else { 0.0 };
        Self {
            with: with.len(),
            without: side.tasks.len() - with.len(),
            failure_with: share(failed_with),
            failure_without: share(failed_without),
        }
    }

    /// Shares of tasks that end so, with and without the pattern, within strata.
    fn rates(self, kind: OpportunityKind) -> (f64, f64) {
        match kind {
            OpportunityKind::FailurePattern => (self.failure_with, self.failure_without),
            _ => (1.0 - self.failure_with, 1.0 - self.failure_without),
        }
    }
}

/// Everything that is said of one pattern.
struct Report<'a> {
    window: &'a EntityWindow,
    found: Significant,
    names: Vec<&'a str>,
    counts: Counts,
    held_out: Counts,
    held_out_p: f64,
    /// Supporting tasks, the latest last.
    tasks: Vec<&'a TaskSample>,
}

impl<'a> Report<'a> {
    fn new(
        window: &'a EntityWindow,
        search: &Side<'a>,
        held_out: &Side<'a>,
        names: &[&'a str],
        ln: &LnFactorials,
        found: Significant,
    ) -> Self {
        let names: Vec<&str> = found.pattern.tools.iter().map(|tool| names[usize::from(*tool)]).collect();
        let mut with = Bits::empty(held_out.tasks.len());
        for (number, task) in held_out.tasks.iter().enumerate() {
            if occurs(&names, task) {
                with.insert(number);
            }
        }
        let tails = held_out.tails(&with, ln);
        let failed = with.common(&held_out.failed);
        let failure = found.kind == OpportunityKind::FailurePattern;
        let held_out_p = if failure { tails.upper(failed) } else { tails.lower(failed) };
        let of = |bits: &Bits, number: usize| bits.contains(number);
        let mut tasks: Vec<&TaskSample> = (0..search.tasks.len())
            .filter(|number| of(&found.pattern.tasks, *number) && of(&search.failed, *number) == failure)
            .map(|number| search.tasks[number])
            .collect();
        tasks.sort_by_key(|task| task.ended_at);
        let counts = Counts::of(search, &found.pattern.tasks);
        Self { window, names, counts, held_out: Counts::of(held_out, &with), held_out_p, tasks, found }
    }

    fn finding(self) -> Finding {
        let kind = self.found.kind;
        let (rate, otherwise) = self.counts.rates(kind);
        let (held_out_rate, held_out_otherwise) = self.held_out.rates(kind);
        let replicated = self.held_out_p < REPLICATED;
        let left = match (replicated, held_out_rate > held_out_otherwise) {
            (true, _) => 1.0,
            (false, true) => UNREPLICATED.0,
            (false, false) => UNREPLICATED.1,
        };
        let all = (self.counts.with + self.counts.without) as f64;
        let overall = (rate * self.counts.with as f64 + otherwise * self.counts.without as f64) / all;
        let lift = if overall > 0.0 { rate / overall } else { 1.0 };
        let known = self.window.tasks.iter().filter(|task| task.outcome.is_some());
        let share =
            known.clone().filter(|task| occurs(&self.names, task)).count() as f64 / known.count().max(1) as f64;
        let (rule, verb, noun) = match kind {
            OpportunityKind::FailurePattern => ("failure_pattern", "fail", "failures fewer"),
            _ => ("success_pattern", "succeed", "successes more"),
        };
        let shown: Vec<String> = self.names.iter().map(|name| format!("`{}`", text::name(name))).collect();
        let gain = self.gain(rate, otherwise, share);
        Finding {
            entity: self.window.entity,
            kind,
            fingerprint: text::sequence(&self.names),
            source: OpportunitySource::Pattern,
            description: format!(
                "Tasks of `{}` that call {} {verb} {} of the time, comparable others {} ({} of {} tasks, {})",
                text::name(&self.window.entity_name),
                shown.join(", then "),
                text::percent(rate),
                text::percent(otherwise),
                self.counts.with,
                self.counts.with + self.counts.without,
                if replicated { "replicated on held-out tasks" } else { "not replicated on held-out tasks" }
            ),
            confidence: confidence::sure((1.0 - self.found.adjusted_p) * left),
            impact: Impact::from_share(share, format!("up to {gain:.0} {noun} a day")),
            last_seen_at: last(&self.tasks).unwrap_or(self.window.as_of),
            evidence: self.evidence(rule, replicated, lift),
        }
    }

    fn evidence(&self, rule: &str, replicated: bool, lift: f64) -> Evidence {
        let (rate, otherwise) = self.counts.rates(self.found.kind);
        let (held_out_rate, held_out_otherwise) = self.held_out.rates(self.found.kind);
        let numbers = [
            ("tasks_with", self.counts.with as f64),
            ("tasks_without", self.counts.without as f64),
            ("rate_with", rate),
            ("rate_without", otherwise),
            ("lift", lift),
            ("p", self.found.p),
            ("adjusted_p", self.found.adjusted_p),
            ("held_out_tasks_with", self.held_out.with as f64),
            ("held_out_tasks_without", self.held_out.without as f64),
            ("held_out_rate_with", held_out_rate),
            ("held_out_rate_without", held_out_otherwise),
            ("held_out_p", self.held_out_p),
        ];
        let shown: Vec<&str> = self.names.iter().map(|name| text::name(name)).collect();
        let latest = || self.tasks.iter().rev().take(MAX_EVIDENCE_EVENTS);
        Evidence {
            rule: rule.to_owned(),
            count: i64::try_from(self.tasks.len()).unwrap_or(i64::MAX),
            window_start: Some(self.window.start),
            window_end: Some(self.window.as_of),
            numbers: numbers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            labels: BTreeMap::from([
                ("entity".to_owned(), text::name(&self.window.entity_name).to_owned()),
                ("pattern".to_owned(), shown.join(" > ")),
                ("replicated".to_owned(), if replicated { "yes" } else { "no" }.to_owned()),
            ]),
            events: latest()
                .filter_map(|task| task.calls.iter().find(|call| Some(&call.tool.as_str()) == self.names.first()))
                .map(|call| call.event.clone())
                .collect(),
            tasks: latest().map(|task| task.task_id.clone()).collect(),
        }
    }

    /// What could be gained a day: failures that those with the pattern have beyond the others, or successes that
    /// those without it lack.
    fn gain(&self, rate: f64, otherwise: f64, share: f64) -> f64 {
        let days = self.window.as_of.micros_since(self.window.start) as f64 / MICROS_PER_DAY as f64;
        let tasks = self.window.tasks.len() as f64 / days.max(1.0);
        let touched = if self.found.kind == OpportunityKind::FailurePattern { share } else { 1.0 - share };
        tasks * touched * (rate - otherwise).max(0.0)
    }
}

fn occurs(names: &[&str], task: &TaskSample) -> bool {
    let mut calls = task.calls.iter().take(mine::MOST_CALLS);
    names.iter().all(|name| calls.any(|call| call.tool == *name))
}

fn last(tasks: &[&TaskSample]) -> Option<Time> {
    tasks.iter().filter_map(|task| task.ended_at).max()
}

/// FNV-1a over texts, each ended by a byte that occurs in none.
fn hash(texts: &[&str]) -> u64 {
    let bytes = texts.iter().flat_map(|text| text.bytes().chain(std::iter::once(0xff)));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The same for the same tasks of the same entity.
fn seed(window: &EntityWindow) -> u64 {
    window.tasks.iter().fold(hash(&[&window.entity.to_string()]), |seed, task| {
        seed.rotate_left(5) ^ hash(&[&task.trace_key, &task.task_id])
    })
}

#[cfg(test)]
mod tests;

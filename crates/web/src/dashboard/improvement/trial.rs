//! What a trial measured, how that came about over time, and how far it is.

use maud::{Markup, html};
use serde_json::Value;
use uplift_model::Time;
use uplift_model::trial::{Comparison, TrialKind, TrialRecord};
use uplift_model::verdict::{Interval, MetricFinding, Verdict};

use crate::dashboard::chart::{self, Line, Point, line};
use crate::dashboard::format;
use crate::dashboard::improvements::{e_value, evidence, progress};
use crate::dashboard::layout;
use crate::dashboard::parts::{at, first_sentence, live, prose, section, wide};
use crate::dashboard::visit::Visit;

/// Every metric with its interval, and what the whole comes to.
/// What was decided of it is left out where the head of the page has told it.
pub(super) fn measured(visit: &Visit, record: &TrialRecord, trials: &[TrialRecord], told: bool) -> Markup {
    let heading = match record.trial.kind {
        TrialKind::Trial => "Measured in trial",
        TrialKind::HoldBack => "Measured in the watch after the keep,",
    };
    live(
        "measured",
        &html! { (heading) " " (record.id) @if record.running { " " span.st.live { "◐ running" } } },
        &html! {
            @if trials.len() > 1 {
                nav.tabs aria-label="Trials" { @for other in trials.iter().rev() {
                    @let name = match other.trial.kind { TrialKind::Trial => "trial", TrialKind::HoldBack => "watch" };
                    a href={ "/improvements/" (other.improvement_id) "?trial=" (other.id) }
                        aria-current=[(other.id == record.id).then_some("true")] { (name) " " (other.id) }
                } }
            }
            @if let Some(verdict) = &record.verdict {
                @if !told { p { (prose(first_sentence(&verdict.text))) "." } }
                @if record.trial.comparison == Comparison::BeforeAfter {
                    p.warn { "Compared with the time before, which is weaker, and never proves anything." }
                }
                (table(verdict))
            p.muted.small { "Positive is better. Shaded is the worsening that is allowed; around zero the axis is stretched." }
                (whole(visit, record, verdict))
            } @else { p.muted { "The first look comes after the first units have ended." } }
        },
    )
}

fn table(verdict: &Verdict) -> Markup {
    wide(
        "Metrics",
        &html! {
            table.metrics {
                thead { tr {
                    th scope="col" { "Metric" }
                    th.num scope="col" { "Control" }
                    th.num scope="col" { "Candidate" }
                    th.drawn scope="col" { "Change, −100 to +100\u{a0}%" }
                    th.num scope="col" { "" }
                    th.num scope="col" { "n" }
                    th.num scope="col" { "Still needed" }
                } }
                tbody { @for metric in &verdict.findings.metrics { (row(verdict, metric)) } }
            }
        },
    )
}

fn row(verdict: &Verdict, metric: &MetricFinding) -> Markup {
    let Interval { estimate, low, high } = metric.effect;
    let roles = [(metric.roles.goal, "goal"), (metric.roles.guardrail, "guardrail"), (metric.roles.cost, "cost")];
    let roles: Vec<&str> = roles.into_iter().filter_map(|(has, name)| has.then_some(name)).collect();
    let deciding = verdict.deciding.contains(&metric.name);
    html! { tr {
        td { @if deciding { b { (format::metric_name(&metric.name)) } } @else { (format::metric_name(&metric.name)) }
            br; span.muted { (roles.join(", ")) @if deciding { ", decided" } } }
        td.num { (format::metric(&metric.name, metric.control)) }
        td.num { (format::metric(&metric.name, metric.candidate)) }
        td.drawn { (chart::interval(estimate, low, high, Some(metric.margin)))
            span.muted { (metric.what_would_change.strip_prefix(&format!("{}: ", metric.name)).unwrap_or(&metric.what_would_change)) } }
        td.num { (format::change(estimate)) br; span.muted { (format::change(low)) " … " (format::change(high)) } }
        td.num { (format::count(metric.n[0])) " / " (format::count(metric.n[1])) }
        td.num { @match metric.units_needed { Some(0) => "–", Some(units) => (format::count(units)), None => "–" } }
    } }
}

fn whole(visit: &Visit, record: &TrialRecord, verdict: &Verdict) -> Markup {
    let findings = &verdict.findings;
    let Interval { estimate, low, high } = findings.effectiveness;
    html! {
        dl.facts {
            div { dt { "Effectiveness, weighted" } dd { (format::change(estimate)) " " span.muted { (format::change(low)) " … " (format::change(high)) } } }
            div { dt { "Evidence against it" } dd.narrow { (evidence(verdict)) } }
            div { dt { "Units, control / candidate" } dd { (format::count(findings.allocation.assigned[0])) " / " (format::count(findings.allocation.assigned[1]))
                @if findings.immature > 0 { span.muted { ", " (format::count(findings.immature)) " too young" } } } }
            div { dt { "Split as declared" } dd { "e-value " (e_value(findings.allocation.log_evidence)) span.muted { " against it" } } }
            div { dt { "Outcomes known" } dd { (format::percent(findings.coverage.known[0])) " / " (format::percent(findings.coverage.known[1])) } }
            @if record.running { @if let Some(units) = verdict.units_needed {
                div { dt { "Tasks still needed" } dd { @if units == 0 { "none, at the estimates of now" } @else { "about " (format::count(units)) } } }
            } }
            div { dt { "Looked at" } dd { (at(Time::from_micros(record.looked_us))) } }
            @if record.running { div { dt { "First horizon" } dd.narrow { (progress(visit, record)) } } }
        }
        @if findings.interference { p.warn { "Control fell below its own history after the start: the share does not grow." } }
    }
}

/// The estimates over time, as the looks of each hour saw them.
pub(super) fn over_time(record: &TrialRecord, looks: &[(i64, Value)]) -> Markup {
    let Some(verdict) = &record.verdict else { return html! {} };
    let mut metrics: Vec<&MetricFinding> = verdict.findings.metrics.iter().collect();
    metrics.sort_by_key(|metric| (!metric.roles.goal, !metric.roles.guardrail));
    section(
        "over-time",
        "Over time",
        &html! {
            div.charts {
                @for metric in metrics { (metric_chart(metric, looks, verdict)) }
                (evidence_chart(looks, verdict))
            }
        },
    )
}

fn metric_chart(metric: &MetricFinding, looks: &[(i64, Value)], verdict: &Verdict) -> Markup {
    let n = |pair: [u64; 2]| format!("{} / {}", format::count(pair[0]), format::count(pair[1]));
    let mut points: Vec<Point> = looks
        .iter()
        .filter_map(|(at, summary)| {
            let seen = &summary["metrics"][&metric.name];
            let pair = [seen["n"][0].as_u64().unwrap_or_default(), seen["n"][1].as_u64().unwrap_or_default()];
            Some(Point {
                at: Time::from_micros(*at),
                value: seen["estimate"].as_f64()?,
                band: Some((seen["low"].as_f64()?, seen["high"].as_f64()?)),
                note: n(pair),
            })
        })
        .collect();
    let Interval { estimate, low, high } = metric.effect;
    last(&mut points, verdict, estimate, Some((low, high)), n(metric.n));
    let name = format::metric_name(&metric.name);
    let rules = [(0.0, "no change"), (-metric.margin, "margin")];
    let rules = if metric.roles.any() { &rules[..] } else { &rules[..1] };
    html! { div {
        h3 { (layout::capital(name)) @if metric.roles.goal { " " span.muted { "goal" } } }
        (line(&Line { label: &format!("Change of {name}"), value: "Change", points: &points, rules, format: format::change,
            notes: Some("Control / candidate"), within: (-1.0, 1.0), ..Line::default() }))
    } }
}

/// What the latest look saw, unless the summaries end with it.
fn last(points: &mut Vec<Point>, verdict: &Verdict, value: f64, band: Option<(f64, f64)>, note: String) {
    let at = Time::from_micros(verdict.findings.at_us);
    if points.last().is_none_or(|last| last.at < at) {
        points.push(Point { at, value, band, note });
    }
}

fn evidence_chart(looks: &[(i64, Value)], verdict: &Verdict) -> Markup {
    let tens = |log: f64| log / std::f64::consts::LN_10;
    let mut points: Vec<Point> = looks
        .iter()
        .filter_map(|(at, summary)| {
            let log = summary["log_evidence"].as_f64()?;
            Some(Point { at: Time::from_micros(*at), value: tens(log), band: None, note: String::new() })
        })
        .collect();
    let combined = &verdict.findings.combined;
    last(&mut points, verdict, tens(combined.log_evidence), None, String::new());
    let rules = [(tens(combined.log_threshold), "taken back at")];
    html! { div {
        h3 { "Evidence against it " span.muted { "e-value" } }
        (line(&Line { label: "Evidence against the candidate", value: "e-value", points: &points, rules: &rules,
            format: |tens| format::number(10_f64.powf(tens)), step: 1.0, ..Line::default() }))
    } }
}

/// How far it is: its stages, and until when it goes on.
pub(super) fn course(visit: &Visit, record: &TrialRecord) -> Markup {
    let trial = &record.trial;
    let until = record.ended_at.unwrap_or(visit.now);
    let current = trial.stage_at(until.micros());
    let step = |time: i64| at(Time::from_micros(time));
    live(
        "course",
        &html! { "Course" },
        &html! {
            (wide("Course", &html! {
                table.course {
                    thead { tr { th scope="col" { "From" } th.num scope="col" { "Share of the candidate" } th scope="col" { "" } } }
                    tbody {
                        @for (place, stage) in trial.stages.iter().enumerate() { tr {
                            td { (step(stage.from_us)) }
                            td.num { (format::percent(stage.share)) }
                            td.narrow { (chart::share(stage.share, &format::percent(stage.share)))
                                @if record.running && place == current { span.muted { "now" } } }
                        } }
                        tr { td { (step(trial.horizon_us())) } td colspan="2" { @if trial.kind == TrialKind::Trial { "may be kept from here on" } @else { "the watch ends" } } }
                        @if trial.last_horizon_us() > trial.horizon_us() {
                            tr { td { (step(trial.last_horizon_us())) } td colspan="2" { "ends here at the latest" } }
                        }
                        @if let Some(ended) = record.ended_at { tr { td { (at(ended)) } td colspan="2" { b { "ended" } } } }
                    }
                }
            }))
        },
    )
}

//! The reports as people read them, ending by ending.

use serde_json::json;
use uplift_model::check::{Check, CheckName, CheckResult};
use uplift_model::edit::Edit;
use uplift_model::entity::{EntityKey, EntityType};
use uplift_model::history::HistoryOutcome;
use uplift_model::improvement::{
    Improvement, ImprovementStatus, ImprovementType, ProcessTemplate, Proposal, ProposalSource,
};
use uplift_model::metric::Roles;
use uplift_model::policy::trial::{HOUR_US, TrialPolicy};
use uplift_model::revision::RevisionId;
use uplift_model::trial::{AssignmentUnit, Baseline, Comparison, ShareStage, Trial, TrialKind, TrialRecord};
use uplift_model::verdict::{
    Allocation, Combined, Coverage, Decision, Findings, Interval, LogEvidence, Method, MetricFinding, Next, Phase,
    Reason, Strength, Summary, Verdict,
};

use super::*;

fn start() -> Time {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn improvement() -> Improvement {
    Improvement {
        id: 12,
        entity: EntityKey::new(EntityType::Agent, 3),
        opportunity_id: Some(7),
        proposal: Proposal {
            improvement_type: ImprovementType::PerformanceTuning,
            proposed_by: ProposalSource::Rule,
            proposer: "retry_timeout".to_owned(),
            edits: vec![Edit::SetParameter { name: "timeout_ms".to_owned(), value: json!(20_000) }],
            processes: Vec::new(),
            rationale: "Calls of `search` take 9 s at the 95th percentile; the timeout is 5 s.".to_owned(),
            expected_impact: "18 % fewer failed calls".to_owned(),
            expected_gain: 0.1,
            confidence: 0.85,
            comparison: Comparison::Concurrent,
        },
        base: Some(RevisionId::from_stored("b".repeat(64))),
        candidate: Some(RevisionId::from_stored("c".repeat(64))),
        status: ImprovementStatus::Testing,
        checks: Vec::new(),
        preflight: None,
        approved_by: None,
        created_at: start(),
        updated_at: start(),
        version: 3,
    }
}

fn record(kind: TrialKind) -> TrialRecord {
    let started_us = start().micros();
    let stages = match kind {
        TrialKind::Trial => vec![
            ShareStage { from_us: started_us, share: 0.1 },
            ShareStage { from_us: started_us + 2 * HOUR_US, share: 0.5 },
        ],
        TrialKind::HoldBack => vec![ShareStage { from_us: started_us, share: 0.95 }],
    };
    TrialRecord {
        id: 5,
        improvement_id: 12,
        entity: EntityKey::new(EntityType::Agent, 3),
        base: RevisionId::from_stored("b".repeat(64)),
        candidate: RevisionId::from_stored("c".repeat(64)),
        trial: Trial {
            key: "improvement/12".to_owned(),
            kind,
            started_us,
            unit: AssignmentUnit::Task,
            comparison: Comparison::Concurrent,
            stages,
            metrics: Vec::new(),
            expected_units: 900.0,
            baseline: Baseline::default(),
            policy: TrialPolicy::default(),
        },
        running: true,
        cursor: 0,
        looked_us: started_us,
        verdict: None,
        ended_at: None,
        ending: None,
    }
}

fn metric(name: &str, roles: Roles, control: f64, candidate: f64, effect: f64) -> MetricFinding {
    MetricFinding {
        name: name.to_owned(),
        roles,
        summary: Summary::Rate,
        n: [450, 440],
        control,
        candidate,
        effect: Interval { estimate: effect, low: effect - 0.05, high: effect + 0.05 },
        margin: 0.1,
        inside_margin: true,
        weight: 1.0,
        evidence: LogEvidence::default(),
        evidence_share: 0.0,
        fixed: None,
        units_needed: None,
        what_would_change: String::new(),
    }
}

fn verdict(decision: Decision, strength: Option<Strength>, text: &str) -> Verdict {
    let sign = if decision == Decision::Rollback { -1.0 } else { 1.0 };
    let goal = Roles { goal: true, ..Roles::default() };
    let guardrail = Roles { guardrail: true, ..Roles::default() };
    Verdict {
        decision,
        strength,
        next: Next::Continue,
        reasons: vec![Reason::GoalBetter],
        deciding: vec!["duration_ms".to_owned()],
        text: text.to_owned(),
        units_needed: None,
        findings: Findings {
            at_us: start().plus_hours(24).micros(),
            method: Method::Live,
            phase: Phase::FirstHorizon,
            last: false,
            may_prove: true,
            watch_only: false,
            matured: [450, 440],
            immature: 0,
            late: 0,
            allocation: Allocation { assigned: [460, 452], log_evidence: 0.0, crossover: 0.0 },
            coverage: Coverage { known: [1.0, 1.0], log_evidence: 0.0 },
            combined: Combined { log_evidence: 0.5 - sign, log_evidence_without_costs: 0.0, log_threshold: 2.59 },
            effectiveness: Interval { estimate: sign * 0.21, low: sign * 0.21 - 0.1, high: sign * 0.21 + 0.1 },
            balance: 0.0,
            metrics: vec![
                metric("success", guardrail, 0.91, 0.93, sign * 0.02),
                metric("duration_ms", goal, 4_210.4, 3_105.5, sign * 0.26),
                metric("a <b>score</b>", Roles::default(), 3.0, 3.5, sign * 0.1),
            ],
            interference: false,
        },
    }
}

fn write(
    improvement: &Improvement,
    trial: Option<&TrialRecord>,
    verdict: Option<&Verdict>,
    ending: Ending,
) -> HistoryEntry {
    entry(&Input {
        now: start().plus_hours(24),
        improvement,
        entity_name: "support",
        trial,
        verdict,
        checks: &improvement.checks,
        ending,
    })
}

/// What a reader of the history sees: the outcome, the reason, the line for logs, and the report.
fn shown(entry: &HistoryEntry) -> String {
    format!("{} | {}\n{}\n\n{}", entry.outcome, entry.reason, lesson(entry), entry.report)
}

#[test]
fn kept_and_proven() {
    let verdict = verdict(Decision::Keep, Some(Strength::Proven), "Keep, proven: a goal is better.");
    let entry = write(&improvement(), Some(&record(TrialKind::Trial)), Some(&verdict), Ending::Kept);
    assert_eq!((entry.started_at, entry.decided_at), (Some(start()), start().plus_hours(24)));
    let value = |values: &Option<MetricValues>, name: &str| values.as_ref().unwrap().0[name];
    assert!((value(&entry.metrics_before, "success") - 0.91).abs() < 1e-9);
    assert!((value(&entry.metrics_after, "success") - 0.93).abs() < 1e-9);
    assert!((entry.effectiveness.unwrap().estimate - 0.21).abs() < 1e-9);
    assert_eq!(entry.rollback_revision, Some(RevisionId::from_stored("b".repeat(64))));
    assert_eq!(entry.verdict.as_ref(), Some(&verdict));
    insta::assert_snapshot!(shown(&entry), @r#"
    kept | Keep, proven: a goal is better.
    improvement 12 (performance_tuning on agent/3) kept, +21.0 % (+11.0 % to +31.0 %)

    # Improvement 12 of agent `support`: kept, proven

    ## What was changed

    - sets the parameter `timeout_ms` to 20000

    ## Why

    - rationale: Calls of \`search\` take 9 s at the 95th percentile; the timeout is 5 s.
    - expected: 18 % fewer failed calls
    - it answers opportunity 7
    - proposed as `performance_tuning` by `retry_timeout` (rule), confidence 0.85

    ## How it was tried

    - comparison: both revisions at the same time, tasks split at random
    - time: 24.0 h from 2026-03-01T12:00:00Z; planned 24 h, 72 h at the most
    - share of the candidate: 10 % from hour 0.0 on, 50 % from hour 2.0 on
    - tasks: 460 in control and 452 in the candidate, 450 and 440 of them counted

    ## What was measured

    Changes are positive where the candidate is better.

    | metric | control | candidate | change | interval | part |
    |---|---|---|---|---|---|
    | `success` | 0.9100 | 0.9300 | +2.0 % | -3.0 % to +7.0 % | guardrail |
    | `duration_ms` | 4210 | 3106 | +26.0 % | +21.0 % to +31.0 % | goal, decided |
    | `<*>` | 3.0000 | 3.5000 | +10.0 % | +5.0 % to +15.0 % | observed |

    The whole, weighted: +21.0 % (+11.0 % to +31.0 %).

    ## What was decided

    Keep, proven: a goal is better.

    Proven: better, and shown to be no worse in everything that may not suffer (evidence of harm 0.6 to 1, of 13 to 1 that it takes to roll back).

    ## What was left open

    - nothing worth mentioning

    ## Going back

    `uplift rollback 12` returns to revision `bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb`.
    "#);
}

#[test]
fn kept_and_supported_with_much_left_open() {
    let mut verdict = verdict(Decision::Keep, Some(Strength::Supported), "Keep, supported: a goal is better.");
    let findings = &mut verdict.findings;
    findings.coverage = Coverage { known: [0.97, 0.914], log_evidence: 3.2 };
    findings.allocation.crossover = 0.004;
    (findings.interference, findings.immature, findings.late) = (true, 12, 3);
    let mut improvement = improvement();
    improvement.approved_by = Some("ada".to_owned());
    improvement.proposal.improvement_type = ImprovementType::ProcessAutomation;
    improvement.proposal.edits = vec![Edit::AttachProcess { name: "order-lookup".to_owned() }];
    improvement.proposal.processes = vec![ProcessTemplate {
        name: "order-lookup".to_owned(),
        steps: vec!["get_order".to_owned(), "ignore all".to_owned()],
    }];
    insta::assert_snapshot!(
        shown(&write(&improvement, Some(&record(TrialKind::Trial)), Some(&verdict), Ending::Kept)), @r#"
        kept | Keep, supported: a goal is better.
        improvement 12 (process_automation on agent/3) kept, +21.0 % (+11.0 % to +31.0 %)

        # Improvement 12 of agent `support`: kept, supported

        ## What was changed

        - attaches the process `order-lookup`
        - declares the process `order-lookup`: `get_order -> <*>`

        ## Why

        - rationale: Calls of \`search\` take 9 s at the 95th percentile; the timeout is 5 s.
        - expected: 18 % fewer failed calls
        - it answers opportunity 7
        - proposed as `process_automation` by `retry_timeout` (rule), confidence 0.85; approved by `ada`

        ## How it was tried

        - comparison: both revisions at the same time, tasks split at random
        - time: 24.0 h from 2026-03-01T12:00:00Z; planned 24 h, 72 h at the most
        - share of the candidate: 10 % from hour 0.0 on, 50 % from hour 2.0 on
        - tasks: 460 in control and 452 in the candidate, 450 and 440 of them counted

        ## What was measured

        Changes are positive where the candidate is better.

        | metric | control | candidate | change | interval | part |
        |---|---|---|---|---|---|
        | `success` | 0.9100 | 0.9300 | +2.0 % | -3.0 % to +7.0 % | guardrail |
        | `duration_ms` | 4210 | 3106 | +26.0 % | +21.0 % to +31.0 % | goal, decided |
        | `<*>` | 3.0000 | 3.5000 | +10.0 % | +5.0 % to +15.0 % | observed |

        The whole, weighted: +21.0 % (+11.0 % to +31.0 %).

        ## What was decided

        Keep, supported: a goal is better.

        Supported: better, and nothing points to harm; that nothing else is worse is not proven (evidence of harm 0.6 to 1, of 13 to 1 that it takes to roll back).

        ## What was left open

        - the outcome is known of 97 % of control and 91.4 % of the candidate
        - the two sides do not report their outcomes equally often
        - 0.4 % of the units saw both revisions
        - control fell below its own history after the start: something shared may have suffered
        - 12 units were too young to be counted
        - 3 records came too late to be counted

        ## Going back

        `uplift rollback 12` returns to revision `bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb`.
        "#
    );
}

#[test]
fn rolled_back() {
    let verdict = verdict(Decision::Rollback, None, "Roll back: the evidence of harm reached 20 to 1.");
    let mut record = record(TrialKind::Trial);
    record.ended_at = Some(start().plus_micros(HOUR_US / 2));
    let entry = write(&improvement(), Some(&record), Some(&verdict), Ending::RolledBack);
    assert_eq!(entry.outcome, HistoryOutcome::RolledBack);
    insta::assert_snapshot!(shown(&entry), @r#"
    rolled_back | Roll back: the evidence of harm reached 20 to 1.
    improvement 12 (performance_tuning on agent/3) rolled_back, -21.0 % (-31.0 % to -11.0 %)

    # Improvement 12 of agent `support`: rolled back for harm

    ## What was changed

    - sets the parameter `timeout_ms` to 20000

    ## Why

    - rationale: Calls of \`search\` take 9 s at the 95th percentile; the timeout is 5 s.
    - expected: 18 % fewer failed calls
    - it answers opportunity 7
    - proposed as `performance_tuning` by `retry_timeout` (rule), confidence 0.85

    ## How it was tried

    - comparison: both revisions at the same time, tasks split at random
    - time: 0.5 h from 2026-03-01T12:00:00Z; planned 24 h, 72 h at the most
    - share of the candidate: 10 % from hour 0.0 on, 50 % from hour 2.0 on
    - tasks: 460 in control and 452 in the candidate, 450 and 440 of them counted

    ## What was measured

    Changes are positive where the candidate is better.

    | metric | control | candidate | change | interval | part |
    |---|---|---|---|---|---|
    | `success` | 0.9100 | 0.9300 | -2.0 % | -7.0 % to +3.0 % | guardrail |
    | `duration_ms` | 4210 | 3106 | -26.0 % | -31.0 % to -21.0 % | goal, decided |
    | `<*>` | 3.0000 | 3.5000 | -10.0 % | -15.0 % to -5.0 % | observed |

    The whole, weighted: -21.0 % (-31.0 % to -11.0 %).

    ## What was decided

    Roll back: the evidence of harm reached 20 to 1.

    Harm was shown (evidence of harm 4.5 to 1, of 13 to 1 that it takes to roll back).

    ## What was left open

    - nothing worth mentioning

    ## Going back

    The revision before the change is `bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb`.
    "#);
}

#[test]
fn inconclusive_at_the_last_horizon() {
    let mut verdict = verdict(
        Decision::Inconclusive,
        None,
        "Inconclusive: no goal was shown to be better. The old revision returns.",
    );
    verdict.findings.last = true;
    let mut trial = record(TrialKind::Trial);
    trial.trial.unit = AssignmentUnit::Session;
    let entry = write(&improvement(), Some(&trial), Some(&verdict), Ending::Inconclusive { kept: false });
    assert_eq!(entry.outcome, HistoryOutcome::Inconclusive);
    insta::assert_snapshot!(shown(&entry), @r#"
    inconclusive | Inconclusive: no goal was shown to be better. The old revision returns.
    improvement 12 (performance_tuning on agent/3) inconclusive, +21.0 % (+11.0 % to +31.0 %)

    # Improvement 12 of agent `support`: inconclusive: the old revision stays

    ## What was changed

    - sets the parameter `timeout_ms` to 20000

    ## Why

    - rationale: Calls of \`search\` take 9 s at the 95th percentile; the timeout is 5 s.
    - expected: 18 % fewer failed calls
    - it answers opportunity 7
    - proposed as `performance_tuning` by `retry_timeout` (rule), confidence 0.85

    ## How it was tried

    - comparison: both revisions at the same time, sessions split at random
    - time: 24.0 h from 2026-03-01T12:00:00Z; planned 24 h, 72 h at the most
    - share of the candidate: 10 % from hour 0.0 on, 50 % from hour 2.0 on
    - sessions: 460 in control and 452 in the candidate, 450 and 440 of them counted

    ## What was measured

    Changes are positive where the candidate is better.

    | metric | control | candidate | change | interval | part |
    |---|---|---|---|---|---|
    | `success` | 0.9100 | 0.9300 | +2.0 % | -3.0 % to +7.0 % | guardrail |
    | `duration_ms` | 4210 | 3106 | +26.0 % | +21.0 % to +31.0 % | goal, decided |
    | `<*>` | 3.0000 | 3.5000 | +10.0 % | +5.0 % to +15.0 % | observed |

    The whole, weighted: +21.0 % (+11.0 % to +31.0 %).

    ## What was decided

    Inconclusive: no goal was shown to be better. The old revision returns.

    Neither better nor worse was shown: this does not count against the proposal (evidence of harm 0.6 to 1, of 13 to 1 that it takes to roll back).

    ## What was left open

    - nothing worth mentioning

    ## Going back

    The revision before the change is `bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb`.
    "#);
    "Inconclusive: no goal was shown to be better.".clone_into(&mut verdict.text);
    let kept = write(&improvement(), Some(&trial), Some(&verdict), Ending::Inconclusive { kept: true });
    assert!(kept.report.contains("`uplift rollback 12` returns to revision"), "{}", kept.report);
    assert!(kept.reason.ends_with("The candidate stays in place."), "{}", kept.reason);
}

#[test]
fn an_invalid_comparison() {
    let text = "Invalid: 460 units in control and 902 in the candidate are not the declared split.";
    let mut verdict = verdict(Decision::InvalidAllocation, None, text);
    verdict.findings.metrics.clear();
    let entry =
        write(&improvement(), Some(&record(TrialKind::Trial)), Some(&verdict), Ending::Inconclusive { kept: false });
    assert_eq!((entry.metrics_before.as_ref(), entry.outcome), (None, HistoryOutcome::Inconclusive));
    insta::assert_snapshot!(shown(&entry), @r#"
    inconclusive | Invalid: 460 units in control and 902 in the candidate are not the declared split. The old revision stays in place.
    improvement 12 (performance_tuning on agent/3) inconclusive

    # Improvement 12 of agent `support`: the comparison is not valid: the old revision stays

    ## What was changed

    - sets the parameter `timeout_ms` to 20000

    ## Why

    - rationale: Calls of \`search\` take 9 s at the 95th percentile; the timeout is 5 s.
    - expected: 18 % fewer failed calls
    - it answers opportunity 7
    - proposed as `performance_tuning` by `retry_timeout` (rule), confidence 0.85

    ## How it was tried

    - comparison: both revisions at the same time, tasks split at random
    - time: 24.0 h from 2026-03-01T12:00:00Z; planned 24 h, 72 h at the most
    - share of the candidate: 10 % from hour 0.0 on, 50 % from hour 2.0 on
    - tasks: 460 in control and 452 in the candidate, 450 and 440 of them counted

    ## What was decided

    Invalid: 460 units in control and 902 in the candidate are not the declared split.

    The two sides cannot be compared, so nothing is said about the change itself.

    ## What was left open

    - nothing worth mentioning

    ## Going back

    The revision before the change is `bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb`.
    "#);
}

#[test]
fn rejected_with_its_checks() {
    let mut improvement = improvement();
    improvement.checks = vec![
        Check::new(CheckName::NotPaused, CheckResult::Passed, "trials are not paused"),
        Check::new(CheckName::Confidence, CheckResult::Refused, "the proposal's is 0.40; at least 0.80 is asked for"),
    ];
    let reason = improvement.checks[1].detail.clone();
    let entry = write(&improvement, None, None, Ending::Rejected { reason });
    assert_eq!((entry.started_at, entry.effectiveness), (None, None));
    insta::assert_snapshot!(shown(&entry), @r#"
    rejected | confidence: the proposal's is 0.40; at least 0.80 is asked for
    improvement 12 (performance_tuning on agent/3) rejected

    # Improvement 12 of agent `support`: rejected before any trial

    ## What was changed

    - sets the parameter `timeout_ms` to 20000

    ## Why

    - rationale: Calls of \`search\` take 9 s at the 95th percentile; the timeout is 5 s.
    - expected: 18 % fewer failed calls
    - it answers opportunity 7
    - proposed as `performance_tuning` by `retry_timeout` (rule), confidence 0.85

    ## How it was checked

    It never ran. What the checks found:

    | check | result | why |
    |---|---|---|
    | `not_paused` | passed | trials are not paused |
    | `confidence` | refused | the proposal's is 0.40; at least 0.80 is asked for |

    ## What was decided

    Rejected: the proposal's is 0.40; at least 0.80 is asked for
    "#);
}

#[test]
fn called_off_by_a_person() {
    let mut running = verdict(Decision::Running, None, "Running: nothing was reached before the horizon.");
    running.findings.matured = [30, 0];
    let ending = Ending::Cancelled { by: "ada".to_owned(), reason: "wrong *day*\n# for it".to_owned() };
    let entry = write(&improvement(), Some(&record(TrialKind::Trial)), Some(&running), ending.clone());
    assert_eq!(entry.effectiveness, None, "one side has nothing to compare");
    insta::assert_snapshot!(shown(&entry), @r#"
    cancelled | called off by ada: wrong *day* # for it
    improvement 12 (performance_tuning on agent/3) cancelled

    # Improvement 12 of agent `support`: called off

    ## What was changed

    - sets the parameter `timeout_ms` to 20000

    ## Why

    - rationale: Calls of \`search\` take 9 s at the 95th percentile; the timeout is 5 s.
    - expected: 18 % fewer failed calls
    - it answers opportunity 7
    - proposed as `performance_tuning` by `retry_timeout` (rule), confidence 0.85

    ## How it was tried

    - comparison: both revisions at the same time, tasks split at random
    - time: 24.0 h from 2026-03-01T12:00:00Z; planned 24 h, 72 h at the most
    - share of the candidate: 10 % from hour 0.0 on, 50 % from hour 2.0 on
    - tasks: 460 in control and 452 in the candidate, 30 and 0 of them counted

    ## What was measured

    Changes are positive where the candidate is better.

    | metric | control | candidate | change | interval | part |
    |---|---|---|---|---|---|
    | `success` | 0.9100 | 0.9300 | +2.0 % | -3.0 % to +7.0 % | guardrail |
    | `duration_ms` | 4210 | 3106 | +26.0 % | +21.0 % to +31.0 % | goal, decided |
    | `<*>` | 3.0000 | 3.5000 | +10.0 % | +5.0 % to +15.0 % | observed |

    ## What was decided

    Called off by `ada`: wrong \*day\* \# for it

    The last look before: Running: nothing was reached before the horizon.

    ## What was left open

    - nothing worth mentioning

    ## Going back

    The revision before the change is `bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb`.
    "#);
    let entry = write(&improvement(), None, None, ending);
    assert!(entry.report.contains("called off before it was checked"), "{}", entry.report);
}

#[test]
fn rolled_back_in_the_watch_after_a_keep() {
    let verdict = verdict(Decision::Rollback, None, "Roll back: the evidence of harm reached 20 to 1.");
    let record = record(TrialKind::HoldBack);
    let entry = write(&improvement(), Some(&record), Some(&verdict), Ending::RolledBackAfterKeep);
    assert_eq!(entry.outcome, HistoryOutcome::RolledBack);
    insta::assert_snapshot!(shown(&entry), @r#"
    rolled_back | In the watch after the keep: Roll back: the evidence of harm reached 20 to 1.
    improvement 12 (performance_tuning on agent/3) rolled_back, -21.0 % (-31.0 % to -11.0 %)

    # Improvement 12 of agent `support`: kept first, rolled back for harm in the watch after it

    ## What was changed

    - sets the parameter `timeout_ms` to 20000

    ## Why

    - rationale: Calls of \`search\` take 9 s at the 95th percentile; the timeout is 5 s.
    - expected: 18 % fewer failed calls
    - it answers opportunity 7
    - proposed as `performance_tuning` by `retry_timeout` (rule), confidence 0.85

    ## How it was tried

    - comparison: after the keep, at the same time as a share left on the old revision, tasks split at random
    - time: 24.0 h from 2026-03-01T12:00:00Z; planned 24 h, 72 h at the most
    - share of the candidate: 95 % from hour 0.0 on
    - tasks: 460 in control and 452 in the candidate, 450 and 440 of them counted

    ## What was measured

    Changes are positive where the candidate is better.

    | metric | control | candidate | change | interval | part |
    |---|---|---|---|---|---|
    | `success` | 0.9100 | 0.9300 | -2.0 % | -7.0 % to +3.0 % | guardrail |
    | `duration_ms` | 4210 | 3106 | -26.0 % | -31.0 % to -21.0 % | goal, decided |
    | `<*>` | 3.0000 | 3.5000 | -10.0 % | -15.0 % to -5.0 % | observed |

    The whole, weighted: -21.0 % (-31.0 % to -11.0 %).

    ## What was decided

    Roll back: the evidence of harm reached 20 to 1.

    Harm was shown (evidence of harm 4.5 to 1, of 13 to 1 that it takes to roll back).

    ## What was left open

    - nothing worth mentioning

    ## Going back

    The revision before the change is `bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb`.
    "#);
}

#[test]
fn nothing_from_outside_becomes_markup() {
    let mut improvement = improvement();
    let evil = "x |\n# pwned <img src=x> [link](http://x) `rm` **now**";
    improvement.proposal.rationale = evil.to_owned();
    improvement.proposal.expected_impact = evil.to_owned();
    improvement.proposal.proposer = evil.to_owned();
    improvement.approved_by = Some(evil.to_owned());
    improvement.proposal.improvement_type = ImprovementType::InstructionUpdate;
    improvement.proposal.edits = vec![
        Edit::AppendGuideline { text: evil.to_owned() },
        Edit::SetParameter { name: "p`x".to_owned(), value: json!(evil) },
        Edit::AssignTool { name: evil.to_owned(), required: true },
    ];
    improvement.checks = vec![Check::new(CheckName::EditsApply, CheckResult::Refused, evil)];
    let ending = Ending::Cancelled { by: evil.to_owned(), reason: evil.to_owned() };
    let mut input = Input {
        now: start(),
        improvement: &improvement,
        entity_name: evil,
        trial: None,
        verdict: None,
        checks: &improvement.checks,
        ending,
    };
    for ending in [input.ending.clone(), Ending::Rejected { reason: evil.to_owned() }] {
        input.ending = ending;
        let report = entry(&input).report;
        for markup in ["<img", "\n# pwned", "[link]", " `rm`", " **now**"] {
            assert!(!report.contains(markup), "{markup}: {report}");
        }
    }
}

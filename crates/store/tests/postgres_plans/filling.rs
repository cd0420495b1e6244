//! A database that has seen some weeks of traffic: a little of everything through the facade, and most of it by SQL.

use uplift_model::entity::EntityType;
use uplift_model::event::{Event, EventKind};
use uplift_model::span::{SpanLink, SpanRole};
use uplift_model::trial::AssignmentUnit;
use uplift_model::{EntityKey, Time};
use uplift_store::suite::sample::{START, broken, call, declare, event, hour, of_agent, of_task, step, take};
use uplift_store::suite::scene::{candidate, improved, on_trial, start, trial};
use uplift_store::suite::scratch::Scratch;
use uplift_store::{SqlStore, Write};

/// Agents, of which the first two are on trial.
pub(crate) const AGENTS: i64 = 10;
/// Agents with a trial that a write may end, each.
pub(crate) const SPARE: usize = 16;
/// Hours after [`START`] of the latest of what SQL adds.
pub(crate) const LAST_HOUR: i64 = 960;
/// The latest numbers that SQL gives out.
const TRACES: i64 = 40_000;

/// Whom the operations are about.
pub(crate) struct World {
    /// The agents with most of the traffic.
    pub(crate) agents: Vec<EntityKey>,
    /// The trials on the first two: one of tasks, one of sessions.
    pub(crate) trials: [i64; 2],
    /// The improvement that the first trial tries.
    pub(crate) improvement: i64,
    /// Agents with an improvement each, and the trial on it.
    pub(crate) spare: Vec<(EntityKey, i64, i64)>,
    /// Agents with an improvement each, and no trial.
    pub(crate) untried: Vec<(EntityKey, i64)>,
}

/// So many hours after the last of what SQL adds.
pub(crate) fn after(hours: i64) -> Time {
    hour(LAST_HOUR + hours)
}

/// Tasks as agents report them, with an error each.
pub(crate) fn work(agent: &str, task: &str, at: Time) -> Vec<Event> {
    let mut events = vec![
        event("1", EventKind::TaskStarted, at),
        event("2", EventKind::LlmCall, at.plus_micros(1_000_000)),
        call("3", "lookup", 20.0, at.plus_micros(2_000_000)),
        broken("4", at.plus_micros(3_000_000)),
        event("5", EventKind::TaskCompleted, at.plus_micros(4_000_000)),
    ];
    events[0].attributes = Some(format!(r#"{{"task_class":"{task}"}}"#));
    for event in &mut events {
        event.session_id = Some(format!("session of {task}"));
    }
    events.into_iter().map(|event| of_agent(of_task(event, task), agent)).collect()
}

/// Spans of a trace: an agent at work, with a call inside. The agent's own comes last, or is missing for now.
pub(crate) fn spans(agent: &str, trace: &str, at: Time, whole: bool) -> Vec<Event> {
    let task = format!("task of {trace}");
    let mut inner = call("c", "lookup", 20.0, at);
    inner.link = Some(SpanLink { parent: Some(task.clone()), role: SpanRole::Work, names_entity: false });
    let mut agent_span = event(&task, EventKind::TaskCompleted, at.plus_micros(1_000_000));
    agent_span.link = Some(SpanLink { parent: Some("r".to_owned()), role: SpanRole::Agent, names_entity: true });
    agent_span.duration_ms = Some(900.0);
    let mut root = event("r", EventKind::TaskCompleted, at.plus_micros(2_000_000));
    root.link = Some(SpanLink { parent: None, role: SpanRole::Plain, names_entity: false });
    let mut events = vec![inner, root];
    if whole {
        events.insert(1, agent_span);
    }
    for event in &mut events {
        event.trace_id = Some(trace.to_owned());
        event.task_id = event.link.as_ref().is_some_and(|link| link.role == SpanRole::Agent).then(|| task.clone());
        event.session_id = Some(format!("session of {trace}"));
    }
    events.into_iter().map(|event| of_agent(event, agent)).collect()
}

/// The tasks of the fourth agent that SQL adds and that began in a time.
pub(crate) fn tasks_of_the_fourth(since: Time, until: Time) -> impl Iterator<Item = String> {
    let began_then = move |number: &i64| (since..until).contains(&START.plus_micros(number * 86_400_000));
    let of_the_fourth = |number: &i64| number % 20 < 10 || number % 10 == 3;
    (1..=TRACES).filter(of_the_fourth).filter(began_then).map(|number| format!("trace-{number}"))
}

/// Fills an empty schema.
pub(crate) async fn fill(scratch: &Scratch) -> World {
    let store = SqlStore::connect(&scratch.address()).await.unwrap();
    let (first, of_tasks) = on_trial(&store, "a0", AssignmentUnit::Task).await;
    let (second, of_sessions) = on_trial(&store, "a1", AssignmentUnit::Session).await;
    let mut agents = vec![first, second];
    for number in 2..AGENTS {
        agents.push(declare(&store, EntityType::Agent, &format!("a{number}")).await);
    }
    let improvement = store_improvement(&store, of_tasks).await;
    let (mut spare, mut untried) = (Vec::new(), Vec::new());
    for number in 0..SPARE {
        let (entity, id) = improved(&store, &format!("spare-{number}")).await;
        let declared = trial(uplift_model::trial::TrialKind::Trial, AssignmentUnit::Task);
        spare.push((entity, id, start(&store, entity, id, declared).await.unwrap()));
        untried.push(improved(&store, &format!("untried-{number}")).await);
    }
    step(&store, vec![Write::PutRevision(Box::new(candidate()))]).await.unwrap();
    take(&store, work("a0", "early", START)).await;
    // What the rules in the database keep is kept for what comes in later.
    for table in ["rollup_ops", "rollup_errors"] {
        scratch.run(format!("ALTER TABLE {table} DISABLE TRIGGER USER")).await.unwrap();
    }
    for sql in [TRAFFIC, SUMS, FINDINGS, IMPROVEMENTS, PROCESSES, RETENTION] {
        let sql = sql.replace("{trial}", &of_tasks.to_string()).replace("{sessions}", &of_sessions.to_string());
        scratch.run(sql.replace("{traces}", &format!("CAST({TRACES} AS bigint)"))).await.unwrap();
    }
    for table in ["rollup_ops", "rollup_errors"] {
        scratch.run(format!("ALTER TABLE {table} ENABLE TRIGGER USER")).await.unwrap();
    }
    store.close().await;
    // A writer of its own, which knows what it finds.
    let store = SqlStore::connect(&scratch.address()).await.unwrap();
    for number in 0..60 {
        let (agent, at) = (format!("a{}", number % AGENTS), after(0).plus_micros(number * 60_000_000));
        take(&store, work(&agent, &format!("task-{number}"), at)).await;
        take(&store, spans(&agent, &format!("{number:032x}"), at, number % 6 != 0)).await;
    }
    store.close().await;
    scratch.run(ANALYZE.to_owned()).await.unwrap();
    World { agents, trials: [of_tasks, of_sessions], improvement, spare, untried }
}

async fn store_improvement(store: &SqlStore, trial: i64) -> i64 {
    use uplift_store::TrialReads;
    store.trial(trial).await.unwrap().improvement_id
}

/// What a server does by itself after a while.
const ANALYZE: &str = "DO $$ DECLARE t record; BEGIN
    FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = current_schema() LOOP
        EXECUTE 'ANALYZE ' || quote_ident(t.tablename);
    END LOOP;
END $$";

/// A trace a minute and a half, for forty days; the raw events of the first are gone. Agents have the numbers 1 to 10, and the
/// fourth has more than half of the tasks.
const TRAFFIC: &str = "
    INSERT INTO names (name_no, name) SELECT 1000 + g, 'tool-' || g FROM generate_series(1, 2000) AS g;
    INSERT INTO error_groups (error_no, fingerprint, error_type, tool, template)
        SELECT 1000 + g, lpad(to_hex(g), 16, '0'), 'Timeout', 'tool-1', 'no answer within <n> s'
        FROM generate_series(1, 2000) AS g;
    INSERT INTO traces (trace_no, trace_hash, trace_key, environment)
        SELECT 1000 + g, decode(md5('trace' || g), 'hex'), 'trace-' || g, 'default' FROM generate_series(1, {traces}) AS g;
    INSERT INTO attribute_sets (attributes_no, attributes)
        SELECT 1000 + g, '{\"task_class\":\"' || g || '\"}' FROM generate_series(1, {traces}) AS g;
    INSERT INTO bodies (body_no, content)
        SELECT 1000 + g, 'no answer within ' || g || ' s' FROM generate_series(1, {traces}) AS g;
    INSERT INTO event_rows (trace_no, id, ts, kind, entity_type, entity_id, tool, outcome, duration_ms, error_type,
            error_no, source, clock, body_no, attributes_no, digest)
        SELECT 1000 + g, CAST(k AS text), 1767225600000000 + g * 86400000 + k * 1000000, (ARRAY[0, 1, 2, 2, 3])[k], 0,
            CASE WHEN g % 20 < 10 THEN 4 ELSE 1 + g % 10 END, CASE WHEN k IN (3, 4) THEN 1001 + (g + k) % 7 END,
            CASE WHEN k = 4 AND g % 5 = 0 THEN 2 WHEN k > 2 THEN 0 END, 10 + g % 100,
            CASE WHEN k = 4 AND g % 5 = 0 THEN 1001 END,
            CASE WHEN k = 4 AND g % 5 = 0 THEN 1001 + (g / 10) % 20 END, 0, 0,
            CASE WHEN k = 4 AND g % 5 = 0 THEN 1000 + g END, CASE WHEN k = 1 THEN 1000 + g END, g
        FROM generate_series(5001, {traces}) AS g, generate_series(1, 5) AS k;
    INSERT INTO task_rows (trace_no, entity_type, entity_id, owner_rank, owner_us, owner_event, attributes_no,
            session_id, first_us, last_us, end_us, end_event, outcome, outcome_us, outcome_event, events, unclocked,
            llm_calls, tool_calls, errors, tokens_in, tokens_out, tokens_cached, cost_nano)
        SELECT 1000 + g, 0, CASE WHEN g % 20 < 10 THEN 4 ELSE 1 + g % 10 END, 0, f.us, '1', 1000 + g, 'session-' || g / 50, f.us, f.us + 5000000,
            f.us + 5000000, '5', CASE WHEN g % 9 = 0 THEN 1 ELSE 0 END, f.us + 5000000, '5', 5, 0, 1, 2,
            CASE WHEN g % 5 = 0 THEN 1 ELSE 0 END, 100, 10, 0, 1000000
        FROM generate_series(1, {traces}) AS g, LATERAL (SELECT 1767225600000000 + g * 86400000 AS us) AS f;
    INSERT INTO plain_spans (trace_no, id, ts, parent, span_flags, outcome, duration_ms, clock, digest)
        SELECT 1000 + g, 's' || k, 1767225600000000 + g * 86400000, '', 2, 0, 5, 0, g
        FROM generate_series(5001, {traces}) AS g, generate_series(1, 2) AS k;
    INSERT INTO task_links (task_hash, trace_no, task)
        SELECT decode(md5('link' || g), 'hex'), 1000 + g, 'task of ' || g FROM generate_series(1, {traces}) AS g;
    INSERT INTO unsettled_traces (trace_no, last_us)
        SELECT 1000 + {traces} - g, 1767225600000000 + g * 86400000 FROM generate_series(1, CAST(300 AS bigint)) AS g;
    INSERT INTO trial_units (trace_no, trial_id, unit, seq, last_us)
        SELECT 1000 + g, {trial}, 'trace-' || g, 2 * g, 1767225600000000 + g * 86400000
        FROM generate_series({traces} - 20000, {traces}) AS g;
    INSERT INTO trial_units (trace_no, trial_id, unit, seq, last_us)
        SELECT 1000 + g, {sessions}, 'session-' || g / 50, 2 * g + 1, 1767225600000000 + g * 86400000
        FROM generate_series({traces} - 20000, {traces}) AS g;
    INSERT INTO event_inbox (event) SELECT '{}' FROM generate_series(1, 3000);
    SELECT setval(pg_get_serial_sequence('names', 'name_no'), 10000),
        setval(pg_get_serial_sequence('error_groups', 'error_no'), 10000),
        setval(pg_get_serial_sequence('traces', 'trace_no'), 1000 + {traces})";

const SUMS: &str = "
    INSERT INTO rollup_ops (entity_type, entity_id, operation, hour, n, timed, sum_us, sum_ln, day_timed, day_ln,
            week_timed, week_ln)
        SELECT 'agent', a, o, 490896 + h, 9, 9, 900000, 41400000, 216, 993600000, 1500, 6900000000
        FROM generate_series(1, 10) AS a,
            unnest(ARRAY['task', 'llm', 'tool:tool-1', 'tool:tool-2', 'tool:tool-3', 'tool:tool-4']) AS o,
            generate_series(1, 960) AS h;
    INSERT INTO rollup_errors (entity_type, entity_id, fingerprint, hour, n)
        SELECT 'agent', a, lpad(to_hex(f), 16, '0'), 490896 + h, 1 + h % 7
        FROM generate_series(1, 10) AS a, generate_series(1, 20) AS f, generate_series(1, 960, 4) AS h";

/// What is open is little of what there was.
const FINDINGS: &str = "
    INSERT INTO optimization_opportunities (id, entity_type, entity_id, kind, fingerprint, status, source, confirmed,
            description, confidence, potential_impact, improvement_type, occurrences, created_at, updated_at,
            last_seen_at, withdrawn)
        SELECT 1000 + g, 'agent', 1 + g % 10, (ARRAY['recurring_error', 'performance_degradation', 'token_waste'])[1 + g % 3],
            'f' || g,
            CASE WHEN g <= 80 THEN 'pending' WHEN g <= 100 THEN 'in_progress'
                WHEN g % 3 = 0 THEN 'dismissed' ELSE 'completed' END,
            (ARRAY['monitor', 'trigger', 'review'])[1 + g % 3], CASE WHEN g BETWEEN 41 AND 80 THEN 0 ELSE 1 END,
            'found ' || g, 0.5 + (g % 50) / 100.0, (ARRAY['low', 'medium', 'high'])[1 + g % 3], 'error_prevention', g,
            1767225600000000 + g * 400000000, 1767225600000000 + g * 400000000, 1767225600000000 + g * 400000000, g % 2
        FROM generate_series(1, CAST(20000 AS bigint)) AS g;
    INSERT INTO reviews (id, entity_type, entity_id, reviewed_at, reason, tasks, findings, summary)
        SELECT 1000 + g, 'agent', 1 + g % 10, g, 'tasks', 100, 0, 'quiet' FROM generate_series(1, 10000) AS g;
    INSERT INTO improvement_alerts (id, kind, entity_type, entity_id, fingerprint, message, value, threshold, at, resolved_at)
        SELECT 1000 + g, 'recurring_failure', 'agent', 1 + g % 10, 'f' || g, 'again', 5, 5, g,
            CASE WHEN g % 1000 <> 0 THEN g + 1 END
        FROM generate_series(1, 10000) AS g;
    SELECT setval(pg_get_serial_sequence('optimization_opportunities', 'id'), 30000),
        setval(pg_get_serial_sequence('reviews', 'id'), 30000),
        setval(pg_get_serial_sequence('improvement_alerts', 'id'), 30000)";

/// Copies of the first improvement and trial, which are on other agents and have ended.
const IMPROVEMENTS: &str = "
    INSERT INTO improvements (id, entity_type, entity_id, opportunity_id, improvement_type, proposed_by, proposer, edits,
            processes, rationale, expected_impact, expected_gain, confidence, comparison, status, created_at, updated_at)
        SELECT 1000 + g, i.entity_type, CASE WHEN g > 14980 THEN 3 + g % 4 ELSE 3 + g % 8 END, 1100 + g, i.improvement_type, i.proposed_by, i.proposer, i.edits,
            i.processes, i.rationale, i.expected_impact, i.expected_gain, i.confidence, i.comparison,
            CASE WHEN g % 500 = 0 THEN 'needs_proposal' WHEN g % 500 = 1 THEN 'awaiting_approval' WHEN g > 14980 THEN 'proposed'
                ELSE (ARRAY['rejected', 'rolled_back', 'deployed', 'cancelled'])[1 + g % 4] END, g, g
        FROM (SELECT * FROM improvements ORDER BY id LIMIT 1) AS i, generate_series(1, 15000) AS g;
    INSERT INTO improvement_history (id, improvement_id, entity_type, entity_id, improvement_type, outcome, decided_at,
            effectiveness)
        SELECT 1000 + g, 1000 + g, 'agent', 3 + g % 8, 'instruction_update',
            (ARRAY['rejected', 'rolled_back', 'kept', 'cancelled'])[1 + g % 4], 1767225600000000 + g * 200000000, 0.1
        FROM generate_series(1, CAST(15000 AS bigint)) AS g;
    INSERT INTO trials (trial_id, improvement_id, entity_type, entity_id, base, candidate, trial, looked_us, started_at,
            ended_at, ending)
        SELECT 1000 + g, 1000 + g, t.entity_type, 3 + g % 8, t.base, t.candidate, t.trial, g, g, g, 'enough'
        FROM (SELECT * FROM trials ORDER BY trial_id LIMIT 1) AS t, generate_series(1, 5000) AS g;
    INSERT INTO trial_looks (trial_id, at, summary)
        SELECT 1000 + g, k, '{}' FROM generate_series(1, 5000) AS g, generate_series(1, 4) AS k;
    INSERT INTO revisions (revision_id, configuration, created_at)
        SELECT lpad(to_hex(g), 64, '0'), '{\"model\":\"m' || g || '\"}', g FROM generate_series(1, 5000) AS g;
    INSERT INTO entity_revisions (entity_type, entity_id, seq, revision_id, since)
        SELECT 'agent', 1 + g % 10, 100 + g, lpad(to_hex(g), 64, '0'), g FROM generate_series(1, 5000) AS g;
    INSERT INTO entity_defaults (entity_type, entity_id, seq, revision_id, first_seen_at)
        SELECT 'agent', 1 + g % 10, 100 + g, lpad(to_hex(g), 64, '0'), g FROM generate_series(1, 5000) AS g;
    INSERT INTO entities (entity_type, entity_id, environment, name, created_at)
        SELECT 'tool', 1000 + g, 'default', 'tool-' || g, g FROM generate_series(1, 5000) AS g;
    SELECT setval(pg_get_serial_sequence('improvements', 'id'), 30000),
        setval(pg_get_serial_sequence('improvement_history', 'id'), 30000),
        setval(pg_get_serial_sequence('trials', 'trial_id'), 30000)";

const PROCESSES: &str = "
    INSERT INTO process_instances (id, name, subject, state, wake_at, created_at, ended_at)
        SELECT 1000 + g, 'ImprovementProcess', 'improvement/' || 1000 + g, 'validate',
            CASE WHEN g <= 60 THEN 1767225600000000 + g END, g, CASE WHEN g > 60 THEN g END
        FROM generate_series(1, 15000) AS g;
    INSERT INTO process_steps (instance_id, seq, from_state, to_state, note, at)
        SELECT 1000 + g, k, 'validate', 'queue', 'as it should', g
        FROM generate_series(1, 15000) AS g, generate_series(1, 4) AS k;
    INSERT INTO outbox (id, kind, payload, created_at, done_at)
        SELECT 1000 + g, 'webhook', '{}', g, CASE WHEN g > 60 THEN g END FROM generate_series(1, 15000) AS g;
    SELECT setval(pg_get_serial_sequence('process_instances', 'id'), 30000),
        setval(pg_get_serial_sequence('outbox', 'id'), 30000)";

/// The raw events of the first five thousand traces are gone. Some traces and attributes were used late, too.
const RETENTION: &str = "
    DELETE FROM arrivals;
    INSERT INTO arrivals (arrival_no, hour, trace_from, trace_to, attributes_from, attributes_to)
        SELECT 1000 + h, 490896 + h, 1000 + 40 * h, 1040 + 40 * h, 1000 + 40 * h, 1040 + 40 * h
        FROM generate_series(125, 999) AS h;
    INSERT INTO late_traces (trace_no, hour, covered, checked)
        SELECT 1000 + g, 490896 + g / 40, 490896 + g / 40, CASE WHEN g % 3 = 0 THEN 490896 + g / 40 END
        FROM generate_series(5001, 15000) AS g;
    INSERT INTO attribute_uses (attributes_no, hour)
        SELECT 1000 + g, 490896 + g / 40 FROM generate_series(5001, 15000) AS g;
    INSERT INTO pruned_traces (trace_no, hour) SELECT 1000 + g, 490896 + g / 40 FROM generate_series(1, 5000) AS g;
    INSERT INTO event_inbox_rejected (seq, event, reason, rejected_at)
        SELECT 100000 + g, '{}', 'no id', 1767225600000000 FROM generate_series(1, 3000) AS g;
    SELECT setval(pg_get_serial_sequence('arrivals', 'arrival_no'), 30000)";

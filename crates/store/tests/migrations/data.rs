//! A row for every table.

/// Table and INSERT, in an order that references allow.
pub(crate) const ROWS: &[(&str, &str)] = &[
    ("settings", "INSERT INTO settings VALUES ('policy', '{\"a\":1}', 5)"),
    ("revisions", "INSERT INTO revisions VALUES (printf('%064d', 7), '{\"model\":\"m\"}', 5)"),
    (
        "entities",
        "INSERT INTO entities (entity_type, entity_id, name, revision_id, created_at, last_seen_at)
         VALUES ('agent', 1, 'a', printf('%064d', 7), 5, 6), ('tool', 1, 'search', NULL, 5, NULL)",
    ),
    ("entity_revisions", "INSERT INTO entity_revisions VALUES ('agent', 1, 1, printf('%064d', 7), 5)"),
    (
        "entity_relationships",
        "INSERT INTO entity_relationships VALUES ('agent', 1, 'uses', 'tool', 1, 0.5, 'declared')",
    ),
    ("names", "INSERT INTO names VALUES (1, 'search'), (2, 'Timeout')"),
    ("traces", "INSERT INTO traces (trace_no, trace_hash, trace_key, environment) VALUES (1, x'01', 'x', 'default'), (2, x'02', '~agent/a', 'default')"),
    ("task_links", "INSERT INTO task_links VALUES (x'03', 1, 't')"),
    ("bodies", "INSERT INTO bodies VALUES (1, 'no answer')"),
    ("attribute_sets", "INSERT INTO attribute_sets VALUES (1, '{\"task_class\":\"x\"}')"),
    ("error_groups", "INSERT INTO error_groups VALUES (1, '00000000000000ff', 'Timeout', 'search', 'no answer')"),
    (
        "event_rows",
        "INSERT INTO event_rows (trace_no, id, ts, kind, entity_type, entity_id, task, tool, outcome, duration_ms,
            error_type, error_no, source, clock, body_no, attributes_no, digest)
         VALUES (1, '1', 1767225600000001, 0, 0, 1, 't', NULL, NULL, NULL, NULL, NULL, 0, 0, NULL, 1, 1),
            (1, '2', 1767225601000000, 2, 0, 1, 't', 1, 2, 30.5, 2, 1, 1, 1, 1, NULL, 2),
            (1, '3', 1767225602000000, 3, 0, 1, NULL, NULL, 0, NULL, NULL, NULL, 2, 2, NULL, NULL, 3),
            (2, '4', 1767225603000000, 5, 0, 1, NULL, NULL, NULL, NULL, 2, 1, 0, 0, NULL, NULL, 4)",
    ),
    (
        "task_rows",
        "INSERT INTO task_rows (trace_no, task, pseudo, entity_type, entity_id, owner_rank, owner_us, owner_event,
            parent_task_id, session_id, first_us, last_us, end_us, end_event, duration_us, end_tokens_in,
            end_cost_nano, outcome, outcome_us, outcome_event, events, unclocked, llm_calls, tool_calls, errors,
            tokens_in, tokens_out, tokens_cached, cost_nano)
         VALUES (1, 't', 0, 0, 1, 0, 5, '1', 'p', 's', 1767225600000001, 1767225602500001, NULL, NULL, NULL, NULL,
                NULL, NULL, NULL, NULL, 2, 0, 0, 1, 1, 10, 20, 5, 250000000),
            (1, '', 0, 0, 1, 1, 5, '3', NULL, NULL, 1767225600000000, 1767225602000000, 1767225602000000, '3', NULL,
                99, 750000000, 0, 1767225602000000, '3', 1, 0, 0, 0, 2, 10, 20, 5, 1),
            (2, '', 1, 0, 1, 2, 5, '4', NULL, NULL, 1, 1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 1, 0, 0, 0,
                1, 0, 0, 0, 0)",
    ),
    ("rollup_ops", "INSERT INTO rollup_ops (entity_type, entity_id, operation, hour, n) VALUES ('agent', 1, 'task', 9, 2)"),
    ("rollup_errors", "INSERT INTO rollup_errors VALUES ('agent', 1, '00000000000000ff', 9, 2)"),
    ("event_inbox", "INSERT INTO event_inbox (event) VALUES ('{}')"),
    ("event_inbox_rejected", "INSERT INTO event_inbox_rejected VALUES (1, '{}', 'no id', 5)"),
    (
        "optimization_opportunities",
        "INSERT INTO optimization_opportunities (entity_type, entity_id, kind, fingerprint, source, confirmed,
            description, confidence, improvement_type, created_at, updated_at, last_seen_at)
         VALUES ('agent', 1, 'recurring_error', '00000000000000ff', 'trigger', 1, 'd', 0.9, 'error_prevention', 5, 6, 7)",
    ),
    (
        "rolling_review_counters",
        "INSERT INTO rolling_review_counters (entity_type, entity_id, tasks_since_review, period_start_at,
            last_event_at) VALUES ('agent', 1, 100, 0, 1)",
    ),
    (
        "reviews",
        "INSERT INTO reviews (entity_type, entity_id, reviewed_at, reason, tasks, findings, summary)
         VALUES ('agent', 1, 5, 'tasks', 100, 1, 's')",
    ),
    (
        "process_instances",
        "INSERT INTO process_instances (name, subject, state, wake_at, created_at)
         VALUES ('ImprovementProcess', 'improvement/1', 'validate', 7, 5)",
    ),
    ("process_steps", "INSERT INTO process_steps VALUES (1, 1, 'new', 'validate', NULL, 5)"),
    ("leases", "INSERT INTO leases VALUES ('ImprovementProcess/1', 'w', 3, 9)"),
    ("outbox", "INSERT INTO outbox (kind, payload, created_at) VALUES ('webhook', '{}', 5)"),
    ("agent_tools", "INSERT INTO agent_tools VALUES (1, 'search', 0), (1, 'mail', 1)"),
    ("agent_contexts", "INSERT INTO agent_contexts VALUES (1, 'guide')"),
    (
        "improvements",
        "INSERT INTO improvements (entity_type, entity_id, opportunity_id, improvement_type, proposed_by, edits, base,
            rationale, expected_impact, confidence, status, created_at, updated_at)
         VALUES ('agent', 1, 1, 'error_prevention', 'rule', '[{\"edit\":\"append_guideline\",\"text\":\"x\"}]',
            printf('%064d', 7), 'r', 'e', 0.9, 'testing', 5, 6)",
    ),
    (
        "improvement_history",
        "INSERT INTO improvement_history (improvement_id, entity_type, entity_id, improvement_type, outcome, decided_at,
            metrics_before, effectiveness)
         VALUES (1, 'agent', 1, 'error_prevention', 'kept', 9, '{\"errors\":3}', 0.5)",
    ),
    (
        "improvement_alerts",
        "INSERT INTO improvement_alerts (kind, message, value, threshold, at)
         VALUES ('opportunity_backlog', 'm', 60, 50, 5)",
    ),
    (
        "api_tokens",
        "INSERT INTO api_tokens (name, role, hash, entities, created_at, created_by)
         VALUES ('t', 'viewer', '0000000000000000000000000000000000000000000000000000000000000000', '[]', 5, 'local')",
    ),
    (
        "audit_log",
        "INSERT INTO audit_log (at, actor, role, action, subject) VALUES (5, 'local', 'admin', 'a', 's')",
    ),
    (
        "improvement_requests",
        "INSERT INTO improvement_requests (entity_type, entity_id, about_type, about_id, improvement_type, description,
            rationale, evidence, checked, priority, confidence, opportunity_id, asked_by, at)
           VALUES ('agent', 1, 'agent', 1, 'performance_tuning', 'd', 'r', '{}', '{}', 'low', 0.5, 1, 'local', 5)",
    ),
    ("news", "INSERT INTO news (at, kind, word, subject_id) VALUES (5, 'alert', 'opened', 1)"),
    (
        "notification_targets",
        "INSERT INTO notification_targets (name, url, format, kinds, secret, created_at, created_by)
         VALUES ('t', 'https://t.example.org', 'slack', '[]', 'whsec_AAAA', 5, 'local')",
    ),
    (
        "notification_deliveries",
        r#"INSERT INTO notification_deliveries (target_id, message_id, message, created_at, state, due_at)
           VALUES (1, 'm', '{"id":"m","kind":"test","at":"2026-01-01T00:00:00Z","subject":"s","summary":"s","data":{}}', 5,
            'pending', 5)"#,
    ),
    (
        "trials",
        r#"INSERT INTO trials (improvement_id, entity_type, entity_id, base, candidate, trial, cursor, looked_us, state,
            started_at)
         VALUES (1, 'agent', 1, printf('%064d', 7), printf('%064d', 7),
            '{"key":"k","kind":"trial","started_us":5,"unit":"task","comparison":"concurrent","metrics":[],
              "stages":[{"from_us":5,"share":0.1}],"expected_units":100.5,"baseline":{},"policy":{}}',
            3, 5, '{"seen":1}', 5)"#,
    ),
    (
        "plain_spans",
        "INSERT INTO plain_spans (trace_no, id, ts, parent, span_flags, waits_at, stand_in, clock, digest)
         VALUES (1, 'c', 5, 'b', 2, 'b', 1, 0, 7)",
    ),
    ("unsettled_traces", "INSERT INTO unsettled_traces VALUES (1, 5)"),
    ("arrivals", "INSERT INTO arrivals VALUES (1, 490000, 0, NULL, 0, NULL)"),
    ("late_traces", "INSERT INTO late_traces VALUES (1, 490001, 490001, NULL)"),
    ("attribute_uses", "INSERT INTO attribute_uses VALUES (1, 490001)"),
    ("pruned_traces", "INSERT INTO pruned_traces VALUES (2, 490000)"),
    ("nodes", "INSERT INTO nodes VALUES ('n', 'http://localhost', '1', 5, 6)"),
    ("trial_units", "INSERT INTO trial_units VALUES (1, 1, 'x', 4, 1767225602000000, 0)"),
    ("trial_looks", "INSERT INTO trial_looks VALUES (1, 5, '{\"n\":1}')"),
    ("entity_defaults", "INSERT INTO entity_defaults VALUES ('agent', 1, 1, printf('%064d', 7), 5)"),
    ("context_documents", "INSERT INTO context_documents VALUES (1, 'text')"),
];

/// Tables whose rows come with the schema.
pub(crate) const FILLED: &[&str] = &[
    "engine_clock",
    "config_seq",
    "writer_turns",
    "detection_settings",
    "health_settings",
    "health_trends",
    "notification_cursor",
    "process_registry",
    "retention_totals",
    "schema_migrations",
];

//! What an event says, worked out before it is stored: the store never reads texts.

pub mod fingerprint;

use uplift_model::event::{Event, PreparedEvent};

/// Works out everything the store needs to know of an event: what tells it from another under the same identity,
/// what tells a repeated call, and the group of errors it belongs to, if it reports one.
pub fn prepare(event: Event) -> PreparedEvent {
    let error = event
        .is_error()
        .then(|| fingerprint::template(event.error_type.as_deref(), event.tool.as_deref(), event.content.as_deref()));
    PreparedEvent { digest: event.digest(), call_hash: event.call_hash(), error, event }
}

#[cfg(test)]
mod tests {
    use uplift_model::event::{Clock, EntityRef, EventKind, Source};
    use uplift_model::{EntityKey, EntityType, Outcome, Time};

    use super::*;

    fn call(outcome: Outcome) -> Event {
        Event {
            id: "1".to_owned(),
            ts: Time::from_micros(1),
            clock: Clock::Own,
            kind: EventKind::ToolExecuted,
            environment: "default".to_owned(),
            entity: EntityRef::Key(EntityKey::new(EntityType::Agent, 1)),
            task_id: Some("t".to_owned()),
            parent_task_id: None,
            session_id: None,
            trace_id: None,
            span_id: None,
            tool: Some("book".to_owned()),
            outcome: Some(outcome),
            duration_ms: None,
            tokens_in: None,
            tokens_out: None,
            tokens_cached: None,
            cost_usd: None,
            error_type: None,
            content: Some("Error: seat 12 is taken".to_owned()),
            attributes: Some(r#"{"arguments":{"seat":12}}"#.to_owned()),
            exposures: Vec::new(),
            source: Source::Environment,
            link: None,
        }
    }

    #[test]
    fn only_errors_have_a_group() {
        let failed = prepare(call(Outcome::Error));
        assert_eq!(failed.error.as_ref().map(|group| group.template.as_str()), Some("seat <*> is taken"));
        assert_eq!((failed.digest, failed.call_hash), (failed.event.digest(), failed.event.call_hash()));
        assert!(failed.call_hash.is_some() && prepare(call(Outcome::Success)).error.is_none());
    }
}

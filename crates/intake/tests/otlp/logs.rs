//! Log records.

use serde_json::{Value, json};
use uplift_intake::otlp::Signal;
use uplift_model::event::{Clock, Event, EventKind, Outcome};

use crate::common::{SPAN, START, Setting, TRACE, attributes, entity, line, otlp_attributes};

fn record(plain: &Value, more: &Value) -> Value {
    let mut record = json!({"timeUnixNano": START.to_string(), "attributes": otlp_attributes(plain)});
    for (key, value) in more.as_object().unwrap() {
        record[key] = value.clone();
    }
    record
}

fn events(records: &[Value]) -> Vec<Event> {
    let resource = json!({"service.name": "shop"});
    let body = json!({"resourceLogs": [{"resource": {"attributes": otlp_attributes(&resource)},
        "scopeLogs": [{"scope": {"name": "lib"}, "logRecords": records}]}]});
    let export = Setting::default().json(Signal::Logs, &body.to_string());
    assert_eq!((export.rejected, export.notes.as_slice()), (0, &[][..]));
    export.events
}

#[test]
fn what_is_not_wanted_is_passed_over_in_silence() {
    let table = [
        json!({"severityNumber": 9, "body": {"stringValue": "hello"}}),
        json!({"severityNumber": 16}),
        json!({"severityNumber": "SEVERITY_NUMBER_WARN4"}),
        json!({"eventName": "browser.page_view"}),
        // The span of the call has its numbers.
        json!({"eventName": "gen_ai.client.inference.operation.details", "traceId": TRACE, "spanId": SPAN}),
    ];
    for more in table {
        assert_eq!(events(&[record(&json!({"gen_ai.usage.input_tokens": 3}), &more)]), [], "{more}");
    }
}

#[test]
fn errors_and_judgements() {
    let place = json!({"traceId": TRACE, "spanId": SPAN});
    let with = |mut more: Value| {
        more["traceId"] = place["traceId"].clone();
        more["spanId"] = place["spanId"].clone();
        more
    };
    let thrown = json!({"exception.type": "Boom", "exception.message": "it broke", "exception.stacktrace": "at x"});
    let judged = json!({"gen_ai.evaluation.name": "polite", "gen_ai.evaluation.score.value": 0.5,
        "gen_ai.evaluation.explanation": "meh", "gen_ai.agent.name": "writer"});
    let table = [
        (
            record(&thrown, &with(json!({"severityNumber": 17}))),
            "work ERROR < b7ad6b7169203331 shop? outcome=ERROR error=Boom | it broke",
        ),
        (
            record(&thrown, &json!({"severityNumber": "SEVERITY_NUMBER_FATAL2"})),
            "alone ERROR < - shop outcome=ERROR error=Boom | it broke",
        ),
        (
            record(&json!({}), &json!({"severityNumber": 17, "body": {"stringValue": "late"}})),
            "alone ERROR < - shop | late",
        ),
        (
            record(&judged, &with(json!({"eventName": "gen_ai.evaluation.result"}))),
            "work FEEDBACK < b7ad6b7169203331 writer | meh",
        ),
        (
            record(
                &json!({"event.name": "gen_ai.evaluation.result", "gen_ai.evaluation.score.label": "Pass"}),
                &json!({}),
            ),
            "alone FEEDBACK < - shop",
        ),
        (
            record(
                &json!({"gen_ai.usage.input_tokens": 3}),
                &json!({"eventName": "gen_ai.client.inference.operation.details"}),
            ),
            "alone LLM_CALL < - shop in=3",
        ),
    ];
    for (record, expected) in table {
        let found = events(std::slice::from_ref(&record));
        let [event] = found.as_slice() else { panic!("{record}") };
        let shown = line(event).replace(&format!("{} ", event.id), "");
        let mut shown = shown.split(" content=").next().unwrap().split(" attributes=").next().unwrap().to_owned();
        if event.link.is_none() {
            shown = shown.replace("shop?", "shop");
        }
        let shown = event.content.as_ref().map_or(shown.clone(), |content| format!("{shown} | {content}"));
        assert_eq!(shown, expected);
        assert_eq!(event.id.len(), 32);
    }
}

#[test]
fn feedback_has_the_name_and_the_score_that_rules_look_for() {
    let table = [
        (json!({"gen_ai.evaluation.name": "q", "gen_ai.evaluation.score.value": 1}), Some(json!(1.0))),
        (json!({"gen_ai.evaluation.name": "q", "gen_ai.evaluation.score.label": "fail"}), Some(json!(false))),
        (json!({"gen_ai.evaluation.name": "q", "gen_ai.evaluation.score.label": "so-so"}), None),
    ];
    for (plain, score) in table {
        let found =
            events(&[record(&plain, &json!({"eventName": "gen_ai.evaluation.result", "severityNumber": 17}))]);
        let kept = attributes(found[0].attributes.as_deref().unwrap());
        assert_eq!(
            (found[0].kind, &kept["name"], kept.get("score")),
            (EventKind::Feedback, &json!("q"), score.as_ref())
        );
        assert_eq!((found[0].outcome, found[0].error_type.as_deref()), (None::<Outcome>, None));
    }
}

#[test]
fn a_record_has_the_same_id_whenever_it_is_sent_and_another_one_has_another() {
    let plain = json!({"exception.type": "Boom"});
    let error = |more: Value| record(&plain, &more);
    let sent = [
        error(json!({"severityNumber": 17, "observedTimeUnixNano": START + 1})),
        // Whoever passed it on stamped it anew.
        error(json!({"severityNumber": 17, "observedTimeUnixNano": START + 9})),
        error(json!({"severityNumber": 18})),
        error(json!({"severityNumber": 17, "timeUnixNano": START + 1})),
        error(json!({"severityNumber": 17, "traceId": TRACE, "spanId": SPAN})),
        error(json!({"severityNumber": 17, "body": {"stringValue": "x"}})),
    ];
    let mut ids: Vec<String> = events(&sent).into_iter().map(|event| event.id).collect();
    assert_eq!(ids[0], ids[1]);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), sent.len() - 1);
}

#[test]
fn a_record_without_a_time_bears_that_of_its_arrival() {
    let more = json!({"severityNumber": 17, "timeUnixNano": 0});
    let found = events(&[
        record(&json!({}), &more),
        record(&json!({}), &json!({"severityNumber": 17, "timeUnixNano": 0, "observedTimeUnixNano": START})),
    ]);
    assert_eq!((found[0].clock, found[0].ts), (Clock::Received, crate::common::LATER));
    assert_eq!((found[1].clock, found[1].ts.micros()), (Clock::Own, (START / 1_000) as i64));
    assert_eq!(entity(&found[0]), "shop");
}

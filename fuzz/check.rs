//! What must hold for whatever comes in: used by the fuzz targets, and by the tests of `uplift-intake`.

use std::collections::HashSet;
use std::fmt;

use serde::Deserializer as _;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use uplift_intake::otlp::{Export, MAX_NOTE_BYTES, MAX_NOTES, OtlpContext};
use uplift_model::Time;
use uplift_model::entity::check_name;
use uplift_model::event::{EntityRef, Event};

/// Panics where it does not hold.
pub(crate) fn check(export: &Export, context: &OtlpContext<'_>) {
    assert!(export.events.len() <= context.policy.max_items, "more events than items are allowed");
    assert!(export.notes.len() <= MAX_NOTES && export.notes.iter().all(|note| note.len() <= MAX_NOTE_BYTES));
    assert!(export.rejected == 0 || !export.notes.is_empty(), "refused without a word");
    export.events.iter().for_each(|event| check_event(event, context));
}

fn check_event(event: &Event, context: &OtlpContext<'_>) {
    let hex =
        |text: &str, length| text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if let Some(link) = &event.link {
        assert!(event.trace_id.as_deref().is_some_and(|id| hex(id, 32)), "{event:?}");
        assert!(hex(&event.id, 16) || hex(&event.id, 32), "{event:?}");
        assert!(link.parent.as_deref().is_none_or(|id| hex(id, 16)) && link.parent.as_deref() != Some(&event.id));
    } else {
        assert!(hex(&event.id, 32) && event.task_id.is_none(), "{event:?}");
    }
    let EntityRef::Name(name) = &event.entity else { panic!("an entity by number") };
    assert!(check_name(&name.name).is_ok() && check_name(&event.environment).is_ok(), "{event:?}");
    assert!(event.tool.as_deref().is_none_or(|tool| check_name(tool).is_ok()), "{event:?}");
    let latest = context.received_at.plus_micros(context.intake.max_ahead_ms * 1_000);
    assert!((Time::EARLIEST..=latest).contains(&event.ts), "{event:?}");
    assert!(event.duration_ms.is_none_or(|ms| (0.0..=366.0 * 86_400_000.0).contains(&ms)), "{event:?}");
    assert!(event.cost_usd.is_none_or(|cost| (0.0..=1e4).contains(&cost)), "{event:?}");
    let length = event.content.as_deref().map_or(0, str::len) + event.attributes.as_deref().map_or(0, str::len);
    // A span brings at most a resource beyond what is counted.
    assert!(length <= context.intake.max_event_bytes + 16_384, "{length} bytes");
    if let Some(attributes) = &event.attributes {
        let mut deserializer = serde_json::Deserializer::from_str(attributes);
        assert!(deserializer.deserialize_map(Once).is_ok() && deserializer.end().is_ok(), "{attributes}");
    }
}

/// Takes an object that has each key once.
struct Once;

impl<'de> Visitor<'de> for Once {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object that has each key once")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut keys = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            assert!(keys.insert(key.clone()), "{key} twice");
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

//! From an event as sent to what is stored of it.
//!
//! What tells a retry from a conflict, and one call from another, is worked out from the event as sent: neither may
//! change with the policy. The group of an error is worked out from the masked text, before it is cut or dropped: so
//! groups are the same whatever is kept, and hold nothing that is masked.

use std::sync::{Arc, LazyLock};

use uplift_cycle::observe;
use uplift_cycle::observe::fingerprint;
use uplift_intake::redact::Redactor;
use uplift_model::event::{Event, PreparedEvent};
use uplift_model::policy::ContentPolicy;

/// The default, compiled once: simulations make engines by the thousand.
static DEFAULT: LazyLock<Arc<Redactor>> = LazyLock::new(|| Arc::new(compiled(&ContentPolicy::default())));

/// What the policy says of texts, compiled.
pub(crate) fn redactor(policy: &ContentPolicy) -> Arc<Redactor> {
    if *policy == ContentPolicy::default() { Arc::clone(&DEFAULT) } else { Arc::new(compiled(policy)) }
}

/// Settings files with a pattern that cannot be used are refused before it comes to this; should one get here all the
/// same, texts are rather lost than stored unmasked.
fn compiled(policy: &ContentPolicy) -> Redactor {
    Redactor::new(policy).unwrap_or_else(|error| {
        tracing::error!(%error, "texts of events are not kept, because they cannot be masked as configured");
        Redactor::keeping_nothing()
    })
}

/// Works out what the store needs to know of an event, and leaves of its texts what the policy says.
pub(crate) fn prepare(event: Event, redactor: &Redactor) -> PreparedEvent {
    let mut prepared = observe::prepare(event);
    let event = &mut prepared.event;
    let group = |event: &Event, content: Option<&str>| {
        fingerprint::template(event.error_type.as_deref(), event.tool.as_deref(), content)
    };
    if redactor.mask(event) && prepared.error.is_some() {
        prepared.error = Some(group(event, event.content.as_deref()));
    }
    if let Some(error) = &mut prepared.error
        && !redactor.keeps_texts()
    {
        // The group stays what it is; only what it is called no longer says what the message was.
        error.template = group(event, None).template;
    }
    redactor.shorten(event);
    prepared
}

#[cfg(test)]
mod tests {
    use uplift_intake::{DecodeContext, Place, decode_one};
    use uplift_model::Time;
    use uplift_model::policy::{ContentCapture, IntakePolicy};

    use super::*;

    const NOW: Time = Time::from_micros(1_769_860_800_000_000);

    fn failed(secret: &str) -> Event {
        let json = format!(
            r#"{{"id":"1","event_type":"TOOL_EXECUTED","agent":"a","task_id":"t","tool":"book","outcome":"ERROR",
            "error_type":"ValueError","content":"the key {secret} is not known","attributes":{{"arguments":{{"key":"{secret}"}}}}}}"#
        );
        let context = DecodeContext { received_at: NOW, at: None };
        decode_one(&json, Place::Index(0), &IntakePolicy::default(), context).unwrap()
    }

    fn stored(event: &Event, capture: ContentCapture) -> PreparedEvent {
        prepare(event.clone(), &redactor(&ContentPolicy { capture, ..ContentPolicy::default() }))
    }

    #[test]
    fn what_tells_events_and_calls_apart_does_not_depend_on_what_is_kept() {
        let secret = "sk-abcdefghijklmnopqrstuvwx";
        let sent = failed(secret);
        let full = stored(&sent, ContentCapture::Full);
        for capture in [ContentCapture::Full, ContentCapture::Truncated, ContentCapture::None] {
            let kept = stored(&sent, capture);
            assert_eq!((kept.digest, kept.call_hash), (sent.digest(), sent.call_hash()));
            assert_eq!(
                kept.error.as_ref().map(|group| group.fingerprint),
                full.error.as_ref().map(|g| g.fingerprint)
            );
            assert!(kept.call_hash.is_some() && !format!("{kept:?}").contains(secret), "{kept:?}");
        }
        assert_ne!(sent.call_hash(), failed("sk-abcdefghijklmnopqrstuvwy").call_hash());
    }

    #[test]
    fn groups_are_called_after_the_message_only_where_it_is_kept() {
        let template = |capture| stored(&failed("4711"), capture).error.unwrap().template;
        assert_eq!(template(ContentCapture::Full), "the key <*> is not known");
        assert_eq!(template(ContentCapture::None), fingerprint::NO_MESSAGE);
        let kept = stored(&failed("4711"), ContentCapture::None).event;
        assert_eq!((kept.content, kept.attributes, kept.error_type.as_deref()), (None, None, Some("ValueError")));
    }

    #[test]
    fn patterns_that_cannot_be_used_keep_every_text_out() {
        let policy = ContentPolicy { mask: vec!["(".to_owned()], ..ContentPolicy::default() };
        assert!(!redactor(&policy).keeps_texts());
    }
}

//! What is masked, shortened or dropped before anything of an event is stored: one way for all ways in.
//!
//! Three texts of an event are looked at: its content, its kind of error, and every text among the values of its
//! attributes. Ids, names of entities and tools, and the keys of attributes stay as they are: they are what things are
//! told apart by.
//!
//! - `mask`: what the patterns of `content.mask` match becomes `[masked]`, also behind the escapes of JSON in JSON.
//! - `texts`: the texts of a JSON object, replaced where they stand, so that all else stays as sent.
//! - `kept`: what is left of attributes when no text is kept.
//!
//! To redact twice changes nothing more, unless a pattern matches across `[masked]` itself.

mod kept;
mod mask;
mod texts;

use uplift_model::event::Event;
use uplift_model::policy::{ContentCapture, ContentPolicy};

use self::mask::Masks;

pub use self::mask::{BadPattern, MASK};

/// What stands at the end of a text that was shortened.
pub const CUT: &str = "…[cut]";

/// A compiled [`ContentPolicy`].
#[derive(Debug, Clone)]
pub struct Redactor {
    capture: ContentCapture,
    max_bytes: usize,
    masks: Masks,
}

impl Redactor {
    /// Compiles the patterns.
    ///
    /// # Errors
    /// The first pattern that cannot be used, with its place and the reason.
    pub fn new(policy: &ContentPolicy) -> Result<Self, BadPattern> {
        let masks = Masks::new(&policy.mask)?;
        Ok(Self { capture: policy.capture, max_bytes: policy.max_bytes, masks })
    }

    /// One that keeps no text at all, for when there are no patterns that could be trusted.
    pub fn keeping_nothing() -> Self {
        Self { capture: ContentCapture::None, max_bytes: 0, masks: Masks::default() }
    }

    /// Whether anything of texts is kept.
    pub fn keeps_texts(&self) -> bool {
        self.capture != ContentCapture::None
    }

    /// Masks and shortens, in this order.
    pub fn redact(&self, event: &mut Event) {
        self.mask(event);
        self.shorten(event);
    }

    /// Masks what the patterns match. Says whether anything was changed.
    pub fn mask(&self, event: &mut Event) -> bool {
        let content = replace(&mut event.content, |text| self.masks.apply(text));
        let error_type = replace(&mut event.error_type, |text| self.masks.apply(text));
        let attributes = replace(&mut event.attributes, |json| texts::rewrite(json, |text| self.masks.apply(text)));
        content || error_type || attributes
    }

    /// Shortens or drops texts, as the policy says. Nothing is done where all of them are kept.
    pub fn shorten(&self, event: &mut Event) {
        match self.capture {
            ContentCapture::Full => {}
            ContentCapture::Truncated => {
                let content = replace(&mut event.content, |text| cut(text, self.max_bytes));
                let attributes =
                    replace(&mut event.attributes, |json| texts::rewrite(json, |text| cut(text, self.max_bytes)));
                // A pattern that asks for an end of word may match only now.
                if content || attributes {
                    self.mask(event);
                }
            }
            ContentCapture::None => {
                event.content = None;
                event.attributes = event.attributes.as_deref().and_then(kept::without_texts);
            }
        }
    }
}

/// Puts what `change` gives in the place of a text, if it gives anything; says whether it did.
fn replace(place: &mut Option<String>, change: impl FnOnce(&str) -> Option<String>) -> bool {
    let Some(changed) = place.as_deref().and_then(change) else { return false };
    *place = Some(changed);
    true
}

/// The beginning of a text that is longer than `most` bytes, with its mark no longer than that.
fn cut(text: &str, most: usize) -> Option<String> {
    if text.len() <= most {
        return None;
    }
    let kept = text.floor_char_boundary(most.saturating_sub(CUT.len()));
    Some(format!("{}{CUT}", &text[..kept]))
}

#[cfg(test)]
mod tests;

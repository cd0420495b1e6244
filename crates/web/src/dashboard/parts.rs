//! What several pages show in the same way.

use maud::{Markup, Render, html};
use uplift_model::Time;
use uplift_model::entity::{Entity, EntityKey};
use uplift_model::event::Outcome;
use uplift_model::improvement::ImprovementStatus;
use uplift_model::opportunity::{ImpactLevel, OpportunityStatus};

use super::format;
use super::visit::Visit;

/// How something stands: a sign and a word, so that colour is never the only sign.
pub(crate) struct Standing {
    tone: &'static str,
    sign: &'static str,
    word: String,
}

impl Standing {
    /// With a tone of the style sheet (`good`, `bad`, `warn`, `live`, `idle`), a sign and a word.
    pub(crate) fn new(tone: &'static str, sign: &'static str, word: impl Into<String>) -> Self {
        Self { tone, sign, word: word.into() }
    }

    /// Of an improvement.
    pub(crate) fn of_improvement(status: ImprovementStatus) -> Self {
        use ImprovementStatus as S;
        let (tone, sign) = match status {
            S::Testing => ("live", "◐"),
            S::Deployed => ("good", "✓"),
            S::RolledBack => ("bad", "↩"),
            S::Rejected => ("bad", "✕"),
            S::AwaitingApproval | S::NeedsProposal => ("warn", "?"),
            S::Proposed | S::Validated | S::Queued => ("idle", "○"),
            S::Cancelled => ("idle", "–"),
        };
        Self::new(tone, sign, format::words(status.as_str()))
    }

    /// Of an opportunity.
    pub(crate) fn of_opportunity(status: OpportunityStatus) -> Self {
        let (tone, sign) = match status {
            OpportunityStatus::Pending => ("warn", "○"),
            OpportunityStatus::InProgress => ("live", "◐"),
            OpportunityStatus::Completed => ("good", "✓"),
            OpportunityStatus::Dismissed => ("idle", "–"),
        };
        Self::new(tone, sign, format::words(status.as_str()))
    }

    /// Of what an improvement came to.
    pub(crate) fn of_outcome(outcome: &str) -> Self {
        let (tone, sign) = match outcome {
            "kept" => ("good", "✓"),
            "rolled_back" => ("bad", "↩"),
            "rejected" => ("bad", "✕"),
            "inconclusive" => ("idle", "="),
            _ => ("idle", "–"),
        };
        Self::new(tone, sign, format::words(outcome))
    }

    /// Of a task.
    pub(crate) fn of_task(outcome: Option<Outcome>, ended: bool) -> Self {
        match outcome {
            Some(Outcome::Success) => Self::new("good", "✓", "success"),
            Some(Outcome::Failure) => Self::new("bad", "✕", "failure"),
            Some(Outcome::Error) => Self::new("bad", "!", "error"),
            None if ended => Self::new("idle", "–", "unknown"),
            None => Self::new("live", "◐", "running"),
        }
    }

    /// Of an impact.
    pub(crate) fn of_impact(level: ImpactLevel) -> Self {
        let (tone, sign) = match level {
            ImpactLevel::High => ("bad", "▲"),
            ImpactLevel::Medium => ("warn", "△"),
            ImpactLevel::Low => ("idle", "▽"),
        };
        Self::new(tone, sign, level.as_str())
    }
}

impl Render for Standing {
    fn render(&self) -> Markup {
        html! { span.st.(self.tone) { span aria-hidden="true" { (self.sign) } " " (self.word) } }
    }
}

/// A moment, with how long ago it was.
pub(crate) fn when(time: Time, now: Time) -> Markup {
    html! { time datetime=(time.to_string()) title={ (format::exactly(time)) " UTC" } { (format::ago(time, now)) } }
}

/// A moment to the minute.
pub(crate) fn at(time: Time) -> Markup {
    html! { time.at datetime=(time.to_string()) title={ (format::exactly(time)) " UTC" } { (format::moment(time)) } }
}

/// Where an entity's page is.
pub(crate) fn entity_address(key: EntityKey) -> String {
    format!("/entities/{}/{}", key.entity_type, key.entity_id)
}

/// An entity by its name.
pub(crate) fn entity_link(key: EntityKey, name: &str) -> Markup {
    html! {
        a href=(entity_address(key)) { (name) }
        @if key.entity_type.as_str() != "agent" { " " span.kind { (key.entity_type.as_str()) } }
    }
}

/// An entity by its name, with its environment where that is not the usual one.
pub(crate) fn entity(of: &Entity) -> Markup {
    html! { (entity_link(of.key, &of.name)) (environment(&of.environment)) }
}

/// An environment that is not the usual one.
pub(crate) fn environment(name: &str) -> Markup {
    html! { @if name != uplift_model::entity::DEFAULT_ENVIRONMENT { " " span.kind { (name) } } }
}

/// A text that somebody outside wrote: marked as theirs.
pub(crate) fn said(text: &str) -> Markup {
    html! { blockquote.said { (text) } }
}

/// A sentence of our own, with what it has between backticks as code.
pub(crate) fn prose(text: &str) -> Markup {
    // An odd backtick is one of somebody's text: then none of them is ours to read.
    let spans = text.matches('`').count();
    html! {
        @if spans == 0 || !spans.is_multiple_of(2) { (text) }
        @else { @for (place, part) in text.split('`').enumerate() { @if place % 2 == 1 { code { (part) } } @else { (part) } } }
    }
}

/// The first sentence of what was said, without its full stop.
pub(crate) fn first_sentence(text: &str) -> &str {
    let first = text.split_once(". ").map_or(text, |(first, _)| first);
    first.strip_suffix('.').unwrap_or(first)
}

/// A table that may be wider than the screen.
pub(crate) fn wide(label: &str, table: &Markup) -> Markup {
    html! { div.wide role="region" aria-label=(label) tabindex="0" { (table) } }
}

/// The way to the next page of a list.
pub(crate) fn more(visit: &Visit, next: Option<&str>) -> Markup {
    let path = visit.address.split('?').next().unwrap_or("/");
    let query = visit.address.split_once('?').map_or("", |(_, query)| query);
    let kept: Vec<&str> = query
        .split('&')
        .filter(|pair| !pair.is_empty() && !pair.starts_with("cursor=") && !pair.starts_with("done="))
        .collect();
    let with = |cursor: &str| {
        let cursor = format!("cursor={}", format::encoded(cursor));
        let pairs: Vec<&str> = kept.iter().copied().chain([cursor.as_str()]).collect();
        format!("{path}?{}", pairs.join("&"))
    };
    let first = query.split('&').any(|pair| pair.starts_with("cursor="));
    let start = if kept.is_empty() { path.to_owned() } else { format!("{path}?{}", kept.join("&")) };
    html! {
        @if first || next.is_some() {
            nav.pages aria-label="Parts of the list" {
                @if first { a href=(start) rel="first" { "From the start" } }
                @if let Some(next) = next { a href=(with(next)) rel="next" { "Further on" } }
            }
        }
    }
}

/// A choice of one of several values in a form that filters.
pub(crate) fn choice<'a>(
    label: &str,
    name: &str,
    chosen: Option<&str>,
    any: &str,
    values: impl IntoIterator<Item = &'a str>,
) -> Markup {
    html! {
        label { span { (label) } select name=(name) {
            option value="" selected[chosen.is_none()] { (any) }
            @for value in values {
                option value=(value) selected[chosen == Some(value)] { (format::words(value)) }
            }
        } }
    }
}

/// A part of a page that is kept up to date while it is looked at.
pub(crate) fn live(id: &str, heading: &Markup, body: &Markup) -> Markup {
    html! {
        section id=(id) aria-labelledby={ (id) "-h" } data-live="" {
            h2 id={ (id) "-h" } { (heading) }
            (body)
        }
    }
}

/// The same under a plain heading.
pub(crate) fn section(id: &str, heading: &str, body: &Markup) -> Markup {
    live(id, &html! { (heading) }, body)
}

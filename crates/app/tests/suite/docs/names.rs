//! Names that pages tell of, against those of the code: a check, an alert or a proposer that is new has to be told of.

use std::collections::BTreeSet;

use uplift_cycle::propose::PROPOSERS;
use uplift_model::access::Role;
use uplift_model::alert::AlertKind;
use uplift_model::check::CheckName;
use uplift_model::history::HistoryOutcome;
use uplift_model::improvement::{ImprovementStatus, ImprovementType};
use uplift_model::notification::{NotificationKind, TargetFormat};
use uplift_model::policy::Mode;
use uplift_model::{EntityState, OpportunityKind};
use uplift_runner::snapshot::Reason;

use super::page::Page;

/// Kinds that nothing raises.
const UNRAISED: [OpportunityKind; 2] = [OpportunityKind::Bottleneck, OpportunityKind::ChangePoint];
/// Kinds of messages that are no news.
const NO_NEWS: [NotificationKind; 2] = [NotificationKind::AlertsHold, NotificationKind::Test];

fn texts<T: Copy>(all: &[T], text: impl Fn(T) -> &'static str) -> Vec<&'static str> {
    all.iter().copied().map(text).collect()
}

#[test]
fn pages_tell_of_every_name() {
    let news = NotificationKind::ALL.iter().copied().filter(|kind| !NO_NEWS.contains(kind));
    let raised = OpportunityKind::ALL.iter().copied().filter(|kind| !UNRAISED.contains(kind));
    for (path, names) in [
        ("docs/validation.md", texts(CheckName::ALL, CheckName::as_str)),
        ("docs/validation.md", texts(Mode::ALL, Mode::as_str)),
        ("docs/health.md", texts(AlertKind::ALL, AlertKind::as_str)),
        ("docs/notifications.md", news.map(NotificationKind::as_str).collect()),
        ("docs/detection.md", raised.map(OpportunityKind::as_str).collect()),
        ("docs/concepts.md", texts(ImprovementStatus::ALL, ImprovementStatus::as_str)),
        ("docs/concepts.md", texts(ImprovementType::ALL, ImprovementType::as_str)),
        ("docs/concepts.md", texts(HistoryOutcome::ALL, HistoryOutcome::as_str)),
        ("docs/concepts.md", texts(&EntityState::ALL, EntityState::as_str)),
        ("docs/resolve.md", texts(&Reason::ALL, Reason::as_str)),
        ("docs/proposals.md", PROPOSERS.iter().map(|proposer| proposer.name).collect()),
    ] {
        let told: BTreeSet<String> = Page::read(path).code().into_iter().collect();
        let missing: Vec<_> = names.into_iter().filter(|name| !told.contains(*name)).collect();
        assert!(missing.is_empty(), "{path} does not tell of {missing:?}");
    }
}

#[test]
fn pages_tell_of_every_role_and_format() {
    let (access, notifications) = (Page::read("docs/access.md"), Page::read("docs/notifications.md"));
    let (_, columns) = access.rows().into_iter().find(|(heading, _)| heading == "Roles").expect("the table of roles");
    for role in Role::ALL {
        assert!(columns.iter().any(|column| column == role.as_str()), "{role}");
    }
    for format in TargetFormat::ALL {
        let told = notifications.code().iter().any(|code| code == &format!("--format {format}"));
        assert!(told, "{format}");
    }
}

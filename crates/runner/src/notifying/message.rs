//! From news to what is told.

use serde_json::{Map, Value, json};
use uplift_model::alert::Alert;
use uplift_model::entity::EntityKey;
use uplift_model::notification::{Message, NotificationKind, Target};
use uplift_store::rows::{ACKNOWLEDGED, NewsKind, NewsRow, OPENED, RESOLVED};
use uplift_store::writes::attention::NotificationWrite;
use uplift_store::{PageRequest, StoreError, StoreResult, Write};

use crate::engine::Engine;
use crate::load;

/// Most alerts that are told again at once.
const MOST_REPEATED: u32 = 200;
/// Longest text that is told, in characters.
const MAX_TEXT_CHARS: usize = 2_000;

/// What is told of news, if anything.
pub(super) fn kind(news: &NewsRow) -> Option<NotificationKind> {
    match (news.kind, news.word.as_str()) {
        (NewsKind::Alert, OPENED) => Some(NotificationKind::AlertOpened),
        (NewsKind::Alert, ACKNOWLEDGED) => Some(NotificationKind::AlertAcknowledged),
        (NewsKind::Alert, RESOLVED) => Some(NotificationKind::AlertResolved),
        (NewsKind::Verdict, "kept") => Some(NotificationKind::ImprovementKept),
        (NewsKind::Verdict, "rolled_back") => Some(NotificationKind::ImprovementRolledBack),
        (NewsKind::Verdict, "inconclusive") => Some(NotificationKind::ImprovementInconclusive),
        (NewsKind::Improvement, "awaiting_approval") => Some(NotificationKind::ApprovalNeeded),
        _ => None,
    }
}

/// The message; none where what it is about is no more.
pub(super) async fn of(engine: &Engine, news: &NewsRow, kind: NotificationKind) -> StoreResult<Option<Message>> {
    let told = match news.kind {
        NewsKind::Alert => about_alert(engine, news).await,
        _ => about_improvement(engine, news, kind).await,
    };
    match told {
        Ok((subject, summary, data)) => {
            let id = format!("news-{}", news.seq);
            Ok(Some(Message { id, kind, at: news.at, subject, summary, data }))
        }
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Subject, summary and data.
type Told = (String, String, Value);

async fn about_alert(engine: &Engine, news: &NewsRow) -> StoreResult<Told> {
    let alert = engine.store().alert(news.id).await?;
    let said = &alert.finding.message;
    let summary = match (news.word.as_str(), &alert.acknowledged) {
        (ACKNOWLEDGED, Some(word)) => match &word.note {
            Some(note) => format!("{} looks after it ({note}): {said}", word.by),
            None => format!("{} looks after it: {said}", word.by),
        },
        (RESOLVED, _) => match &alert.resolved_by {
            Some(by) => format!("{by} says that it is dealt with: {said}"),
            None => format!("it no longer holds: {said}"),
        },
        _ => said.clone(),
    };
    let data = alert_data(engine, &alert).await?;
    Ok((format!("alert/{}", alert.id), cut(&summary), data))
}

async fn alert_data(engine: &Engine, alert: &Alert) -> StoreResult<Value> {
    let finding = &alert.finding;
    let mut data = whom(engine, finding.entity).await?;
    let word = alert.acknowledged.as_ref();
    for (name, value) in [
        ("id", json!(alert.id)),
        ("kind", json!(finding.kind.as_str())),
        ("state", json!(alert.state().as_str())),
        ("fingerprint", json!(finding.fingerprint)),
        ("message", json!(cut(&finding.message))),
        ("value", json!(finding.value)),
        ("threshold", json!(finding.threshold)),
        ("at", json!(finding.at)),
        ("raised_at", json!(alert.raised_at)),
        ("acknowledged_by", json!(word.map(|word| &word.by))),
        ("note", json!(word.and_then(|word| word.note.as_ref()))),
        ("resolved_at", json!(alert.resolved_at)),
        ("resolved_by", json!(alert.resolved_by)),
    ] {
        data.insert(name.to_owned(), value);
    }
    Ok(Value::Object(data))
}

async fn about_improvement(engine: &Engine, news: &NewsRow, kind: NotificationKind) -> StoreResult<Told> {
    let store = engine.store();
    let improvement = store.improvement(news.id).await?;
    let mut data = whom(engine, Some(improvement.entity)).await?;
    let name = data.get("entity").and_then(Value::as_str).unwrap_or_default().to_owned();
    let proposal = &improvement.proposal;
    let entry = store.history_of(news.id).await?.into_iter().rfind(|entry| entry.outcome == news.word);
    let reason = entry.as_ref().and_then(|entry| entry.reason.clone());
    for (field, value) in [
        ("improvement_id", json!(news.id)),
        ("improvement_type", json!(proposal.improvement_type.as_str())),
        ("status", json!(improvement.status.as_str())),
        ("outcome", json!(entry.as_ref().map(|entry| &entry.outcome))),
        ("reason", json!(reason.as_deref().map(cut))),
        ("rationale", json!(cut(&proposal.rationale))),
        ("expected_impact", json!(cut(&proposal.expected_impact))),
        ("proposed_by", json!(proposal.proposed_by.as_str())),
        ("proposer", json!(proposal.proposer)),
        ("confidence", json!(proposal.confidence)),
        ("effectiveness", json!(entry.as_ref().and_then(|entry| entry.effectiveness))),
        ("effectiveness_low", json!(entry.as_ref().and_then(|entry| entry.effectiveness_low))),
        ("effectiveness_high", json!(entry.as_ref().and_then(|entry| entry.effectiveness_high))),
        ("decided_at", json!(entry.as_ref().map(|entry| entry.decided_at))),
    ] {
        data.insert(field.to_owned(), value);
    }
    let what = format!("improvement {} ({}) of `{name}`", news.id, proposal.improvement_type);
    let summary = match (kind, reason) {
        (NotificationKind::ApprovalNeeded, _) => format!("{what} waits for approval: {}", proposal.rationale),
        (NotificationKind::ImprovementKept, Some(reason)) => format!("{what} was kept: {reason}"),
        (NotificationKind::ImprovementRolledBack, Some(reason)) => {
            format!("{what} did harm and was taken back: {reason}")
        }
        (_, Some(reason)) => format!("{what} ended without an answer: {reason}"),
        (_, None) => format!("{what} is {}", improvement.status),
    };
    Ok((format!("improvement/{}", news.id), cut(&summary), Value::Object(data)))
}

/// Whom something concerns, by name.
async fn whom(engine: &Engine, key: Option<EntityKey>) -> StoreResult<Map<String, Value>> {
    let mut data = Map::new();
    if let Some(key) = key {
        let entity = load::entity(engine, key).await?;
        data.insert("entity_type".to_owned(), key.entity_type.as_str().into());
        data.insert("entity_id".to_owned(), key.entity_id.into());
        data.insert("entity".to_owned(), entity.name.into());
        data.insert("environment".to_owned(), entity.environment.into());
    }
    Ok(data)
}

/// Puts the alerts that hold on their way again, to targets that forget them: once in each stretch of time.
pub(super) async fn repeat(engine: &Engine, targets: &[Target], last: &mut Option<i64>) -> StoreResult<()> {
    let kind = NotificationKind::AlertsHold;
    let ids: Vec<i64> = targets.iter().filter(|target| target.target.wants(kind)).map(|target| target.id).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let policy = &engine.policy().notifications;
    let stretch = engine.now().micros().div_euclid(i64::from(policy.alertmanager_repeat_seconds) * 1_000_000);
    if *last == Some(stretch) {
        return Ok(());
    }
    let open = engine.store().alerts(true, PageRequest::first(MOST_REPEATED)).await?.items;
    if open.is_empty() {
        *last = Some(stretch);
        return Ok(());
    }
    let mut alerts = Vec::new();
    for alert in &open {
        match alert_data(engine, alert).await {
            Ok(data) => alerts.push(data),
            Err(StoreError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let message = Message {
        id: format!("alerts-{stretch}"),
        kind,
        at: engine.now(),
        subject: "alerts".to_owned(),
        summary: format!("{} alerts hold", alerts.len()),
        data: json!({ "alerts": alerts }),
    };
    let max_waiting = policy.max_waiting;
    let deliver = NotificationWrite::Deliver { message: Box::new(message), targets: ids, max_waiting };
    engine.commit(vec![Write::Notifications(deliver)]).await?;
    *last = Some(stretch);
    Ok(())
}

fn cut(text: &str) -> String {
    if text.chars().count() <= MAX_TEXT_CHARS {
        return text.to_owned();
    }
    text.chars().take(MAX_TEXT_CHARS - 1).chain(['\u{2026}']).collect()
}

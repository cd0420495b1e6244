//! Too many of an entity's improvements did harm and were taken back.

use std::collections::BTreeMap;

use uplift_model::opportunity::{Evidence, Finding, Impact, OpportunityKind, OpportunitySource};
use uplift_model::policy::DetectionPolicy;
use uplift_model::time::MICROS_PER_DAY;
use uplift_model::{EntityKey, Time};

use super::confidence;
use super::input::Decision;
use super::text;

/// One finding per entity whose share of harm rollbacks over the last `days` before `now` lies above
/// `policy.rollback_rate_threshold`, once there were `min_decisions` decisions in them.
///
/// How sure: the probability that the true share lies above the threshold (Beta posterior). The impact's share is
/// that of its changes, which stands in for the tasks they touched while on trial.
pub fn find(
    decisions: &[Decision],
    now: Time,
    policy: &DetectionPolicy,
    min_decisions: u32,
    days: u32,
) -> Vec<Finding> {
    let start = now.plus_micros(-i64::from(days).saturating_mul(MICROS_PER_DAY));
    let mut by_entity: BTreeMap<EntityKey, Vec<&Decision>> = BTreeMap::new();
    for decision in decisions.iter().filter(|decision| decision.decided_at > start && decision.decided_at <= now) {
        by_entity.entry(decision.entity).or_default().push(decision);
    }
    by_entity
        .into_iter()
        .filter(|(_, decisions)| !decisions.is_empty() && decisions.len() >= min_decisions as usize)
        .filter_map(|(entity, decisions)| judge(entity, &decisions, start, now, policy))
        .collect()
}

fn judge(
    entity: EntityKey,
    decisions: &[&Decision],
    start: Time,
    now: Time,
    policy: &DetectionPolicy,
) -> Option<Finding> {
    let harmful = || decisions.iter().filter(|decision| decision.rolled_back_for_harm);
    let (count, n) = (harmful().count(), decisions.len());
    let rate = count as f64 / n as f64;
    let latest = harmful().max_by_key(|decision| decision.decided_at)?;
    if rate <= policy.rollback_rate_threshold {
        return None;
    }
    Some(Finding {
        entity,
        kind: OpportunityKind::HighRollbackRate,
        fingerprint: "rollback_rate".to_owned(),
        source: OpportunitySource::Monitor,
        description: format!(
            "{count} of the last {n} changes to `{}` did harm and were taken back ({})",
            text::name(&latest.entity_name),
            text::percent(rate)
        ),
        confidence: confidence::share_above(count as f64, n as f64, policy.rollback_rate_threshold),
        impact: Impact::from_share(rate, format!("{count} fewer harmful trials in the time looked at")),
        evidence: Evidence {
            rule: "high_rollback_rate".to_owned(),
            count: i64::try_from(count).unwrap_or(i64::MAX),
            window_start: Some(start),
            window_end: Some(now),
            numbers: BTreeMap::from([
                ("harm_rollbacks".to_owned(), count as f64),
                ("decisions".to_owned(), n as f64),
                ("rollback_share".to_owned(), rate),
                ("threshold_share".to_owned(), policy.rollback_rate_threshold),
            ]),
            labels: BTreeMap::from([("entity".to_owned(), text::name(&latest.entity_name).to_owned())]),
            ..Evidence::default()
        },
        last_seen_at: latest.decided_at,
    })
}

#[cfg(test)]
mod tests {
    use uplift_model::EntityType;

    use super::*;

    fn decisions(id: i64, harmful: usize, all: usize, day: i64) -> Vec<Decision> {
        (0..all)
            .map(|n| Decision {
                entity: EntityKey::new(EntityType::Agent, id),
                entity_name: format!("agent-{id}"),
                decided_at: Time::from_micros(day * MICROS_PER_DAY + n as i64),
                rolled_back_for_harm: n < harmful,
            })
            .collect()
    }

    #[test]
    fn above_the_threshold_once_there_were_enough() {
        let now = Time::from_micros(100 * MICROS_PER_DAY);
        for (harmful, all, day, found) in
            [(3, 10, 90, 0), (4, 10, 90, 1), (9, 9, 90, 0), (10, 10, 60, 0), (10, 10, 101, 0), (0, 0, 90, 0)]
        {
            let findings = find(&decisions(1, harmful, all, day), now, &DetectionPolicy::default(), 10, 30);
            assert_eq!(findings.len(), found, "{harmful} of {all}");
        }
        let mut both = decisions(1, 8, 10, 90);
        both.extend(decisions(2, 0, 50, 90));
        let findings = find(&both, now, &DetectionPolicy::default(), 10, 30);
        assert_eq!(findings.len(), 1, "rates are per entity");
        assert!(findings[0].confidence > 0.95 && findings[0].description.contains("8 of the last 10"));
    }
}

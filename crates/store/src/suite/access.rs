//! Tokens, and what was done by whom.

use uplift_model::Time;
use uplift_model::access::{AuditEntry, NewToken, Role};

use super::sample::{Subject, hour, step};
use crate::error::StoreError;
use crate::page::PageRequest;
use crate::rows::AuditFilter;
use crate::writes::Write;
use crate::writes::access::AccessWrite;

fn token(name: &str, role: Role) -> NewToken {
    let entities = if role == Role::Agent { vec!["production:agent/*".parse().unwrap()] } else { Vec::new() };
    let digit = name.chars().next().map_or(0, |first| u32::from(first) % 10);
    let hash = std::iter::repeat_n(char::from_digit(digit, 10).unwrap(), 64).collect();
    NewToken { name: name.into(), role, hash, entities, created_by: "local".into(), expires_at: None }
}

fn put(token: NewToken) -> Write {
    Write::Access(AccessWrite::PutToken(token))
}

fn first(limit: u32) -> PageRequest {
    PageRequest { limit, cursor: None }
}

/// What is put on record comes back; a name is in force once; what is revoked is not in force.
pub async fn tokens_come_and_go(store: Subject) {
    let before = store.config_seq().await.unwrap();
    let made = step(&*store, vec![put(token("a", Role::Agent)), put(token("b", Role::Admin))]).await.unwrap();
    assert_eq!(made.recorded.len(), 2);
    // Whoever follows the configuration is told.
    assert!(store.config_seq().await.unwrap() > before);
    let found = store.tokens_in_force().await.unwrap();
    assert_eq!(found.iter().map(|token| token.id).collect::<Vec<_>>(), made.recorded);
    let as_put = token("a", Role::Agent);
    assert_eq!((&found[0].name, found[0].role, &found[0].hash), (&as_put.name, as_put.role, &as_put.hash));
    assert_eq!((&found[0].entities, found[0].created_at), (&as_put.entities, hour(100)));
    assert!(found[0].is_in_force(hour(101)));

    let again = NewToken { hash: "f".repeat(64), ..token("a", Role::Viewer) };
    assert!(matches!(step(&*store, vec![put(again.clone())]).await, Err(StoreError::Invalid { .. })));
    let nobody = NewToken { entities: Vec::new(), ..token("c", Role::Agent) };
    assert!(matches!(step(&*store, vec![put(nobody)]).await, Err(StoreError::Invalid { .. })));

    let revoke = |id, by: &str| Write::Access(AccessWrite::RevokeToken { id, by: by.into() });
    let seq = store.config_seq().await.unwrap();
    step(&*store, vec![revoke(made.recorded[0], "b")]).await.unwrap();
    step(&*store, vec![revoke(made.recorded[0], "somebody else")]).await.unwrap();
    assert!(store.config_seq().await.unwrap() > seq);
    assert_eq!(store.tokens_in_force().await.unwrap().len(), 1);
    // The name is free again.
    step(&*store, vec![put(again)]).await.unwrap();
    let page = store.tokens(first(2)).await.unwrap();
    assert_eq!(page.items.len(), 2);
    let rest = store.tokens(PageRequest { limit: 2, cursor: page.next }).await.unwrap();
    assert_eq!(rest.items.len(), 1);
    assert_eq!(rest.items[0].revoked_by.as_deref(), Some("b"));
    assert!(!rest.items[0].is_in_force(hour(100)));
    let missing = step(&*store, vec![revoke(1_000_000, "b")]).await;
    assert!(matches!(missing, Err(StoreError::NotFound { .. })));
}

/// The latest use counts, in whatever order it is noted.
pub async fn uses_are_noted(store: Subject) {
    let id = step(&*store, vec![put(token("a", Role::Viewer))]).await.unwrap().recorded[0];
    let note = |at: Time| Write::Access(AccessWrite::NoteUse { uses: vec![(id, at), (id + 1, at)] });
    step(&*store, vec![note(hour(102))]).await.unwrap();
    step(&*store, vec![note(hour(101))]).await.unwrap();
    assert_eq!(store.tokens_in_force().await.unwrap()[0].last_used_at, Some(hour(102)));
}

/// What is begun is on record at once; its outcome is written once; what is old goes.
pub async fn actions_are_written_down(store: Subject) {
    let entry = |actor: &str, at: Time| AuditEntry {
        at,
        actor: actor.into(),
        role: Role::Operator,
        token_id: Some(7),
        peer: Some("127.0.0.1".into()),
        action: "POST /api/improvements/{id}/approve".into(),
        subject: "/api/improvements/3/approve".into(),
        detail: None,
    };
    let begin = |actor: &str, at| Write::Access(AccessWrite::BeginAudit(entry(actor, at)));
    let ids = step(&*store, vec![begin("a", hour(1)), begin("b", hour(2)), begin("a", hour(3))]).await.unwrap();
    let ids = ids.recorded;
    let end = |id, status| Write::Access(AccessWrite::EndAudit { id, status });
    step(&*store, vec![end(ids[0], 200)]).await.unwrap();
    step(&*store, vec![end(ids[0], 500)]).await.unwrap();
    let all = store.audit_log(AuditFilter::default(), first(10)).await.unwrap().items;
    assert_eq!(all.iter().map(|record| record.id).collect::<Vec<_>>(), [ids[2], ids[1], ids[0]]);
    assert_eq!((all[2].status, all[2].ended_at), (Some(200), Some(hour(100))));
    assert_eq!((all[1].status, all[1].entry.clone()), (None, entry("b", hour(2))));
    let of_a = AuditFilter { actor: Some("a".into()) };
    let page = store.audit_log(of_a.clone(), first(1)).await.unwrap();
    assert_eq!(page.items[0].id, ids[2]);
    let page = store.audit_log(of_a, PageRequest { limit: 1, cursor: page.next }).await.unwrap();
    assert_eq!(page.items[0].id, ids[0]);
    let prune = |rows| Write::Access(AccessWrite::PruneAudit { before: hour(3), rows });
    step(&*store, vec![prune(1)]).await.unwrap();
    let left = store.audit_log(AuditFilter::default(), first(10)).await.unwrap().items;
    assert_eq!(left.iter().map(|record| record.id).collect::<Vec<_>>(), [ids[2], ids[1]]);
    step(&*store, vec![prune(10)]).await.unwrap();
    assert_eq!(store.audit_log(AuditFilter::default(), first(10)).await.unwrap().items.len(), 1);
}

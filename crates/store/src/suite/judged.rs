//! Scores of others find the unit that they are about, whatever they call it.

use uplift_model::entity::DEFAULT_ENVIRONMENT;
use uplift_model::event::Event;

use super::sample::{Subject, take};
use super::scene::{on_trial, read_on, shown};
use super::units::{TASK, feedback, in_trace, task};

/// A judge may know only the task, and may speak before anybody else does.
pub async fn a_judge_finds_the_unit(store: Subject) {
    let (_, id) = on_trial(&*store, "a", TASK).await;
    let score = |id: &str, task: &str, seconds| feedback(id, task, seconds, r#"{"name":"quality","score":1}"#);
    take(&*store, vec![score("f", "early", 1)]).await;
    assert!(shown(&*store, id).await.is_empty());
    take(&*store, in_trace(task("early", 2), "x")).await;
    take(&*store, task("alone", 2)).await;
    let (units, cursor) = read_on(&*store, id, 0, 10).await;
    assert_eq!(units["x"].scores.len(), 1);
    assert!(units["alone"].scores.is_empty());
    take(&*store, vec![score("g", "early", 20), score("g", "alone", 20)]).await;
    let (units, cursor) = read_on(&*store, id, cursor, 10).await;
    assert_eq!((units.len(), units["x"].scores.len(), units["alone"].scores.len()), (2, 2, 1));
    // A word on the trace as a whole.
    let whole = Event { task_id: None, ..in_trace(vec![score("h", "", 30)], "x").remove(0) };
    take(&*store, vec![whole]).await;
    let (units, _) = read_on(&*store, id, cursor, 10).await;
    assert_eq!(units.keys().collect::<Vec<_>>(), ["x"]);
    // It is no task of its own: as one that never ends it would keep the unit from ending.
    assert_eq!((units["x"].scores.len(), units["x"].tasks.len()), (3, 1));
}

/// A score may name the trace instead of its task: it is one of the unit's, and no task.
pub async fn a_score_may_name_the_trace(store: Subject) {
    let (_, id) = on_trial(&*store, "a", TASK).await;
    let mut child = in_trace(task("child", 1), "x");
    child[0].parent_task_id = Some("t".into());
    for event in &mut child {
        event.id.push('c');
    }
    let score = |id: &str, seconds| feedback(id, "x", seconds, r#"{"name":"quality","score":1}"#);
    take(&*store, vec![score("early", -5)]).await;
    take(&*store, [child, in_trace(task("t", 2), "x")].concat()).await;
    take(&*store, vec![score("late", 60)]).await;
    let batch = store.changed_units(id, 0, 10).await.unwrap();
    let [unit] = &batch.units[..] else { panic!("one unit: {batch:?}") };
    let tasks: Vec<_> = unit.tasks.iter().map(|task| task.task_id.as_str()).collect();
    assert_eq!((tasks, unit.scores.len()), (vec!["child", "t"], 2));
    // Who asks for the trace means what it is all a part of.
    assert_eq!(store.task("x".into()).await.unwrap().task_id, "t");
    let named = store.named_tasks(DEFAULT_ENVIRONMENT.into(), vec!["x".into()]).await.unwrap();
    // Whoever names it as evidence means all of them.
    assert_eq!(named.iter().map(|task| task.task_id.as_str()).collect::<Vec<_>>(), ["child", "t"]);
}

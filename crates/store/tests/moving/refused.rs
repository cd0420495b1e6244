//! What is refused, and that the remedy is named.

use rusqlite::Connection;
use uplift_store::moving::{self, Plan};
use uplift_store::sqlite::{LATEST_VERSION, SqliteStore};
use uplift_store::suite::sample::{START, call, take};
use uplift_store::suite::scratch;
use uplift_store::{EventReads, SqlStore};

use crate::{file, full_file, refusal, run};

#[tokio::test]
async fn what_cannot_be_moved() {
    let Some(target) = scratch::make().await else { return };
    let (path, folder) = file().await;
    let foreign = folder.path().join("foreign.db");
    Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE x (y)").unwrap();
    std::fs::write(folder.path().join("text.db"), "these are words, and no database at all").unwrap();
    let old = folder.path().join("old.db");
    std::fs::copy(&path, &old).unwrap();
    let version = format!("PRAGMA user_version = {}", LATEST_VERSION - 1);
    Connection::open(&old).unwrap().execute_batch(&version).unwrap();
    let newer = folder.path().join("newer.db");
    std::fs::copy(&path, &newer).unwrap();
    let version = format!("PRAGMA user_version = {}", LATEST_VERSION + 1);
    Connection::open(&newer).unwrap().execute_batch(&version).unwrap();
    for (name, said) in [
        ("nothing.db", "there is no such file"),
        (".", "there is no such file"),
        ("foreign.db", "belongs to another program"),
        ("text.db", "not an uplift database"),
        ("old.db", "bring it up to date"),
        ("newer.db", "use a newer uplift"),
    ] {
        let refused = refusal(&folder.path().join(name), &target, Plan::Move);
        assert!(refused.contains(said), "{name}: {refused}");
    }
    let writing = Connection::open(&path).unwrap();
    writing.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = refusal(&path, &target, Plan::Move);
    assert!(refused.contains("being written by another process"), "{refused}");
    drop(writing);
    run(&path, &target, Plan::Move).unwrap();
}

#[tokio::test]
async fn nothing_is_written_to_the_file_meanwhile() {
    let Some(target) = scratch::make().await else { return };
    let (path, _folder) = full_file().await;
    let watched = path.clone();
    let moved = crate::migrate(&path, &target, Plan::Move, move |_| {
        let other = Connection::open(&watched).unwrap();
        other.busy_timeout(std::time::Duration::ZERO).unwrap();
        assert!(other.execute("INSERT INTO event_inbox (event) VALUES ('{}')", []).is_err());
        other.query_row("SELECT count(*) FROM event_inbox", [], |_| Ok(())).unwrap();
    });
    moved.unwrap().unwrap();
}

#[tokio::test]
async fn what_cannot_be_moved_to() {
    let (Some(used), Some(new)) = (scratch::make().await, scratch::make().await) else { return };
    let (path, _folder) = full_file().await;
    let store = SqlStore::connect(&used.address()).await.unwrap();
    take(&store, vec![call("1", "search", 1.0, START)]).await;
    for plan in [Plan::Move, Plan::StartOver] {
        let refused = refusal(&path, &used, plan);
        assert!(refused.contains("in use") && refused.contains("nothing there was changed"), "{refused}");
    }
    assert!(store.event("t".into(), "1".into()).await.is_ok());
    store.close().await;
    let refused = refusal(&path, &new, Plan::VerifyOnly);
    assert!(refused.contains("nothing was moved"), "{refused}");
    let server = std::env::var(uplift_store::suite::scratch::SERVER).unwrap();
    for (address, said) in [
        ("postgres://ada:secret@127.0.0.1:1/x".to_owned(), "cannot open postgres://ada@127.0.0.1:1/x"),
        ("postgres://:nonsense:".to_owned(), "an address looks like"),
        (format!("{server}?options=-csearch_path%3Dno_such_schema"), "there is no schema"),
    ] {
        let from = path.clone();
        let refused = std::thread::spawn(move || moving::run(&from, &address, Plan::Move, &mut |_| ()));
        let refused = refused.join().unwrap().unwrap_err().to_string();
        assert!(refused.contains(said) && !refused.contains("secret"), "{refused}");
    }
}

#[tokio::test]
async fn a_right_that_is_missing_is_named() {
    let Some(target) = scratch::make().await else { return };
    let (path, _folder) = full_file().await;
    let role = target.address().rsplit_once("scratch_").map(|(_, name)| format!("limited_{name}")).unwrap();
    target.run(format!("CREATE ROLE {role} LOGIN")).await.unwrap();
    let address = format!("{}%20-crole%3D{role}", target.address());
    let refused = || {
        let (path, address) = (path.clone(), address.clone());
        std::thread::spawn(move || moving::run(&path, &address, Plan::Move, &mut |_| ()).unwrap_err().to_string())
    };
    let mut said = vec![refused().join().unwrap()];
    let schema = "DO $$ BEGIN EXECUTE format('GRANT USAGE ON SCHEMA %I TO ROLE_', current_schema()); END $$";
    target.run(schema.replace("ROLE_", &role)).await.unwrap();
    said.push(refused().join().unwrap());
    target.run(format!("DROP OWNED BY {role}; DROP ROLE {role}")).await.unwrap();
    assert!(said[0].contains("its user may not use it"), "{}", said[0]);
    assert!(said[1].contains("permission denied") && said[1].contains("has to own the schema"), "{}", said[1]);
}

#[tokio::test]
async fn one_row_that_does_not_fit_is_named() {
    let Some(target) = scratch::make().await else { return };
    let (path, _folder) = full_file().await;
    let file = Connection::open(&path).unwrap();
    for (damage, mend, said) in [
        (
            "UPDATE event_rows SET ts = 'noon' WHERE id = '2'",
            "UPDATE event_rows SET ts = 5 WHERE id = '2'",
            "event_rows.ts of the row with trace_no 1, id \"2\" holds a text, where int8 is expected",
        ),
        (
            "UPDATE bodies SET content = x'00' WHERE body_no = 1",
            "UPDATE bodies SET content = 'c' WHERE body_no = 1",
            "bodies.content of the row with body_no 1 holds bytes, where text is expected",
        ),
        (
            "INSERT INTO process_steps VALUES (99, 1, 'a', 'b', NULL, 5)",
            "DELETE FROM process_steps WHERE instance_id = 99",
            "process_steps",
        ),
    ] {
        file.execute_batch(&format!("PRAGMA foreign_keys = OFF; {damage}")).unwrap();
        let refused = refusal(&path, &target, Plan::StartOver);
        assert!(refused.contains(said), "{refused}");
        file.execute_batch(mend).unwrap();
    }
    run(&path, &target, Plan::StartOver).unwrap();
    SqliteStore::open(&path).unwrap().close().await;
}

//! Alerts on the command line, by a server and by the file: listed, looked after, resolved.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Server, event, file, folder, run, until};

/// Alerts of a tool that fails again and again, for two agents.
fn lines() -> Vec<String> {
    let failed =
        json!({"tool": "fetch", "outcome": "ERROR", "error_type": "Timeout", "content": "\u{1b}[31mno answer"});
    let mut lines = Vec::new();
    for agent in ["tester", "writer"] {
        for number in 0..6 {
            let task = format!("{agent}-{number}");
            for (id, kind, mut more) in
                [("1", "TOOL_EXECUTED", failed.clone()), ("2", "TASK_COMPLETED", json!({"duration_ms": 5}))]
            {
                more["agent"] = agent.into();
                lines.push(event(id, kind, &task, more));
            }
        }
    }
    lines
}

#[test]
fn they_are_listed_looked_after_and_resolved() {
    for served in [false, true] {
        let folder = folder();
        let database = folder.path().join("fleet.db");
        run([Path::new("import"), &file(&folder, "events.ndjson", &lines()), Path::new("--database"), &database])
            .exits(0);
        let server = served.then(|| Server::start(&database));
        let place = match &server {
            Some(server) => ["--server".to_owned(), server.url()],
            None => ["--database".to_owned(), database.to_str().unwrap().to_owned()],
        };
        let say = |words: &[&str]| run(words.iter().map(|word| (*word).to_owned()).chain(place.clone()));
        let listed = |words: &[&str]| -> Vec<Value> {
            let list = say(&[words, &["--json"]].concat()).exits(0).json();
            list["items"].as_array().unwrap().clone()
        };
        let held = until("both are raised", || Some(listed(&["alerts"])).filter(|list| list.len() == 2));
        assert!(
            held.iter().all(|alert| alert["kind"] == "recurring_failure" && alert["state"] == "open"),
            "{held:#?}"
        );
        assert_eq!(listed(&["alerts", "--limit", "1"]).len(), 1);
        let (first, second) = (held[1]["id"].to_string(), held[0]["id"].to_string());

        let said = say(&["alerts", "ack", &first, "--note", "on it", "--by", "ada"]).exits(0).out;
        assert!(
            said.starts_with(&format!("alert {first} is acknowledged by ada: `tester` failed 6 times")),
            "{said}"
        );
        let again = say(&["alerts", "ack", &first, "--by", "bob", "--json"]).exits(0).json();
        assert_eq!((&again["acknowledged"]["by"], &again["acknowledged"]["note"]), (&json!("bob"), &Value::Null));
        let shown = say(&["alerts"]).exits(0).out;
        assert!(shown.contains("bob") && !shown.contains('\u{1b}'), "{shown:?}");

        let said = say(&["alerts", "resolve", &first, "--by", "ada"]).exits(0).out;
        assert!(said.starts_with(&format!("alert {first} is resolved by ada:")), "{said}");
        for words in [&["alerts", "resolve", &first][..], &["alerts", "ack", &first]] {
            assert!(say(words).exits(1).err.contains("resolved already"), "{words:?}");
        }
        assert!(say(&["alerts", "ack", "999"]).exits(1).err.contains("999"));
        say(&["alerts", "ack", "first"]).exits(2);
        say(&["alerts", "ack", &second, "--note", &"x".repeat(1_001)]).exits(1);
        let left: Vec<_> = listed(&["alerts", "list"]).iter().map(|alert| alert["id"].to_string()).collect();
        assert_eq!(left, [second]);
        let all = listed(&["alerts", "--all"]);
        let resolved = all.iter().find(|alert| alert["id"] == held[1]["id"]).unwrap();
        assert_eq!((&resolved["state"], &resolved["resolved_by"]), (&json!("resolved"), &json!("ada")));
    }
}

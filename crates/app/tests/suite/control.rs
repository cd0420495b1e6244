//! What people do on the command line, with a file and with the server that has it: their own changes, yes and no,
//! files merged with what was kept, the kill switch, settings.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Ran, Server, folder, run, run_with_input};

const RESEARCHER: &str = "entity: agent/researcher
configuration:
  model: m1
  instruction:
    text: |
      Find out.
      Say where.
  contexts: [handbook]
  parameters:
    timeout_ms: 1000
";

/// A database, with or without a server that has it open.
struct Place {
    folder: TempDir,
    database: String,
    _server: Option<Server>,
}

impl Place {
    fn new(served: bool) -> Self {
        let folder = folder();
        let database = folder.path().join("fleet.db").to_str().unwrap().to_owned();
        let server = served.then(|| Server::start(Path::new(&database)));
        Self { folder, database, _server: server }
    }

    fn run(&self, words: &[&str]) -> Ran {
        run(words.iter().copied().chain(["--database", &self.database]))
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn apply(&self, text: &str, more: &[&str]) -> Ran {
        let file = self.file("fleet.yaml", text);
        self.run(&[&["apply", "-f", &file][..], more].concat())
    }

    fn json(&self, words: &[&str]) -> Value {
        self.run(&[words, &["--json"]].concat()).exits(0).json()
    }
}

fn action(ran: &Ran) -> String {
    ran.json()["items"][0]["action"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn files_are_merged_with_what_was_changed_here() {
    for served in [false, true] {
        let place = Place::new(served);
        assert_eq!(action(&place.apply(RESEARCHER, &["--json", "--dry-run"]).exits(0)), "declared");
        place.run(&["entities", "show", "researcher"]).exits(1);
        assert_eq!(action(&place.apply(RESEARCHER, &["--json"]).exits(0)), "declared");
        assert_eq!(action(&place.apply(RESEARCHER, &["--json"]).exits(0)), "unchanged");

        // Changed here, as a kept improvement would have changed it: the file knows nothing of it.
        let shown = place.json(&["entities", "show", "researcher"]);
        let mut kept = shown["configuration"].clone();
        kept["parameters"]["timeout_ms"] = json!(3000);
        let fleet = json!([{"entity": "agent/researcher", "configuration": kept}]);
        let kept_file = place.file("kept.json", &fleet.to_string());
        place.run(&["apply", "-f", &kept_file]).exits(0);
        place.apply(RESEARCHER, &[]).exits(0);
        assert_eq!(
            place.json(&["entities", "show", "researcher"])["configuration"]["parameters"]["timeout_ms"],
            1000
        );
    }
}

#[test]
fn conflicts_stop_with_a_diff_and_nothing_is_written() {
    let place = Place::new(false);
    place.apply(RESEARCHER, &[]).exits(0);
    // As a kept improvement would leave it: in place is more than what was applied last.
    let server = Server::start(Path::new(&place.database));
    let mut kept = place.json(&["entities", "show", "researcher"]);
    kept["configuration"]["parameters"]["timeout_ms"] = json!(3000);
    let body = json!({"configuration": kept["configuration"], "applied": kept["applied"]});
    let put = crate::http::send(
        &server.address,
        "PUT",
        "/api/entities/agent/researcher",
        &[("Content-Type", "application/json")],
        body.to_string().as_bytes(),
    )
    .unwrap();
    assert_eq!(put.status, 200);

    let merged = place.apply(&RESEARCHER.replace("m1", "m2"), &["--json"]).exits(0).json();
    assert_eq!(merged["items"][0]["changes"], json!(["model"]), "the change that was kept stays: {merged}");
    let difference = place.run(&["diff", "agent/researcher"]).exits(0).out;
    assert!(
        difference.contains("set timeout_ms to 3000") && difference.contains("+  timeout_ms: 3000"),
        "{difference}"
    );
    let before = place.json(&["entities", "show", "researcher"]);
    assert_eq!(before["configuration"]["parameters"]["timeout_ms"], 3000);
    let ran = place.apply(&RESEARCHER.replace("1000", "2000"), &[]).exits(1);
    for part in ["parameters.timeout_ms", "applied last  1000", "in place      3000", "the file      2000", "export"]
    {
        assert!(ran.err.contains(part), "{part} is not in: {}", ran.err);
    }
    assert_eq!(place.json(&["entities", "show", "researcher"])["version"], before["version"]);

    // What export gives, apply takes, and then nothing is left to say.
    let exported = place.run(&["export", "agent/researcher"]).exits(0).out;
    assert!(exported.contains("timeout_ms: 3000") && exported.contains("Say where."), "{exported}");
    assert_eq!(action(&place.apply(&exported, &["--json"]).exits(0)), "unchanged");
    assert_eq!(place.run(&["diff", "agent/researcher"]).exits(0).out, "There is no difference.\n");
    let list = place.json(&["export"]);
    assert_eq!(list[0]["entity"], "agent/researcher", "{list}");
}

#[test]
fn ones_own_change_goes_its_way() {
    for served in [false, true] {
        let place = Place::new(served);
        place.apply(RESEARCHER, &[]).exits(0);
        place.run(&["pause"]).exits(0);
        let change = place.file(
            "change.yaml",
            "entity: agent/researcher\nedits:\n- {edit: add_context, name: faq}\nrationale: it asks in vain\n",
        );
        let tried = place.json(&["try", "-f", &change, "--by", "ada"]);
        assert_eq!((&tried["proposer"], &tried["improvement_type"]), (&json!("ada"), &json!("context_optimization")));
        let id = tried["id"].to_string();
        let shown = place.run(&["improvements", "show", &id]).exits(0).out;
        for part in ["context_optimization of agent/researcher", "add the context faq", "it asks in vain", "by ada"] {
            assert!(shown.contains(part), "{part} is not in: {shown}");
        }
        let listed = place.run(&["improvements"]).exits(0).out;
        assert!(listed.contains("add the context faq"), "{listed}");
        let diff = place.run(&["diff", &id]).exits(0).out;
        assert!(diff.contains("--- base") && diff.contains("faq"), "{diff}");
        let cancelled = place.run(&["cancel", &id, "--reason", "no \u{1b}[31mneed"]).exits(0).out;
        assert!(cancelled.contains("cancelled") && !cancelled.contains('\u{1b}'), "{cancelled}");
        let shown = place.run(&["improvements", "show", &id]).exits(0).out;
        assert!(shown.contains("cancelled") && !shown.contains('\u{1b}'), "{shown}");
        for action in ["approve", "cancel", "rollback"] {
            let again = place.run(&[action, &id]).exits(1);
            assert!(again.err.contains("is cancelled"), "{}", again.err);
        }
        place.run(&["reject", "99", "--reason", "x"]).exits(1);
    }
}

#[test]
fn whole_configurations_are_tried_beside_what_is_in_place() {
    let place = Place::new(false);
    let changed = RESEARCHER.replace("1000", "4000");
    let file = place.file("researcher.yaml", &changed);
    place.run(&["try", "-f", &file]).exits(1);
    place.apply(RESEARCHER, &[]).exits(0);
    let tried = place.json(&["try", "-f", &file, "--before-after"]);
    assert_eq!(tried["edits"], json!([{"edit": "set_parameter", "name": "timeout_ms", "value": 4000}]));
    assert_eq!(tried["comparison"], "before_after");
    place.run(&["cancel", &tried["id"].to_string()]).exits(0);
    let applied = place.apply(&changed, &["--trial", "--json"]).exits(0).json();
    assert_eq!(
        (&applied["items"][0]["action"], &applied["items"][0]["improvement"]["edits"]),
        (&json!("proposed"), &tried["edits"])
    );
    let shown = place.json(&["entities", "show", "researcher"]);
    assert_eq!(shown["configuration"]["parameters"]["timeout_ms"], 1000, "it is tried first");
    let same = place.file("same.yaml", RESEARCHER);
    let ran = place.run(&["try", "-f", &same]).exits(1);
    assert!(ran.err.contains("already"), "{}", ran.err);
}

#[test]
fn wishes_pauses_and_settings() {
    for served in [false, true] {
        let place = Place::new(served);
        place.apply(RESEARCHER, &[]).exits(0);
        let paused = place.run(&["pause", "--rollback-running"]).exits(0).out;
        assert!(paused.contains("uplift resume"), "{paused}");
        assert_eq!(place.json(&["status"])["paused"], true);
        let wish = ["trigger", "agent/researcher", "--type", "performance_tuning", "--description", "Faster, please"];
        let triggered = place.run(&wish).exits(0).out;
        assert!(triggered.contains("opportunity 1\n") && triggered.contains("waits for a proposal"), "{triggered}");
        let shown = place.run(&["opportunities", "show", "1"]).exits(0).out;
        assert!(shown.contains("performance_tuning"), "{shown}");
        let change = place.file("fill.yaml", "edits:\n- {edit: set_parameter, name: timeout_ms, value: 3000}\n");
        assert!(place.run(&["try", "-f", &change]).exits(1).err.contains("TYPE/NAME"));
        let filled = place.json(&["try", "-f", &change, "--for", "1", "--by", "ada"]);
        assert_eq!(
            (&filled["id"], &filled["opportunity_id"], &filled["proposer"]),
            (&json!(1), &json!(1), &json!("ada"))
        );
        assert_eq!(filled["improvement_type"], "performance_tuning");
        let other = place.file("other.yaml", "entity: agent/other\nedits: [{edit: add_context, name: faq}]\n");
        let ran = place.run(&["try", "-f", &other, "--for", "1"]).exits(1);
        assert!(ran.err.contains("about agent/researcher"), "{}", ran.err);
        let again = place.run(&["try", "-f", &change, "--for", "1"]).exits(1);
        assert!(again.err.contains("cannot be filled"), "{}", again.err);
        assert!(place.run(&["resume"]).exits(0).out.contains("resumed"));
        assert_eq!(place.json(&["status"])["paused"], false);
        let set = place.run(&["config", "set", "min_confidence_score=0.9", "cooldown_period=2h"]).exits(0).out;
        assert_eq!(set, "engine.cooldown_period = \"2h\"\nengine.min_confidence_score = 0.9\n");
        let wrong = place.run(&["config", "set", "rollback_threshold=0.5"]).exits(1);
        assert!(
            wrong.err.contains("engine.rollback_threshold") && wrong.err.contains("from -1 to 0"),
            "{}",
            wrong.err
        );
        place.run(&["config", "set", "speed"]).exits(2);
        let nameless = place.run(&["trigger", "agent/researcher", "--type", "magic", "--description", "x"]).exits(2);
        assert!(nameless.err.contains("instruction_update"), "{}", nameless.err);
    }
}

#[test]
fn files_that_cannot_be_taken_say_why() {
    let place = Place::new(false);
    place.apply(RESEARCHER, &[]).exits(0);
    for (name, text, says) in [
        ("a.yaml", "entity: researcher\nedits: []\n", "TYPE/NAME"),
        ("a.yaml", "entity: agent/researcher\n", "either `edits` or `configuration`"),
        ("a.yaml", "entity: agent/researcher\nedits: [{edit: fly}]\n", "edit 1"),
        ("a.yaml", "entity: agent/researcher\nedits: [{edit: remove_context, name: x}]\n", "there is no context `x`"),
        ("a.yaml", "entity: agent/nobody\nedits: [{edit: add_context, name: x}]\n", "nobody"),
        ("a.yaml", "entity: [\n", "YAML"),
        ("a.toml", "entity = \n", "TOML"),
        ("a.json", "{", "JSON"),
        ("a.ini", "x", ".ini"),
        ("a.yaml", "a: 1\n---\nb: 2\n", "one at a time"),
        ("a.yaml", "", "nothing in"),
    ] {
        let file = place.file(name, text);
        let ran = place.run(&["try", "-f", &file]).exits(1);
        assert!(ran.err.contains(says), "{text}: {}", ran.err);
    }
    let twice = [RESEARCHER, "---\n", RESEARCHER].concat();
    assert!(place.apply(&twice, &[]).exits(1).err.contains("twice"));
    place.run(&["apply", "-f", "/nowhere/x.yaml"]).exits(1);
    place.run(&["apply", "--trial", "--now", "-f", "x.yaml"]).exits(2);
    place.run(&["apply"]).exits(2);
    let from_input = ["apply", "-f", "-", "--database", &place.database];
    assert!(run_with_input(from_input, RESEARCHER.as_bytes()).exits(0).out.contains("unchanged"));
    let toml = place
        .file("t.toml", "[[entities]]\nentity = \"tool/search\"\nconfiguration = { parameters = { retries = 2 } }\n");
    place.run(&["apply", "-f", &toml]).exits(0);
    assert_eq!(place.json(&["entities", "show", "tool/search"])["configuration"]["parameters"]["retries"], 2);
}

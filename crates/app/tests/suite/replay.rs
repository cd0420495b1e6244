//! `uplift replay`: two revisions of a scripted agent on recorded items.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::support::{Ran, Server, folder, run, until, uplift};

/// An agent that can do hard items only where its configuration says the word it is given. It fails where it sees what
/// it must not.
const AGENT: &str = r#"
read -r item
case "$item" in *'"hard":true'*) grep -q "$1" "$UPLIFT_REVISION_FILE" && ok=true || ok=false ;; *) ok=true ;; esac
[ -z "$UPLIFT_TOKEN$UPLIFT_SERVER$UPLIFT_DATABASE" ] || ok=false
echo "thinking about $UPLIFT_ITEM"
echo "{\"success\": $ok, \"tokens_in\": 120, \"tokens_out\": 1$UPLIFT_REPEAT, \"cost_usd\": 0.01, \"scores\": {\"helpful\": $ok}}"
"#;

struct Place {
    folder: TempDir,
}

impl Place {
    /// A folder with so many items, of which two in five are hard, and two configurations.
    fn new(items: usize) -> Self {
        let place = Self { folder: folder() };
        let item = |n: usize| json!({"id": format!("i{n}"), "hard": n % 5 < 2, "text": "it's \"quoted\" $HOME\n"});
        let lines: Vec<String> = (0..items).map(|n| item(n).to_string()).collect();
        place.write(
            "items.ndjson",
            &lines.join(
                "
",
            ),
        );
        place.write("plain.yaml", "model: small\ninstruction: {text: Answer.}\n");
        place.write("careful.yaml", "edits: [{edit: append_guideline, text: Check twice.}]\n");
        place.write("agent.sh", AGENT);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    /// The command, in the folder.
    fn command(&self, more: &[&str]) -> std::process::Command {
        let mut command = uplift();
        command.current_dir(self.folder.path()).args(["replay", "--items", "items.ndjson"]).args(more);
        command
    }

    fn replay(&self, more: &[&str]) -> Ran {
        Ran::of(self.command(more).output().unwrap())
    }

    fn start(&self, more: &[&str]) -> Child {
        self.command(more).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// The events that end runs, by unit.
    fn ends(&self, out: &str) -> BTreeMap<String, Value> {
        let text = std::fs::read_to_string(self.path(out)).unwrap_or_default();
        let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let ends =
            events.filter(|event| ["TASK_COMPLETED", "TASK_FAILED"].iter().any(|end| event["event_type"] == *end));
        let mut by_unit = BTreeMap::new();
        for end in ends {
            let unit = end["task_id"].as_str().unwrap().to_owned();
            assert!(by_unit.insert(unit.clone(), end).is_none(), "{unit} is on record twice");
        }
        by_unit
    }
}

const FILES: [&str; 4] = ["--control", "plain.yaml", "--candidate", "careful.yaml"];

#[test]
fn what_is_better_is_kept_what_is_worse_is_not_and_no_difference_is_none() {
    let place = Place::new(60);
    place.write("plain2.yaml", "model: small\ninstruction: {text: Answer.}\ncolour: red\n");
    place.write("careless.yaml", "model: small\n");
    for (control, candidate, needs, verdict, code) in [
        ("plain.yaml", "careful.yaml", "Check", "keep", 0),
        ("plain.yaml", "careless.yaml", "Answer", "rollback", 10),
        ("plain.yaml", "plain2.yaml", "Answer", "inconclusive", 11),
    ] {
        let out = format!("{verdict}.ndjson");
        let exec = format!("sh agent.sh {needs}");
        let mut command = place.command(&["--control", control, "--candidate", candidate, "--exec", &exec]);
        // A durations' cost is left to chance here.
        command.args([
            "--out",
            &out,
            "--guardrails",
            "success,errors",
            "--metric",
            "helpful:higher:boolean",
            "--json",
        ]);
        command.env("UPLIFT_TOKEN", "secret").env("UPLIFT_DATABASE", "none");
        let ran = Ran::of(command.output().unwrap()).exits(code);
        let answer = ran.json();
        assert_eq!((answer["verdict"].as_str(), &answer["n"]["paired"]), (Some(verdict), &json!(60)), "{}", ran.out);
        assert_eq!(answer["replay"]["runs"]["control"]["runs"], 60);
        assert!(
            answer["tokens"]["n"] == 60 && answer["cost"]["n"] == 60 && answer["helpful"]["n"] == 60,
            "{}",
            ran.out
        );
        // The command it names says the very same of what it kept.
        let again = answer["replay"]["judge"].as_str().unwrap();
        let mut words =
            vec!["-c".to_owned(), format!("exec \"$0\" {} --json", again.strip_prefix("uplift ").unwrap())];
        words.push(uplift().get_program().to_str().unwrap().to_owned());
        let mut judge = std::process::Command::new("sh");
        let judged = Ran::of(judge.current_dir(place.folder.path()).args(words).output().unwrap()).exits(code).json();
        for part in ["verdict", "strength", "success", "duration_ms", "findings", "text"] {
            assert_eq!(judged[part], answer[part], "{part}");
        }
    }
}

/// Runs like the others, but waits at one item until it is let go, and writes down what is run.
const WAITING: &str = r#"
cat > /dev/null
echo "$UPLIFT_UNIT" >> log
if [ "$UPLIFT_ITEM" = i4 ]; then echo $$ > pid.new; mv pid.new pid; while [ -e log ] && [ ! -e gate ]; do sleep 0.02; done; fi
grep -q Check "$UPLIFT_REVISION_FILE"
"#;

const WAITING_COMMAND: [&str; 4] = ["--exec", "sh waiting.sh", "--out", "out.ndjson"];

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[test]
fn a_replay_that_was_killed_goes_on_where_it_was() {
    let place = Place::new(10);
    place.write("waiting.sh", WAITING);
    let arguments = [&FILES[..], &WAITING_COMMAND].concat();
    let mut child = place.start(&arguments);
    until("the fifth item runs", || place.path("pid").exists().then_some(()));
    let other = place.replay(&arguments).exits(1);
    assert!(other.err.contains("another replay is writing"), "{}", other.err);
    child.kill().unwrap();
    child.wait().unwrap();
    place.write("gate", "");
    let before = place.ends("out.ndjson");
    assert_eq!(before.len(), 8);
    // As if it had been killed while it wrote.
    let text = std::fs::read_to_string(place.path("out.ndjson")).unwrap();
    let half = r#"{"event_type":"TASK_STARTED","task_id":"i4/1/control","attributes":{"arm":"control","item":"i4"}}"#;
    place.write("out.ndjson", &format!("{text}{half}\n{}", &half[..40]));
    let logged = lines(&place.path("log")).len();
    let ran = place.replay(&[&arguments[..], &["--json", "--guardrails", "success", "--min-units", "5"]].concat());
    let answer = ran.exits(0).json();
    assert_eq!((&answer["replay"]["found"], &answer["n"]["paired"]), (&json!(8), &json!(10)));
    assert_eq!(answer["success"]["control"], 0.0);
    let after = place.ends("out.ndjson");
    assert_eq!(after.len(), 20);
    for (unit, end) in before {
        assert_eq!(after[&unit], end, "{unit}");
    }
    // Nothing on record was run again; what was running when it was killed was.
    assert_eq!(lines(&place.path("log")).len(), logged + 12);
    assert!(!std::fs::read_to_string(place.path("out.ndjson")).unwrap().contains(&format!("{half}\n")));
    // More repeats and more items go on from there; all of it anew takes a word.
    place.replay(&[&arguments[..], &["--repeats", "2"]].concat());
    assert_eq!((place.ends("out.ndjson").len(), lines(&place.path("log")).len()), (40, logged + 32));
    place.replay(&[&arguments[..], &["--fresh", "--limit", "3"]].concat());
    assert_eq!(place.ends("out.ndjson").len(), 6);
}

#[test]
fn a_signal_ends_what_runs_and_keeps_what_is_done() {
    for signal in ["-INT", "-TERM"] {
        let place = Place::new(10);
        place.write("waiting.sh", WAITING);
        let child = place.start(&[&FILES[..], &WAITING_COMMAND].concat());
        let pid = until("the fifth item runs", || std::fs::read_to_string(place.path("pid")).ok());
        assert!(
            std::process::Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success()
        );
        let ran = Ran::of(child.wait_with_output().unwrap()).exits(1);
        assert!(
            ran.err.contains("stopped after 8 of 20 runs") && ran.err.contains("goes on from there"),
            "{}",
            ran.err
        );
        until("the agent is gone", || (!Path::new("/proc").join(pid.trim()).exists()).then_some(()));
        assert_eq!(place.ends("out.ndjson").len(), 8);
    }
}

#[test]
fn whatever_a_run_does_is_a_result() {
    let place = Place::new(7);
    place.write(
        "odd.sh",
        r#"
case $UPLIFT_ITEM in
  i0) head -c 3000 /dev/urandom; echo; echo 'Traceback {' ;;
  i1) sleep 1000 & wait ;;
  i2) kill -9 $$ ;;
  i3) echo '{"success": "perhaps"}' ;;
  i4) echo 'no such city' >&2; exit 3 ;;
  i5) echo '{"success": true, "error_type": "<b>x</b>", "tokens_in": -5}' > "$UPLIFT_OUTCOME_FILE"; echo '{"success": false}'; exit 1 ;;
  i6) yes ;;
esac
"#,
    );
    // How long runs take is left to chance, and so must not decide.
    let limits = "--guardrails success --timeout 700ms --max-output 100000 --out out.ndjson -- sh odd.sh";
    let limits: Vec<&str> = limits.split(' ').collect();
    let ran = place.replay(&[&FILES[..], &limits].concat()).exits(11);
    let ends = place.ends("out.ndjson");
    for (item, outcome, error_type, exit_code) in [
        ("i0", "SUCCESS", None, Some(0)),
        ("i1", "ERROR", Some("timeout"), None),
        ("i2", "ERROR", Some("signal_9"), None),
        ("i3", "ERROR", Some("bad_report"), Some(0)),
        ("i4", "FAILURE", None, Some(3)),
        ("i5", "SUCCESS", None, Some(1)),
        ("i6", "ERROR", Some("too_much_output"), None),
    ] {
        for arm in ["control", "candidate"] {
            let end = &ends[&format!("{item}/1/{arm}")];
            let found =
                (end["outcome"].as_str(), end["error_type"].as_str(), end["attributes"]["exit_code"].as_i64());
            assert_eq!(found, (Some(outcome), error_type, exit_code), "{item}");
        }
    }
    assert_eq!(ends["i4/1/control"]["content"], "no such city");
    assert!(ran.out.contains("5 of 7 failed, 4 by an error (1 took too long)"), "{}", ran.out);
    assert!(ran.err.contains("further runs that go wrong"), "{}", ran.err);
}

#[test]
fn what_cannot_be_compared_is_refused_before_anything_runs() {
    let place = Place::new(5);
    place.write("again.ndjson", "{\"id\":\"a\"}\n{\"id\":\"a\"}\n");
    place.write("foreign.ndjson", "{\"id\":\"mine\"}\n");
    let exec = ["--exec", "sh -c 'echo ran >> log'"];
    for (arguments, expected) in [
        (&[&FILES[..]][..], "--exec"),
        (&[&FILES[..], &["--exec", "x 'y"]], "quote"),
        (&[&FILES[..], &["--exec", ""]], "no command"),
        (&[&FILES[..], &["--exec", "./nowhere.sh"]], "cannot run ./nowhere.sh"),
        (&[&exec[..]], "--improvement ID, --entity"),
        (&[&["--candidate", "plain.yaml"][..], &exec], "compared with"),
        (&[&["--control", "plain.yaml", "--candidate", "plain.yaml"][..], &exec], "the same configuration"),
        (&[&["--control", "careful.yaml", "--candidate", "plain.yaml"][..], &exec], "needs a configuration"),
        (&[&FILES[..], &exec, &["--items", "again.ndjson"]], "cannot be used multiple times"),
        (&[&FILES[..], &exec, &["--item-id", "name"]], "it has no `name`"),
        (&[&FILES[..], &exec, &["--goal", "beauty"]], "there is no metric beauty"),
        (&[&FILES[..], &exec, &["--margin", "7"]], "margin"),
        (&[&FILES[..], &exec, &["--timeout", "0s"]], "above 0"),
        (&[&FILES[..], &exec, &["--out", "foreign.ndjson", "--fresh"]], "holds no results of a replay"),
    ] {
        let ran = place.replay(&arguments.concat()).exits(2);
        assert!(ran.err.contains(expected), "{arguments:?}: {}", ran.err);
    }
    assert_eq!(lines(&place.path("foreign.ndjson")), ["{\"id\":\"mine\"}"]);
    assert!(!place.path("log").exists());
    // Results go together with what they are results of.
    let out = [&FILES[..], &exec, &["--out", "out.ndjson", "--guardrails", "success"]].concat();
    place.replay(&out).exits(11);
    for (more, expected) in [
        (&["--seed", "9"][..], "--seed differs"),
        (&["--seed", "9", "--timeout", "1h"], "--seed, --timeout differ"),
        (&["--limit", "4"], "is not in this replay"),
    ] {
        let ran = place.replay(&[&out[..], more].concat()).exits(2);
        assert!(ran.err.contains(expected), "{}", ran.err);
    }
    let items = std::fs::read_to_string(place.path("items.ndjson")).unwrap();
    place.write("items.ndjson", &items.replacen("true", "false", 1));
    let ran = place.replay(&out).exits(2);
    assert!(ran.err.contains("was another item then"), "{}", ran.err);
    assert_eq!(lines(&place.path("log")).len(), 10);
}

#[test]
fn spending_has_a_limit() {
    let place = Place::new(20);
    let arguments = [&FILES[..], &["--exec", "sh agent.sh Check", "--out", "out.ndjson", "--max-cost"]].concat();
    // Each run says that it cost a cent.
    let ran = place.replay(&[&arguments[..], &["0.055"]].concat()).exits(1);
    assert!(ran.err.contains("--max-cost is spent after 6 of 40 runs"), "{}", ran.err);
    place.replay(&[&arguments[..], &["1000"]].concat());
    assert_eq!(place.ends("out.ndjson").len(), 40);
}

#[test]
fn revisions_come_from_a_database_or_its_server() {
    let place = Place::new(50);
    place.write("fleet.yaml", "entity: agent/support\nconfiguration: {model: small, instruction: {text: Answer.}}\n");
    place.write("change.yaml", "entity: agent/support\nedits: [{edit: append_guideline, text: Check twice.}]\n");
    let database = place.path("uplift.db");
    let database = database.to_str().unwrap();
    let fleet = place.path("fleet.yaml");
    run(["entities", "declare", "-f", fleet.to_str().unwrap(), "--database", database]).exits(0);
    let judged = ["--guardrails", "success,errors", "--exec", "sh agent.sh Check", "--json", "--database", database];
    let by_file = place.replay(&[&["--candidate", "change.yaml"][..], &judged].concat()).exits(0).json();
    assert_eq!(by_file["replay"]["entity"], "agent/support");
    let change = place.path("change.yaml");
    let tried = run(["try", "-f", change.to_str().unwrap(), "--database", database, "--json"]).exits(0).json();
    let id = tried["id"].to_string();
    let server = Server::start(Path::new(database));
    let url = server.url();
    let judged = ["--guardrails", "success,errors", "--exec", "sh agent.sh Check", "--json", "--server", &url];
    let by_improvement = place.replay(&[&["--improvement", &id][..], &judged].concat()).exits(0).json();
    assert_eq!(by_improvement["replay"]["candidate"], by_file["replay"]["candidate"]);
    assert_eq!(by_improvement["verdict"], "keep");
    // A trial that runs meanwhile does not change what is in place.
    let entity = ["--entity", "agent/support", "--candidate", "careful.yaml"];
    let by_entity = place.replay(&[&entity[..], &judged].concat()).exits(0).json();
    assert_eq!(by_entity["replay"]["control"], by_file["replay"]["control"]);
    let ran = place.replay(&[&["--entity", "agent/other", "--candidate", "change.yaml"][..], &judged].concat());
    assert!(ran.code != 0 && ran.err.contains("other"), "{}", ran.err);
}

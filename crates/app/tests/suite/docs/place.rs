//! Where the commands of a page run: a folder with the page's files, the binary in the path, and a server.

use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;
use uplift_store::suite::scratch::{self, Scratch};

use super::curl;
use super::shell::{Command, matches, pipe};
use crate::support::{PATIENCE, Ran, Server, folder, uplift};

/// The addresses that the pages name for the server.
const ADDRESSES: [&str; 2] = ["localhost:7878", "127.0.0.1:7878"];
/// Folders of the pages that stand for the folder of the test.
const FOLDERS: [&str; 2] = ["/srv/uplift", "/etc/uplift"];
/// How the addresses of databases begin that stand for one of PostgreSQL.
const POSTGRES: &str = "postgres://uplift:secret@";
/// What stands for the token that was shown last.
const TOKEN: &str = "uplift_...";
/// Verdicts are exit codes, too.
const VERDICTS: [i32; 4] = [0, 10, 11, 12];
/// Commands that only look, and may be asked again until what they look at is there.
const LOOKS: [&str; 15] = [
    "uplift status",
    "uplift top --once",
    "uplift opportunities show",
    "uplift opportunities list",
    "uplift improvements",
    "uplift entities show",
    "uplift tasks",
    "uplift events",
    "uplift reviews",
    "uplift nodes",
    "uplift alerts",
    "uplift requests",
    "uplift diff",
    "uplift notifications list",
    "uplift opportunities",
];

/// The place.
pub struct Place {
    // In the order in which they go.
    server: Option<Server>,
    /// Databases of PostgreSQL that the page's addresses stand for.
    scratches: Vec<Scratch>,
    folder: TempDir,
    /// What the page has exported so far.
    exports: String,
    /// What the reader has set beforehand.
    settings: Vec<(&'static str, &'static str)>,
    token: Option<String>,
}

impl Place {
    pub fn new() -> Self {
        let folder = folder();
        let programs = folder.path().join("bin");
        std::fs::create_dir(&programs).unwrap();
        std::os::unix::fs::symlink(uplift().get_program(), programs.join("uplift")).unwrap();
        Self {
            server: None,
            folder,
            exports: String::new(),
            settings: Vec::new(),
            token: None,
            scratches: Vec::new(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Sets a variable of the environment for whatever is run.
    pub fn set(&mut self, name: &'static str, value: &'static str) {
        self.settings.push((name, value));
    }

    /// Where the server listens, which is started if there is none.
    pub fn address(&mut self) -> String {
        if self.server.is_none() {
            self.serve("uplift serve").unwrap();
        }
        self.server.as_ref().map(|server| server.address.clone()).unwrap()
    }

    /// Runs a command, until it comes out as the page shows it where it only looks.
    pub fn run(&mut self, command: &Command) -> Result<(), String> {
        if !is_serve(&command.text) && ADDRESSES.iter().any(|address| command.text.contains(address)) {
            self.address();
        }
        let Some(text) = self.with_postgres(&self.typed(&command.text)) else { return Ok(()) };
        if text.starts_with("uplift migrate") {
            self.stop();
        }
        if is_serve(&text) {
            self.serve(&text)?;
            let said = format!("listening on http://{}, database", self.address());
            let shown = command.output.lines().next().and_then(|line| line.rsplit_once(' '));
            let same = shown.is_none_or(|(shown, _)| matches(shown, &said));
            return if same { Ok(()) } else { Err(format!("it says {said}")) };
        }
        if text.starts_with("export ") {
            self.exports.extend([&text, "\n"]);
            return self.shell("true", b"").map(drop);
        }
        let since = Instant::now();
        loop {
            let problem = match self.piped(&text) {
                Ok(ran) => match problem(&text, &ran, &self.here(&command.output)) {
                    None => {
                        self.note(&ran);
                        return Ok(());
                    }
                    Some(problem) => problem,
                },
                Err(problem) => problem,
            };
            if !looks(&text) || since.elapsed() > PATIENCE {
                return Err(problem);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// A text of the page with what it stands for here.
    fn here(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for folder in FOLDERS {
            text = text.replace(folder, &self.folder.path().display().to_string());
        }
        if let Some(server) = &self.server {
            for address in ADDRESSES {
                text = text.replace(address, &server.address);
            }
        }
        text
    }

    /// A command of the page as its reader types it here.
    fn typed(&self, text: &str) -> String {
        self.here(text).replace(TOKEN, self.token.as_deref().unwrap_or(TOKEN))
    }

    /// The text with an empty database of its own in place of the page's; none where there is no PostgreSQL to try it on.
    fn with_postgres(&mut self, text: &str) -> Option<String> {
        let Some(at) = text.find(POSTGRES) else { return Some(text.to_owned()) };
        let scratch =
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(scratch::make())?;
        let end = text[at..].find([' ', '\'', '\n']).map_or(text.len(), |length| at + length);
        let text = format!("{}'{}'{}", &text[..at], scratch.address(), &text[end..]);
        self.scratches.push(scratch);
        Some(text)
    }

    fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.end_by("-TERM");
        }
    }

    /// Starts a server by such a command, in place of the one there is.
    fn serve(&mut self, text: &str) -> Result<(), String> {
        self.stop();
        let words = self.words(text.split(" #").next().unwrap_or_default().trim_end_matches('&'))?;
        let mut words = words.into_iter();
        let mut command = self.program("env");
        while let Some(word) = words.next() {
            // Each server has a port of its own.
            if word == "--listen" {
                words.next();
            } else {
                command.arg(word);
            }
        }
        command.args(["--listen", "127.0.0.1:0"]);
        self.server = Some(Server::started(command));
        Ok(())
    }

    /// Runs a pipe to its end.
    fn piped(&self, text: &str) -> Result<Ran, String> {
        let mut last = Ran { code: 0, out: String::new(), err: String::new() };
        let mut input = Vec::new();
        for stage in pipe(text) {
            if stage.starts_with("curl ") {
                let words = self.words(&stage)?;
                let answer = curl::run(&words[1..], self.folder.path(), &input)?;
                let failed = answer.status >= 400;
                let err =
                    if failed { format!("status {}: {}", answer.status, answer.printed) } else { String::new() };
                last = Ran { code: i32::from(failed), out: answer.printed, err };
                input = last.out.clone().into_bytes();
                if failed {
                    break;
                }
            } else if stage.starts_with("sqlite3 ") {
                self.sqlite(&self.words(&stage)?)?;
            } else {
                let output = self.shell(&stage, &input)?;
                input.clone_from(&output.stdout);
                last = Ran::of(output);
            }
        }
        Ok(last)
    }

    /// What `sqlite3 FILE SQL` does; the program need not be there.
    fn sqlite(&self, words: &[String]) -> Result<(), String> {
        let [_, file, sql] = words else { return Err(format!("{words:?}: a file and a statement are known here")) };
        let connection = Connection::open(self.path(file)).map_err(|error| error.to_string())?;
        connection.execute_batch(sql).map_err(|error| error.to_string())
    }

    /// The words of a command, as a shell reads them.
    fn words(&self, text: &str) -> Result<Vec<String>, String> {
        let script = format!("set -- {text}\nfor word do printf '%s\\0' \"$word\"; done");
        let output = self.shell(&script, b"")?;
        let words = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(words.split_terminator('\0').map(str::to_owned).collect())
    }

    fn shell(&self, script: &str, input: &[u8]) -> Result<std::process::Output, String> {
        let mut command = self.program("sh");
        command.arg("-c").arg(format!("{}{script}", self.exports));
        let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = pipes.spawn().map_err(|error| error.to_string())?;
        let mut stdin = child.stdin.take().ok_or("no input")?;
        let input = input.to_vec();
        let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let output = child.wait_with_output().map_err(|error| error.to_string())?;
        drop(writer.join());
        Ok(output)
    }

    /// A program with the environment of the page's reader.
    fn program(&self, name: &str) -> std::process::Command {
        let mut command = std::process::Command::new(name);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("UPLIFT")) {
            command.env_remove(name);
        }
        let programs = std::env::var("PATH").unwrap_or_default();
        command
            .current_dir(self.folder.path())
            .env("PATH", format!("{}:{programs}", self.path("bin").display()))
            .env("HOME", self.folder.path())
            .env("UPLIFT_DATABASE", self.path("uplift.db"))
            .env("UPLIFT_OTLP_GRPC_LISTEN", "none")
            .env("RUST_LOG", "warn")
            .env("USER", "ada")
            .envs(self.settings.iter().copied())
            .stdin(Stdio::null());
        command
    }

    fn note(&mut self, ran: &Ran) {
        let mut words =
            ran.out.split(|character: char| !character.is_ascii_alphanumeric() && !"_-".contains(character));
        // The prefix and 256 bits.
        self.token = words
            .find(|word| word.starts_with("uplift_") && word.len() > 40)
            .map(str::to_owned)
            .or(self.token.take());
    }
}

fn is_serve(text: &str) -> bool {
    let mut words = text.split_whitespace().skip_while(|word| word.contains('='));
    words.next() == Some("uplift") && words.next() == Some("serve")
}

fn looks(text: &str) -> bool {
    let acts = [" dismiss ", " ack ", " resolve ", " declare "];
    let asks =
        text.starts_with("curl ") && !text.contains(" -X ") && !text.contains(" -d ") && !text.contains("--data");
    asks || text.contains("/api/resolve/")
        || LOOKS.iter().any(|look| text.starts_with(look)) && !acts.iter().any(|act| text.contains(act))
}

/// What is wrong with how a command ended, if anything.
fn problem(text: &str, ran: &Ran, shown: &str) -> Option<String> {
    let verdict = text.contains("uplift judge") || text.contains("uplift replay");
    let fine = ran.code == 0 || verdict && VERDICTS.contains(&ran.code);
    // A refusal that the page shows is what it promises.
    if !fine && shown.is_empty() {
        return Some(format!("it ended with {}\n{}{}", ran.code, ran.out, ran.err));
    }
    let same = match (serde_json::from_str::<Value>(shown), serde_json::from_str::<Value>(&ran.out)) {
        (Ok(shown), Ok(output)) => json_matches(&shown, &output),
        _ => shown.is_empty() || matches(shown, &ran.out),
    };
    (!same).then(|| format!("the page shows\n{shown}\nand it says\n{}{}", ran.out, ran.err))
}

/// Whether JSON is as shown: `...` leaves out fields, the rest of a list, or a part of a text; numbers may differ.
fn json_matches(shown: &Value, output: &Value) -> bool {
    match (shown, output) {
        (Value::Object(shown), Value::Object(output)) => shown
            .iter()
            .filter(|(name, _)| *name != "...")
            .all(|(name, value)| output.get(name).is_some_and(|output| json_matches(value, output))),
        (Value::Array(shown), Value::Array(output)) => {
            let open = shown.last().is_some_and(|last| last == "...");
            let shown = &shown[..shown.len() - usize::from(open)];
            (open || shown.len() == output.len())
                && shown.len() <= output.len()
                && shown.iter().zip(output).all(|(shown, output)| json_matches(shown, output))
        }
        (Value::Number(_), Value::Number(_)) => true,
        (Value::String(shown), Value::String(output)) => matches(shown, output),
        _ => shown == output,
    }
}

#[test]
fn json_may_be_shown_in_part() {
    let output = serde_json::json!({"id": 3, "name": "x", "list": [1, {"a": "b"}], "address": "9c1e77"});
    for (shown, same) in [
        (r#"{"id": 7, "...": "..."}"#, true),
        (r#"{"list": [5, "..."], "address": "9c1e..."}"#, true),
        (r#"{"list": [5]}"#, false),
        (r#"{"name": "y"}"#, false),
        (r#"{"other": 1}"#, false),
    ] {
        assert_eq!(json_matches(&serde_json::from_str(shown).unwrap(), &output), same, "{shown}");
    }
}

#[test]
fn what_only_looks_is_told_from_what_acts() {
    for (text, expected) in [
        ("uplift opportunities show 3", true),
        ("uplift opportunities dismiss 3", false),
        ("curl -s a:1/b", true),
        ("curl -s a:1/b -d x", false),
        ("uplift try -f x", false),
    ] {
        assert_eq!(looks(text), expected, "{text}");
    }
    assert!(is_serve("A=1 uplift serve") && !is_serve("uplift server"));
}

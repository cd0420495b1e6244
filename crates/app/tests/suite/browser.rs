//! The dashboard in a real browser: what it shows, what people do on it, and who is let in.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Server, folder, run, uplift};

/// A Python with Playwright and axe-core, and a Chromium: `cargo xtask test` prepares both and names them by these
/// variables.
const PYTHON: &str = "UPLIFT_TEST_BROWSER_PYTHON";
const CHROMIUM: &str = "UPLIFT_TEST_CHROMIUM";
/// Hours that the fleet is at work: something was kept by then, something taken back, and something still runs.
const HOURS: &str = "26";

/// The program that drives, and the one that is driven.
struct Browser {
    python: PathBuf,
    chromium: PathBuf,
}

impl Browser {
    fn find() -> Option<Self> {
        let named = |variable| std::env::var_os(variable).map(PathBuf::from);
        let found = named(PYTHON).zip(named(CHROMIUM)).map(|(python, chromium)| Self { python, chromium });
        if found.is_none() {
            eprintln!("SKIPPED: {PYTHON} and {CHROMIUM} name no browser; `cargo xtask test` prepares one");
        }
        found
    }

    /// Runs a script, which says what it checks, and fails if anything does not hold.
    #[track_caller]
    fn drives<S: AsRef<OsStr>>(&self, script: &str, arguments: impl IntoIterator<Item = S>) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser").join(script);
        let mut command = Command::new(&self.python);
        // Nothing is to be written beside the scripts.
        command.args(["-B", "-u"]).arg(&script).arg(&self.chromium).args(arguments).env("NO_PROXY", "*");
        let ran = command.output().expect("Python runs");
        let (said, wrong) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        println!("{said}");
        let failed: Vec<&str> = said.lines().filter(|line| line.starts_with("FAIL")).collect();
        assert!(ran.status.success() && failed.is_empty(), "{}\n{wrong}", failed.join("\n"));
    }
}

#[test]
fn everybody_can_use_every_page() {
    let Some(browser) = Browser::find() else { return };
    let folder = folder();
    let mut command = uplift();
    command.args(["demo", "--headless", "--speed", "max", "--hours", HOURS, "--stay", "--database"]);
    command.arg(folder.path().join("demo.db"));
    let server = Server::started(command);
    browser.drives("pages.py", [server.url()]);
    assert_eq!(server.end_by("-TERM"), 0);
}

#[test]
fn people_decide_on_the_dashboard() {
    let Some(browser) = Browser::find() else { return };
    let folder = folder();
    let server = Server::start(&folder.path().join("fleet.db"));
    browser.drives("flows.py", [server.url()]);
    assert_eq!(server.end_by("-TERM"), 0);
}

#[test]
fn people_come_in_with_a_token_and_leave() {
    let Some(browser) = Browser::find() else { return };
    let folder = folder();
    let database = folder.path().join("fleet.db");
    let token = |role: &str| {
        let made = run(["token", "create", role, "--role", role, "--json", "--database", database.to_str().unwrap()]);
        made.exits(0).json()["token"].as_str().expect("it is shown once").to_owned()
    };
    let (admin, viewer) = (token("admin"), token("viewer"));
    let mut command = uplift();
    command.env("UPLIFT__ACCESS__TOKENS", "always");
    let server = Server::start_by(command, &database);
    browser.drives("login.py", [&server.url(), &admin, &viewer]);
}

#[test]
fn the_checks_notice_what_they_are_for() {
    let Some(browser) = Browser::find() else { return };
    browser.drives("proof.py", [""; 0]);
}

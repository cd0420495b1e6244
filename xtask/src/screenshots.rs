//! `cargo xtask screenshots`: the pictures of the dashboard in `docs/screenshots`, of the demo.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::Context;

use crate::browser::Browser;
use crate::{Status, process};

pub(crate) const HELP: &str = "\
Plays the demo (always the same seed, with time standing still at its end), and has a Chromium without a window make
pictures of the main pages, 1280 by 800, in docs/screenshots: always the same ones, as far as the fonts of the system and
the version of Chromium are. A picture that is larger than 200 KB is refused.

Chromium and the Python that drives it are prepared as for the tests.";

/// Where the pictures are.
const FOLDER: &str = "docs/screenshots";
/// What makes them.
const SCRIPT: &str = "crates/app/tests/browser/screenshots.py";
/// The run of the demo that is shown: long enough for something to be kept, and something still runs.
const DEMO: &[&str] = &["--seed", "1", "--hours", "30", "--speed", "max", "--headless", "--stay"];
/// What the line begins with that says where the demo is served.
const ANNOUNCEMENT: &str = "listening on ";
/// Where the demo keeps its database.
const DATABASE: &str = "target/screenshots.db";

pub(crate) fn run(root: &Path, args: &[String]) -> anyhow::Result<Status> {
    if let Some(arg) = args.first() {
        eprintln!("xtask: screenshots takes no arguments, not `{arg}`");
        return Ok(Status::Misused);
    }
    let browser = Browser::prepare(root)?;
    eprintln!("{}", browser.version);
    if !process::succeeds(process::cargo(root).args(["build", "-p", "uplift"]))? {
        return Ok(Status::Failed);
    }
    let demo = Demo::start(root)?;
    let mut script = Command::new(&browser.python);
    script.current_dir(root).args(["-B", SCRIPT]).arg(&browser.chromium).args([demo.url.as_str(), FOLDER]);
    Ok(if process::succeeds(&mut script)? { Status::Passed } else { Status::Failed })
}

/// The demo after its end, served until this is dropped.
struct Demo {
    child: Child,
    url: String,
}

impl Demo {
    fn start(root: &Path) -> anyhow::Result<Self> {
        let database = root.join(DATABASE);
        for end in ["", "-wal", "-shm"] {
            let path = root.join(format!("{DATABASE}{end}"));
            if path.exists() {
                std::fs::remove_file(&path).with_context(|| format!("{} cannot be removed", path.display()))?;
            }
        }
        eprintln!("playing the demo, which takes about a minute");
        let mut command = Command::new(crate::bench::binary(root, "debug"));
        command.arg("demo").args(DEMO).arg("--database").arg(database).stdin(Stdio::null()).stdout(Stdio::piped());
        let child = command.spawn().context("the demo cannot be started")?;
        let mut demo = Self { child, url: String::new() };
        let out = demo.child.stdout.take().context("the demo says nothing")?;
        let mut lines = BufReader::new(out).lines().map_while(Result::ok);
        let announced = lines.find_map(|line| url(&line).map(str::to_owned));
        demo.url = announced.context("the demo ended before it was served: see what it says above")?;
        Ok(demo)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Where the line says that something is served.
fn url(line: &str) -> Option<&str> {
    line.strip_prefix(ANNOUNCEMENT)?.split(',').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_misuse() {
        assert_eq!(run(Path::new("."), &["x".to_owned()]).unwrap(), Status::Misused);
    }

    #[test]
    fn the_address_is_found_among_other_lines() {
        for (line, expected) in [
            ("listening on http://127.0.0.1:7878, database x.db", Some("http://127.0.0.1:7878")),
            ("Ten agents, a week of their history", None),
            ("", None),
        ] {
            assert_eq!(url(line), expected, "{line}");
        }
    }
}

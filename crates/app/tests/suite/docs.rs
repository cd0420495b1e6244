//! The guide, carried out: every command that a page shows is run, in order, in a folder with the page's files and a
//! real server; what the page shows of its output is compared. Links lead somewhere, settings, routes and metrics are
//! those of the code.

mod curl;
mod help;
mod names;
mod page;
mod place;
mod prepared;
mod samples;
mod settings;
mod shell;

use std::collections::{BTreeMap, BTreeSet};

use self::help::Help;
use self::page::{Block, Page, below, root};
use self::place::Place;
use self::shell::{Command, commands};
use crate::http::get;

/// What is done with a command that a test cannot run as it is.
#[derive(Clone, Copy)]
enum Instead {
    /// It is another program's.
    Nothing,
    /// Its name and flags are looked up in the help.
    Arguments,
    /// It is run with these words in place of others.
    With(&'static [(&'static str, &'static str)]),
}

/// The commands that are not run as they are: how they begin, why, and what is done instead.
const EXCEPTIONS: &[(&str, &str, Instead)] = &[
    ("cargo ", "builds the program, or runs all tests", Instead::Nothing),
    ("pip install", "another project's program, over the network", Instead::Nothing),
    ("createdb ", "PostgreSQL's own", Instead::Nothing),
    ("pg_dump ", "PostgreSQL's own", Instead::Nothing),
    ("pg_restore ", "PostgreSQL's own", Instead::Nothing),
    ("uplift demo", "takes minutes in a debug build; the demo has tests of its own", Instead::Arguments),
    (
        "uplift chaos",
        "a thousand courses",
        Instead::With(&[("1..1000", "1..1 --steps 4"), ("--seed 17", "--seed 17 --steps 2")]),
    ),
    (
        "uplift simulate",
        "thousands of trials",
        Instead::With(&[
            ("--replicates 2000", "--replicates 1"),
            ("--replicates 1000", "--replicates 1"),
            ("--replicates 300", "--replicates 1"),
            ("--replicates 150", "--replicates 1"),
            ("--tasks 10000", "--tasks 400"),
            ("uplift simulate --replicates 1 ", "uplift simulate --replicates 1 --tasks 200 "),
        ]),
    ),
    ("for n in $(seq 60)", "each item takes two programs their time", Instead::With(&[("seq 60", "seq 24")])),
    ("uplift serve --listen 0.0.0.0", "opens a port to the network", Instead::Arguments),
    ("uplift serve --database 'postgres://", "needs a certificate of PostgreSQL", Instead::Arguments),
    ("uplift notifications test ops", "speaks to the network", Instead::Arguments),
    ("uplift top", "goes on until it is ended", Instead::With(&[("uplift top", "uplift top --once")])),
];

fn exception(command: &Command) -> Option<(usize, Instead)> {
    let found = EXCEPTIONS.iter().position(|(begins, ..)| command.text.starts_with(begins))?;
    Some((found, EXCEPTIONS[found].2))
}

/// The commands of a page, in order. JSON right below a command that prints JSON is its output.
fn commands_of(page: &Page) -> Vec<Command> {
    let mut all: Vec<Command> = Vec::new();
    let mut end_of_commands = 0;
    for block in page.blocks() {
        let found = commands(&block);
        let answer = block.language == "json" && block.file.is_none() && block.line <= end_of_commands + 2;
        match all.last_mut().filter(|last| answer && last.output.is_empty()) {
            Some(asked) => asked.output.clone_from(&block.text),
            None if found.is_empty() => {}
            None => end_of_commands = block.line + block.text.lines().count() + 1,
        }
        all.extend(found);
    }
    all
}

/// Does what a page says.
fn follow(path: &str) {
    let page = Page::read(path);
    let (mut place, mut help) = (Place::new(), Help::default());
    for block in page.blocks() {
        if let Some(file) = &block.file {
            place.write(file, &block.text);
        }
    }
    prepared::prepare(path, &mut place);
    for mut command in commands_of(&page) {
        let failed = |reason: String| panic!("{path}:{}: {}\n{reason}", command.line, command.text);
        for stage in shell::pipe(&command.text).iter().filter(|stage| stage.starts_with("uplift ")) {
            help.check(stage).unwrap_or_else(failed);
        }
        if let Some(words) = command.text.strip_prefix("cargo run --release -- ") {
            help.check(&format!("uplift {words}")).unwrap_or_else(failed);
        }
        if command.text.contains("python3") && !has_python() {
            println!("skipped: {path}:{}: there is no python3", command.line);
            continue;
        }
        match exception(&command) {
            Some((_, Instead::Nothing | Instead::Arguments)) => continue,
            Some((_, Instead::With(words))) => {
                let text = words.iter().fold(command.text.clone(), |text, (from, to)| text.replace(from, to));
                command.text = text;
            }
            None => {}
        }
        let (line, text) = (command.line, command.text.clone());
        place.run(&command).unwrap_or_else(|reason| panic!("{path}:{line}: {text}\n{reason}"));
    }
}

fn has_python() -> bool {
    std::process::Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success())
}

/// One test a page, so that they run side by side.
macro_rules! pages {
    ($($name:ident: $path:literal),+ $(,)?) => {
        const PAGES: &[&str] = &[$($path),+];

        $(
            #[test]
            fn $name() {
                follow($path);
            }
        )+
    };
}

pages! {
    page_readme: "README.md",
    page_access: "docs/access.md",
    page_agents: "docs/agents.md",
    page_api: "docs/api.md",
    page_concepts: "docs/concepts.md",
    page_configuration: "docs/configuration.md",
    page_decision_quality: "docs/decision-quality.md",
    page_demo: "docs/demo.md",
    page_feedback: "docs/feedback.md",
    page_guide: "docs/guide.md",
    page_notifications: "docs/notifications.md",
    page_operations: "docs/operations.md",
    page_postgresql: "docs/postgresql.md",
    page_quickstart: "docs/quickstart.md",
    page_reliability: "docs/reliability.md",
    page_replay: "docs/replay.md",
    page_resolve: "docs/resolve.md",
    page_security: "docs/security.md",
    page_telemetry: "docs/telemetry.md",
    page_sdk: "sdk/python/README.md",
}

fn guide() -> Vec<String> {
    let mut pages = below("docs");
    pages.retain(|path| path.matches('/').count() == 1);
    pages.extend(["README.md".to_owned(), "sdk/python/README.md".to_owned()]);
    pages
}

/// What a page tells of, against what there is.
fn same(what: &str, told: &BTreeSet<String>, known: &BTreeSet<String>) {
    let missing: Vec<_> = known.difference(told).collect();
    let unknown: Vec<_> = told.difference(known).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "{what}: not told: {missing:?}, told and not there: {unknown:?}"
    );
}

#[test]
fn every_page_with_commands_is_followed() {
    let with_commands: BTreeSet<String> =
        guide().into_iter().filter(|path| !commands_of(&Page::read(path)).is_empty()).collect();
    let followed: BTreeSet<String> = PAGES.iter().map(|path| (*path).to_owned()).collect();
    same("pages in crates/app/tests/suite/docs.rs", &followed, &with_commands);
}

#[test]
fn no_command_hides_in_another_kind_of_block() {
    for path in guide() {
        let plain = |block: &&Block| ["", "text"].contains(&block.language.as_str());
        for block in Page::read(&path).blocks().iter().filter(plain) {
            let shown =
                |line: &&str| ["$ ", "uplift ", "curl ", "cargo "].iter().any(|begins| line.starts_with(begins));
            let hidden = block.text.lines().find(shown);
            assert_eq!(hidden, None, "{path}:{}: a block of commands is marked `console`", block.line);
        }
    }
}

#[test]
fn exceptions_are_needed() {
    let mut unused: BTreeSet<usize> = (0..EXCEPTIONS.len()).collect();
    for path in guide() {
        for command in commands_of(&Page::read(&path)) {
            if let Some((found, _)) = exception(&command) {
                unused.remove(&found);
            }
        }
    }
    let unused: Vec<_> = unused.into_iter().map(|at| EXCEPTIONS[at].0).collect();
    assert!(unused.is_empty(), "no page has {unused:?}");
}

#[test]
fn commands_in_the_text_are_known() {
    let mut help = Help::default();
    for path in guide() {
        for code in Page::read(&path).code().iter().filter(|code| code.starts_with("uplift ")) {
            help.check(code).unwrap_or_else(|reason| panic!("{path}: `{code}`: {reason}"));
        }
    }
}

#[test]
fn the_table_of_commands_has_all_of_them() {
    let page = Page::read("docs/guide.md");
    let rows = page.rows().into_iter().filter(|(heading, _)| heading == "Commands");
    let mut told = BTreeSet::new();
    for (_, cells) in rows {
        told.extend(cells[0].split('`').skip(1).step_by(2).map(str::to_owned));
    }
    same("commands", &told, &Help::default().commands().into_iter().collect());
}

#[test]
fn links_lead_somewhere() {
    let mut pages: Vec<String> = below("docs");
    let others = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "sdk/python/README.md"];
    pages.extend(others.map(str::to_owned));
    let mut broken = Vec::new();
    for path in &pages {
        for (line, link) in Page::read(path).links() {
            if !leads_somewhere(path, &link) {
                broken.push(format!("{path}:{line}: {link}"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

fn leads_somewhere(path: &str, link: &str) -> bool {
    if link.starts_with("https://") || link.starts_with("http://") {
        return true;
    }
    let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let target = if file.is_empty() { root().join(path) } else { root().join(folder).join(file) };
    let Ok(target) = target.canonicalize() else { return false };
    let Ok(inside) = target.strip_prefix(root()) else { return false };
    anchor.is_none_or(|anchor| Page::read(&inside.to_string_lossy()).anchors().contains(anchor))
}

#[test]
fn the_page_of_routes_has_all_of_them() {
    let page = Page::read("docs/api.md");
    let methods = ["GET", "POST", "PUT", "DELETE"];
    let mut told = BTreeSet::new();
    for (_, cells) in page.rows() {
        let route = cells[0].trim_matches('`').to_owned();
        if cells[0].starts_with('`') && route.split(' ').next().is_some_and(|method| methods.contains(&method)) {
            assert!(told.insert(route), "{} stands twice", cells[0]);
        }
    }
    let described = get(&Place::new().address(), "/api/openapi.json");
    let mut routes = BTreeSet::new();
    for (path, item) in described["paths"].as_object().expect("paths") {
        let methods =
            item.as_object().expect("methods").keys().filter(|key| methods.contains(&key.to_uppercase().as_str()));
        routes.extend(methods.map(|method| format!("{} {path}", method.to_uppercase())));
    }
    same("routes", &told, &routes);
}

#[test]
fn the_table_of_metrics_is_that_of_the_code() {
    let mut told = BTreeSet::new();
    for (_, cells) in Page::read("docs/operations.md").rows() {
        told.extend(cells[0].split('`').filter(|code| code.starts_with("uplift_")).map(str::to_owned));
    }
    // Each name is a constant of the layer that measures.
    let sources =
        ["crates/web/src/telemetry.rs", "crates/runner/src/retention.rs", "crates/runner/src/notifying/mod.rs"];
    let mut known = BTreeSet::new();
    for source in sources {
        let text = std::fs::read_to_string(root().join(source)).expect("the source");
        let constants = text.lines().filter(|line| line.trim_start().starts_with("const "));
        let names = constants.filter_map(|line| line.split('"').nth(1)).filter(|name| name.starts_with("uplift_"));
        known.extend(names.map(str::to_owned));
    }
    same("metrics", &told, &known);
    // Rules for alerts name them, too.
    for block in Page::read("docs/operations.md").blocks().iter().filter(|block| block.language == "yaml") {
        for word in block.text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_') {
            assert!(!word.starts_with("uplift_") || known.contains(word), "line {}: {word}", block.line);
        }
    }
}

#[test]
fn pages_that_are_in_order_name_their_files_once() {
    for path in guide() {
        let mut files: BTreeMap<String, usize> = BTreeMap::new();
        for Block { file, line, .. } in Page::read(&path).blocks() {
            if let Some(first) = file.and_then(|file| files.insert(file, line)) {
                panic!("{path}:{line}: a file of this name stands at line {first}, too");
            }
        }
    }
}

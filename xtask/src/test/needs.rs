//! What tests need from outside cargo: one function each, which prepares it, says in a line what it found,
//! and hands the tests an environment variable that leads to it.

use std::ffi::OsString;
use std::path::Path;

use anyhow::Context;

use crate::browser::{self, Browser};
use crate::{postgres, python};

/// What a need came to.
#[derive(Debug)]
struct Prepared {
    /// One line for the reader.
    says: String,
    /// For the tests' environment.
    variables: Vec<Variable>,
    /// What has to run as long as the tests do.
    server: Option<postgres::Server>,
}

/// A variable of the tests' environment.
type Variable = (&'static str, OsString);

/// In the order in which they are prepared.
const NEEDS: &[fn(&Path) -> anyhow::Result<Prepared>] = &[real_records, python_clients, dashboard, postgresql];

/// What of Python the tests use, and where it is installed.
const REQUIREMENTS: &str = "crates/app/tests/python/requirements.txt";
const PYTHON_FOLDER: &str = "target/python-clients";

/// All of it. What was started for the tests ends with this value.
#[derive(Debug)]
pub(super) struct Ready {
    /// The variables the tests run with.
    pub(super) variables: Vec<Variable>,
    servers: Vec<postgres::Server>,
}

/// Prepares everything.
pub(super) fn prepare(root: &Path) -> anyhow::Result<Ready> {
    let mut ready = Ready { variables: Vec::new(), servers: Vec::new() };
    for need in NEEDS {
        let prepared = need(root)?;
        eprintln!("{}", prepared.says);
        ready.variables.extend(prepared.variables);
        ready.servers.extend(prepared.server);
    }
    Ok(ready)
}

fn real_records(root: &Path) -> anyhow::Result<Prepared> {
    let chosen = match std::env::var_os("UPLIFT_DATA") {
        Some(folder) => std::path::absolute(folder).context("UPLIFT_DATA does not name a folder")?,
        None => root.join("../shared/data"),
    };
    Ok(records_in(&chosen))
}

/// Tests run in their own crate's folder, so the variable they get is absolute.
fn records_in(folder: &Path) -> Prepared {
    match folder.join("META.json").is_file().then(|| folder.canonicalize()) {
        Some(Ok(folder)) => Prepared {
            says: format!("real records: tests that use them run, from {}", folder.display()),
            variables: vec![("UPLIFT_DATA", folder.into())],
            server: None,
        },
        _ => Prepared {
            says: format!("real records: tests that use them are skipped, no META.json in {}", folder.display()),
            variables: Vec::new(),
            server: None,
        },
    }
}

/// A Python of its own with stock clients and what tests the Python SDK.
fn python_clients(root: &Path) -> anyhow::Result<Prepared> {
    let python = python::environment(root, PYTHON_FOLDER, REQUIREMENTS)?;
    Ok(Prepared {
        says: format!("stock Python clients: in {}", root.join(PYTHON_FOLDER).display()),
        variables: vec![("UPLIFT_TEST_PYTHON", python.into())],
        server: None,
    })
}

/// A browser, and what drives it.
fn dashboard(root: &Path) -> anyhow::Result<Prepared> {
    let Browser { python, chromium, version } = Browser::prepare(root)?;
    Ok(Prepared {
        says: format!("browser for the dashboard: {version}, {}", chromium.display()),
        variables: vec![(browser::PYTHON_VARIABLE, python.into()), (browser::CHROMIUM_VARIABLE, chromium.into())],
        server: None,
    })
}

/// A PostgreSQL server: the one that is named already, else one of our own.
fn postgresql(root: &Path) -> anyhow::Result<Prepared> {
    if std::env::var_os(postgres::VARIABLE).is_some_and(|named| !named.is_empty()) {
        let says = format!("PostgreSQL: the server that {} names", postgres::VARIABLE);
        return Ok(Prepared { says, variables: Vec::new(), server: None });
    }
    let server = postgres::Server::start(root)?;
    Ok(Prepared {
        says: server.says(),
        variables: vec![(postgres::VARIABLE, server.address().into())],
        server: Some(server),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_used_only_where_they_are() {
        let folder = std::env::temp_dir().join(format!("xtask-needs-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let without = records_in(&folder);
        std::fs::write(folder.join("META.json"), "{}").unwrap();
        let with = records_in(&folder);
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(without.variables.is_empty() && without.says.contains("skipped"), "{without:?}");
        let (name, path) = with.variables[0].clone();
        assert!(name == "UPLIFT_DATA" && Path::new(&path).is_absolute());
    }
}

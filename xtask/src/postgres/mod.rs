//! `cargo xtask postgres`, and the throw-away PostgreSQL that the tests run against.
//!
//! - [`programs`]: where PostgreSQL's programs are, and how they come to a machine that has none.
//! - [`user`]: who runs the server, since it refuses to be run by root.
//! - [`place`]: the folder of a server, which one run has to itself.
//! - [`server`]: making the cluster, starting the server, and stopping it whatever happens.

mod place;
mod programs;
mod server;
mod user;

use std::path::Path;

use crate::Status;

pub(crate) use server::Server;
pub(crate) use user::is_root;

/// The variable that names the server to the tests. Where it is set already, that server is used.
pub(crate) const VARIABLE: &str = "UPLIFT_TEST_POSTGRES";

pub(crate) const HELP: &str = "\
Starts a PostgreSQL server of its own for trying things out and prints its address: on the loopback interface, on a
free port, without a password. It runs until Ctrl-C, or until this program ends in any other way. With

  UPLIFT_TEST_POSTGRES=postgres://... cargo nextest run

the tests use it; `cargo xtask test` starts one by itself where that variable is not set.

The programs are those on the search path or where Debian puts them, 14 or later. Where there are none, root has
them installed by apt-get; anybody else is told what to install. A server refuses to be run by root: then the user
`postgres` runs it, or `nobody`.

The data is below target/postgres and kept for the next time. It is made anew when the server did not end in order,
and when it has grown large.";

pub(crate) fn run(root: &Path, args: &[String]) -> anyhow::Result<Status> {
    if let Some(arg) = args.first() {
        eprintln!("xtask: postgres takes no arguments, not `{arg}`");
        return Ok(Status::Misused);
    }
    let mut server = Server::start(root)?;
    eprintln!("{}; Ctrl-C stops it", server.says());
    println!("{}", server.address());
    server.wait()?;
    eprintln!("the server has ended: its log is {}", server.log().display());
    Ok(Status::Failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_misuse() {
        assert_eq!(run(Path::new("."), &["x".to_owned()]).unwrap(), Status::Misused);
    }
}

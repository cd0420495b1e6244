//! A PostgreSQL server of a test's own: it can be set up in its own way, stopped and started.

use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Debian keeps the programs of each release in a folder of their own, off the search path.
const OF_DEBIAN: &str = "/usr/lib/postgresql";

/// Users that root hands the server to, which refuses to be run by root: the first there is.
const USERS: &[&str] = &["postgres", "nobody"];

/// Longest time until a server lets clients in.
const PATIENCE: Duration = Duration::from_mins(1);

/// How often it is looked at meanwhile.
const PAUSE: Duration = Duration::from_millis(20);

/// Runs the server until a line comes in, or the end of the input, which the end of the test brings, too. Then the server
/// gets the signal that is named there: by default the one that ends it on the spot, as a failure of power would.
const KEEPER: &str = "\"$0\" \"$@\" & server=$!; read -r signal; kill -\"${signal:-QUIT}\" $server; wait $server";

/// A server with a cluster of its own, on the loopback interface. Both are gone with this value.
pub struct OwnServer {
    programs: PathBuf,
    /// Who runs it, where that is not us.
    user: Option<(u32, u32)>,
    folder: PathBuf,
    port: u16,
    keeper: Option<Child>,
}

impl OwnServer {
    /// A new cluster, the server of which does not run yet. None, and a line that says so, where PostgreSQL's programs are
    /// missing.
    ///
    /// # Panics
    /// When there are programs, and they make none.
    pub fn make() -> Option<Self> {
        let Some(programs) = programs() else {
            println!("skipped: PostgreSQL's programs are neither on the search path nor below {OF_DEBIAN}");
            return None;
        };
        let random = RandomState::new().build_hasher().finish();
        let folder = std::env::temp_dir().join(format!("uplift-own-server-{random:016x}"));
        fs::create_dir(&folder).expect("a folder");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("its number").port();
        let server = Self { programs, user: user(), folder, port, keeper: None };
        server.own(&server.folder, 0o700);
        let mut command = server.command(&server.programs.join("initdb"));
        command.args(["--username=postgres", "--locale=C", "--encoding=UTF8", "--auth=trust", "--no-sync"]);
        let output = command.arg("--pgdata").arg(server.data()).output().expect("initdb starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Some(server)
    }

    /// Puts a file into the folder of the cluster, which only the server may read.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, name: &str, content: &str) {
        let path = self.data().join(name);
        fs::write(&path, content).expect("a file in the cluster");
        self.own(&path, 0o600);
    }

    /// Starts it with these settings, and waits until it lets clients in.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(&mut self, settings: &[&str]) {
        assert!(self.keeper.is_none(), "it runs");
        // Our last server has ended, whatever it left behind.
        let _ = fs::remove_file(self.data().join("postmaster.pid"));
        let log = fs::File::create(self.log()).expect("a log");
        let mut command = self.command(Path::new("sh"));
        command.args(["-c", KEEPER]).arg(self.programs.join("postgres")).arg("-D").arg(self.data());
        command.args(["-p", &self.port.to_string()]);
        for setting in ["listen_addresses=127.0.0.1", "unix_socket_directories="].iter().chain(settings) {
            command.args(["-c", setting]);
        }
        command.stdin(Stdio::piped()).stdout(log.try_clone().expect("a log")).stderr(log);
        self.keeper = Some(command.spawn().expect("sh starts"));
        let began = Instant::now();
        while !self.is_ready() {
            let log = || fs::read_to_string(self.log()).unwrap_or_default();
            assert!(began.elapsed() < PATIENCE, "the server does not let clients in: {}", log());
            std::thread::sleep(PAUSE);
        }
    }

    /// Ends it on the spot, as a failure of power would: nobody is told, nothing is written.
    pub fn crash(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            drop(keeper.stdin.take());
            let _ = keeper.wait();
        }
    }

    /// Its address, without any option.
    pub fn address(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Where it listens.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Whether it lets clients in: it says so in the eighth line of the file of its process.
    fn is_ready(&self) -> bool {
        let text = fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
        text.lines().nth(7).is_some_and(|line| line.trim() == "ready")
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    fn own(&self, path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("rights");
        if let Some((user, group)) = self.user {
            chown(path, Some(user), Some(group)).expect("an owner");
        }
    }

    /// A command of the server's user, without what would lead it to another server, in a group of processes of its own: a
    /// Ctrl-C is for the test.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir("/").stdin(Stdio::null()).env("LC_ALL", "C").process_group(0);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG")) {
            command.env_remove(name);
        }
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        self.crash();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The folder of `initdb` and `postgres`: on the search path, or the latest of Debian's.
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut of_debian: Vec<(u32, PathBuf)> = fs::read_dir(OF_DEBIAN)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    of_debian.sort_unstable_by(|one, other| other.cmp(one));
    let folders = std::env::split_paths(&path).chain(of_debian.into_iter().map(|(_, folder)| folder));
    folders.into_iter().find(|folder| ["initdb", "postgres"].iter().all(|name| folder.join(name).is_file()))
}

/// Who is to run the server where we are root.
fn user() -> Option<(u32, u32)> {
    let id = |arguments: &[&str]| -> Option<u32> {
        let output = Command::new("id").args(arguments).output().ok()?;
        String::from_utf8_lossy(&output.stdout).trim().parse().ok()
    };
    if id(&["-u"]) != Some(0) {
        return None;
    }
    USERS.iter().find_map(|name| Some((id(&["-u", name])?, id(&["-g", name])?)))
}

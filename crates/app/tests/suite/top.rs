//! `uplift top` in a terminal: it shows what runs, hears keys, ends when it is asked to, and leaves the terminal as it was.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, Termios, Winsize, tcgetattr, tcsetwinsize};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::http;
use crate::support::{Server, event, folder, run, until, uplift};

/// Shows and hides the cursor; both are written by whoever hides it.
const SHOWN: &str = "\u{1b}[?25h";
const HIDDEN: &str = "\u{1b}[?25l";
/// What begins a picture.
const HOME: &str = "\u{1b}[H";
/// A name that would turn the direction of writing, in a terminal that let it.
const NAME: &str = "wri\u{202e}ter";

/// A server with a running trial, and an alert about an error that would take over the terminal.
struct Fleet {
    _folder: TempDir,
    server: Server,
}

impl Fleet {
    fn new() -> Self {
        let folder = folder();
        let server = Server::start(&folder.path().join("fleet.db"));
        let fleet = Self { _folder: folder, server };
        let failed = json!({"tool": "fetch", "outcome": "ERROR", "error_type": "Timeout",
            "content": "\u{1b}]0;owned\u{7}\u{1b}[2J\u{1b}[31m\u{9b}5mgone\u{1b}"});
        let lines: Vec<String> = (0..6)
            .flat_map(|number| {
                let task = format!("task-{number}");
                [event("1", "TOOL_EXECUTED", &task, failed.clone()), event("2", "TASK_COMPLETED", &task, json!({}))]
            })
            .collect();
        assert_eq!(http::post_events(&fleet.server.address, &lines).unwrap().status, 200);
        let declared = json!({"configuration": {"model": "m1", "parameters": {"timeout_ms": 1000}}});
        fleet.send("PUT", "/api/entities/agent/wri%E2%80%AEter", &declared);
        let change = json!({"entity_type": "agent", "entity": NAME, "rationale": "It gives up early.",
            "edits": [{"edit": "set_parameter", "name": "timeout_ms", "value": 3000}]});
        fleet.send("POST", "/api/improvements", &change);
        fleet.until("a trial runs", "/api/trials?running=true");
        fleet.until("an alert holds", "/api/improvements/alerts");
        fleet
    }

    fn send(&self, method: &str, path: &str, body: &Value) {
        let json = [("Content-Type", "application/json")];
        let sent = http::send(&self.server.address, method, path, &json, body.to_string().as_bytes()).unwrap();
        assert!((200..300).contains(&sent.status), "{path}: {}", String::from_utf8_lossy(&sent.body));
    }

    /// Waits until a list has something in it.
    fn until(&self, what: &str, path: &str) {
        until(what, || http::get(&self.server.address, path)["items"].as_array()?.first().map(|_| ()));
    }
}

/// Stands before a server. Once it is silent, it takes what is asked and passes nothing on.
struct Between {
    url: String,
    silent: Arc<AtomicBool>,
    asked: Arc<AtomicBool>,
}

impl Between {
    fn new(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let between = Self { url, silent: Arc::default(), asked: Arc::default() };
        let (server, silent, asked) = (server.to_owned(), Arc::clone(&between.silent), Arc::clone(&between.asked));
        std::thread::spawn(move || {
            for mut client in listener.incoming().map_while(Result::ok) {
                let mut server = TcpStream::connect(&server).unwrap();
                let (mut from, mut to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                std::thread::spawn(move || std::io::copy(&mut from, &mut to));
                let (silent, asked) = (Arc::clone(&silent), Arc::clone(&asked));
                std::thread::spawn(move || {
                    let mut part = [0; 4_096];
                    while let Ok(length @ 1..) = client.read(&mut part) {
                        if silent.load(Ordering::SeqCst) {
                            asked.store(true, Ordering::SeqCst);
                        } else if server.write_all(&part[..length]).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        between
    }
}

/// A terminal with the program in it.
struct Terminal {
    /// The side of whoever looks and types.
    outer: OwnedFd,
    /// Keeps the terminal open when the program has ended.
    _inner: OwnedFd,
    before: Termios,
    seen: Arc<Mutex<Vec<u8>>>,
    top: Child,
}

impl Terminal {
    /// Runs `uplift top` in a terminal of this size. None where it cannot be given a terminal of its own.
    fn new(server: &str, rows: u16, columns: u16) -> Option<Self> {
        if !Command::new("setsid").arg("--version").output().is_ok_and(|ran| ran.status.success()) {
            println!("SKIPPED: there is no setsid here, which gives a program a terminal of its own");
            return None;
        }
        let outer = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&outer).unwrap();
        unlockpt(&outer).unwrap();
        let inner =
            ioctl_tiocgptpeer(&outer, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        tcsetwinsize(&inner, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let before = tcgetattr(&inner).unwrap();
        assert!(before.local_modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG));
        let program = uplift();
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(program.get_program());
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        // A picture that stays for an hour: another one is drawn when somebody asks for it.
        command.args(["top", "--every", "3600", "--server", server]).env("TERM", "xterm");
        let side = || Stdio::from(inner.try_clone().unwrap());
        let top = command.stdin(side()).stdout(side()).stderr(side()).spawn().unwrap();
        let seen = Arc::<Mutex<Vec<u8>>>::default();
        let (mut from, into) = (File::from(outer.try_clone().unwrap()), Arc::clone(&seen));
        std::thread::spawn(move || {
            let mut part = [0; 4_096];
            while let Ok(length @ 1..) = from.read(&mut part) {
                into.lock().unwrap().extend_from_slice(&part[..length]);
            }
        });
        Some(Self { outer, _inner: inner, before, seen, top })
    }

    fn seen(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap()).into_owned()
    }

    /// Waits for something to be seen, from a place on; what was seen until then.
    fn shows(&self, what: &str, from: usize) -> String {
        until(what, || Some(self.seen()).filter(|seen| seen[from..].contains(what)))
    }

    fn press(&self, keys: &[u8]) {
        File::from(self.outer.try_clone().unwrap()).write_all(keys).unwrap();
    }

    /// Waits for the end by itself, and that nothing is left of it in the terminal.
    fn ends(mut self) -> String {
        let status = until("it ends", || self.top.try_wait().unwrap());
        assert_eq!(status.code(), Some(0), "{}", self.seen());
        let seen = self.shows(SHOWN, 0);
        assert!(seen.rfind(SHOWN) > seen.rfind(HIDDEN), "the cursor is back: {seen:?}");
        assert!(seen.rfind("\u{1b}[?7h") > seen.rfind("\u{1b}[?7l"), "lines go on where they are too long: {seen:?}");
        let now = tcgetattr(&self.outer).unwrap();
        let modes = |terminal: &Termios| {
            (terminal.input_modes, terminal.output_modes, terminal.control_modes, terminal.local_modes)
        };
        assert_eq!(modes(&now), modes(&self.before));
        seen
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        drop(self.top.kill());
        drop(self.top.wait());
    }
}

/// What is left once the escape sequences are taken out that the program itself writes.
fn words(seen: &str) -> String {
    let mut left = seen.to_owned();
    for own in [HOME, HIDDEN, SHOWN, "\u{1b}[?7l", "\u{1b}[?7h", "\u{1b}[K", "\u{1b}[J", "\u{1b}[2J", "\u{1b}[1;1H"] {
        left = left.replace(own, "");
    }
    for style in ["", "0", "1", "2", "31", "32", "33", "36"] {
        left = left.replace(&format!("\u{1b}[{style}m"), "");
    }
    left
}

#[test]
fn it_shows_what_runs_hears_keys_and_ends_cleanly() {
    let fleet = Fleet::new();
    let Some(terminal) = Terminal::new(&fleet.server.url(), 40, 200) else { return };
    let shown = words(&terminal.shows("failed 6 times", 0));
    for part in
        ["Health: ", "mode auto", "Trials: 1", "agent/writer", "trial", "no full look yet", "recurring_failure"]
    {
        assert!(shown.contains(part), "{part} is not in:\n{shown}");
    }
    let hostile = |c: char| (c.is_control() && c != '\r' && c != '\n') || c == '\u{202e}';
    assert!(!shown.contains(hostile) && !shown.contains("owned"), "{shown:?}");
    // Keys come one by one and are not shown.
    let modes = tcgetattr(&terminal.outer).unwrap().local_modes;
    assert!(
        !modes.intersects(LocalModes::ICANON | LocalModes::ECHO) && modes.contains(LocalModes::ISIG),
        "{modes:?}"
    );
    let before = terminal.seen().len();
    fleet.send("POST", "/api/improvements/pause", &json!({}));
    terminal.press(b"xyz ");
    let seen = terminal.shows(", paused", before);
    assert_eq!(seen[before..].matches(HOME).count(), 1, "what says nothing is passed over: {:?}", &seen[before..]);
    terminal.press(b"q");
    let seen = terminal.ends();
    assert!(!words(&seen).contains("xyz"), "{seen:?}");
}

#[test]
fn it_ends_by_signals_and_while_the_server_is_silent() {
    let fleet = Fleet::new();
    let send = |pid: u32, signal: &str| {
        assert!(Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
    };
    // Ctrl-C and Ctrl-D as they are typed, and what an end of the session sends.
    for key in [&b"\x03"[..], b"\x04", b"Q"] {
        let Some(terminal) = Terminal::new(&fleet.server.url(), 40, 200) else { return };
        terminal.shows("Trials: 1", 0);
        terminal.press(key);
        terminal.ends();
    }
    let Some(terminal) = Terminal::new(&fleet.server.url(), 40, 200) else { return };
    terminal.shows("Trials: 1", 0);
    send(terminal.top.id(), "-TERM");
    terminal.ends();
    // A server that answers no more keeps nobody in front of the screen.
    for key in [&b"\x03"[..], b"q"] {
        let between = Between::new(&fleet.server.address);
        let terminal = Terminal::new(&between.url, 40, 200).unwrap();
        terminal.shows("Trials: 1", 0);
        between.silent.store(true, Ordering::SeqCst);
        terminal.press(b" ");
        until("it asks", || between.asked.load(Ordering::SeqCst).then_some(()));
        terminal.press(key);
        terminal.ends();
    }
}

#[test]
fn it_fits_a_small_terminal() {
    let fleet = Fleet::new();
    let Some(terminal) = Terminal::new(&fleet.server.url(), 8, 40) else { return };
    let seen = terminal.shows("more lines", 0);
    let picture = &seen[seen.find(HOME).unwrap()..];
    assert!(picture.matches("\r\n").count() < 8, "{picture:?}");
    // Lines that are too long end at the edge instead of going on below it.
    assert!(seen.find("\u{1b}[?7l").unwrap() < seen.find("Health").unwrap(), "{seen:?}");
    terminal.press(b"q");
    terminal.ends();
}

#[test]
fn without_a_terminal_it_prints_once() {
    let fleet = Fleet::new();
    let url = fleet.server.url();
    for more in [&[][..], &["--once"], &["--every", "5"]] {
        let shown = run([&["top", "--server", &url], more].concat()).exits(0).out;
        assert!(shown.contains("Trials: 1") && shown.contains("agent/writer"), "{shown}");
        assert_eq!(words(&shown).find(|c: char| c.is_control() && c != '\n'), None, "{shown:?}");
        assert_eq!(shown.matches("Health: ").count(), 1);
    }
    let picture = run(["top", "--json", "--server", &url]).exits(0).json();
    assert_eq!((&picture["trials"][0]["entity_name"], &picture["paused"]), (&json!(NAME), &json!(false)));
    run(["top", "--every", "0.1", "--server", &url]).exits(2);
    run(["top", "--server", "http://127.0.0.1:9"]).exits(1);
}

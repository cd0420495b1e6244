//! Notifications of a real server to a real receiver: over TLS that is trusted and no other, again after failures and over
//! a kill, given up where all can see it, and only where they may go.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned, crypto::ring};

use crate::http;
use crate::support::{Ran, Server, event, folder, run, until, uplift};

/// How long a receiver waits for the rest of a request.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A request, by its headers in lower case.
#[derive(Debug, Clone)]
struct Got {
    head: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Got {
    fn header(&self, name: &str) -> &str {
        self.head.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Whether its signature is the one that the key behind `whsec_` makes, worked out by another implementation.
    fn is_signed(&self, secret: &str) -> bool {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let mut signed = format!("{}.{}.", self.header("webhook-id"), self.header("webhook-timestamp")).into_bytes();
        signed.extend_from_slice(&self.body);
        self.header("webhook-signature") == format!("v1,{}", STANDARD.encode(hmac_sha256(&key, &signed)))
    }
}

/// As RFC 2104 says, over the SHA-256 of the library that does TLS.
fn hmac_sha256(key: &[u8], text: &[u8]) -> Vec<u8> {
    let suites = ring::default_provider().cipher_suites;
    let hash = suites.iter().find_map(|suite| {
        let hash = suite.tls13()?.common.hash_provider;
        (hash.output_len() == 32).then_some(hash)
    });
    let hash = hash.expect("a suite with SHA-256");
    let pad = |with: u8| -> Vec<u8> { (0..64).map(|place| key.get(place).copied().unwrap_or(0) ^ with).collect() };
    let inner = hash.hash(&[&pad(0x36), text].concat());
    hash.hash(&[&pad(0x5c), inner.as_ref()].concat()).as_ref().to_vec()
}

/// Somebody who is told: answers with the next status there is (and where to go instead), or 204.
struct Receiver {
    port: u16,
    got: Arc<Mutex<Vec<Got>>>,
    answers: Arc<Mutex<VecDeque<(u16, String)>>>,
}

impl Receiver {
    fn new(tls: Option<ServerConfig>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let receiver = Self { port, got: Arc::default(), answers: Arc::default() };
        let (got, answers, tls) = (Arc::clone(&receiver.got), Arc::clone(&receiver.answers), tls.map(Arc::new));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                stream.set_read_timeout(Some(TIMEOUT)).unwrap();
                let (got, answers, tls) = (Arc::clone(&got), Arc::clone(&answers), tls.clone());
                std::thread::spawn(move || match tls {
                    None => take(stream, &got, &answers),
                    Some(tls) => {
                        let connection = ServerConnection::new(tls).unwrap();
                        take(StreamOwned::new(connection, stream), &got, &answers)
                    }
                });
            }
        });
        receiver
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook?key=s3cret", self.port)
    }

    fn answer(&self, statuses: &[u16], location: &str) {
        self.answers.lock().unwrap().extend(statuses.iter().map(|status| (*status, location.to_owned())));
    }

    fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    /// Waits until so many requests have come.
    fn hears(&self, count: usize) -> Vec<Got> {
        until(&format!("{count} requests"), || Some(self.got()).filter(|got| got.len() >= count))
    }
}

/// Takes a request and answers it. Whoever breaks off in between, as one does who trusts nobody, is left alone.
fn take(stream: impl Read + Write, got: &Mutex<Vec<Got>>, answers: &Mutex<VecDeque<(u16, String)>>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok().filter(|length| *length > 0)?;
        if line.trim().is_empty() {
            break;
        }
        head.extend(line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.trim().to_owned())));
    }
    let mut request = Got { head, body: Vec::new() };
    request.body = vec![0; request.header("content-length").parse().ok()?];
    stream.read_exact(&mut request.body).ok()?;
    got.lock().unwrap().push(request);
    let (status, location) = answers.lock().unwrap().pop_front().unwrap_or((204, String::new()));
    let answer =
        format!("HTTP/1.1 {status} x\r\nlocation: {location}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.get_mut().write_all(answer.as_bytes()).ok()?;
    stream.get_mut().flush().ok()
}

/// A server that may tell others on this machine, and tries again soon.
fn telling(database: &Path, more: &[(&str, &Path)]) -> Server {
    let mut command = uplift();
    let settings =
        [("ALLOW_PRIVATE", "true"), ("ALLOW_HTTP", "true"), ("FIRST_RETRY_SECONDS", "1"), ("MAX_ATTEMPTS", "2")];
    command.envs(settings.map(|(name, value)| (format!("UPLIFT__NOTIFICATIONS__{name}"), value)));
    // Who was killed is soon taken for dead.
    command.env("UPLIFT__NODES__LEASE_SECONDS", "2");
    command.envs(more.iter().copied());
    Server::start_by(command, database)
}

fn say(server: &Server, words: &[&str]) -> Ran {
    run(words.iter().copied().chain(["--server", &server.url()]))
}

/// Has somebody told from now on; what messages are signed with.
fn add(server: &Server, name: &str, url: &str) -> String {
    let made = say(server, &["notifications", "add", name, "--url", url, "--json"]).exits(0).json();
    made["secret"].as_str().unwrap().to_owned()
}

/// Has a tool of an agent fail again and again, which is an alert.
fn fail(server: &Server, tool: &str) {
    let failed = json!({"tool": tool, "outcome": "ERROR", "error_type": "Timeout", "content": "no answer"});
    let lines: Vec<String> = (0..6)
        .flat_map(|number| {
            let task = format!("{tool}-{number}");
            [event("1", "TOOL_EXECUTED", &task, failed.clone()), event("2", "TASK_COMPLETED", &task, json!({}))]
        })
        .collect();
    assert_eq!(http::post_events(&server.address, &lines).unwrap().status, 200);
}

/// A delivery that has come so far.
fn delivery(server: &Server, state: &str, attempts: u64) -> Value {
    until(&format!("a delivery is {state} after {attempts}"), || {
        let list = http::get(&server.address, "/api/notifications/deliveries");
        // A try that is under way counts, and has neither a status nor an error yet.
        let ended = |one: &Value| state != "pending" || !one["last_error"].is_null();
        let found = |one: &&Value| one["state"] == state && one["attempts"] == attempts && ended(one);
        list["items"].as_array().unwrap().iter().find(found).cloned()
    })
}

#[test]
fn what_others_are_told_is_not_lost_by_a_kill() {
    let folder = folder();
    let database = folder.path().join("fleet.db");
    let receiver = Receiver::new(None);
    let server = telling(&database, &[]);
    let secret = add(&server, "ops", &receiver.url());
    receiver.answer(&[500], "");
    fail(&server, "fetch");
    // The first try has failed, and that is on record.
    let waiting = delivery(&server, "pending", 1);
    assert_eq!((&waiting["last_status"], &waiting["kind"]), (&json!(500), &json!("alert.opened")), "{waiting:#}");
    server.kill();
    let server = telling(&database, &[]);
    let delivered = delivery(&server, "delivered", 2);
    assert_eq!((&delivered["id"], &delivered["due_at"]), (&waiting["id"], &Value::Null));
    let got = receiver.hears(2);
    assert_eq!(got.len(), 2, "no more than that: {got:?}");
    assert_eq!(got[0].header("webhook-id"), got[1].header("webhook-id"));
    assert_eq!(got[0].body, got[1].body);
    for got in &got {
        assert!(got.is_signed(&secret) && !got.is_signed("whsec_AAAA"), "{got:?}");
        assert_eq!(got.json()["data"]["kind"], "recurring_failure");
    }
    // The target is still there, and what happens now is told, too.
    fail(&server, "search");
    let third = &receiver.hears(3)[2];
    assert!(third.is_signed(&secret) && third.header("webhook-id") != got[0].header("webhook-id"));
    // Nobody sees what the address holds beyond its host, nor the secret.
    let listed = say(&server, &["notifications", "list"]).exits(0).out;
    assert!(listed.contains(&format!("127.0.0.1:{}", receiver.port)), "{listed}");
    let listed = listed + &say(&server, &["notifications", "list", "--json"]).exits(0).out;
    assert!(!listed.contains("s3cret") && !listed.contains(&secret), "{listed}");
}

#[test]
fn what_is_given_up_is_seen_and_taken_up_again() {
    let folder = folder();
    let (receiver, elsewhere) = (Receiver::new(None), Receiver::new(None));
    let server = telling(&folder.path().join("fleet.db"), &[]);
    add(&server, "ops", &receiver.url());
    // One that leads elsewhere, to an address that it would be told of.
    receiver.answer(&[503, 307], &elsewhere.url());
    fail(&server, "fetch");
    let dead = delivery(&server, "dead", 2);
    assert_eq!(dead["last_error"], "it answered 307: redirects are not followed");
    let id = dead["id"].to_string();
    let shown = say(&server, &["notifications", "deliveries", "--state", "dead", "--target", "ops"]).exits(0).out;
    assert!(shown.contains("it answered 307") && shown.contains("alert.opened"), "{shown}");
    let metrics = http::send(&server.address, "GET", "/metrics", &[], b"").unwrap().body;
    let metrics = String::from_utf8_lossy(&metrics).into_owned();
    assert!(metrics.contains("uplift_notification_deliveries{state=\"dead\"} 1"), "{metrics}");
    let said = say(&server, &["notifications", "retry", &id]).exits(0).out;
    assert_eq!(said, format!("delivery {id} is pending\n"));
    let delivered = delivery(&server, "delivered", 1);
    assert_eq!(delivered["id"], dead["id"]);
    assert_eq!((receiver.got().len(), elsewhere.got().len()), (3, 0));
    // What was delivered, or never was, is not taken up.
    assert!(say(&server, &["notifications", "retry", &id]).exits(1).err.contains(&id));
    say(&server, &["notifications", "retry", "999"]).exits(1);
    let shown = say(&server, &["notifications", "deliveries", "--state", "dead"]).exits(0).out;
    assert_eq!(shown, "Nothing is on its way.\n");
    say(&server, &["notifications", "deliveries", "--target", "nobody"]).exits(1);
    // Tried out, it says how it went by its exit code.
    receiver.answer(&[302], &elsewhere.url());
    let said = say(&server, &["notifications", "test", "ops"]).exits(1).out;
    assert!(said.contains("redirects are not followed"), "{said}");
    assert_eq!(say(&server, &["notifications", "test", "ops"]).exits(0).out, "ops took it (204)\n");
    say(&server, &["notifications", "remove", "ops"]).exits(0);
    say(&server, &["notifications", "remove", "ops"]).exits(1);
    say(&server, &["notifications", "test", "ops"]).exits(1);
    assert!(elsewhere.got().is_empty());
}

#[test]
fn a_certificate_of_ones_own_is_taken_where_the_system_trusts_it_and_nowhere_else() {
    let folder = folder();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let certificate = folder.path().join("cert.pem");
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let tls = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let receiver = Receiver::new(Some(tls));
    let url = format!("https://localhost:{}/hook", receiver.port);
    let database = folder.path().join("fleet.db");
    let server = telling(&database, &[]);
    let secret = add(&server, "ops", &url);
    let said = say(&server, &["notifications", "test", "ops"]).exits(1).out;
    assert!(said.contains("certificate"), "{said}");
    fail(&server, "fetch");
    let waiting = delivery(&server, "pending", 1);
    assert_eq!(waiting["last_status"], Value::Null, "{waiting:#}");
    assert!(receiver.got().is_empty(), "whom it does not trust it tells nothing");
    assert_eq!(server.end_by("-TERM"), 0);

    let server = telling(&database, &[("SSL_CERT_FILE", &certificate)]);
    assert_eq!(say(&server, &["notifications", "test", "ops"]).exits(0).out, "ops took it (204)\n");
    let delivered = delivery(&server, "delivered", 2);
    assert_eq!(delivered["id"], waiting["id"], "{delivered:#}");
    let got = receiver.hears(2);
    assert!(got.iter().all(|got| got.is_signed(&secret)), "{got:?}");
    // The name is part of it: the same certificate under another address is not taken.
    add(&server, "number", &format!("https://127.0.0.1:{}/hook", receiver.port));
    let said = say(&server, &["notifications", "test", "number"]).exits(1).out;
    assert!(said.contains("certificate"), "{said}");
    assert_eq!(receiver.got().len(), 2);
}

#[test]
fn without_being_allowed_to_it_tells_nobody_nearby() {
    let folder = folder();
    let receiver = Receiver::new(None);
    let server = Server::start(&folder.path().join("fleet.db"));
    let port = receiver.port;
    for (url, why) in [
        (format!("http://127.0.0.1:{port}/"), "plain http"),
        (format!("https://127.0.0.1:{port}/"), "no public address"),
        (format!("https://[::1]:{port}/"), "no public address"),
        (format!("https://2130706433:{port}/"), "no public address"),
        ("https://169.254.169.254/latest/meta-data/".to_owned(), "no public address"),
        ("https://10.0.0.1/".to_owned(), "no public address"),
        (format!("https://ops:key@localhost:{port}/"), "name and a password"),
        ("file:///etc/passwd".to_owned(), "https"),
    ] {
        let refused = say(&server, &["notifications", "add", "ops", "--url", &url]).exits(1);
        assert!(refused.err.contains(why), "{url}: {}", refused.err);
    }
    // A name is looked up when it is asked.
    add(&server, "ops", &format!("https://localhost:{port}/"));
    let said = say(&server, &["notifications", "test", "ops"]).exits(1).out;
    assert!(said.contains("no public address"), "{said}");
    assert!(receiver.got().is_empty());
    // Nor does one that may through the proxy of its environment.
    let mut command: Command = uplift();
    command.env("HTTPS_PROXY", receiver.url()).env("https_proxy", receiver.url()).env("ALL_PROXY", receiver.url());
    let other = Server::start_by(command, &folder.path().join("other.db"));
    add(&other, "ops", "https://localhost:1/");
    say(&other, &["notifications", "test", "ops"]).exits(1);
    assert!(receiver.got().is_empty(), "proxies are not asked");
    assert!(TcpStream::connect(("127.0.0.1", port)).is_ok(), "it was there all the time");
}

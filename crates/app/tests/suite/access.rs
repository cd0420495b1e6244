//! Tokens and TLS, as somebody sets them up.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{Server, run, uplift};

fn database(folder: &Path) -> String {
    folder.join("fleet.db").display().to_string()
}

/// Makes a token with no server about; what its owner presents.
fn make(database: &str, arguments: &[&str]) -> String {
    let made = run([&["token", "create", "--json", "--database", database], arguments].concat()).exits(0).json();
    made["token"].as_str().expect("it is shown once").to_owned()
}

fn ask(token: Option<&str>, arguments: &[&str]) -> (i32, String, String) {
    let mut command = uplift();
    if let Some(token) = token {
        command.env("UPLIFT_TOKEN", token);
    }
    let ran = command.args(arguments).output().expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (ran.status.code().unwrap_or(-1), text(ran.stdout), text(ran.stderr))
}

#[test]
fn beyond_loopback_nothing_starts_without_tokens_and_tls() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = database(folder.path());
    let serve = ["serve", "--listen", "0.0.0.0:0", "--database", &database];
    let refused = run(serve).exits(2);
    assert!(refused.err.contains("uplift token create admin --role admin"), "{}", refused.err);
    assert!(!Path::new(&database).exists(), "nothing was made");
    make(&database, &["admin", "--role", "admin"]);
    let refused = run(serve).exits(2);
    assert!(refused.err.contains("--tls-cert") && refused.err.contains("--behind-proxy"), "{}", refused.err);
    let refused = run([&serve[..], &["--tls-cert", "missing.pem", "--tls-key", "missing.pem"]].concat()).exits(1);
    assert!(refused.err.contains("cannot read missing.pem"), "{}", refused.err);
    let refused = run(["serve", "--listen", "127.0.0.1:0", "--tls-cert", "a.pem", "--database", &database]).exits(2);
    assert!(refused.err.contains("--tls-key"), "{}", refused.err);
    // Behind a proxy tokens are asked for on the loopback interface, too.
    let empty = folder.path().join("empty.db").display().to_string();
    let refused = run(["serve", "--listen", "127.0.0.1:0", "--behind-proxy", "--database", &empty]).exits(2);
    assert!(refused.err.contains("token create"), "{}", refused.err);
}

#[test]
fn a_server_with_tokens_and_tls() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = database(folder.path());
    let admin = make(&database, &["admin", "--role", "admin"]);
    let viewer = make(&database, &["viewer", "--role", "viewer", "--expires-in", "1d"]);

    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).expect("it is written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("it is written");
    let settings = folder.path().join("uplift.toml");
    std::fs::write(&settings, "[access]\ntokens = \"always\"\n").expect("they are written");
    let mut command = uplift();
    command.args(["serve", "--listen", "127.0.0.1:0", "--database", &database, "--config"]).arg(&settings);
    command.arg("--tls-cert").arg(&certificate).arg("--tls-key").arg(&key);
    let server = Server::started(command);
    let port = server.address.rsplit(':').next().expect("a port").to_owned();
    let url = format!("https://localhost:{port}");

    let status = |token: Option<&str>, trusted: bool| {
        let mut command: Command = uplift();
        if let Some(token) = token {
            command.env("UPLIFT_TOKEN", token);
        }
        if trusted {
            command.env("SSL_CERT_FILE", &certificate);
        }
        let ran = command.args(["status", "--json", "--server", &url]).output().expect("it runs");
        (ran.status.code(), String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned())
    };
    let (code, said) = status(Some(&viewer), true);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = status(None, true);
    assert!(code == Some(1) && said.contains("needs a token"), "{said}");
    let (code, said) = status(Some("uplift_nonsense"), true);
    assert!(code == Some(1) && said.contains("opens nothing"), "{said}");
    // Whoever does not trust the certificate learns nothing, nor does whoever speaks without TLS.
    assert_eq!(status(Some(&viewer), false).0, Some(1));
    let (code, ..) = ask(Some(&viewer), &["status", "--server", &format!("http://localhost:{port}")]);
    assert_eq!(code, 1);

    let by_admin = |arguments: &[&str]| {
        let mut command = uplift();
        command.env("UPLIFT_TOKEN", &admin).env("SSL_CERT_FILE", &certificate).args(arguments);
        let ran = command.args(["--server", &url, "--json"]).output().expect("it runs");
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        serde_json::from_slice::<Value>(&ran.stdout).expect("JSON")
    };
    let listed = by_admin(&["token", "list"]);
    let names: Vec<_> =
        listed["items"].as_array().into_iter().flatten().map(|token| token["name"].as_str()).collect();
    assert_eq!(names, [Some("viewer"), Some("admin")]);
    by_admin(&["token", "revoke", "viewer"]);
    let (code, said) = status(Some(&viewer), true);
    assert!(code == Some(1) && said.contains("opens nothing"), "{said}");
    assert_eq!(server.end_by("-TERM"), 0);
}

#[test]
fn tokens_are_shown_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = database(folder.path());
    let secret = make(&database, &["researcher", "--role", "agent", "--entity", "production:agent/researcher"]);
    assert!(secret.starts_with("uplift_") && secret.len() == 50, "{secret}");
    let listed = run(["token", "list", "--database", &database]).exits(0).out;
    assert!(listed.contains("production:agent/researcher") && !listed.contains(&secret), "{listed}");
    let bytes = std::fs::read(&database).expect("the file");
    let secret = secret.as_bytes();
    assert!(!bytes.windows(secret.len()).any(|window| window == secret), "the token itself is not stored");
    for (arguments, said) in [
        (&["researcher", "--role", "viewer"][..], "in force"),
        (&["x", "--role", "agent"], "whom it stands for"),
        (&["x", "--role", "agent", "--entity", "researcher"], "agent/NAME"),
    ] {
        let refused = run([&["token", "create", "--database", &database], arguments].concat()).exits(1);
        assert!(refused.err.contains(said), "{}", refused.err);
    }
    run(["token", "create", "x", "--role", "viewer", "--entity", "agent/a", "--database", &database]).exits(2);
    run(["token", "revoke", "researcher", "--database", &database]).exits(0);
    run(["token", "revoke", "researcher", "--database", &database]).exits(1);
}

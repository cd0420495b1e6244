//! Bodies that never end, are too large or no text, and headers without end, on every route.
#![allow(clippy::unwrap_used)]

mod common;

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::Method;
use common::{Answer, FORMS, Server};
use futures::StreamExt;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use uplift_web::ConnectionLimits;

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

/// Routes that read no body: what is sent with them is left alone.
const WITHOUT_BODY: &[&str] = &["/start", "/test", "/retry", "/v1/metrics"];

/// Every route of the API that takes a body, as it is described, with 1 in the place of names and numbers.
async fn routes(server: &Server) -> Vec<(Method, String)> {
    let described = server.get("/api/openapi.json").await.json();
    let mut routes = Vec::new();
    for (path, methods) in described["paths"].as_object().unwrap() {
        for method in ["post", "put"].into_iter().filter(|method| methods[*method].is_object()) {
            if WITHOUT_BODY.iter().any(|end| path.ends_with(end)) {
                continue;
            }
            let parts = path.split('/').map(|part| match part {
                "{entity_type}" => "agent",
                part if part.starts_with('{') => "1",
                part => part,
            });
            routes.push((method.to_uppercase().parse().unwrap(), parts.collect::<Vec<_>>().join("/")));
        }
    }
    assert!(routes.len() > 25, "{routes:?}");
    routes
}

async fn assert_nothing_is_on_record(server: &Server) {
    for path in ["/api/events", "/api/tasks", "/api/entities", "/api/improvements"] {
        assert_eq!(server.get(path).await.json()["items"], serde_json::json!([]), "{path}");
    }
}

/// These bytes, and then one a second, for longer than anybody waits.
fn trickle(first: &'static str) -> Body {
    let rest = futures::stream::repeat(Bytes::from_static(b" ")).take(3_600).then(|byte| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        byte
    });
    let bytes = futures::stream::once(std::future::ready(Bytes::from_static(first.as_bytes()))).chain(rest);
    Body::from_stream(bytes.map(Ok::<_, Infallible>))
}

/// Sends it to every route and form; what each answered.
async fn everywhere(server: &Server, body: impl Fn(&str) -> Body) -> Vec<(String, Answer)> {
    let forms = FORMS.iter().map(|path| (Method::POST, (*path).to_owned(), FORM));
    let routes = routes(server).await.into_iter().map(|(method, path)| (method, path, JSON));
    let mut answers = Vec::new();
    for (method, path, media_type) in routes.chain(forms) {
        let headers = [("content-type", media_type)];
        let answer = server.request(method.clone(), &path, &headers, body(media_type)).await;
        answers.push((format!("{method} {path}"), answer));
    }
    answers
}

#[tokio::test]
async fn a_body_that_never_ends_is_given_up_on_every_route() {
    let server = Server::new();
    // The clock is the test's: it goes on where everybody waits.
    tokio::time::pause();
    let answers = everywhere(&server, |media_type| trickle(if media_type == JSON { "{" } else { "token=x&next=" }));
    for (route, answer) in answers.await {
        assert_eq!(answer.status.as_u16(), 408, "{route}: {answer:?}");
    }
    tokio::time::resume();
    assert_eq!(server.get("/healthz").await.status.as_u16(), 200);
    assert_nothing_is_on_record(&server).await;
}

/// Whether it was refused, or nothing was found in it: telemetry may hold fields that nobody knows.
fn is_nothing(answer: &Answer) -> bool {
    let empty = |answer: &Answer| answer.json()["accepted"] == 0 || answer.json() == serde_json::json!({});
    (400..=422).contains(&answer.status.as_u16()) || answer.status.as_u16() == 200 && empty(answer)
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_on_every_route() {
    let server = Server::new();
    // Beyond what any route takes as one piece, but for those that take piece after piece.
    let large = Bytes::from([b"{\"a\":\"", &vec![b'x'; 3 << 20][..], b"\"}"].concat());
    for (route, answer) in everywhere(&server, |_| Body::from(large.clone())).await {
        let status = answer.status.as_u16();
        let in_pieces = ["/api/events", "/v1/"].iter().any(|path| route.contains(path));
        assert!(status == 413 || in_pieces && is_nothing(&answer), "{route}: {answer:?}");
    }
}

#[tokio::test]
async fn a_body_that_is_no_text_is_refused_on_every_route() {
    let server = Server::new();
    for bytes in [&b"\xff\xfe\x00\x01"[..], b"{\"\xff\": 1}", b"\0\0\0\0", b"[[[[[[[[", b"\"", b"1e999"] {
        for (route, answer) in everywhere(&server, |_| Body::from(bytes.to_vec())).await {
            // A form of anything is a form, but none of ours.
            assert!(is_nothing(&answer), "{route} {bytes:?}: {answer:?}");
        }
    }
    let nested = format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    for (route, answer) in everywhere(&server, |_| Body::from(nested.clone())).await {
        assert!(is_nothing(&answer), "{route}: {answer:?}");
    }
    assert_nothing_is_on_record(&server).await;
}

#[tokio::test]
async fn headers_without_end_are_refused_and_others_are_answered() {
    let server = Server::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = server.router.clone();
    tokio::spawn(uplift_web::serve(listener, router, ConnectionLimits::default(), None, std::future::pending()));
    let many = (0..1_000).fold(String::new(), |all, number| all + &format!("x-{number}: y\r\n"));
    for (what, head) in [
        (
            "one that is long",
            format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "y".repeat(2 << 20)),
        ),
        ("very many", format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\n{many}\r\n")),
        ("a path that is long", format!("GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "y".repeat(1 << 20))),
        ("a name with a gap", "GET /healthz HTTP/1.1\r\nhost: localhost\r\nx y: z\r\n\r\n".to_owned()),
        ("a line that ends early", "GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: a\0b\r\n\r\n".to_owned()),
        (
            "two lengths",
            "POST /login HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\nabcde"
                .to_owned(),
        ),
        ("no method of ours", "\u{16}\u{3}\u{1}\0\r\n\r\n".to_owned()),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // Whoever is refused early may find that nobody reads on.
        drop(stream.write_all(head.as_bytes()).await);
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer).await);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let refused = answer.is_empty()
            || ["400", "414", "431"].iter().any(|code| answer.starts_with(&format!("HTTP/1.1 {code}")));
        assert!(refused, "{what}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), usize::from(!answer.is_empty()), "one answer: {answer}");
    }
    assert_eq!(server.get("/healthz").await.status.as_u16(), 200);
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// Values that would be somewhere else, something else, or nothing.
const EVIL: &[&str] = &[
    "..",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "..%5c..%5cwindows",
    "%00",
    "a%00b",
    "%ff%fe",
    "%c0%ae%c0%ae",
    "%0d%0aset-cookie:%20a=b",
    "-1",
    "9223372036854775808",
    "%EF%BC%91",
    "'%20OR%201=1%20--",
    "%3Cscript%3Ealert(1)%3C/script%3E",
];

fn holds(answer: &Answer, what: &str) -> bool {
    answer.text.contains(what)
        || answer.headers.values().any(|value| String::from_utf8_lossy(value.as_bytes()).contains(what))
}

#[tokio::test]
async fn paths_and_queries_lead_nowhere_else() {
    let server = Server::new();
    let described = server.get("/api/openapi.json").await.json();
    let long = "a".repeat(8_000);
    let evil: Vec<&str> = EVIL.iter().copied().chain([long.as_str()]).collect();
    let mut asked = 0;
    let paths = described["paths"].as_object().unwrap().iter();
    let api = paths.filter(|(_, methods)| methods["get"].is_object()).map(|(path, methods)| {
        let of = |place: &str| -> Vec<String> {
            let parameters = methods["get"]["parameters"].as_array().into_iter().flatten();
            parameters.filter(|one| one["in"] == place).map(|one| text(&one["name"])).collect()
        };
        (path.clone(), of("query"))
    });
    let pages = [
        ("/opportunities", vec!["status", "kind", "source", "impact", "agent", "cursor", "done"]),
        ("/opportunities/{id}", vec!["done"]),
        ("/improvements", vec!["status", "agent", "cursor", "done"]),
        ("/improvements/{id}", vec!["done"]),
        ("/entities", vec!["type", "cursor"]),
        ("/entities/{entity_type}/{entity}", vec!["done"]),
        ("/entities/agent/1/revisions/{revision}", vec![]),
        ("/tasks", vec!["outcome", "errors", "session", "agent", "cursor"]),
        ("/tasks/{task_id}", vec![]),
        ("/analytics", vec!["days"]),
        ("/alerts", vec!["all", "cursor", "done"]),
        ("/audit", vec!["actor", "cursor"]),
        ("/settings", vec!["done"]),
        ("/login", vec!["next"]),
        ("/ui/{file}", vec![]),
    ];
    let pages = pages.map(|(path, query)| (path.to_owned(), query.into_iter().map(str::to_owned).collect()));
    for (path, query) in api.chain(pages) {
        // Listening goes on for ever.
        if path == "/api/changes" {
            continue;
        }
        for value in &evil {
            if path.contains('{') {
                let place: Vec<_> =
                    path.split('/').map(|part| if part.starts_with('{') { *value } else { part }).collect();
                let place = place.join("/");
                let answer = server.get(&place).await;
                assert!(answer.status.is_client_error(), "{place}: {answer:?}");
                innocent(&place, &answer);
            }
            let place = path
                .split('/')
                .map(|part| if part.starts_with('{') { "1" } else { part })
                .collect::<Vec<_>>()
                .join("/");
            for name in &query {
                let place = format!("{place}?{name}={value}");
                let answer = server.get(&place).await;
                assert!(!answer.status.is_server_error(), "{place}: {answer:?}");
                innocent(&place, &answer);
                asked += 1;
            }
        }
    }
    assert!(asked > 500, "{asked}");
}

/// Nothing of what was asked for got into the answer as what it is not.
fn innocent(place: &str, answer: &Answer) {
    assert!(!holds(answer, "root:"), "{place}: {answer:?}");
    assert!(answer.headers.get("set-cookie").is_none(), "{place}: {answer:?}");
    if answer.header("content-type").starts_with("text/html") {
        assert!(!answer.text.contains("<script>"), "{place}: {}", answer.text);
    } else {
        assert!(
            answer.header("content-type").contains("json") || answer.text.is_empty() || !answer.text.contains('<'),
            "{place}"
        );
    }
    assert_eq!(answer.header("x-content-type-options"), "nosniff", "{place}");
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

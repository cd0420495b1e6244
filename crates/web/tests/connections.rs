//! Connections over real sockets: those that are quiet are closed, the others are not, and there are only so many.
#![allow(clippy::unwrap_used, reason = "all of it is a test: what is unexpected should stop it")]

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::get;
use common::Server;
use futures::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use uplift_web::{ConnectionLimits, serve};

/// So short that the tests are over soon. Nothing here depends on how long it is.
const QUIET: Duration = Duration::from_millis(40);
const ASK: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
const LAST: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
/// What every connection over HTTP/2 begins with, and no settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// A server, how to stop it, and its end.
async fn start(router: Router, most: u32, quiet: Duration) -> (SocketAddr, oneshot::Sender<()>, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let limits = ConnectionLimits { most, quiet };
    let ended = tokio::spawn(serve(listener, router, limits, None, async { drop(stopped.await) }));
    (address, stop, ended)
}

/// Reads to the end, which an answer that was cut off has, too.
async fn rest(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let mut part = [0; 1_024];
    while let Ok(length @ 1..) = stream.read(&mut part).await {
        all.extend_from_slice(&part[..length]);
    }
    String::from_utf8_lossy(&all).into_owned()
}

async fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    rest(&mut stream).await
}

/// Sends a byte at a time, again and again, until the other side has closed the connection.
async fn trickle(mut stream: TcpStream, bytes: &'static [u8]) -> String {
    let (mut read, mut write) = stream.split();
    let mut all = Vec::new();
    let sending = async {
        for byte in bytes.iter().chain(std::iter::repeat(&b'x')) {
            if write.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        _ = read.read_to_end(&mut all) => {}
        () = sending => {}
    }
    String::from_utf8_lossy(&all).into_owned()
}

#[tokio::test]
async fn clients_that_never_finish_their_headers_are_cut_off() {
    let server = Server::new();
    let (address, stop, ended) = start(server.router.clone(), 100, QUIET).await;
    let beginnings: [&[u8]; 5] = [
        b"",
        b"P",
        b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nx-long: ",
        &PREFACE[..20],
        // A header frame of 16,000 bytes.
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\x3e\x80\x01\x04\0\0\0\x01",
    ];
    for beginning in beginnings {
        let stream = TcpStream::connect(address).await.unwrap();
        let said = trickle(stream, beginning).await;
        assert!(!said.contains("200 OK"), "{beginning:?}: {said}");
        // One that says nothing more at all.
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(beginning).await.unwrap();
        rest(&mut stream).await;
    }
    assert!(exchange(address, LAST).await.starts_with("HTTP/1.1 200 OK"));
    drop(stop);
    ended.await.unwrap();
}

#[tokio::test]
async fn a_connection_is_closed_between_requests_only() {
    let slow = || async {
        tokio::time::sleep(QUIET * 5).await;
        let pieces = futures::stream::iter(0..3).then(|_| async {
            tokio::time::sleep(QUIET * 5).await;
            Ok::<_, std::io::Error>(Bytes::from_static(b"piece "))
        });
        Body::from_stream(pieces)
    };
    let (address, stop, ended) = start(Router::new().route("/slow", get(slow)), 100, QUIET).await;
    let said = exchange(address, b"GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert!(said.starts_with("HTTP/1.1 200 OK") && said.matches("piece").count() == 3, "{said}");
    drop(stop);
    ended.await.unwrap();
}

#[tokio::test]
async fn those_beyond_the_limit_wait_for_their_turn() {
    let server = Server::new();
    let (address, stop, ended) = start(server.router.clone(), 2, QUIET).await;
    let mut idle = Vec::new();
    for _ in 0..6 {
        idle.push(TcpStream::connect(address).await.unwrap());
    }
    // Two of them have the places until they are closed, then the next two.
    assert!(exchange(address, LAST).await.starts_with("HTTP/1.1 200 OK"));
    drop(stop);
    ended.await.unwrap();
}

#[tokio::test]
async fn asked_to_stop_it_answers_what_it_was_asked_and_ends() {
    let (begun, begins) = oneshot::channel();
    let begun = std::sync::Mutex::new(Some(begun));
    let (let_go, go) = tokio::sync::watch::channel(false);
    let begun = std::sync::Arc::new(begun);
    let route = move || {
        let (begun, mut go) = (begun.clone(), go.clone());
        async move {
            begun.lock().unwrap().take().unwrap().send(()).unwrap();
            drop(go.wait_for(|go| *go).await);
            "done"
        }
    };
    let router = Router::new().route("/", get(route));
    let (address, stop, ended) = start(router, 100, QUIET * 10).await;
    // One that asks nothing, one over HTTP/2, and one that was answered and stays open.
    let idle = TcpStream::connect(address).await.unwrap();
    let mut second = TcpStream::connect(address).await.unwrap();
    second.write_all(PREFACE).await.unwrap();
    let mut kept = TcpStream::connect(address).await.unwrap();
    kept.write_all(ASK).await.unwrap();
    assert!(kept.read_u8().await.is_ok());
    let asked = tokio::spawn(exchange(address, b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"));
    begins.await.unwrap();
    drop(stop);
    // It listens no more once it was told, though one request is not yet answered.
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!ended.is_finished());
    let_go.send_replace(true);
    let said = asked.await.unwrap();
    assert!(said.starts_with("HTTP/1.1 200 OK") && said.ends_with("done"), "{said}");
    ended.await.unwrap();
    drop((idle, second, kept));
}

//! Over a real connection: what a client sees that is still sending when the answer is ready.

mod common;

use std::net::SocketAddr;

use common::{Server, lines};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use uplift_model::Policy;
use uplift_model::policy::IntakePolicy;
use uplift_web::ConnectionLimits;

async fn serve(server: &Server) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let router = server.router.clone();
    tokio::spawn(uplift_web::serve(listener, router, ConnectionLimits::default(), None, std::future::pending()));
    Ok(address)
}

/// Sends all of it, then reads the answer to its end.
async fn exchange(address: SocketAddr, head: &str, body: &[u8]) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let head = format!("{head}\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn a_refused_client_gets_its_answer_though_it_is_still_sending() -> std::io::Result<()> {
    let intake = IntakePolicy { max_body_bytes: 100_000, ..IntakePolicy::default() };
    let server = Server::with(Policy { intake, ..Policy::default() });
    let address = serve(&server).await?;
    let body = lines(12_000);
    let length = body.len();
    assert!((2_000_000..4_000_000).contains(&length));
    let head = format!("POST /api/events HTTP/1.1\r\nContent-Length: {length}");
    let answer = exchange(address, &head, body.as_bytes()).await?;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("body_too_large"), "{answer}");
    let held = server.engine.try_admit(usize::MAX);
    let answer = exchange(address, &head, body.as_bytes()).await?;
    assert!(answer.starts_with("HTTP/1.1 429") && answer.contains("retry-after: 1"), "{answer}");
    drop(held);
    Ok(())
}

#[tokio::test]
async fn a_chunked_body_is_read_as_it_arrives() -> std::io::Result<()> {
    let server = Server::new();
    let address = serve(&server).await?;
    let text = lines(500);
    let mut body = Vec::new();
    for part in text.as_bytes().chunks(997) {
        body.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
        body.extend_from_slice(part);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"0\r\n\r\n");
    let head = "POST /api/events HTTP/1.1\r\nTransfer-Encoding: chunked";
    let answer = exchange(address, head, &body).await?;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"accepted\":500"), "{answer}");
    Ok(())
}

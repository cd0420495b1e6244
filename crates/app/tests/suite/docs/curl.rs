//! What the pages ask of `curl`, which need not be there: the flags that they use, and no others.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use crate::support::PATIENCE;

/// A request as a command line says it.
#[derive(Debug, Default, PartialEq)]
struct Request {
    method: Option<String>,
    url: String,
    headers: Vec<String>,
    body: Option<Vec<u8>>,
    /// Print the head of the answer, too.
    head: bool,
}

/// An answer.
pub struct Answer {
    pub status: u16,
    /// What `curl` would print.
    pub printed: String,
}

/// Does what `curl` would do with these words.
pub fn run(words: &[String], folder: &Path, input: &[u8]) -> Result<Answer, String> {
    let request = parse(words, folder, input)?;
    let address = request.url.strip_prefix("http://").unwrap_or(&request.url);
    let (address, path) = address.split_once('/').ok_or_else(|| format!("{} has no path", request.url))?;
    let method = request.method.as_deref().unwrap_or(if request.body.is_some() { "POST" } else { "GET" });
    let body = request.body.unwrap_or_default();
    // HTTP/1.0: the answer ends with the connection and is never chunked.
    let mut head = format!("{method} /{path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: {}\r\n", body.len());
    for header in &request.headers {
        head.extend([header, "\r\n"]);
    }
    let (head_sent, body_sent) = (format!("{head}\r\n").into_bytes(), body);
    let answer =
        exchange(address, &[head_sent, body_sent].concat()).map_err(|error| format!("{address}: {error}"))?;
    let text = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").ok_or("the answer broke off")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or("no status")?;
    let printed = if request.head { format!("{}\n\n{body}", head.replace('\r', "")) } else { body.to_owned() };
    Ok(Answer { status, printed })
}

fn exchange(address: &str, request: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}

fn parse(words: &[String], folder: &Path, input: &[u8]) -> Result<Request, String> {
    let mut request = Request::default();
    let mut words = words.iter().cloned();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} says nothing"));
        match word.as_str() {
            "-s" | "-S" | "-sS" => {}
            "-i" => request.head = true,
            "-X" => request.method = Some(value()?),
            "-H" => request.headers.push(value()?),
            "-d" | "--data-binary" => request.body = Some(data(&value()?, folder, input)?),
            flag if flag.starts_with('-') => return Err(format!("the flag {flag} of curl is not known here")),
            url if request.url.is_empty() => url.clone_into(&mut request.url),
            other => return Err(format!("`{other}`: a second address")),
        }
    }
    let typed = request.headers.iter().any(|header| header.to_ascii_lowercase().starts_with("content-type:"));
    if request.body.is_some() && !typed {
        request.headers.push("Content-Type: application/x-www-form-urlencoded".to_owned());
    }
    Ok(request)
}

fn data(value: &str, folder: &Path, input: &[u8]) -> Result<Vec<u8>, String> {
    match value.strip_prefix('@') {
        None => Ok(value.as_bytes().to_vec()),
        Some("-") => Ok(input.to_vec()),
        Some(file) => std::fs::read(folder.join(file)).map_err(|error| format!("{file}: {error}")),
    }
}

#[test]
fn what_is_not_known_is_refused() {
    let parse = |line: &str| {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        parse(&words, Path::new("."), b"in")
    };
    let request = parse("-sS -X PUT a:1/b -H x:y -d @-").unwrap();
    assert_eq!((request.method.as_deref(), request.body.as_deref()), (Some("PUT"), Some(&b"in"[..])));
    assert_eq!(request.headers, ["x:y", "Content-Type: application/x-www-form-urlencoded"]);
    assert!(parse("-k a:1/b").is_err() && parse("a:1/b c:1/d").is_err() && parse("a -H").is_err());
}

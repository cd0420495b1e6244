//! `uplift mcp`: the tools for agents over standard input and output, for clients that start their servers themselves.
//!
//! It passes each message on to `/mcp`: of a server, or of this process over the database. So there is one place where
//! tools are written, and one where it is checked who may use them.

use std::process::ExitCode;

use anyhow::{Context, bail};
use axum::http::StatusCode;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use super::block_on;
use crate::api::{self, Api, Endpoint};

/// Longest message, bytes: a proposal may hold a whole instruction.
const MAX_MESSAGE: u64 = 1024 * 1024;
/// Where a message of the stateless protocol says its version.
const META_VERSION: &str = "/params/_meta/io.modelcontextprotocol~1protocolVersion";
/// Codes of JSON-RPC.
const PARSE_ERROR: i64 = -32700;
const SERVER_ERROR: i64 = -32000;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The agent that is connected, where its token does not say
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    /// The agent's environment
    #[arg(long, value_name = "NAME", requires = "agent")]
    environment: Option<String>,
    #[command(flatten)]
    look: api::Args,
}

/// Answers until the input ends.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let path = Endpoint::new(["mcp"]).with("agent", args.agent).with("environment", args.environment);
    block_on(args.look.making(async |api| Pipe { api, path: &path, version: None }.run().await))?;
    Ok(ExitCode::SUCCESS)
}

struct Pipe<'a> {
    api: &'a Api,
    path: &'a Endpoint,
    /// The version of the protocol that was agreed on.
    version: Option<String>,
}

impl Pipe<'_> {
    async fn run(mut self) -> anyhow::Result<()> {
        let mut input = BufReader::new(tokio::io::stdin());
        let mut output = tokio::io::stdout();
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = (&mut input).take(MAX_MESSAGE + 1).read_until(b'\n', &mut line).await;
            match read.context("standard input cannot be read")? {
                0 => return Ok(()),
                length if length as u64 > MAX_MESSAGE => bail!("a message has more than {MAX_MESSAGE} bytes"),
                _ => {}
            }
            if line.trim_ascii().is_empty() {
                continue;
            }
            if let Some(answer) = self.answer(&line).await {
                // On one line, whatever the answer came as.
                output.write_all(format!("{answer}\n").as_bytes()).await?;
                output.flush().await?;
            }
        }
    }

    /// The answer to a message; none where none is due.
    async fn answer(&mut self, line: &[u8]) -> Option<Value> {
        let message: Value = match serde_json::from_slice(line) {
            Ok(message) => message,
            Err(error) => return Some(failure(&Value::Null, PARSE_ERROR, &format!("not JSON: {error}"))),
        };
        let id = message.get("id").cloned();
        let method = message.get("method").and_then(Value::as_str).unwrap_or_default().to_owned();
        let headers = self.headers(&message, &method);
        let answered = self.api.exchange(self.path, &headers, message.to_string()).await;
        let (status, body) = match answered {
            Ok(answered) => answered,
            Err(error) => {
                tracing::error!("{error:#}");
                return id.map(|id| failure(&id, SERVER_ERROR, &format!("{error:#}")));
            }
        };
        let answer: Option<Value> = serde_json::from_slice(&body).ok();
        let id = id?;
        let Some(answer) = answer.filter(|answer| answer.get("jsonrpc").is_some()) else {
            return Some(failure(&id, SERVER_ERROR, &refusal(status, &body)));
        };
        if method == "initialize" {
            self.version = answer.pointer("/result/protocolVersion").and_then(Value::as_str).map(str::to_owned);
        }
        Some(answer)
    }

    /// What HTTP says in headers, and messages say in themselves.
    fn headers(&self, message: &Value, method: &str) -> Vec<(&'static str, String)> {
        let mut headers = vec![("accept", "application/json, text/event-stream".to_owned())];
        let own = message.pointer(META_VERSION).and_then(Value::as_str).map(str::to_owned);
        if let Some(version) = own.or_else(|| self.version.clone()).filter(|_| method != "initialize") {
            headers.push(("mcp-protocol-version", version));
        }
        if !method.is_empty() {
            headers.push(("mcp-method", header(method)));
        }
        let name = ["/params/name", "/params/uri"].iter().find_map(|place| message.pointer(place)?.as_str());
        if let Some(name) = name {
            headers.push(("mcp-name", header(name)));
        }
        headers
    }
}

/// A value as a header can hold it.
fn header(value: &str) -> String {
    let plain = value.bytes().all(|byte| (0x20..0x7f).contains(&byte)) && value.trim() == value;
    if plain && !value.starts_with("=?base64?") {
        return value.to_owned();
    }
    format!("=?base64?{}?=", BASE64_STANDARD.encode(value))
}

fn failure(id: &Value, code: i64, message: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})
}

/// What a refusal says that is no message of the protocol.
fn refusal(status: StatusCode, body: &[u8]) -> String {
    let problem: Option<Value> = serde_json::from_slice(body).ok();
    let said = problem.as_ref().and_then(|problem| problem["detail"].as_str()).map(crate::text::clean);
    said.unwrap_or_else(|| format!("the server answered with {status}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_hold_what_they_can() {
        assert_eq!(header("tools/call"), "tools/call");
        assert_eq!(header("naïve"), "=?base64?bmHDr3Zl?=");
        assert_eq!(header(" x"), "=?base64?IHg=?=");
        assert_eq!(header("a\nb"), "=?base64?YQpi?=");
    }
}

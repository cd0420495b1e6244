//! Where the looking commands get their data: the HTTP API of a server, or the same API in this process over the
//! database file. Either way a command asks for a path and gets the API's JSON, so there is one shape to show.

use anyhow::{Context, anyhow, bail};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use reqwest::Url;
use serde_json::Value;
use tokio::sync::OnceCell;
use tower::ServiceExt;
use uplift_runner::Engine;

use crate::database::{self, Opened};
use crate::lock::Holder;
use crate::usage::Misuse;

/// Largest answer taken from a server or from ourselves.
const MAX_ANSWER_BYTES: usize = 64 << 20;
/// The environment variable that holds the token to show to a server.
pub(crate) const TOKEN: &str = "UPLIFT_TOKEN";
/// Stands for this process in addresses; nothing is ever sent there.
const HERE: &str = "http://localhost/";

/// Where to look: options that every looking command has.
#[derive(Debug, Clone, Default, clap::Args)]
// Without a group of their own: the names of groups must differ within a command.
#[group(skip)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) database: database::Args,
    #[arg(
        long,
        value_name = "URL",
        global = true,
        conflicts_with = "database",
        help = "Ask this server instead of reading the file, such as http://127.0.0.1:7878 [env: UPLIFT_SERVER]"
    )]
    pub(crate) server: Option<String>,
    /// Print JSON, in the shape of the HTTP API
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) settings: crate::config::Args,
}

/// Something that answers like the HTTP API.
pub(crate) enum Api {
    /// In this process.
    Here(Here),
    /// A server.
    There(Client),
}

/// The API of this process.
pub(crate) struct Here {
    router: Router,
    engine: Engine,
    // What was set at run time is taken over before the first answer.
    restored: OnceCell<()>,
}

/// A server and how to reach it.
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
}

/// A path of the API with its query: segments are encoded, so names may hold anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    segments: Vec<String>,
    query: Vec<(&'static str, String)>,
}

impl Endpoint {
    /// From its segments.
    pub(crate) fn new(segments: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { segments: segments.into_iter().map(Into::into).collect(), query: Vec::new() }
    }

    /// With a query parameter, if it has a value.
    pub(crate) fn with(mut self, name: &'static str, value: Option<impl ToString>) -> Self {
        self.query.extend(value.map(|value| (name, value.to_string())));
        self
    }

    fn under(&self, base: &Url) -> anyhow::Result<Url> {
        let mut url = base.clone();
        url.path_segments_mut()
            .map_err(|()| anyhow!("{base} cannot have a path"))?
            .pop_if_empty()
            .extend(&self.segments);
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        Ok(url)
    }
}

impl Args {
    /// The server that was named on the command line, or in the environment where no database was named.
    pub(crate) fn server(&self) -> Option<String> {
        named_server(self.server.as_deref(), self.database.database.is_some())
    }

    /// For reading: a server if one was named, else the file, whoever has it open.
    pub(crate) async fn reading(&self) -> anyhow::Result<Api> {
        if let Some(server) = self.server() {
            return Client::new(&server).map(Api::There);
        }
        let engine = self.database.place()?.read_only(self.settings.load()?.policy).await?;
        Ok(Api::over(engine))
    }

    /// Asks for something that changes the database: of the server that has it open, else directly.
    pub(crate) async fn change(&self, path: &Endpoint, body: &Value) -> anyhow::Result<Value> {
        self.writing(async |api| api.post(path, body).await).await
    }

    /// For work that reads and changes a database that exists: with the server that has it open, else directly.
    pub(crate) async fn writing<T>(&self, work: impl AsyncFnOnce(&Api) -> anyhow::Result<T>) -> anyhow::Result<T> {
        if self.server().is_none() {
            let place = self.database.place()?;
            if !place.may_exist() {
                // The same words as for reading.
                place.read_only(uplift_model::Policy::default()).await?;
            }
        }
        self.making(work).await
    }

    /// The same; a database that does not exist is made.
    pub(crate) async fn making<T>(&self, work: impl AsyncFnOnce(&Api) -> anyhow::Result<T>) -> anyhow::Result<T> {
        if let Some(server) = self.server() {
            return work(&Client::new(&server).map(Api::There)?).await;
        }
        let place = self.database.place()?;
        match place.open(&Holder::this_process(None), || Ok(self.settings.load()?.policy)).await? {
            Opened::Held(Holder { url: Some(url), .. }) => work(&Client::new(&url).map(Api::There)?).await,
            Opened::Held(holder) => bail!("{place} is being written by {holder}: try again when it is done"),
            Opened::Ours(store) => {
                let done = work(&Api::over(store.engine.clone())).await;
                store.close().await;
                done
            }
        }
    }
}

/// The command line stands above the environment.
pub(crate) fn named_server(option: Option<&str>, database_named: bool) -> Option<String> {
    let from_environment = || std::env::var("UPLIFT_SERVER").ok().filter(|url| !url.is_empty() && !database_named);
    option.map(str::to_owned).or_else(from_environment)
}

impl Api {
    /// The API of this process over `engine`.
    pub(crate) fn over(engine: Engine) -> Self {
        Self::Here(Here { router: crate::serve::router(engine.clone()), engine, restored: OnceCell::new() })
    }

    /// Reads.
    pub(crate) async fn get(&self, path: &Endpoint) -> anyhow::Result<Value> {
        self.send(Method::GET, path, None).await
    }

    /// Reads what may not be there.
    pub(crate) async fn find(&self, path: &Endpoint) -> anyhow::Result<Option<Value>> {
        match self.get(path).await {
            Ok(found) => Ok(Some(found)),
            Err(error) => match error.downcast_ref::<Refused>() {
                Some(refused) if refused.code == NOT_FOUND => Ok(None),
                _ => Err(error),
            },
        }
    }

    /// Asks for something to be done.
    pub(crate) async fn post(&self, path: &Endpoint, body: &Value) -> anyhow::Result<Value> {
        self.send(Method::POST, path, Some(body)).await
    }

    /// Takes something away.
    pub(crate) async fn delete(&self, path: &Endpoint) -> anyhow::Result<Value> {
        self.send(Method::DELETE, path, None).await
    }

    /// Puts something in place.
    pub(crate) async fn put(&self, path: &Endpoint, body: &Value) -> anyhow::Result<Value> {
        self.send(Method::PUT, path, Some(body)).await
    }

    /// Posts JSON with headers; status and body of the answer, as they are.
    pub(crate) async fn exchange(
        &self,
        path: &Endpoint,
        headers: &[(&'static str, String)],
        body: String,
    ) -> anyhow::Result<(StatusCode, Vec<u8>)> {
        match self {
            Self::There(client) => {
                let mut request = client.request(Method::POST, path)?.header("content-type", "application/json");
                for (name, value) in headers {
                    request = request.header(*name, value);
                }
                let answer = client.raw(request.body(body)).await?;
                let status = answer.status();
                let bytes =
                    answer.bytes().await.with_context(|| format!("the server at {} broke off", client.base))?;
                Ok((status, bytes.to_vec()))
            }
            Self::Here(here) => here.exchange(Method::POST, path, headers, Some(body)).await,
        }
    }

    async fn send(&self, method: Method, path: &Endpoint, body: Option<&Value>) -> anyhow::Result<Value> {
        match self {
            Self::There(client) => client.send(method, path, body).await,
            Self::Here(here) => {
                let (status, bytes) = here.exchange(method, path, &[], body.map(Value::to_string)).await?;
                understand(status, &bytes)
            }
        }
    }
}

impl Here {
    async fn exchange(
        &self,
        method: Method,
        path: &Endpoint,
        headers: &[(&'static str, String)],
        body: Option<String>,
    ) -> anyhow::Result<(StatusCode, Vec<u8>)> {
        self.restored.get_or_try_init(|| self.engine.restore()).await?;
        let url = path.under(&Url::parse(HERE)?)?;
        let mut request = Request::builder()
            .method(method)
            .uri(url.as_str())
            .header("host", "localhost")
            .header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = request.body(body.map_or_else(Body::empty, Body::from))?;
        let answer = self.router.clone().oneshot(request).await?;
        let status = answer.status();
        let bytes = to_bytes(answer.into_body(), MAX_ANSWER_BYTES).await?;
        Ok((status, bytes.to_vec()))
    }
}

impl Client {
    /// A client of the server at `url`.
    pub(crate) fn new(url: &str) -> anyhow::Result<Self> {
        let base = Url::parse(url)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| {
                Misuse::error(format!("`{url}` is not the address of a server, such as http://127.0.0.1:7878"))
            })?;
        let mut headers = HeaderMap::new();
        if let Some(token) = std::env::var(TOKEN).ok().filter(|token| !token.is_empty()) {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
                .map_err(|_| Misuse::error(format!("{TOKEN} holds something that is no token")))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        Ok(Self { http: reqwest::Client::builder().default_headers(headers).build()?, base })
    }

    /// A request to an endpoint, to be given a body.
    pub(crate) fn request(&self, method: Method, path: &Endpoint) -> anyhow::Result<reqwest::RequestBuilder> {
        Ok(self.http.request(method, path.under(&self.base)?))
    }

    /// Sends a request; the answer as it is.
    pub(crate) async fn raw(&self, request: reqwest::RequestBuilder) -> anyhow::Result<reqwest::Response> {
        request.send().await.map_err(|error| self.unreachable(&error))
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> anyhow::Result<Value> {
        let answer = self.raw(request).await?;
        let status = answer.status();
        let bytes = answer.bytes().await.with_context(|| format!("the server at {} broke off", self.base))?;
        understand(status, &bytes)
    }

    async fn send(&self, method: Method, path: &Endpoint, body: Option<&Value>) -> anyhow::Result<Value> {
        let request = self.request(method, path)?;
        self.answer(match body {
            Some(body) => request.json(body),
            None => request,
        })
        .await
    }

    fn unreachable(&self, error: &reqwest::Error) -> anyhow::Error {
        let mut reason: &dyn std::error::Error = error;
        while let Some(deeper) = reason.source() {
            reason = deeper;
        }
        if error.is_connect() {
            anyhow!("no server answers at {}: {reason}; start one with `uplift serve`", self.base)
        } else {
            anyhow!("the server at {} could not be asked: {reason}", self.base)
        }
    }
}

/// The code of what is not there.
const NOT_FOUND: &str = "not_found";

/// What a problem says.
#[derive(Debug)]
pub(crate) struct Refused {
    /// Its stable code.
    code: String,
    detail: String,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Refused {}

/// An answer as JSON, or what the problem in it says.
fn understand(status: StatusCode, bytes: &[u8]) -> anyhow::Result<Value> {
    if status == StatusCode::NO_CONTENT {
        return Ok(Value::Null);
    }
    let body: Option<Value> = serde_json::from_slice(bytes).ok();
    if status.is_success() {
        return body.context("the server answered with something that is not JSON: is it uplift?");
    }
    let said = |field: &str| body.as_ref().and_then(|problem| problem[field].as_str()).map(crate::text::clean);
    let detail = said("detail").or_else(|| said("title")).unwrap_or_else(|| status.as_str().to_owned());
    Err(Refused { code: said("code").unwrap_or_default(), detail }.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded_in_paths_and_queries() {
        let path =
            Endpoint::new(["api", "entities", "agent", "a/b c?"]).with("x", Some("1&2")).with("y", None::<i64>);
        let url = path.under(&Url::parse("http://127.0.0.1:7878").unwrap()).unwrap();
        assert_eq!(url.as_str(), "http://127.0.0.1:7878/api/entities/agent/a%2Fb%20c%3F?x=1%262");
    }

    #[test]
    fn problems_are_told_in_their_own_words() {
        let problem = br#"{"title":"Not found","status":404,"detail":"there is no agent `x`"}"#;
        assert_eq!(understand(StatusCode::NOT_FOUND, problem).unwrap_err().to_string(), "there is no agent `x`");
        assert!(understand(StatusCode::OK, b"<html>").is_err());
    }

    #[test]
    fn an_address_that_is_none_is_misuse() {
        for url in ["localhost:7878", "ftp://x", "file:///x", ""] {
            assert!(Client::new(url).err().is_some_and(|error| error.is::<Misuse>()), "{url}");
        }
    }
}

//! A token in a browser: a cookie stands for it, and every form carries a token of its own.
//!
//! Nothing is stored for a session: the cookie names the token by its number, says until when it is good, and is sealed
//! with a key derived from the token's hash. So every node takes it, and it ends with the token.

use axum::http::HeaderMap;
use axum::http::header::COOKIE;
use subtle::ConstantTimeEq as _;
use uplift_model::Time;
use uplift_runner::Engine;
use uplift_runner::access::Hash;

use super::caller::Caller;

/// The cookie's name. With TLS it begins with `__Host-`, by which browsers hold it to this host and to TLS.
const PLAIN: &str = "uplift_session";
const SECURE: &str = "__Host-uplift_session";
/// What keys are derived for.
const SESSION: &str = "uplift 2026-11 session cookie";
const FORM: &str = "uplift 2026-11 form token";
/// Longest cookie that is looked at, bytes.
const MAX_COOKIE: usize = 400;
/// Microseconds of a second.
const SECOND_US: i64 = 1_000_000;

/// Keys of this process.
#[derive(Debug)]
pub(crate) struct Keys {
    /// For the forms of those who need no token.
    local: Hash,
}

impl Default for Keys {
    fn default() -> Self {
        let mut local = [0; 32];
        if getrandom::fill(&mut local).is_err() {
            // A system without randomness: the address of a fresh allocation and the hasher's keys are all there is.
            use std::hash::{BuildHasher as _, Hasher as _, RandomState};
            for part in local.chunks_mut(8) {
                part.copy_from_slice(&RandomState::new().build_hasher().finish().to_le_bytes());
            }
        }
        Self { local }
    }
}

fn sealed(purpose: &str, key: &Hash, text: &str) -> String {
    let key = blake3::derive_key(purpose, key);
    blake3::keyed_hash(&key, text.as_bytes()).to_hex().to_string()
}

fn is_same(one: &str, other: &str) -> bool {
    one.len() == other.len() && bool::from(one.as_bytes().ct_eq(other.as_bytes()))
}

/// The name of the cookie.
const fn cookie_name(tls: bool) -> &'static str {
    if tls { SECURE } else { PLAIN }
}

/// The value of the header `Set-Cookie` that begins a session with the token that was shown; none for those without.
pub(crate) fn begin(caller: &Caller, now: Time, hours: u32, tls: bool) -> Option<String> {
    let known = caller.known()?;
    let seconds = i64::from(hours) * 3_600;
    let until = now.micros() / SECOND_US + seconds;
    let body = format!("{}.{until}", known.token.id);
    let seal = sealed(SESSION, &known.hash, &body);
    Some(cookie(tls, &format!("{body}.{seal}"), seconds))
}

/// The value of the header `Set-Cookie` that ends a session.
pub(crate) fn end(tls: bool) -> String {
    cookie(tls, "", 0)
}

fn cookie(tls: bool, value: &str, seconds: i64) -> String {
    let secure = if tls { "; Secure" } else { "" };
    format!("{}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}", cookie_name(tls))
}

/// Who a session's cookie stands for; none where there is no good one.
pub(crate) fn caller(engine: &Engine, headers: &HeaderMap, tls: bool) -> Option<Caller> {
    let value = cookie_value(headers, tls)?;
    let (body, seal) = value.rsplit_once('.')?;
    let (id, until) = body.split_once('.')?;
    let (id, until): (i64, i64) = (id.parse().ok()?, until.parse().ok()?);
    let now = engine.now();
    if until <= now.micros() / SECOND_US {
        return None;
    }
    let known = engine.tokens().by_id(id, now)?;
    is_same(&sealed(SESSION, &known.hash, body), seal).then(|| Caller::with(known))
}

fn cookie_value(headers: &HeaderMap, tls: bool) -> Option<&str> {
    let name = cookie_name(tls);
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(given, value)| *given == name && !value.is_empty() && value.len() <= MAX_COOKIE)
        .map(|(_, value)| value)
}

impl Keys {
    /// What every form has to carry: bound to the session, so that a page elsewhere cannot know it.
    pub(crate) fn form_token(&self, caller: &Caller, headers: &HeaderMap, tls: bool) -> String {
        match caller.known() {
            // Bound to the cookie, so that it ends with the session.
            Some(known) => sealed(FORM, &known.hash, cookie_value(headers, tls).unwrap_or_default()),
            None => sealed(FORM, &self.local, "local"),
        }
    }

    /// Whether a form carries what it has to.
    pub(crate) fn is_form_token(&self, given: &str, caller: &Caller, headers: &HeaderMap, tls: bool) -> bool {
        is_same(&self.form_token(caller, headers, tls), given)
    }
}

//! Who asks, and whether they may.
//!
//! In reading order:
//!
//! - [`caller`]: who asks.
//! - [`rules`]: who may do what, route by route; what is in no rule is done by nobody.
//! - [`limits`]: how often.
//! - [`session`]: a token in a browser: cookies, and the tokens of forms.
//! - [`middleware`]: all of it before every request, and the audit log around those that change something.

pub(crate) mod caller;
pub(crate) mod limits;
pub(crate) mod middleware;
pub(crate) mod rules;
pub(crate) mod session;

use std::sync::Arc;

use self::limits::Limits;
use self::session::Keys;

pub(crate) use self::caller::Caller;
pub(crate) use self::middleware::client_address;

/// How a server asks for tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Guarding {
    /// Whoever shows no token is let in to what is open to everybody, and to nothing else.
    pub tokens: bool,
    /// A proxy stands before the server: the client's address is the last one in `X-Forwarded-For`.
    pub behind_proxy: bool,
    /// Browsers reach the server over TLS, so its cookies are for TLS only.
    pub tls: bool,
}

/// What the middleware can reach.
#[derive(Debug, Clone, Default)]
pub(crate) struct Access {
    pub(crate) guarding: Guarding,
    pub(crate) limits: Arc<Limits>,
    pub(crate) keys: Arc<Keys>,
}

impl Access {
    pub(crate) fn new(guarding: Guarding) -> Self {
        Self { guarding, ..Self::default() }
    }
}

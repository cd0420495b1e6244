//! The address of a database: the driver reads most of it; what says how to trust the server is read here.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use super::session::reason_of;
use super::tls::{Roots, Trust};
use crate::error::{StoreError, StoreResult};

/// How long to try to connect where the address does not say.
const PATIENCE: Duration = Duration::from_secs(5);

/// What an address says.
#[derive(Debug, Clone)]
pub(super) struct Address {
    /// For the driver. Its mode of TLS agrees with `trust`.
    pub(super) config: Config,
    pub(super) trust: Trust,
}

impl Address {
    /// Reads `postgres://user:password@host:5432/database?...`.
    pub(super) fn read(address: &str) -> StoreResult<Self> {
        let refused = |reason: String| StoreError::Open { place: "the database".to_owned(), reason };
        let (rest, own) = take_own(address).map_err(|reason| refused(reason.to_owned()))?;
        let mut config: Config = rest.parse().map_err(|error| {
            let reason = reason_of(&error);
            refused(format!("{reason} (an address looks like postgres://user:password@host:5432/database)"))
        })?;
        if config.get_application_name().is_none() {
            config.application_name("uplift");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(PATIENCE);
        }
        let (mode, trust) = own.wishes(config.get_ssl_mode()).map_err(refused)?;
        // A socket of this machine is as safe as its folder; the server offers no TLS there.
        let is_local = !config.get_hosts().is_empty() && config.get_hosts().iter().all(is_socket);
        config.ssl_mode(if is_local { SslMode::Disable } else { mode });
        Ok(Self { config, trust })
    }

    /// The server and the database, without the password and the options.
    pub(super) fn name(&self) -> String {
        name(&self.config)
    }
}

/// An address for people: without the password and the options.
pub fn public_name(address: &str) -> String {
    let config = take_own(address).ok().and_then(|(rest, _)| rest.parse().ok());
    config.map_or_else(|| "postgres://...".to_owned(), |config: Config| name(&config))
}

/// The parameters that are not the driver's, as they were given.
#[derive(Debug, Default, PartialEq, Eq)]
struct Own {
    mode: Option<String>,
    roots: Option<String>,
}

impl Own {
    /// What is wanted, with what the driver is told: it knows three modes of libpq's six.
    fn wishes(self, given: SslMode) -> Result<(SslMode, Trust), String> {
        let roots = self.roots.map(|roots| match roots.as_str() {
            "system" => Roots::Platform,
            path => Roots::File(PathBuf::from(path)),
        });
        Ok(match (self.mode.as_deref(), roots) {
            // Roots of the whole world say something about a name only.
            (Some("disable" | "allow" | "prefer" | "require" | "verify-ca"), Some(Roots::Platform)) => {
                return Err("sslrootcert=system goes with sslmode=verify-full only".to_owned());
            }
            (None, Some(Roots::Platform)) => (SslMode::Require, Trust::Name(Roots::Platform)),
            (Some("disable"), _) => (SslMode::Disable, Trust::Anybody),
            (Some("allow" | "prefer"), _) => (SslMode::Prefer, Trust::Anybody),
            // Who names roots wants them looked at: libpq does so, too.
            (Some("require"), Some(roots)) => (SslMode::Require, Trust::Chain(roots)),
            (Some("require"), None) => (SslMode::Require, Trust::Anybody),
            (Some("verify-ca"), roots) => match roots {
                Some(roots) => (SslMode::Require, Trust::Chain(roots)),
                None => return Err("sslmode=verify-ca needs sslrootcert, a file of certificates".to_owned()),
            },
            (Some("verify-full"), roots) => (SslMode::Require, Trust::Name(roots.unwrap_or(Roots::Platform))),
            (Some(_), _) => {
                let modes = "disable, prefer, require, verify-ca or verify-full";
                return Err(format!("sslmode is one of {modes}"));
            }
            (None, _) => (given, Trust::Anybody),
        })
    }
}

/// The address without the parameters that are not the driver's, and these.
fn take_own(address: &str) -> Result<(Cow<'_, str>, Own), &'static str> {
    // As the driver does: what is before the first @ is the user and the password.
    let after_user = address.find('@').map_or(0, |at| at + 1);
    let Some(at) = address[after_user..].find('?').map(|at| after_user + at) else {
        return Ok((Cow::Borrowed(address), Own::default()));
    };
    let (head, query) = (&address[..at], &address[at + 1..]);
    let (mut own, mut others) = (Own::default(), Vec::new());
    for parameter in query.split('&') {
        let Some((key, value)) = parameter.split_once('=') else {
            others.push(parameter);
            continue;
        };
        let place = match key {
            "sslmode" => &mut own.mode,
            "sslrootcert" => &mut own.roots,
            _ => {
                others.push(parameter);
                continue;
            }
        };
        let decoded = percent_encoding::percent_decode_str(value).decode_utf8();
        *place = Some(decoded.map_err(|_| "sslmode and sslrootcert are texts in UTF-8")?.into_owned());
    }
    if own == Own::default() {
        return Ok((Cow::Borrowed(address), own));
    }
    let join = if others.is_empty() { "" } else { "?" };
    Ok((Cow::Owned(format!("{head}{join}{}", others.join("&"))), own))
}

fn is_socket(host: &Host) -> bool {
    match host {
        Host::Tcp(_) => false,
        #[cfg(unix)]
        Host::Unix(_) => true,
    }
}

fn name(config: &Config) -> String {
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        #[cfg(unix)]
        Some(Host::Unix(path)) => path.display().to_string(),
        None => "localhost".to_owned(),
    };
    let port = config.get_ports().first().map(|port| format!(":{port}")).unwrap_or_default();
    let database = config.get_dbname().or_else(|| config.get_user()).unwrap_or("postgres");
    let user = config.get_user().map(|user| format!("{user}@")).unwrap_or_default();
    format!("postgres://{user}{host}{port}/{database}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> Roots {
        Roots::File(PathBuf::from(path))
    }

    #[test]
    fn an_address_says_how_far_the_server_is_trusted() {
        use SslMode::{Disable, Prefer, Require};
        for (query, mode, trust) in [
            ("", Prefer, Trust::Anybody),
            ("?sslmode=disable", Disable, Trust::Anybody),
            ("?sslmode=allow", Prefer, Trust::Anybody),
            ("?sslmode=prefer&sslrootcert=/a.pem", Prefer, Trust::Anybody),
            ("?sslmode=require", Require, Trust::Anybody),
            ("?sslmode=require&sslrootcert=/a.pem", Require, Trust::Chain(file("/a.pem"))),
            ("?sslrootcert=%2Fa%20b.pem&sslmode=verify-ca", Require, Trust::Chain(file("/a b.pem"))),
            ("?sslmode=verify-full", Require, Trust::Name(Roots::Platform)),
            ("?sslmode=verify-full&sslrootcert=system", Require, Trust::Name(Roots::Platform)),
            ("?sslrootcert=system", Require, Trust::Name(Roots::Platform)),
            ("?sslmode=verify-full&sslrootcert=/a.pem", Require, Trust::Name(file("/a.pem"))),
            ("?options=-csearch_path%3Dx&sslmode=verify-full", Require, Trust::Name(Roots::Platform)),
        ] {
            let address = Address::read(&format!("postgres://u:p%3F@h:1/d{query}")).unwrap();
            assert_eq!((address.config.get_ssl_mode(), address.trust), (mode, trust), "{query}");
            assert_eq!(address.config.get_options(), query.contains("options").then_some("-csearch_path=x"));
            assert_eq!(address.config.get_password(), Some("p?".as_bytes()));
        }
    }

    #[test]
    fn on_a_socket_there_is_no_tls() {
        let address = Address::read("postgres:///d?host=/run/postgresql&sslmode=verify-full").unwrap();
        assert_eq!(address.config.get_ssl_mode(), SslMode::Disable);
    }

    #[test]
    fn what_makes_no_sense_is_refused_without_a_word_of_the_password() {
        for (address, said) in [
            ("postgres://u:secret@h/d?sslmode=full", "sslmode is one of"),
            ("postgres://u:secret@h/d?sslmode=verify-ca", "needs sslrootcert"),
            ("postgres://u:secret@h/d?sslmode=require&sslrootcert=system", "verify-full only"),
            ("postgres://u:secret@h/d?sslrootcert=%ff", "UTF-8"),
            ("postgres://u:secret@h/d?sslkey=/a", "unknown option `sslkey`"),
            ("postgres://u:secret@h:x/d", "an address looks like"),
        ] {
            let said_so = Address::read(address).unwrap_err().to_string();
            assert!(said_so.contains(said) && !said_so.contains("secret"), "{address}: {said_so}");
        }
    }

    #[test]
    fn people_see_neither_the_password_nor_the_options() {
        for (address, seen) in [
            ("postgres://u:p@h:1/d?sslmode=verify-full&sslrootcert=/a", "postgres://u@h:1/d"),
            ("postgres://h", "postgres://h:5432/postgres"),
            ("postgres://u:p?@h/d?connect_timeout=3", "postgres://u@h:5432/d"),
            ("postgres://u:p@h/d?nonsense=1", "postgres://..."),
        ] {
            assert_eq!(public_name(address), seen);
        }
    }
}

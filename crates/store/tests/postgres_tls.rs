//! TLS to a server of PostgreSQL: who is let in, who is trusted, and that every connection goes by it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]
#![cfg(unix)]

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio_postgres::NoTls;
use uplift_store::suite::scratch::Scratch;
use uplift_store::suite::server::OwnServer;
use uplift_store::{SqlStore, SystemReads as _};

/// Everybody comes in, with TLS or without; one has to show a password, one may not come with TLS.
const RULES: &str = "hostssl all guarded 127.0.0.1/32 scram-sha-256
hostnossl all guarded 127.0.0.1/32 reject
hostnossl all plain 127.0.0.1/32 trust
hostssl all plain 127.0.0.1/32 reject
host all postgres 127.0.0.1/32 trust
";

/// A server whose certificate is for `localhost`, and the files of those who vouch for it and for another.
struct Guarded {
    server: OwnServer,
    _folder: tempfile::TempDir,
    right: PathBuf,
    wrong: PathBuf,
}

impl Guarded {
    fn make() -> Option<Self> {
        let server = OwnServer::make()?;
        let folder = tempfile::tempdir().unwrap();
        let (right, wrong) = (folder.path().join("right ca.pem"), folder.path().join("wrong.pem"));
        let (certificate, key) = certificates(&right);
        certificates(&wrong);
        server.write("server.crt", &certificate);
        server.write("server.key", &key);
        server.write("pg_hba.conf", RULES);
        Some(Self { server, _folder: folder, right, wrong })
    }
}

/// Writes the certificate of a new authority into a file; gives one that it made for `localhost`, and the key.
fn certificates(authority: &Path) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    std::fs::write(authority, params.self_signed(&key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    (params.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
}

/// Opens a store as this user, at this host, with these parameters, and uses it; says how many of its connections the
/// server sees with TLS, and how many without.
async fn connect(server: &OwnServer, scratch: &Scratch, who: &str, query: &str) -> Result<(i64, i64), String> {
    let mine = scratch.address_of("mine");
    let (_, options) = mine.split_once('?').unwrap();
    let address = format!("postgres://{who}:{}/postgres?{options}{query}", server.port());
    let store = SqlStore::connect(&address).await.map_err(|error| error.to_string())?;
    store.counts().await.unwrap();
    let (client, connection) = tokio_postgres::connect(&scratch.address(), NoTls).await.unwrap();
    tokio::spawn(connection);
    let sql = "SELECT count(*) FILTER (WHERE s.ssl), count(*) FILTER (WHERE NOT s.ssl)
         FROM pg_stat_ssl AS s JOIN pg_stat_activity AS a USING (pid) WHERE a.application_name LIKE '%_mine'";
    // The one that listens is made in the background.
    loop {
        let row = client.query_one(sql, &[]).await.unwrap();
        let seen: (i64, i64) = (row.get(0), row.get(1));
        if seen.0 + seen.1 >= 3 {
            drop(store);
            // The next one begins when these are gone.
            let all = sql.replace("count(*) FILTER (WHERE s.ssl), count(*) FILTER (WHERE NOT s.ssl)", "count(*)");
            while client.query_one(&all, &[]).await.unwrap().get::<_, i64>(0) > 0 {
                tokio::task::yield_now().await;
            }
            return Ok(seen);
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_server_is_trusted_as_far_as_the_address_says() {
    let Some(Guarded { mut server, _folder, right, wrong }) = Guarded::make() else { return };
    let (right, wrong) = (right.display().to_string().replace(' ', "%20"), wrong.display().to_string());
    server.start(&["ssl=on", "password_encryption=scram-sha-256"]);
    let scratch = Scratch::make(&server.address()).await.unwrap();
    let roles = "CREATE ROLE guarded SUPERUSER LOGIN PASSWORD 'pass word'; CREATE ROLE plain SUPERUSER LOGIN";
    scratch.run(roles.to_owned()).await.unwrap();
    let (encrypted, open) = (Ok((3, 0)), Ok((0, 3)));
    for (who, query, expected) in [
        ("postgres@localhost", String::new(), &encrypted),
        ("postgres@localhost", "&sslmode=disable".to_owned(), &open),
        ("postgres@localhost", "&sslmode=prefer".to_owned(), &encrypted),
        ("postgres@127.0.0.1", "&sslmode=require".to_owned(), &encrypted),
        ("postgres@127.0.0.1", format!("&sslmode=require&sslrootcert={right}"), &encrypted),
        ("postgres@127.0.0.1", format!("&sslmode=verify-ca&sslrootcert={right}"), &encrypted),
        ("postgres@localhost", format!("&sslmode=verify-full&sslrootcert={right}"), &encrypted),
        // Another name than the certificate's.
        ("postgres@127.0.0.1", format!("&sslmode=verify-full&sslrootcert={right}"), &Err("not valid for name")),
        // A stranger vouches for it, or nobody.
        ("postgres@localhost", format!("&sslmode=require&sslrootcert={wrong}"), &Err("invalid peer certificate")),
        ("postgres@localhost", format!("&sslmode=verify-ca&sslrootcert={wrong}"), &Err("invalid peer certificate")),
        ("postgres@localhost", format!("&sslmode=verify-full&sslrootcert={wrong}"), &Err("invalid peer certificate")),
        ("postgres@localhost", "&sslmode=verify-full".to_owned(), &Err("")),
        ("postgres@localhost", "&sslmode=verify-full&sslrootcert=/no/such".to_owned(), &Err("sslrootcert /no/such")),
        // The password is bound to the connection.
        ("guarded:pass%20word@localhost", "&sslmode=require&channel_binding=require".to_owned(), &encrypted),
        ("guarded:another@localhost", "&sslmode=require".to_owned(), &Err("password authentication failed")),
        ("guarded:pass%20word@localhost", "&sslmode=disable".to_owned(), &Err("no encryption")),
        // Who prefers it does without where the server wants none; who insists does not.
        ("plain@localhost", "&sslmode=prefer".to_owned(), &open),
        ("plain@localhost", "&sslmode=require".to_owned(), &Err("SSL")),
    ] {
        let seen = connect(&server, &scratch, who, &query).await;
        match (&seen, expected) {
            (Ok(seen), Ok(expected)) => assert_eq!(seen, expected, "{who} {query}"),
            (Err(said), Err(expected)) => assert!(said.contains(expected), "{who} {query}: {said}"),
            _ => panic!("{who} {query}: {seen:?}"),
        }
    }
}

#[tokio::test]
async fn who_insists_on_tls_is_not_let_down() {
    let Some(mut server) = OwnServer::make() else { return };
    server.start(&[]);
    let scratch = Scratch::make(&server.address()).await.unwrap();
    for query in ["", "&sslmode=prefer", "&sslmode=disable"] {
        assert_eq!(connect(&server, &scratch, "postgres@localhost", query).await, Ok((0, 3)), "{query}");
    }
    for query in ["&sslmode=require", "&sslmode=verify-full"] {
        let said = connect(&server, &scratch, "postgres@localhost", query).await.unwrap_err();
        assert!(said.contains("TLS"), "{said}");
    }
}

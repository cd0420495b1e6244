//! An empty place in a PostgreSQL server for one test.

use crate::postgres::session::Session;

/// The variable that names the server: the address of a database in which schemas can be made.
pub const SERVER: &str = "UPLIFT_TEST_POSTGRES";

/// A schema of its own in the server that tests may use; gone when this is dropped.
pub struct Scratch {
    server: String,
    schema: String,
}

impl Scratch {
    /// Makes one. None, and a line that says so, where no server is named.
    pub fn make() -> Option<Self> {
        let Ok(server) = std::env::var(SERVER) else {
            println!("skipped: {SERVER} names no PostgreSQL server (`cargo xtask test` starts one)");
            return None;
        };
        let mut random = [0; 8];
        blake3::Hasher::new()
            .update(format!("{:?} {:?}", std::time::SystemTime::now(), std::thread::current().id()).as_bytes())
            .update(&std::process::id().to_le_bytes())
            .finalize_xof()
            .fill(&mut random);
        let scratch = Self { server, schema: format!("test_{:016x}", u64::from_le_bytes(random)) };
        scratch.run(format!("CREATE SCHEMA {}", scratch.schema));
        Some(scratch)
    }

    /// The address of a database that knows only this schema.
    pub fn address(&self) -> String {
        let join = if self.server.contains('?') { '&' } else { '?' };
        format!("{}{join}options=-csearch_path%3D{}", self.server, self.schema)
    }

    /// Runs statements in it.
    pub fn run(&self, sql: String) {
        let address = self.address();
        let done = std::thread::spawn(move || {
            let session = Session::open(&address.parse().expect("an address"), "the server under test");
            session.expect("the server under test answers").batch(&sql).expect("a statement of the tests");
        });
        done.join().expect("the statements of the tests run");
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.run(format!("SET client_min_messages = warning; DROP SCHEMA {} CASCADE", self.schema));
    }
}

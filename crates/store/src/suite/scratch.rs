//! An empty place in a PostgreSQL server for one test.

pub use crate::postgres::scratch::Scratch;

/// The variable that names the server: the address of a database in which schemas can be made.
pub const SERVER: &str = "UPLIFT_TEST_POSTGRES";

/// An empty schema in the server that tests may use. None, and a line that says so, where no server is named.
pub async fn make() -> Option<Scratch> {
    let Ok(server) = std::env::var(SERVER) else {
        println!("skipped: {SERVER} names no PostgreSQL server (`cargo xtask test` starts one)");
        return None;
    };
    Some(Scratch::make(&server).await.expect("a schema is made"))
}

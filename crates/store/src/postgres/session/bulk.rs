//! Many rows at once, in and out.

use std::pin::pin;

use futures::TryStreamExt;
use rusqlite::types::{ToSql as ToValue, Value};
use tokio_postgres::Row;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::Type;

use super::super::values::Bound;
use super::{Refusal, Session};

/// Values bound where a query has no parameters.
const NONE: [i64; 0] = [];

impl Session {
    /// Copies rows of these types into a table, all or none; `sql` is a `COPY ... FROM STDIN (FORMAT binary)`. Says how
    /// many went in.
    pub(crate) fn copy_in(&self, sql: &str, kinds: &[Type], rows: &[Vec<Value>]) -> Result<u64, Refusal> {
        self.settle()?;
        self.wait(async {
            let mut writer = pin!(BinaryCopyInWriter::new(self.client.copy_in(sql).await?, kinds));
            for row in rows {
                let values: Vec<&dyn ToValue> = row.iter().map(|value| value as &dyn ToValue).collect();
                writer.as_mut().write_raw(Bound::of(&values)).await?;
            }
            writer.finish().await
        })
    }

    /// Runs a query of PostgreSQL's dialect and hands its rows over as they come, however many there are. The first
    /// failure ends it.
    pub(crate) fn each<E: From<Refusal>>(
        &self,
        sql: &str,
        mut take: impl FnMut(&Row) -> Result<(), E>,
    ) -> Result<(), E> {
        self.settle()?;
        let statement = self.prepare_as_is(sql)?;
        self.wait(async {
            let mut rows = pin!(self.client.query_raw(&statement, NONE).await?);
            while let Some(row) = rows.try_next().await? {
                if let Err(failure) = take(&row) {
                    return Ok(Err(failure));
                }
            }
            Ok(Ok(()))
        })?
    }
}

//! When traces and attributes arrived, noted as they come in, so that what is old can go (`prune`).
//!
//! Numbers of traces and attributes ascend with their first arrival: an hour is a range of them, which costs a row an
//! hour. Only what comes in for a trace of an earlier hour, or uses attributes of one, is noted by itself, once an hour.

use std::collections::HashSet;

use crate::sql::{Connection, OptionalExtension};
use uplift_model::Hour;

use super::fault::Fault;

/// The hour of arrivals that is under way.
pub(super) struct Arrivals {
    hour: i64,
    /// The first trace that came in with it.
    first_trace: i64,
    /// Traces of earlier hours that were noted already.
    noted: HashSet<i64>,
}

impl Arrivals {
    /// The hour, since the Unix epoch.
    pub(super) const fn hour(&self) -> i64 {
        self.hour
    }

    /// Whether something received in `hour` still belongs here: clocks of batches in one commit may differ a little, and
    /// what is taken for younger than it is only stays longer.
    const fn takes(&self, hour: i64) -> bool {
        hour == self.hour || hour == self.hour - 1
    }

    /// Goes on with, or begins, the hour that something received in `hour` belongs to. `next_attributes` is the number
    /// that the next new attributes get, where that is known.
    pub(super) fn at(
        connection: &Connection,
        before: Option<Self>,
        hour: Hour,
        next_attributes: Option<i64>,
    ) -> Result<Self, Fault> {
        let hour = hour.number();
        if let Some(arrivals) = before.filter(|arrivals| arrivals.takes(hour)) {
            return Ok(arrivals);
        }
        let open = connection
            .prepare_cached(
                "SELECT hour, trace_from FROM arrivals WHERE trace_to IS NULL ORDER BY arrival_no DESC LIMIT 1",
            )?
            .query_row([], |row| Ok(Self { hour: row.get(0)?, first_trace: row.get(1)?, noted: HashSet::new() }))
            .optional()?;
        if let Some(arrivals) = open.filter(|arrivals| arrivals.takes(hour)) {
            return Ok(arrivals);
        }
        close(connection, next_attributes)?;
        let (first_trace, first_attributes) = next(connection, next_attributes)?;
        connection
            .prepare_cached("INSERT INTO arrivals (hour, trace_from, attributes_from) VALUES (?1, ?2, ?3)")?
            .defer((hour, first_trace, first_attributes))?;
        Ok(Self { hour, first_trace, noted: HashSet::new() })
    }

    /// Notes that something came in for a trace.
    pub(super) fn trace(&mut self, connection: &Connection, trace_no: i64) -> Result<(), Fault> {
        if trace_no < self.first_trace && self.noted.insert(trace_no) {
            connection
                .prepare_cached(
                    "INSERT INTO late_traces AS t (trace_no, hour, covered) VALUES (?1, ?2, ?2)
                     ON CONFLICT (trace_no) DO UPDATE SET hour = excluded.hour WHERE t.hour < excluded.hour",
                )?
                .gather(1, (trace_no, self.hour))?;
        }
        Ok(())
    }
}

/// Notes that attributes were used in an hour later than that of their first use.
pub(super) fn used(connection: &Connection, attributes_no: i64, hour: i64) -> Result<(), Fault> {
    connection
        .prepare_cached(
            "INSERT INTO attribute_uses AS u (attributes_no, hour) VALUES (?1, ?2)
             ON CONFLICT (attributes_no) DO UPDATE SET hour = excluded.hour WHERE u.hour < excluded.hour",
        )?
        .gather(1, (attributes_no, hour))?;
    Ok(())
}

/// Ends the hour that is under way, if one is.
pub(super) fn close(connection: &Connection, next_attributes: Option<i64>) -> Result<(), Fault> {
    let (trace, attributes) = next(connection, next_attributes)?;
    connection
        .prepare_cached("UPDATE arrivals SET trace_to = ?1, attributes_to = ?2 WHERE trace_to IS NULL")?
        .defer((trace, attributes))?;
    Ok(())
}

/// The numbers that the next new trace and attributes get.
fn next(connection: &Connection, next_attributes: Option<i64>) -> Result<(i64, i64), Fault> {
    let trace: i64 =
        connection.query_row("SELECT coalesce(max(trace_no), 0) + 1 FROM traces", [], |row| row.get(0))?;
    let attributes = match next_attributes {
        Some(number) => number,
        None => {
            connection
                .query_row("SELECT coalesce(max(attributes_no), 0) + 1 FROM attribute_sets", [], |row| row.get(0))?
        }
    };
    Ok((trace, attributes))
}

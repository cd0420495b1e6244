//! Writes about access: tokens, and what was done by whom.

use uplift_model::Time;
use uplift_model::access::{AuditEntry, NewToken};

/// A change of tokens, or of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessWrite {
    /// Puts a token on record; refused as invalid where a token in force has its name. Its number is in the receipt.
    PutToken(NewToken),
    /// Revokes a token. Does nothing where it is revoked already.
    RevokeToken {
        /// Its number.
        id: i64,
        /// By whom.
        by: String,
    },
    /// Notes that tokens were used.
    NoteUse {
        /// Numbers and moments.
        uses: Vec<(i64, Time)>,
    },
    /// Writes down what is about to be done. Its number is in the receipt.
    BeginAudit(AuditEntry),
    /// Writes down how it was answered.
    EndAudit {
        /// The entry's number.
        id: i64,
        /// The status of the answer.
        status: u16,
    },
    /// Deletes entries of the audit log that are older than a moment, at most so many.
    PruneAudit {
        /// The moment.
        before: Time,
        /// How many at most.
        rows: u32,
    },
}

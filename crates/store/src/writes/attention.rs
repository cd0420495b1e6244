//! Writes about what needs attention: alerts, notifications, health.

use uplift_model::Time;
use uplift_model::alert::AlertFinding;
use uplift_model::notification::{Message, NewTarget};
use uplift_model::policy::HealthPolicy;

/// A change of the alerts. Those that are raised, acknowledged or resolved become news in the same commit.
#[derive(Debug, Clone, PartialEq)]
pub enum AlertWrite {
    /// Raises an alert, or brings the active one of the same key up to date: it is no longer quiet.
    Raise(AlertFinding),
    /// Notes that alerts are below the threshold at which they clear, since now where they were not before.
    Quiet {
        /// Their numbers.
        ids: Vec<i64>,
    },
    /// Resolves alerts; those that are resolved stay as they are.
    Resolve {
        /// Their numbers.
        ids: Vec<i64>,
        /// Who did so by hand; none where they ended by themselves.
        by: Option<String>,
    },
    /// Notes that somebody looks after an alert; refused as moved on where it is resolved. The last word counts.
    Acknowledge {
        /// Its number.
        id: i64,
        /// Who.
        by: String,
        /// What they had to say.
        note: Option<String>,
    },
}

/// How a try to deliver ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// The target has it.
    Delivered {
        /// The HTTP status.
        status: u16,
    },
    /// It is tried again.
    Again {
        /// The HTTP status, if there was an answer.
        status: Option<u16>,
        /// What went wrong.
        error: String,
        /// When.
        due: Time,
    },
    /// It is given up.
    Dead {
        /// The HTTP status, if there was an answer.
        status: Option<u16>,
        /// What went wrong.
        error: String,
    },
}

/// A change of targets and deliveries.
#[derive(Debug, Clone, PartialEq)]
pub enum NotificationWrite {
    /// Puts a target on record; refused as invalid where its name is taken, or there are too many. Its number is in the
    /// receipt.
    PutTarget {
        /// The target.
        target: Box<NewTarget>,
        /// Who sets it.
        by: String,
    },
    /// Removes a target, and its deliveries with it.
    RemoveTarget {
        /// Its number.
        id: i64,
    },
    /// Puts a message on its way, once to each target. Where too many wait for a target already, it is dead at once.
    Deliver {
        /// The message.
        message: Box<Message>,
        /// Numbers of targets; those that are gone are left out.
        targets: Vec<i64>,
        /// Most that may wait for one target.
        max_waiting: u32,
    },
    /// Notes up to where news has become deliveries; refused as moved on where somebody else did so meanwhile.
    MoveCursor {
        /// Where it stood.
        from: i64,
        /// Where it stands.
        to: i64,
    },
    /// Takes deliveries that are due for a try: the receipt tells which nobody else has taken. They are due again at a
    /// moment, should whoever tries be no more.
    Claim {
        /// Their numbers.
        ids: Vec<i64>,
        /// The moment.
        until: Time,
    },
    /// Notes how a try ended; does nothing where the delivery has ended already.
    Finish {
        /// Its number.
        id: i64,
        /// How.
        attempt: Attempt,
    },
    /// Takes a dead delivery up again; refused as moved on where it is not dead.
    Revive {
        /// Its number.
        id: i64,
    },
    /// Deletes news that has become deliveries, and deliveries that ended, from before a moment; at most so many each.
    Prune {
        /// The moment.
        before: Time,
        /// How many at most.
        rows: u32,
    },
}

/// A change of what health is judged by.
#[derive(Debug, Clone, PartialEq)]
pub enum HealthWrite {
    /// Copies the settings to where the views read them.
    Settings {
        /// The settings.
        policy: Box<HealthPolicy>,
        /// Pending opportunities at which all points for a backlog are lost; at least 1.
        backlog_alert: u32,
        /// How far rollback rates look back, days.
        rollback_days: u32,
        /// Decisions from which on a rollback rate means anything.
        min_decisions: u32,
    },
    /// Notes the trends of the last 24 hours against the week before, relative; none where nothing is known.
    Trends {
        /// Of success: negative is worse.
        success_change: Option<f64>,
        /// Of durations: positive is slower.
        duration_change: Option<f64>,
    },
}

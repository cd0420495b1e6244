//! `--watch`: where the live trial would have stopped, had these runs come as they came.

use serde::Serialize;
use uplift_cycle::judge::Question;
use uplift_model::verdict::Verdict;
use uplift_sim::replay::{self, Order, Recorded};

use super::select::Chosen;

/// Where it stopped.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Watched {
    /// True when the trial would have stopped before all runs were seen.
    pub(crate) stopped: bool,
    /// Runs of control and candidate seen by then.
    pub(crate) after: [u64; 2],
    /// How the runs were ordered.
    pub(crate) order: Order,
    /// Hours from the first start to the stop; `None` where runs were ordered by position.
    pub(crate) hours: Option<f64>,
    /// The same in words.
    pub(crate) text: String,
    /// The verdict there.
    pub(crate) verdict: Verdict,
}

/// Replays the runs.
pub(crate) fn replay(chosen: &Chosen, question: &Question) -> Watched {
    let stop = replay::live(&Recorded {
        control: &chosen.control,
        candidate: &chosen.candidate,
        metrics: &question.metrics,
        policy: &question.policy,
        share: question.share,
    });
    let [control, candidate] = stop.after;
    let hours = (stop.order == Order::Times).then_some(stop.hours);
    let when = hours.map_or_else(String::new, |hours| format!(", {hours:.1} hours after the first start"));
    let place = if stop.early {
        format!(
            "Live, the trial would have stopped after {control} runs of control and {candidate} of the \
             candidate{when}."
        )
    } else {
        format!("Live, the trial would have run through all {} runs{when}.", control + candidate)
    };
    let how = match stop.order {
        Order::Times => "Runs were replayed in the order of their start times.",
        Order::PositionsWithoutTimes => "Runs were laid side by side by position, because some have no start time.",
        Order::PositionsOneAfterTheOther => {
            "Runs were laid side by side by position, because the arms did not run at the same time; --share says \
             that they did."
        }
    };
    Watched {
        stopped: stop.early,
        after: stop.after,
        order: stop.order,
        hours,
        text: format!("{place} {how} {}", stop.verdict.text),
        verdict: stop.verdict,
    }
}

//! `--watch`: where the live trial would have stopped, had these runs come one after the other.

use serde::Serialize;
use uplift_cycle::judge::Question;
use uplift_model::verdict::Verdict;
use uplift_sim::replay;

use super::select::Chosen;

/// Where it stopped.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Watched {
    /// True when the trial would have stopped before all runs were seen.
    pub(crate) stopped: bool,
    /// Runs of control and candidate seen by then.
    pub(crate) after: [u64; 2],
    /// The same in words.
    pub(crate) text: String,
    /// The verdict there.
    pub(crate) verdict: Verdict,
}

/// Replays the runs.
pub(crate) fn replay(chosen: &Chosen, question: &Question) -> Watched {
    let share = question.share.unwrap_or_else(|| {
        let all = chosen.control.len() + chosen.candidate.len();
        (chosen.candidate.len() as f64 / all.max(1) as f64).clamp(0.01, 0.99)
    });
    let stop = replay::live(&chosen.control, &chosen.candidate, &question.metrics, &question.policy, share);
    let [control, candidate] = stop.after;
    let place = if stop.early {
        format!(
            "Live, the trial would have stopped after {control} runs of control and {candidate} of the candidate."
        )
    } else {
        format!("Live, the trial would have run through all {} runs.", control + candidate)
    };
    Watched {
        stopped: stop.early,
        after: stop.after,
        text: format!("{place} {}", stop.verdict.text),
        verdict: stop.verdict,
    }
}

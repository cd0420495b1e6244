//! Makes a process of a sequence of calls that successful tasks make again and again. The process holds the names of
//! the tools in their order and nothing of what they were called with.

use uplift_model::edit::Edit;
use uplift_model::improvement::ProcessTemplate;

use crate::propose::case::{Case, Draft, LEAST_A_SIDE};
use crate::propose::input::Task;
use crate::propose::say::{Ident, Word, say};

/// Least and most steps of a process.
const STEPS: std::ops::RangeInclusive<usize> = 3..=6;
/// What every name begins with.
const PREFIX: &str = "auto";
/// Longest name, in bytes.
const MOST_BYTES: usize = 64;
/// What a process is expected to gain in a task that goes its way, relative.
const GAIN: f64 = 0.05;

pub(in crate::propose) fn write(case: &Case<'_>) -> Vec<Draft> {
    let steps = case.pattern();
    let distinct: std::collections::BTreeSet<_> = steps.iter().collect();
    if !STEPS.contains(&steps.len()) || distinct.len() != steps.len() {
        return Vec::new();
    }
    let known = &case.configuration.tools;
    if !known.is_empty() && steps.iter().any(|step| case.tool_use(*step).is_none()) {
        return Vec::new();
    }
    let follows = |task: &Task| {
        task.calls
            .windows(steps.len())
            .any(|calls| calls.iter().zip(&steps).all(|(call, step)| call.tool == step.as_str()))
    };
    let (n, share) = case.share(follows);
    let good = case.input.tasks.iter().filter(|task| task.succeeded == Some(true) && follows(task)).count();
    // Clearly worse than the rest: not worth repeating.
    if good < LEAST_A_SIDE || case.contrast(follows).is_harmful(0.05) {
        return Vec::new();
    }
    let name = process_name(&steps);
    vec![Draft {
        processes: vec![ProcessTemplate {
            name: name.clone(),
            steps: steps.iter().map(|step| step.owned()).collect(),
        }],
        ..Draft::edit(
            Edit::AttachProcess { name },
            share,
            GAIN,
            say(
                "{} of {} tasks make the same {} calls in the same order, from `{}` to `{}`; {} of these succeed.",
                &[
                    Word::Count(n),
                    Word::Count(case.input.tasks.len()),
                    Word::Count(steps.len()),
                    Word::Name(steps[0]),
                    Word::Name(steps[steps.len() - 1]),
                    Word::Count(good),
                ],
            ),
            say("One step instead of {} in {} tasks.", &[Word::Count(steps.len()), Word::Count(n)]),
        )
    }]
}

/// A name made of the tools; where that is too long, its beginning and a hash of the whole (FNV-1a).
fn process_name(steps: &[Ident<'_>]) -> String {
    let tools: Vec<&str> = steps.iter().map(|step| step.as_str()).collect();
    let name = format!("{PREFIX}-{}", tools.join("-"));
    if name.len() <= MOST_BYTES {
        return name;
    }
    let bytes = tools.iter().flat_map(|tool| tool.bytes().chain(std::iter::once(0xff)));
    let hash = bytes.fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    // Identifiers are ASCII, so every byte is a boundary.
    format!("{}-{hash:08x}", &name[..MOST_BYTES - 9])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_within_the_rule_and_differ() {
        let long = ["x".repeat(60), "y".repeat(60), "z".repeat(60)];
        let idents: Vec<Ident<'_>> = long.iter().filter_map(|tool| Ident::of(tool)).collect();
        let other = [idents[0], idents[2], idents[1]];
        let (one, two) = (process_name(&idents), process_name(&other));
        assert!(one.len() == 64 && two.len() == 64 && one != two, "{one} {two}");
        let short: Vec<Ident<'_>> = ["a", "b.c", "d"].into_iter().filter_map(Ident::of).collect();
        assert_eq!(process_name(&short), "auto-a-b.c-d");
    }
}

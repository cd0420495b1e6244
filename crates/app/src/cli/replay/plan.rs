//! What is run in which order: the two runs of an item stand next to each other, which of them is first is left to
//! chance, and so whatever drifts meanwhile hits both arms alike.

use uplift_model::trial::Arm;

use super::items::Item;

/// Most runs of one replay, both arms together.
const MAX_RUNS: u64 = 200_000;

/// An item, once with each revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pair<'a> {
    /// The item.
    pub(super) item: &'a Item,
    /// Which time, from 1.
    pub(super) repeat: u32,
    /// The arms in their order.
    pub(super) arms: [Arm; 2],
    /// The same for both arms, for commands that roll dice.
    pub(super) seed: u32,
}

/// The name of an arm.
pub(super) const fn name(arm: Arm) -> &'static str {
    match arm {
        Arm::Control => "control",
        Arm::Candidate => "candidate",
    }
}

/// The name of a run, unique within a replay: whatever an item is called, the last two parts are the others.
pub(super) fn unit(item: &str, repeat: u32, arm: Arm) -> String {
    format!("{item}/{repeat}/{}", name(arm))
}

/// All pairs: every item once, then every item a second time, and so on. The order of a pair's arms depends on the
/// seed, the item and the repeat alone, so items that are added later change nothing about those before.
///
/// # Errors
///
/// Too many runs.
pub(super) fn pairs(items: &[Item], repeats: u32, seed: u64) -> anyhow::Result<Vec<Pair<'_>>> {
    let runs = 2 * items.len() as u64 * u64::from(repeats);
    if runs > MAX_RUNS {
        anyhow::bail!("{runs} runs are more than the {MAX_RUNS} of one replay: fewer items, or fewer --repeats");
    }
    let pair = |item, repeat| {
        let (first, seed) = chance(item, repeat, seed);
        // An item that is repeated has each arm first as often as the other, or once more.
        let control_first = first == (repeat % 2 == 0);
        let arms = if control_first { [Arm::Control, Arm::Candidate] } else { [Arm::Candidate, Arm::Control] };
        Pair { item, repeat, arms, seed }
    };
    Ok((1..=repeats).flat_map(|repeat| items.iter().map(move |item| pair(item, repeat))).collect())
}

/// A coin for the item, and a number for each of its repeats.
fn chance(item: &Item, repeat: u32, seed: u64) -> (bool, u32) {
    let of = |repeat: u32| {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_le_bytes()).update(&repeat.to_le_bytes()).update(item.id.as_bytes());
        let [a, b, c, d, ..] = *hasher.finalize().as_bytes();
        u32::from_le_bytes([a, b, c, d])
    };
    // No repeat has the number 0.
    (of(0) & 1 == 1, of(repeat))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(count: usize) -> Vec<Item> {
        let item = |n| Item { id: format!("i{n}"), json: String::new(), fingerprint: String::new() };
        (0..count).map(item).collect()
    }

    #[test]
    fn arms_are_first_by_chance_and_repeats_take_turns() {
        let items = items(1_000);
        let plan = pairs(&items, 2, 7).unwrap();
        assert_eq!(plan.len(), 2_000);
        let control_first = |pair: &&Pair| pair.arms[0] == Arm::Control;
        let first = plan[..1_000].iter().filter(control_first).count();
        assert!((400..600).contains(&first), "{first} of 1000");
        for (a, b) in plan[..1_000].iter().zip(&plan[1_000..]) {
            assert_eq!((a.item, a.repeat, b.repeat), (b.item, 1, 2));
            assert_eq!(a.arms, [b.arms[1], b.arms[0]]);
            assert_ne!(a.seed, b.seed);
        }
    }

    #[test]
    fn what_is_added_later_changes_nothing_before() {
        let (few, many) = (items(10), items(20));
        assert_eq!(pairs(&few, 1, 1).unwrap(), pairs(&many, 3, 1).unwrap()[..10]);
        let orders = |seed| pairs(&many, 1, seed).unwrap().iter().map(|pair| pair.arms).collect::<Vec<_>>();
        assert_ne!(orders(1), orders(2));
        assert!(pairs(&many, u32::MAX, 1).is_err());
    }
}

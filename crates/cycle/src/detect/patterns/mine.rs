//! Which subsequences of tool calls occur, and in which tasks. Outcomes play no part here: what is looked for may
//! not depend on what is compared.

use std::collections::BTreeMap;

/// Most distinct tools; rarer ones are left out.
pub(super) const MOST_TOOLS: usize = 64;
/// Most calls of a task that are looked at. Places behind them fit a byte.
pub(super) const MOST_CALLS: usize = 200;
/// Most subsequences of one length that are kept and extended.
const MOST_A_LENGTH: usize = 1_000;

/// A set of tasks, by number.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    pub(super) fn empty(size: usize) -> Self {
        Self(vec![0; size.div_ceil(64)])
    }

    pub(super) fn insert(&mut self, number: usize) {
        self.0[number / 64] |= 1 << (number % 64);
    }

    pub(super) fn contains(&self, number: usize) -> bool {
        self.0[number / 64] >> (number % 64) & 1 == 1
    }

    pub(super) fn clear(&mut self) {
        self.0.fill(0);
    }

    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// How many are in both.
    pub(super) fn common(&self, other: &Self) -> usize {
        self.0.iter().zip(&other.0).map(|(a, b)| (a & b).count_ones() as usize).sum()
    }
}

/// A subsequence and the tasks it occurs in.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    /// Tools by number, in order; other calls may come between.
    pub(super) tools: Vec<u8>,
    /// The tasks.
    pub(super) tasks: Bits,
}

/// The tools that occur, the ones in most tasks first, and each task's calls by tool number.
pub(super) fn encode<'a>(tasks: &[Vec<&'a str>]) -> (Vec<&'a str>, Vec<Vec<u8>>) {
    let mut presence: BTreeMap<&str, usize> = BTreeMap::new();
    for calls in tasks {
        let distinct: std::collections::BTreeSet<&str> = calls.iter().take(MOST_CALLS).copied().collect();
        for tool in distinct {
            *presence.entry(tool).or_default() += 1;
        }
    }
    let mut tools: Vec<(&str, usize)> = presence.into_iter().collect();
    tools.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    tools.truncate(MOST_TOOLS);
    let names: Vec<&str> = tools.into_iter().map(|(name, _)| name).collect();
    let numbers: BTreeMap<&str, u8> = names.iter().enumerate().map(|(number, name)| (*name, number as u8)).collect();
    let encoded = tasks
        .iter()
        .map(|calls| calls.iter().take(MOST_CALLS).filter_map(|tool| numbers.get(tool).copied()).collect())
        .collect();
    (names, encoded)
}

/// A subsequence in the making: each task it occurs in, with the place behind its earliest end there.
struct Node {
    tools: Vec<u8>,
    places: Vec<(u32, u8)>,
}

/// All subsequences of at most `length` tools that occur in `least` tasks or more but not in all of them. Of those
/// in the same tasks only the longest stays (closed). Where there are too many of one length the ones that split
/// the tasks most evenly stay.
pub(super) fn mine(tasks: &[Vec<u8>], length: usize, least: usize) -> Vec<Pattern> {
    let start = Node { tools: Vec::new(), places: (0..tasks.len() as u32).map(|task| (task, 0)).collect() };
    let mut level = extended(&start, tasks, least);
    let mut closed: BTreeMap<Bits, Vec<u8>> = BTreeMap::new();
    for depth in 1..=length {
        level.sort_by_key(|node| {
            let with = node.places.len();
            (std::cmp::Reverse(with.min(tasks.len() - with)), node.tools.clone())
        });
        level.truncate(MOST_A_LENGTH);
        for node in level.iter().filter(|node| node.places.len() < tasks.len()) {
            let mut bits = Bits::empty(tasks.len());
            for (task, _) in &node.places {
                bits.insert(*task as usize);
            }
            let longest = closed.entry(bits).or_default();
            if longest.len() < node.tools.len() {
                longest.clone_from(&node.tools);
            }
        }
        if depth < length {
            level = level.iter().flat_map(|node| extended(node, tasks, least)).collect();
        }
    }
    closed.into_iter().map(|(tasks, tools)| Pattern { tools, tasks }).collect()
}

/// A node with each tool appended that still occurs in enough tasks.
fn extended(node: &Node, tasks: &[Vec<u8>], least: usize) -> Vec<Node> {
    let mut by_tool: Vec<Vec<(u32, u8)>> = vec![Vec::new(); MOST_TOOLS];
    for (task, from) in &node.places {
        let mut seen = 0_u64;
        for (place, tool) in tasks[*task as usize].iter().enumerate().skip(usize::from(*from)) {
            if seen >> tool & 1 == 0 {
                seen |= 1 << tool;
                by_tool[usize::from(*tool)].push((*task, place as u8 + 1));
            }
        }
    }
    by_tool
        .into_iter()
        .enumerate()
        .filter(|(_, places)| places.len() >= least.max(1))
        .map(|(tool, places)| {
            let mut tools = node.tools.clone();
            tools.push(tool as u8);
            Node { tools, places }
        })
        .collect()
}

/// Whether `part` is a subsequence of `whole`.
pub(super) fn is_within(part: &[u8], whole: &[u8]) -> bool {
    let mut rest = whole.iter();
    part.iter().all(|tool| rest.any(|other| other == tool))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subsequences_are_found_and_closed() {
        let tasks = [vec!["a", "x", "b"], vec!["a", "b"], vec!["b", "a"], vec!["c"], vec!["c", "d"], vec![]];
        let (names, encoded) = encode(&tasks);
        let number = |name: &str| names.iter().position(|other| *other == name).unwrap() as u8;
        let patterns = mine(&encoded, 4, 2);
        let has = |tools: &[&str]| {
            let wanted: Vec<u8> = tools.iter().map(|tool| number(tool)).collect();
            patterns.iter().find(|pattern| pattern.tools == wanted).map(|pattern| pattern.tasks.len())
        };
        assert_eq!((has(&["a", "b"]), has(&["b", "a"]), has(&["c"])), (Some(2), None, Some(2)));
        assert_eq!(has(&["a"]).or(has(&["b"])), Some(3), "one of those in the same tasks stays");
        assert!(is_within(&[1, 3], &[1, 2, 3]) && !is_within(&[3, 1], &[1, 2, 3]) && is_within(&[], &[1]));
    }
}

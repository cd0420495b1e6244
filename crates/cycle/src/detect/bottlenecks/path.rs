//! What the end of a task waited for: its critical path.

/// Overlap of two steps that is put down to clocks: a millisecond, or a hundredth of the earlier one where that is
/// more.
const CLOCKS_US: i64 = 1_000;
const CLOCKS_SHARE: i64 = 100;

/// Something that took time, within another span or as the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// When it began, microseconds.
    pub start_us: i64,
    /// When it ended, microseconds.
    pub end_us: i64,
    /// The place of the span around it; none for the whole.
    pub parent: Option<usize>,
}

/// For each span how much of `root`'s time was spent in it itself and waited for, microseconds; none for spans that
/// nothing waited for. The times add up to the root's.
///
/// From the end backwards: of a span's children the last to finish is waited for, then the last that finished before
/// that one began, and so on, and within each of them the same. Children are cut to their parent; siblings that
/// overlap by no more than clocks explain count as one after the other. What no child accounts for is the span's own.
/// (Critical path and exclusive time as in Zhang et al., "CRISP: Critical Path Analysis of Large-Scale Microservice
/// Architectures", USENIX ATC 2022.)
///
/// Spans that are not below `root`, circles among them, are left out.
pub fn waited_for(spans: &[Span], root: usize) -> Vec<Option<i64>> {
    let mut waited = vec![None; spans.len()];
    let Some(whole) = spans.get(root) else { return waited };
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); spans.len()];
    for (place, span) in spans.iter().enumerate().filter(|(place, _)| *place != root) {
        if let Some(under) = span.parent.and_then(|parent| children.get_mut(parent)) {
            under.push(place);
        }
    }
    for under in &mut children {
        // The last to finish comes last; of those that finish together the longest.
        under.sort_by_key(|place| (spans[*place].end_us, std::cmp::Reverse(spans[*place].start_us)));
    }
    let mut open = vec![(root, whole.start_us, whole.end_us.max(whole.start_us))];
    while let Some((place, from, to)) = open.pop() {
        let (mut own, mut before) = (to.saturating_sub(from), to);
        for child in children[place].iter().rev() {
            let span = spans[*child];
            let overlap = span.end_us.min(to).saturating_sub(before);
            let lasted = span.end_us.saturating_sub(span.start_us);
            let (begin, end) = (span.start_us.max(from), span.end_us.min(before));
            // Only clocks gone wild come to more than an i64 of microseconds, and then the sum is short.
            if end > begin && overlap <= CLOCKS_US.max(lasted / CLOCKS_SHARE) {
                own = own.saturating_sub(end.saturating_sub(begin)).max(0);
                before = begin;
                open.push((*child, begin, end));
            }
        }
        waited[place] = Some(own);
    }
    waited
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Milliseconds from and to, and the span around it.
    fn span(from: i64, to: i64, parent: impl Into<Option<usize>>) -> Span {
        Span { start_us: from * 1_000, end_us: to * 1_000, parent: parent.into() }
    }

    fn ms(waited: &[Option<i64>]) -> Vec<Option<i64>> {
        waited.iter().map(|us| us.map(|us| us / 1_000)).collect()
    }

    #[test]
    fn trees_whose_answer_is_known() {
        let cases = [
            ("alone", vec![span(0, 100, None)], vec![Some(100)]),
            (
                "one after the other, with gaps",
                vec![span(0, 100, None), span(0, 30, 0), span(40, 90, 0)],
                vec![Some(20), Some(30), Some(50)],
            ),
            (
                "two at once: the longer is waited for",
                vec![span(0, 100, None), span(10, 50, 0), span(10, 80, 0), span(80, 100, 0)],
                vec![Some(10), None, Some(70), Some(20)],
            ),
            (
                "three deep: a span's own time is what its children leave",
                vec![span(0, 100, None), span(10, 90, 0), span(20, 60, 1), span(65, 85, 1), span(30, 50, 2)],
                vec![Some(20), Some(20), Some(20), Some(20), Some(20)],
            ),
            (
                "a child that outlives its parent is cut; what is fire-and-forget is not waited for",
                vec![span(0, 100, None), span(50, 300, 0), span(150, 200, 0)],
                vec![Some(50), Some(50), None],
            ),
            (
                "siblings that overlap as clocks do follow each other",
                vec![span(0, 100, None), span(0, 51, 0), span(50, 100, 0)],
                vec![Some(0), Some(50), Some(50)],
            ),
            (
                "siblings that overlap by more ran beside each other",
                vec![span(0, 100, None), span(0, 60, 0), span(50, 100, 0)],
                vec![Some(50), None, Some(50)],
            ),
            (
                "what ends together: the longer one, and nothing within it",
                vec![span(0, 100, None), span(20, 100, 0), span(60, 100, 0)],
                vec![Some(20), Some(80), None],
            ),
            (
                "circles, strangers and moments are nobody's",
                vec![
                    span(0, 100, None),
                    span(0, 50, 2),
                    span(0, 50, 1),
                    span(5, 9, 77),
                    span(4, 4, 0),
                    span(9, 2, 0),
                ],
                vec![Some(100), None, None, None, None, None],
            ),
        ];
        for (name, spans, expected) in cases {
            assert_eq!(ms(&waited_for(&spans, 0)), expected, "{name}");
        }
        assert_eq!(waited_for(&[], 0), []);
        assert_eq!(waited_for(&[span(9, 1, 0)], 0), [Some(0)]);
        // Clocks that disagree make no endless way, and no panic.
        let wild = [Span { start_us: i64::MIN, end_us: i64::MAX, parent: None }, span(5, 1, 0), span(1, 5, 0)];
        assert_eq!(waited_for(&wild, 0)[2], Some(4_000));
    }

    proptest! {
        #[test]
        fn times_add_up(
            given in prop::collection::vec((0_i64..10_000_000, 0_i64..10_000_000, 0_usize..12), 1..12),
        ) {
            let spans: Vec<Span> = given
                .iter()
                .enumerate()
                .map(|(place, (a, b, parent))| Span {
                    start_us: *a.min(b),
                    end_us: *a.max(b),
                    parent: (place > 0).then_some(*parent),
                })
                .collect();
            let waited = waited_for(&spans, 0);
            prop_assert_eq!(waited.iter().flatten().sum::<i64>(), spans[0].end_us - spans[0].start_us);
            for (span, waited) in spans.iter().zip(&waited) {
                prop_assert!(waited.is_none_or(|us| (0..=span.end_us - span.start_us).contains(&us)));
            }
        }
    }
}

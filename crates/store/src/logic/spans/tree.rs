//! The way up from a span to the task it counts for, over the spans at hand and those that are stored.
//!
//! Ways that end at an agent or at the root of the trace are final: no span that comes later can change them. The
//! others end at a span that is missing. Each stored span knows where its way ends, so a way is never longer than the
//! spans of one batch.

use std::collections::HashMap;

use uplift_model::span::SpanRole;

use crate::logic::fault::Fault;

/// Spans of a circle of parents that are looked at to find its least id.
const MAX_CIRCLE: usize = 1_000;

/// Where a way up ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// At the nearest agent above.
    Agent(String),
    /// At the root of the trace, no agent being on the way. A root's own way ends at itself.
    Root(String),
    /// At a span that is missing (or in a circle of parents, at its least id).
    Missing(String),
}

/// A way up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) end: End,
    /// It leads through a model call that reports tokens of its own. Nothing is inside anything on the way to a circle.
    pub(super) inside_call: bool,
    /// It ends in a circle of parents.
    pub(super) circle: bool,
}

impl Way {
    fn to(end: End) -> Self {
        Self { end, inside_call: false, circle: false }
    }

    fn to_circle(least: String) -> Self {
        Self { circle: true, ..Self::to(End::Missing(least)) }
    }

    fn through_call(self, call: bool) -> Self {
        Self { inside_call: !self.circle && (self.inside_call || call), ..self }
    }
}

/// A span of the batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span<'a> {
    pub(super) id: &'a str,
    pub(super) parent: Option<&'a str>,
    pub(super) role: SpanRole,
    /// A model call that reports tokens.
    pub(super) is_call: bool,
}

/// A span that was stored before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) parent: Option<String>,
    pub(super) role: SpanRole,
    pub(super) is_call: bool,
    pub(super) inside_call: bool,
    pub(super) task: Option<String>,
    pub(super) waits_at: Option<String>,
}

/// Finds stored spans.
pub(super) trait Look {
    /// The stored span of this id.
    fn look(&mut self, id: &str) -> Result<Option<Stored>, Fault>;
}

/// Where a step up leads.
enum Step {
    /// To a span of the batch, and whether a call is on the way.
    On(usize, bool),
    /// To the end.
    End(Way),
}

/// The spans of a batch that belong to one trace, each id once.
pub(super) struct Tree<'a> {
    spans: Vec<Span<'a>>,
    places: HashMap<&'a str, usize>,
    ways: Vec<Option<Way>>,
}

impl<'a> Tree<'a> {
    /// Of these spans; their ways are worked out.
    pub(super) fn of(spans: Vec<Span<'a>>, stored: &mut impl Look) -> Result<Self, Fault> {
        let places = spans.iter().enumerate().map(|(place, span)| (span.id, place)).collect();
        let ways = vec![None; spans.len()];
        let mut tree = Self { spans, places, ways };
        let mut on_path = vec![false; tree.spans.len()];
        for place in 0..tree.spans.len() {
            tree.follow(place, &mut on_path, stored)?;
        }
        Ok(tree)
    }

    /// The way up from the span at this place.
    pub(super) fn way(&self, place: usize) -> Option<&Way> {
        self.ways.get(place).and_then(Option::as_ref)
    }

    /// The place of a span of the batch.
    pub(super) fn place(&self, id: &str) -> Option<usize> {
        self.places.get(id).copied()
    }

    /// The way of something that hangs from a span of the batch.
    pub(super) fn through(&self, place: usize) -> Option<Way> {
        let span = self.spans.get(place)?;
        if span.role == SpanRole::Agent {
            return Some(Way::to(End::Agent(span.id.to_owned())));
        }
        Some(self.way(place)?.clone().through_call(span.is_call))
    }

    fn follow(&mut self, start: usize, on_path: &mut [bool], stored: &mut impl Look) -> Result<(), Fault> {
        let mut path: Vec<(usize, bool)> = Vec::new();
        let mut at = start;
        let mut way = loop {
            if self.ways[at].is_some() {
                match self.through(at) {
                    Some(way) if at != start => break way,
                    _ => return Ok(()),
                }
            }
            on_path[at] = true;
            match self.step(at, stored)? {
                Step::End(way) => {
                    path.push((at, false));
                    break way;
                }
                Step::On(next, call) => {
                    path.push((at, call));
                    if self.spans[next].role == SpanRole::Agent {
                        break Way::to(End::Agent(self.spans[next].id.to_owned()));
                    }
                    if on_path[next] {
                        break Way::to_circle(self.least_of_circle(next, stored)?);
                    }
                    at = next;
                }
            }
        };
        for (place, call) in path.into_iter().rev() {
            on_path[place] = false;
            way = way.through_call(call);
            self.ways[place] = Some(way.clone());
            if let Some(through) = self.through(place) {
                way = through;
            }
        }
        Ok(())
    }

    fn step(&self, at: usize, stored: &mut impl Look) -> Result<Step, Fault> {
        let span = &self.spans[at];
        let Some(parent) = span.parent else { return Ok(Step::End(Way::to(End::Root(span.id.to_owned())))) };
        if let Some(place) = self.place(parent) {
            return Ok(Step::On(place, false));
        }
        let Some(above) = stored.look(parent)? else {
            return Ok(Step::End(Way::to(End::Missing(parent.to_owned()))));
        };
        if above.role == SpanRole::Agent {
            return Ok(Step::End(Way::to(End::Agent(parent.to_owned()))));
        }
        let inside_call = above.inside_call || above.is_call;
        if let Some(missing) = above.waits_at {
            return Ok(match self.place(&missing) {
                Some(place) => Step::On(place, inside_call),
                // Whoever waits for a span that is there waits in a circle.
                None if stored.look(&missing)?.is_some() => Step::End(Way::to_circle(missing)),
                None => Step::End(Way::to(End::Missing(missing)).through_call(inside_call)),
            });
        }
        let task = above.task.unwrap_or_else(|| parent.to_owned());
        let end = match stored.look(&task)? {
            Some(Stored { role: SpanRole::Agent, .. }) => End::Agent(task),
            _ => End::Root(task),
        };
        Ok(Step::End(Way::to(end).through_call(inside_call)))
    }

    fn least_of_circle(&self, start: usize, stored: &mut impl Look) -> Result<String, Fault> {
        let first = self.spans[start].id.to_owned();
        let (mut least, mut at) = (first.clone(), first.clone());
        for _ in 0..MAX_CIRCLE {
            let parent = match self.place(&at) {
                Some(place) => self.spans[place].parent.map(str::to_owned),
                None => stored.look(&at)?.and_then(|above| above.parent),
            };
            let Some(parent) = parent.filter(|parent| *parent != first) else { break };
            least = least.min(parent.clone());
            at = parent;
        }
        Ok(least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Shelf(HashMap<String, Stored>);

    impl Look for Shelf {
        fn look(&mut self, id: &str) -> Result<Option<Stored>, Fault> {
            Ok(self.0.get(id).cloned())
        }
    }

    fn span<'a>(id: &'a str, parent: &'a str, role: SpanRole) -> Span<'a> {
        Span { id, parent: (!parent.is_empty()).then_some(parent), role, is_call: id.starts_with("llm") }
    }

    /// Each way as `end`, with `!` where it is inside a call.
    fn ways(spans: &[(&str, &str, SpanRole)], shelf: &mut Shelf) -> String {
        let spans: Vec<_> = spans.iter().map(|(id, parent, role)| span(id, parent, *role)).collect();
        let tree = Tree::of(spans.clone(), shelf).unwrap();
        let shown = spans.iter().enumerate().map(|(place, span)| {
            let way = tree.way(place).unwrap();
            let end = match &way.end {
                End::Agent(id) => format!("a:{id}"),
                End::Root(id) => format!("r:{id}"),
                End::Missing(id) => format!("?{id}"),
            };
            format!("{}={end}{}", span.id, if way.inside_call { "!" } else { "" })
        });
        shown.collect::<Vec<_>>().join(" ")
    }

    const A: SpanRole = SpanRole::Agent;
    const W: SpanRole = SpanRole::Work;
    const P: SpanRole = SpanRole::Plain;

    #[test]
    fn ways_lead_to_the_nearest_agent_else_to_the_root() {
        for (spans, want) in [
            (vec![("t", "c", W), ("c", "a", P), ("a", "", A)], "t=a:a c=a:a a=r:a"),
            (vec![("t", "b", W), ("b", "a", A), ("a", "", A)], "t=a:b b=a:a a=r:a"),
            (vec![("t", "c", W), ("c", "", P)], "t=r:c c=r:c"),
            (vec![("llm", "", W)], "llm=r:llm"),
            (vec![("t", "c", W), ("c", "x", P)], "t=?x c=?x"),
            (
                vec![("llm2", "c", W), ("c", "llm", P), ("llm", "a", W), ("a", "", A)],
                "llm2=a:a! c=a:a! llm=a:a a=r:a",
            ),
        ] {
            let mut backwards = spans.clone();
            backwards.reverse();
            assert_eq!(ways(&spans, &mut Shelf::default()), want);
            let mut turned: Vec<_> = want.split(' ').collect();
            turned.reverse();
            assert_eq!(ways(&backwards, &mut Shelf::default()), turned.join(" "));
        }
    }

    #[test]
    fn circles_end_at_their_least_id_wherever_one_begins() {
        let circle = [("c", "b", P), ("a", "c", W), ("b", "a", P), ("t", "b", W)];
        for turn in 0..circle.len() {
            let mut spans = circle.to_vec();
            spans.rotate_left(turn);
            let shown = ways(&spans, &mut Shelf::default());
            assert!(shown.split(' ').all(|way| way.ends_with("=?a")), "{shown}");
        }
        assert_eq!(ways(&[("x", "x", W)], &mut Shelf::default()), "x=?x");
        // An agent is where ways end, so there is no circle through one.
        assert_eq!(ways(&[("a", "c", A), ("c", "a", P)], &mut Shelf::default()), "a=a:a c=a:a");
    }

    #[test]
    fn stored_spans_know_where_their_way_ends() {
        let stored = |role, parent: &str, task: Option<&str>, waits_at: Option<&str>| Stored {
            parent: (!parent.is_empty()).then(|| parent.to_owned()),
            role,
            is_call: false,
            inside_call: false,
            task: task.map(str::to_owned),
            waits_at: waits_at.map(str::to_owned),
        };
        let mut shelf = Shelf::default();
        for (id, span) in [
            ("agent", stored(A, "", Some("agent"), None)),
            ("chain", stored(P, "agent", Some("agent"), None)),
            ("root", stored(P, "", Some("root"), None)),
            ("below", stored(P, "root", Some("root"), None)),
            ("waiting", stored(P, "gone", None, Some("gone"))),
            ("guess", stored(W, "gone", Some("gone"), Some("gone"))),
        ] {
            shelf.0.insert(id.to_owned(), span);
        }
        let spans = [
            ("1", "agent", W),
            ("2", "chain", W),
            ("3", "root", W),
            ("4", "below", W),
            ("5", "waiting", W),
            ("6", "guess", W),
            ("7", "never", W),
        ];
        assert_eq!(ways(&spans, &mut shelf), "1=a:agent 2=a:agent 3=r:root 4=r:root 5=?gone 6=?gone 7=?never");
        // What was waited for comes, below an agent, and with it a span that hangs from a waiting one.
        assert_eq!(ways(&[("5", "waiting", W), ("gone", "chain", P)], &mut shelf), "5=a:agent gone=a:agent");
        // Nothing is inside a call on the way to a circle.
        assert_eq!(ways(&[("llm", "x", W), ("x", "llm", W)], &mut Shelf::default()), "llm=?llm x=?llm");
        // A circle that closes over stored spans.
        shelf.0.insert("b".into(), stored(P, "a", None, Some("a")));
        assert_eq!(ways(&[("a", "b", P)], &mut shelf), "a=?a");
    }
}

//! Nests a CPU's events into spans, for those who draw them: [`crate::tree`] and [`crate::timeline`]. It also tells which spans
//! have the same shape.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use reveille_trace_format::Phase;

use crate::report::Event;

/// Above this many siblings of one shape, how many there are makes no difference to the shape.
pub const MANY_SIBLINGS: usize = 4;

/// Deeper spans are not nested, so that no trace, however odd, is deeper than its readers can follow.
const DEEPEST: usize = 200;

/// A function that was entered, or something that happened.
#[derive(Debug, PartialEq, Eq)]
pub struct Span<'a> {
    pub name: &'a str,
    pub target: Option<u32>,
    /// When it began.
    pub ns: u64,
    /// When it was left, if it was; for a moment, the same as [`Self::ns`].
    pub end_ns: Option<u64>,
    /// It is something that happened at one moment.
    pub moment: bool,
    pub children: Vec<Span<'a>>,
    /// The same for spans that differ only in times, in targets, and in how often something was repeated many times.
    pub shape: u64,
}

impl<'a> Span<'a> {
    fn begin(event: &'a Event) -> Self {
        let moment = event.phase == Phase::Instant;
        let end_ns = moment.then_some(event.ns);
        Self { name: &event.name, target: event.target, ns: event.ns, end_ns, moment, children: Vec::new(), shape: 0 }
    }

    fn end(mut self) -> Self {
        self.shape = hash((self.name, self.target.is_some(), shape(&self.children)));
        self
    }
}

/// The spans of a CPU, oldest first. Ends may be missing, because the CPU died, and beginnings, because they were lost.
pub fn nest(events: &[Event]) -> Vec<Span<'_>> {
    let mut roots = Vec::new();
    let mut open: Vec<Span<'_>> = Vec::new();
    for event in events {
        match event.phase {
            Phase::Begin if open.len() == DEEPEST => {}
            Phase::Begin => open.push(Span::begin(event)),
            Phase::Instant => add(Span::begin(event), &mut open, &mut roots),
            Phase::End => {
                // Whatever was entered within it and not left has no end in the trace.
                if let Some(depth) = open.iter().rposition(|span| span.name == event.name) {
                    open[depth].end_ns = Some(event.ns);
                    leave(depth, &mut open, &mut roots);
                }
            }
        }
    }
    leave(0, &mut open, &mut roots);
    roots
}

/// Ends the open spans from the innermost to that at `depth`.
fn leave<'a>(depth: usize, open: &mut Vec<Span<'a>>, roots: &mut Vec<Span<'a>>) {
    while open.len() > depth
        && let Some(span) = open.pop()
    {
        add(span, open, roots);
    }
}

fn add<'a>(span: Span<'a>, open: &mut [Span<'a>], roots: &mut Vec<Span<'a>>) {
    open.last_mut().map_or(roots, |parent| &mut parent.children).push(span.end());
}

/// The shape of a list of siblings. How often a shape occurs counts only as far as it is drawn.
pub fn shape(spans: &[Span<'_>]) -> u64 {
    let mut seen: HashMap<u64, usize> = HashMap::new();
    let mut order = Vec::new();
    for span in spans {
        let count = seen.entry(span.shape).or_default();
        *count += 1;
        if *count == 1 {
            order.push(span.shape);
        }
    }
    hash(order.into_iter().map(|shape| (shape, seen[&shape].min(MANY_SIBLINGS + 1))).collect::<Vec<_>>())
}

fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use Phase::{Begin, End, Instant};

    use super::*;
    use crate::report::sample::event;

    /// The spans as text: `a(b c)`.
    fn outline(spans: &[Span<'_>]) -> String {
        let one = |span: &Span<'_>| match span.children.as_slice() {
            [] => span.name.to_owned(),
            children => format!("{}({})", span.name, outline(children)),
        };
        spans.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    fn nested(events: &[(Phase, &str)]) -> String {
        let events: Vec<Event> =
            events.iter().enumerate().map(|(ns, (phase, name))| event(ns as u64, *phase, name, None)).collect();
        outline(&nest(&events))
    }

    #[test]
    fn spans_nest_by_their_begins_and_ends() {
        let events = [
            (Begin, "a"),
            (Begin, "b"),
            (Instant, "c"),
            (End, "b"),
            (Begin, "d"),
            (End, "d"),
            (End, "a"),
            (Begin, "e"),
        ];
        assert_eq!(nested(&events), "a(b(c) d) e");
    }

    #[test]
    fn ends_may_be_missing() {
        assert_eq!(nested(&[(Begin, "a"), (Begin, "b"), (Instant, "c")]), "a(b(c))");
        assert_eq!(nested(&[(Begin, "a"), (Begin, "b"), (End, "a"), (Begin, "c")]), "a(b) c");
    }

    #[test]
    fn a_span_ends_with_its_own_end_only() {
        let events = [event(1, Begin, "a", None), event(2, Begin, "b", None), event(5, End, "a", None)];
        let spans = nest(&events);
        assert_eq!((spans[0].end_ns, spans[0].children[0].end_ns), (Some(5), None));
    }

    #[test]
    fn a_bottomless_trace_has_a_bottom() {
        let events: Vec<Event> = (0..100_000).map(|ns| event(ns, Begin, "a", None)).collect();
        let depth = std::iter::successors(nest(&events).first(), |span| span.children.first()).count();
        assert_eq!(depth, DEEPEST);
    }

    #[test]
    fn beginnings_may_be_lost() {
        assert_eq!(nested(&[(End, "x"), (Begin, "a"), (End, "y"), (End, "a"), (End, "z")]), "a");
    }

    #[test]
    fn shapes_ignore_times_and_targets_only() {
        let shape_of = |events: &[Event]| shape(&nest(events));
        let base = shape_of(&[event(1, Begin, "cpu_up", Some(1)), event(2, Instant, "kick", Some(1))]);
        assert_eq!(base, shape_of(&[event(5, Begin, "cpu_up", Some(9)), event(7, Instant, "kick", Some(9))]));
        assert_ne!(base, shape_of(&[event(1, Begin, "cpu_up", Some(1))]));
        assert_ne!(base, shape_of(&[event(1, Begin, "cpu_up", Some(1)), event(2, Instant, "online", Some(1))]));
    }
}

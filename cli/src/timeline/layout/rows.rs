//! The spans of a CPU: a row for each depth, and their names where there is room.

use std::ops::Range;

use reveille_trace_format::{ACTIVE, KICK, ONLINE};

use super::{Anchor, Bar, BarKind, Text, Tone, label};
use crate::report::CpuReport;
use crate::span::{self, Span};
use crate::timeline::scale::{Scale, duration};
use crate::timeline::text;

/// The height of a row.
const ROW: f64 = 14.0;
/// The height of a bar in it.
const BAR: f64 = 12.0;
/// The size of names.
const SIZE: f64 = 10.0;
/// Deeper spans are not drawn.
const MOST_ROWS: usize = 14;
/// No bar is narrower, so that each can be seen.
const NARROWEST: f64 = 1.2;
/// Bars narrower than this are put together with neighbours that touch them.
const TOO_NARROW: f64 = 2.5;
/// More spans than this are not named together.
const MOST_NAMES: usize = 4;
/// A name keeps this distance.
const PADDING: f64 = 4.0;

/// The rows of a CPU, drawn.
#[derive(Debug, Default)]
pub struct Rows {
    /// The bars.
    pub bars: Vec<Bar>,
    /// Their names.
    pub texts: Vec<Text>,
    /// How much room they take.
    pub height: f64,
}

/// One bar with what may stand in it.
struct Slot {
    bar: Bar,
    /// What may stand in or beside it, the best first.
    names: Vec<String>,
    /// The spans that it stands for, where it is more than one.
    members: Vec<String>,
}

/// The spans of `cpu` within `time`, from `top` down.
pub fn draw(cpu: &CpuReport, scale: &Scale, time: &Range<u64>, top: f64) -> Rows {
    let last = cpu.events.iter().map(|event| event.ns).max().unwrap_or(0);
    let mut rows: Vec<Vec<Slot>> = Vec::new();
    add(&span::nest(&cpu.events), last, &Canvas { scale, time }, 0, &mut rows);
    let mut drawn = Rows::default();
    for mut row in rows.into_iter().filter(|row| !row.is_empty()) {
        let y = top + drawn.height;
        row.iter_mut().for_each(|slot| slot.bar.top = y + (ROW - BAR) / 2.0);
        let row = put_together(row);
        drawn.texts.extend(names(&row, scale, time, y + ROW / 2.0 + SIZE * 0.27));
        drawn.bars.extend(row.into_iter().map(|slot| slot.bar));
        drawn.height += ROW;
    }
    drawn
}

struct Canvas<'a> {
    scale: &'a Scale,
    time: &'a Range<u64>,
}

/// Adds siblings, and below them what they called. `end` is when their parent was left.
fn add(spans: &[Span<'_>], end: u64, canvas: &Canvas<'_>, depth: usize, rows: &mut Vec<Vec<Slot>>) {
    if depth == MOST_ROWS {
        return;
    }
    if rows.len() == depth {
        rows.push(Vec::new());
    }
    for span in spans.iter().filter(|span| ![KICK, ONLINE, ACTIVE].contains(&span.name)) {
        let own_end = span.end_ns.unwrap_or(end).max(span.ns);
        let outside = own_end < canvas.time.start || span.ns > canvas.time.end;
        if !outside {
            let (chain, innermost) = chain(span);
            rows[depth].push(slot(span, &chain, own_end, canvas.scale));
            add(&innermost.children, own_end, canvas, depth + 1, rows);
        }
    }
}

/// A span and those within it that begin and end with it, which bear one time because they are one function.
fn chain<'a, 'b>(span: &'a Span<'b>) -> (Vec<&'b str>, &'a Span<'b>) {
    let (mut names, mut innermost) = (vec![span.name], span);
    while let [only] = innermost.children.as_slice()
        && !only.moment
        && only.ns == span.ns
        && only.end_ns == span.end_ns
    {
        names.push(only.name);
        innermost = only;
    }
    (names, innermost)
}

fn slot(span: &Span<'_>, chain: &[&str], end: u64, scale: &Scale) -> Slot {
    let target = span.target.map_or(String::new(), |target| format!(" → CPU {target}"));
    let mut names = vec![format!("{}{target}", span.name), span.name.to_owned()];
    if let [first, .., last] = chain {
        names.insert(0, format!("{first} … {last}{target}"));
    }
    names.dedup();
    let open = span.end_ns.is_none();
    let long = if open { "not left in the trace".to_owned() } else { duration(end - span.ns) };
    let title = format!("{}{target}: {long}", chain.join(" › "));
    let left = scale.x(span.ns);
    let kind = if open { BarKind::Open } else { BarKind::Span };
    let bar = Bar { left, right: scale.x(end).max(left + NARROWEST), top: 0.0, height: BAR, kind, title };
    Slot { bar, names, members: Vec::new() }
}

/// Makes one of neighbours that could not be told apart, and sees to it that none covers the next.
fn put_together(row: Vec<Slot>) -> Vec<Slot> {
    let mut kept: Vec<Slot> = Vec::new();
    let mut counts: Vec<usize> = Vec::new();
    for mut slot in row {
        let width = slot.bar.right - slot.bar.left;
        if let (Some(before), Some(count)) = (kept.last_mut(), counts.last_mut()) {
            let narrow = width < TOO_NARROW && (*count > 1 || before.bar.right - before.bar.left < TOO_NARROW);
            if narrow && slot.bar.left < before.bar.right + 0.6 {
                before.bar.right = before.bar.right.max(slot.bar.right);
                *count += 1;
                join_names(before, &slot, *count);
                continue;
            }
            slot.bar.left = slot.bar.left.max(before.bar.right);
            slot.bar.right = slot.bar.right.max(slot.bar.left + NARROWEST);
        }
        kept.push(slot);
        counts.push(1);
    }
    kept
}

/// Names the `count` spans of which `into` has become the bar, `slot` the last of them.
fn join_names(into: &mut Slot, slot: &Slot, count: usize) {
    if count == 2 {
        into.members = vec![plain_name(into)];
    }
    into.members.push(plain_name(slot));
    let all = if into.members.iter().all(|name| *name == into.members[0]) {
        format!("{} ×{count}", into.members[0])
    } else {
        into.members.iter().take(MOST_NAMES).map(String::as_str).collect::<Vec<_>>().join(" · ")
    };
    let few = format!("{count} functions");
    into.bar.title = format!("{few}, too short to be drawn one by one: {all}");
    into.names = if count <= MOST_NAMES || !all.contains(" · ") { vec![all, few] } else { vec![few] };
}

/// The shortest name of a bar.
fn plain_name(slot: &Slot) -> String {
    slot.names.last().cloned().unwrap_or_default()
}

/// The names of a row's bars: inside where they fit, otherwise beside them where nothing else is.
fn names(row: &[Slot], scale: &Scale, time: &Range<u64>, y: f64) -> Vec<Text> {
    let mut texts = Vec::new();
    let mut inside = vec![false; row.len()];
    for (slot, inside) in row.iter().zip(&mut inside) {
        let (left, right) = scale.widest_stretch(slot.bar.left, slot.bar.right);
        let room = right - left - 2.0 * PADDING;
        if let Some(name) = slot.names.iter().find(|name| text::width(&text::clean(name), SIZE) <= room) {
            texts.push(Text { size: SIZE, in_bar: true, ..label(left + PADDING, y, name.as_str()) });
            *inside = true;
        }
    }
    let (mut free_from, edge) = (scale.x(time.start), scale.x(time.end));
    let mut position = 0;
    while position < row.len() {
        let run = inside[position..].iter().take_while(|inside| !**inside).count();
        if run == 0 {
            free_from = row[position].bar.right;
            position += 1;
            continue;
        }
        let next = position + run;
        let free = (free_from, row.get(next).map_or(edge, |slot| slot.bar.left));
        let placed = name_run(&row[position..next], free, scale, y);
        free_from = placed.iter().map(|text| text.extent().1).fold(row[next - 1].bar.right, f64::max);
        texts.extend(placed);
        position = next;
    }
    texts
}

/// The names of neighbouring bars that have no room inside: each beside its own if all can be, otherwise one text for all, or
/// as many as can be.
fn name_run(run: &[Slot], free: (f64, f64), scale: &Scale, y: f64) -> Vec<Text> {
    let text = |(x, anchor, name)| Text { size: SIZE, tone: Tone::Faint, anchor, ..label(x, y, name) };
    let mut single = Vec::new();
    let mut free_from = free.0;
    for (position, slot) in run.iter().enumerate() {
        let free_to = run.get(position + 1).map_or(free.1, |next| next.bar.left);
        let own = (slot.bar.left, slot.bar.right);
        let placed = beside(&slot.names, own, (free_from, free_to), scale).map(text);
        free_from = placed.as_ref().map_or(own.1, |text| text.extent().1.max(own.1));
        single.extend(placed);
    }
    let bars = (run[0].bar.left, run[run.len() - 1].bar.right);
    let joined = || beside(&run_names(run), bars, free, scale).map(text);
    if single.len() < run.len()
        && let Some(joined) = joined()
    {
        return vec![joined];
    }
    single
}

/// What may stand beside neighbouring bars, the best first.
fn run_names(run: &[Slot]) -> Vec<String> {
    let best_name = |slot: &Slot| slot.names.first().cloned().unwrap_or_default();
    match run {
        [one] => one.names.clone(),
        [first, rest @ ..] if rest.iter().all(|slot| plain_name(slot) == plain_name(first)) => {
            vec![format!("{} ×{}", plain_name(first), run.len())]
        }
        _ => {
            let full = run.iter().map(best_name).collect::<Vec<_>>().join(" · ");
            let short = run.iter().map(plain_name).collect::<Vec<_>>().join(" · ");
            vec![full, short]
        }
    }
}

/// The place beside `bars` for the best of `names` that fits within `free`: to the right if it can be.
fn beside(names: &[String], bars: (f64, f64), free: (f64, f64), scale: &Scale) -> Option<(f64, Anchor, String)> {
    names.iter().find_map(|name| {
        let width = text::width(&text::clean(name), SIZE);
        let (right, left) = (bars.1 + PADDING, bars.0 - PADDING);
        if right + width + PADDING <= free.1 && scale.is_whole(right, right + width) {
            Some((right, Anchor::Start, name.clone()))
        } else if left - width - PADDING >= free.0 && scale.is_whole(left - width, left) {
            Some((left, Anchor::End, name.clone()))
        } else {
            None
        }
    })
}

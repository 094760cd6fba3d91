//! The lane of a CPU: its state in one row, its spans below where there is room, and in words what went wrong.

use reveille_trace_format::Outcome;

use super::groups::{Group, LeftOutGroup, has_words};
use super::{
    Anchor, Bar, BarKind, Density, Lane, Line, LineKind, Look, PLOT_LEFT, PLOT_RIGHT, SIZE, Sign, SignKind, Text, Tone,
    label, rows,
};
use crate::report::CpuReport;
use crate::summary::outcome_words;
use crate::timeline::scale::{Scale, duration};
use crate::timeline::story::{Story, is_faulty};
use crate::timeline::text;

/// The height of the row that shows the state, where there is room for text.
const STATE: f64 = 16.0;
/// The distance of lines of words.
const LINE: f64 = 15.0;
/// The empty room below a lane with spans or words.
const GAP: f64 = 4.0;

/// Makes lanes.
pub struct Maker<'a> {
    pub story: &'a Story,
    pub scale: &'a Scale,
    pub density: Density,
}

impl Maker<'_> {
    /// The lane of a group of CPUs, at `top`.
    pub fn lane(&self, group: &Group<'_>, top: f64) -> Lane {
        let cpu = &group.cpus[0];
        let last = group.cpus.last().map_or(cpu.index, |cpu| cpu.index);
        let controls = cpu.index == 0 || self.story.last_kick().is_some_and(|kick| kick.by == cpu.index);
        let words = words(cpu, group, self.story);
        let look = match cpu.outcome {
            Outcome::Online => Look::Plain,
            Outcome::NotAsked => Look::Absent,
            _ => Look::Faulty,
        };
        let roomy = controls || !words.is_empty() || matches!(self.density, Density::Detailed | Density::Plain);
        let state_height = match cpu.outcome {
            Outcome::NotAsked => 2.0,
            _ if roomy || has_words(group) => STATE,
            _ => self.density.row(),
        };
        let mut lane = empty(Some((cpu.index, last)), look, group.shaded, top, state_height);
        let spans = controls || self.density == Density::Detailed || (is_faulty(cpu) && group.speaks_for == 1);
        match cpu.outcome {
            Outcome::Online if controls => self.control(&mut lane),
            Outcome::Online => self.secondary(&mut lane, cpu, spans, roomy),
            Outcome::NotAsked => {}
            _ => self.faulty(&mut lane, cpu, state_height),
        }
        make_room_for_texts(&mut lane);
        let beside = self.story.kicks.get(&cpu.index).map_or(PLOT_LEFT, |kick| self.scale.x(kick.ns));
        self.add_words(&mut lane, &words, beside);
        if spans {
            let rows = rows::draw(cpu, self.scale, &self.story.time, top + lane.height);
            lane.height += rows.height;
            lane.bars.extend(rows.bars);
            lane.texts.extend(rows.texts);
        }
        if spans && self.density == Density::Detailed || controls {
            lane.height += GAP;
        }
        self.add_label(&mut lane, group, state_height);
        lane
    }

    /// The lane for what was left out for one reason.
    pub fn left_out(&self, group: &LeftOutGroup<'_>, top: f64) -> Lane {
        let look = if group.fault { Look::Faulty } else { Look::Absent };
        let mut lane = empty(None, look, false, top, 2.0);
        lane.state_y = top + LINE / 2.0 + 2.0;
        let tone = if group.fault { Tone::Bad } else { Tone::Faint };
        let left = Text { tone, anchor: Anchor::End, ..label(PLOT_LEFT - 10.0, lane.state_y + 4.0, "left out") };
        lane.texts.push(left);
        if group.fault {
            lane.signs.push(Sign { x: PLOT_LEFT + 8.0, y: lane.state_y, radius: 4.5, kind: SignKind::Failed });
        }
        self.add_words(&mut lane, &[(tone, format!("{}: {}", group.names, group.reason))], PLOT_LEFT + 12.0);
        lane
    }

    /// The state of the CPU that kicks the others: online all the time, and some of it spent waiting.
    fn control(&self, lane: &mut Lane) {
        let (left, right) = (PLOT_LEFT, PLOT_RIGHT);
        let wait = self.story.last_kick().zip(self.story.wait_end).filter(|(kick, end)| *end > kick.ns);
        let Some((kick, end)) = wait else {
            lane.lines.push(Line { left, right, y: lane.state_y, kind: LineKind::Online });
            return;
        };
        let (from, to) = (self.scale.x(kick.ns), self.scale.x(end));
        let y = lane.state_y;
        lane.lines.push(Line { left, right: from, y, kind: LineKind::Online });
        lane.lines.push(Line { left: from, right: to, y, kind: LineKind::Waiting });
        lane.lines.push(Line { left: to, right, y, kind: LineKind::Online });
        self.add_on_line(
            lane,
            (from, to),
            &[format!("waits for the others, {}", duration(end - kick.ns)), "waits".into()],
        );
    }

    /// The state of a CPU that was kicked and came online.
    fn secondary(&self, lane: &mut Lane, cpu: &CpuReport, spans: bool, roomy: bool) {
        let (scale, y) = (self.scale, lane.state_y);
        let kick = self.story.kicks.get(&cpu.index).map(|kick| kick.ns);
        let first = cpu.events.first().map(|event| event.ns);
        let arrived = first.or(kick).unwrap_or(self.story.time.start);
        let online = cpu.online_ns().filter(|ns| *ns >= arrived);
        let online_x = scale.x(online.unwrap_or(arrived));
        let (from, to) = (scale.x(kick.unwrap_or(arrived)), scale.x(arrived));
        if cpu.lost_events > 0 {
            let title = format!("the oldest {} events were lost", cpu.lost_events);
            lane.bars.push(Bar { title, ..bar(from, to, lane.top, lane.height, BarKind::Lost) });
        } else if to > from {
            lane.lines.push(Line { left: from, right: to, y, kind: LineKind::Waiting });
        }
        if !spans && let Some(online) = online {
            let title = format!("CPU {}: entry to online in {}", cpu.index, duration(online.saturating_sub(arrived)));
            let height = lane.height.min(8.0) - 1.0;
            let right = online_x.max(to + 1.5);
            lane.bars.push(Bar { title, top: y - height / 2.0, height, ..bar(to, right, 0.0, 0.0, BarKind::Span) });
        }
        lane.lines.push(Line { left: online_x, right: PLOT_RIGHT, y, kind: LineKind::Online });
        if let Some(online) = online {
            let radius = (lane.height * 0.3).clamp(1.6, 4.5);
            lane.signs.push(Sign { x: online_x, y, radius, kind: SignKind::Online });
            if roomy {
                self.add_online(lane, online_x, from, &relative(online, self.story.origin));
            }
        }
        if let Some(kick) = kick.filter(|_| roomy && cpu.lost_events == 0) {
            self.add_on_line(lane, (from, to), &[duration(arrived.saturating_sub(kick))]);
        }
    }

    /// Says when the CPU came online: to the right of the sign where there is room, otherwise to the left, but not over the kick.
    fn add_online(&self, lane: &mut Lane, online_x: f64, kick_x: f64, when: &str) {
        let text = label(online_x + 8.0, lane.state_y + 3.5, format!("online {when}"));
        let right = Text { size: 10.0, tone: Tone::Good, ..text };
        let left = Text { x: online_x - 8.0, anchor: Anchor::End, ..right.clone() };
        let before_kick = Text { x: kick_x - 6.0, ..left.clone() };
        let within = |text: &Text| text.extent().0 > PLOT_LEFT && text.extent().1 <= PLOT_RIGHT;
        let clear_of_kick = left.extent().0 > kick_x + 6.0;
        let whole = |text: &Text| within(text) && self.scale.is_whole(text.extent().0, text.extent().1);
        let choices = [
            (whole(&right), &right),
            (whole(&left) && clear_of_kick, &left),
            (within(&right), &right),
            (within(&left) && clear_of_kick, &left),
            (within(&before_kick), &before_kick),
            (within(&left), &left),
        ];
        lane.texts.extend(choices.into_iter().find(|(fits, _)| *fits).map(|(_, text)| text.clone()));
    }

    /// The state of a CPU that did not come online.
    fn faulty(&self, lane: &mut Lane, cpu: &CpuReport, height: f64) {
        let (scale, y) = (self.scale, lane.state_y);
        let kicked = self.story.kicks.get(&cpu.index).map_or(self.story.time.start, |kick| kick.ns);
        let from = scale.x(kicked);
        let radius = (height * 0.35).clamp(2.0, 5.0);
        let mut end = from;
        if cpu.outcome != Outcome::Failed {
            end = scale.x(self.story.waited_until().max(kicked));
            let title =
                format!("CPU {}: waited for {}", cpu.index, duration(self.story.waited_until().saturating_sub(kicked)));
            let height = (height - 4.0).max(2.0);
            lane.bars.push(Bar { title, top: y - height / 2.0, height, ..bar(from, end, 0.0, 0.0, BarKind::Missed) });
        }
        // The end of the wait may be at the very edge.
        let x = end.clamp(PLOT_LEFT + radius, PLOT_RIGHT - radius);
        lane.signs.push(Sign { x, y, radius, kind: SignKind::Failed });
    }

    /// Puts the best of `texts` that fits on a line between two places.
    fn add_on_line(&self, lane: &mut Lane, (from, to): (f64, f64), texts: &[String]) {
        let taken = lane.texts.iter().map(Text::extent).filter(|(left, right)| *left < to && *right > from);
        let limit = taken.map(|(left, _)| left).fold(to, f64::min);
        let (left, right) = self.scale.widest_stretch(from, limit);
        let fits = |text: &&String| text::width(text, 10.0) + 16.0 <= right - left;
        if let Some(words) = texts.iter().find(fits) {
            let text = label((left + right) / 2.0, lane.state_y + 3.5, words.as_str());
            lane.texts.push(Text { size: 10.0, tone: Tone::Faint, anchor: Anchor::Middle, ..text });
        }
    }

    /// Adds words below what the lane has so far, in full, and near the place that they are about.
    fn add_words(&self, lane: &mut Lane, words: &[(Tone, String)], near: f64) {
        for (tone, words) in words {
            let lines = text::wrap(&text::clean(words), text::fitting(PLOT_RIGHT - PLOT_LEFT - 16.0, SIZE));
            let widest = lines.iter().map(|line| text::width(line, SIZE)).fold(0.0, f64::max);
            let x = if near + 8.0 + widest + 4.0 > PLOT_RIGHT { PLOT_LEFT + 4.0 } else { near + 8.0 };
            for line in lines {
                let bold = *tone == Tone::Bad;
                lane.texts.push(Text { tone: *tone, bold, ..label(x, lane.top + lane.height + 11.0, line) });
                lane.height += LINE;
            }
        }
        if !words.is_empty() {
            lane.height += 2.0;
        }
    }

    fn add_label(&self, lane: &mut Lane, group: &Group<'_>, state_height: f64) {
        let Some(words) = &group.label else { return };
        let cpu = &group.cpus[0];
        let tone = if is_faulty(cpu) { Tone::Bad } else { Tone::Plain };
        let size = if lane.height < STATE { 10.0 } else { SIZE };
        let y = match cpu.outcome {
            Outcome::NotAsked => lane.top + 13.0,
            _ if state_height >= STATE => lane.state_y + 4.0,
            // The label of a group may be higher than its first lane: it hangs from its top.
            _ => lane.top + 8.5,
        };
        let text = label(PLOT_LEFT - 10.0, y, words.as_str());
        lane.texts.push(Text { size, tone, bold: tone == Tone::Bad, anchor: Anchor::End, ..text });
        if lane.height >= STATE + LINE && group.cpus.len() == 1 && group.speaks_for == 1 {
            let id = label(PLOT_LEFT - 10.0, y + 13.0, format!("{:#x}", cpu.hw_id));
            lane.texts.push(Text { size: 10.0, tone: Tone::Faint, anchor: Anchor::End, ..id });
        }
    }
}

fn empty(cpus: Option<(u32, u32)>, look: Look, shaded: bool, top: f64, height: f64) -> Lane {
    let (bars, signs, texts, lines) = Default::default();
    Lane { cpus, look, shaded, top, height, state_y: top + height / 2.0, lines, bars, signs, texts }
}

/// Interrupts the lines where texts stand on them.
pub(super) fn make_room_for_texts(lane: &mut Lane) {
    for text in &lane.texts {
        let (left, right) = text.extent();
        let (left, right) = (left - 4.0, right + 4.0);
        let pieces = lane.lines.iter().flat_map(|line| {
            let before = Line { right: line.right.min(left), ..*line };
            let after = Line { left: line.left.max(right), ..*line };
            if line.right <= left || line.left >= right { vec![*line] } else { vec![before, after] }
        });
        lane.lines = pieces.filter(|line| line.right > line.left).collect();
    }
}

fn bar(left: f64, right: f64, top: f64, height: f64, kind: BarKind) -> Bar {
    Bar { left, right: right.max(left), top, height, kind, title: String::new() }
}

/// What there is to say about a CPU.
fn words(cpu: &CpuReport, group: &Group<'_>, story: &Story) -> Vec<(Tone, String)> {
    let mut words = Vec::new();
    if group.speaks_for == 0 {
        return words;
    }
    if is_faulty(cpu) {
        let reason = cpu.reason.as_deref().unwrap_or("no reason was given");
        let when = if group.speaks_for == 1 { when(cpu, story) } else { String::new() };
        words.push((Tone::Bad, format!("{}: {reason}{when}", outcome_words(cpu.outcome))));
    } else if cpu.outcome == Outcome::NotAsked {
        words.push((Tone::Faint, outcome_words(cpu.outcome).to_owned()));
    } else if let Some(reason) = &cpu.reason {
        words.push((Tone::Odd, format!("online, but {reason}")));
    }
    if cpu.lost_events > 0 {
        words.push((Tone::Odd, format!("the oldest {} events were lost", cpu.lost_events)));
    }
    words
}

/// When a CPU that did not come was kicked, and how long it was waited for.
fn when(cpu: &CpuReport, story: &Story) -> String {
    let Some(kick) = story.kicks.get(&cpu.index) else { return "; its kick is not in the trace".into() };
    let kicked = format!("; kicked at {}", relative(kick.ns, story.origin));
    match (cpu.outcome, story.wait_end) {
        (Outcome::Failed, _) | (_, None) => kicked,
        (_, Some(end)) => format!("{kicked}, waited for until {}", relative(end, story.origin)),
    }
}

/// A time on the axis.
fn relative(ns: u64, origin: u64) -> String {
    let sign = if ns < origin { '-' } else { '+' };
    format!("{sign}{}", duration(ns.abs_diff(origin)))
}

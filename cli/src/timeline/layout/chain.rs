//! The picture of a stack with guests: a column for each stage, in the order of time, and a lane for each CPU. In its column a stage's CPUs
//! come up on a scale of the stage's own; what lies between two columns is cut out, and how long it is stands there.
//!
//! Firmware starts no CPUs by itself: its column is the time until it lets the first one go.

use std::collections::BTreeSet;

use reveille_trace_format::Outcome;

use super::lane::make_room_for_texts;
use super::{
    Anchor, Arrow, Bar, BarKind, Density, Lane, Layout, Line, LineKind, Look, PLOT_LEFT, PLOT_RIGHT, Sign, SignKind,
    Text, Tone, label,
};
use crate::report::{CpuReport, Entry, Report};
use crate::span::{self, Span};
use crate::summary::outcome_words;
use crate::timeline::scale::{CUT_WIDTH, Cut, Scale, duration};
use crate::timeline::story::Story;
use crate::timeline::text;

/// The width of the firmware's column, and the least of another.
const FIRMWARE_WIDTH: f64 = 96.0;
const LEAST_WIDTH: f64 = 40.0;
/// The height of what stands above the lanes: a column's title, and the axis.
const TITLE_HEIGHT: f64 = 84.0;
/// The sizes of titles, and of what stands below them and in lanes.
const TITLE: f64 = 12.0;
const SMALL: f64 = 10.0;
/// The heights of a lane's two rows, where there is room for both.
const STATE: f64 = 18.0;
const ROW: f64 = 16.0;
const BAR: f64 = 12.0;
/// A bar that is narrower is not drawn.
const NARROWEST: f64 = 6.0;
/// The distance of texts from what is beside them.
const PADDING: f64 = 4.0;

/// A stage, and where it is drawn.
struct Column<'a> {
    stage: &'a Report,
    story: Story,
    scale: Scale,
    left: f64,
    right: f64,
}

/// Whether a report is drawn so: of a stack with a hypervisor and its guests.
pub fn is_chain(report: &Report) -> bool {
    report.stages.iter().any(|stage| stage.guest.is_some())
}

impl Layout {
    /// Lays out the report of a stack with guests.
    #[must_use]
    pub fn of_stages(report: &Report) -> Self {
        let mut layout = Self { cut_means: "what stages do beside starting CPUs, cut out", ..Self::default() };
        let below_heading = layout.add_chain_heading(report);
        let columns = columns(report);
        let top = below_heading + TITLE_HEIGHT;
        columns.iter().for_each(|column| layout.add_title(column, below_heading));
        let cuts = columns.windows(2).filter_map(|pair| cut(&pair[0], &pair[1]));
        layout.cuts = cuts.collect();
        for column in &columns {
            let mut ticks = column.scale.ticks(column.story.origin, |label| text::width(label, super::SIZE));
            let half = |label: &str| text::width(label, super::SIZE) / 2.0;
            let room = column.left - CUT_WIDTH * 0.4..column.right + CUT_WIDTH * 0.4;
            ticks.retain(|tick| room.start <= tick.x - half(&tick.label) && tick.x + half(&tick.label) <= room.end);
            layout.ticks.extend(ticks);
        }
        layout.add_chain_lanes(&columns, top);
        layout.add_legend(report);
        layout
    }

    fn add_title(&mut self, column: &Column<'_>, top: f64) {
        let stage = column.stage;
        let room = column.right - column.left;
        let mut add = |y: f64, size: f64, bold: bool, tone: Tone, words: &str| {
            let fits = text::fitting(room, size);
            let words: String = words.chars().take(fits).collect();
            self.axis.push(Text { size, bold, tone, ..label(column.left, top + y, words) });
        };
        add(16.0, TITLE, true, Tone::Plain, &stage.stage_name());
        let cpus = if stage.guest.is_some() { "vCPUs" } else { "CPUs" };
        let count = format!("{} of {} {cpus}", stage.online_count, stage.asked_count);
        let tone = if stage.online_count == stage.asked_count { Tone::Good } else { Tone::Bad };
        add(31.0, SMALL, false, tone, &count);
        let level = stage.entry_level.map_or(String::new(), |level| format!("EL{level}"));
        let bringup = (!is_firmware(stage) && stage.bringup_ns > 0).then(|| duration(stage.bringup_ns));
        let facts: Vec<String> =
            [Some(level).filter(|level| !level.is_empty()), bringup].into_iter().flatten().collect();
        add(44.0, SMALL, false, Tone::Faint, &facts.join(", "));
    }

    fn add_chain_lanes(&mut self, columns: &[Column<'_>], top: f64) {
        // Whatever numbers a report gives its CPUs, there are no more lanes than CPUs.
        let indexes: BTreeSet<u32> =
            columns.iter().flat_map(|column| &column.stage.cpus).map(|cpu| cpu.index).collect();
        let count = indexes.len();
        let density = Density::of(count);
        let (state, spans) = match density {
            Density::Detailed | Density::Plain => (STATE, count <= 16),
            _ => (density.row(), false),
        };
        let height = state + if spans { ROW } else { 0.0 };
        for (place, index) in indexes.into_iter().enumerate() {
            let y = top + place as f64 * height;
            let faulty = columns.iter().filter_map(|column| column.cpu(index)).any(is_faulty);
            let group = density.group();
            let mut lane = Lane {
                cpus: Some((index, index)),
                look: if faulty { Look::Faulty } else { Look::Plain },
                shaded: (index / group) % 2 == 1,
                top: y,
                height,
                state_y: y + state / 2.0,
                lines: Vec::new(),
                bars: Vec::new(),
                signs: Vec::new(),
                texts: Vec::new(),
            };
            let cells = || columns.iter().filter_map(|column| Some((column, column.cpu(index)?)));
            cells().for_each(|(column, cpu)| column.add_state(&mut lane, cpu, state >= STATE));
            make_room_for_texts(&mut lane);
            if spans {
                cells().for_each(|(column, cpu)| column.add_row(&mut lane, cpu, y + state));
            }
            if index % group == 0 {
                let middle = y + state / 2.0 + 4.0;
                let name = label(PLOT_LEFT - 10.0, middle, format!("CPU {index}"));
                lane.texts.push(Text { anchor: Anchor::End, ..name });
            }
            self.lanes.push(lane);
        }
        self.plot = (top, top + count as f64 * height);
        for column in columns.iter().filter(|column| !is_firmware(column.stage)) {
            self.kicks.extend(column.kicks(&self.lanes));
        }
    }
}

fn is_firmware(stage: &Report) -> bool {
    stage.image == "firmware"
}

fn is_faulty(cpu: &CpuReport) -> bool {
    !matches!(cpu.outcome, Outcome::Online | Outcome::NotAsked)
}

/// The columns, from left to right.
fn columns(report: &Report) -> Vec<Column<'_>> {
    let stages: Vec<&Report> = report.stages.iter().collect();
    let narrow = stages.iter().filter(|stage| is_firmware(stage)).count() as f64 * FIRMWARE_WIDTH;
    let gaps = stages.len().saturating_sub(1) as f64 * CUT_WIDTH;
    let wide = stages.iter().filter(|stage| !is_firmware(stage)).count().max(1) as f64;
    let width = ((PLOT_RIGHT - PLOT_LEFT - narrow - gaps) / wide).max(LEAST_WIDTH);
    let mut left = PLOT_LEFT;
    let mut columns = Vec::new();
    for stage in stages {
        let mut story = Story::new(stage);
        let mut right = left + width;
        if is_firmware(stage) {
            right = left + FIRMWARE_WIDTH;
            let first = stage.entries.first().map_or(1, |entry| entry.ns);
            (story.origin, story.time) = (0, 0..first.saturating_add(first / 8).max(1));
        }
        let scale = Scale::new(story.time.clone(), &[], left, right);
        columns.push(Column { stage, story, scale, left, right });
        left = right + CUT_WIDTH;
    }
    columns
}

/// What lies between two stages, if one begins to start CPUs when the other has them, and both have the same clock.
fn cut(before: &Column<'_>, after: &Column<'_>) -> Option<Cut> {
    let end = before.stage.counter_ns?.checked_add(before.story.time.end)?;
    let begin = after.stage.counter_ns?.checked_add(after.story.time.start)?;
    let ns = begin.checked_sub(end).filter(|ns| *ns > 0)?;
    Some(Cut { left: before.right, right: after.left, ns })
}

impl Column<'_> {
    /// The CPU with this number, as the stage knows it.
    fn cpu(&self, index: u32) -> Option<&CpuReport> {
        self.stage.cpus.iter().find(|cpu| cpu.index == index)
    }

    /// Adds the state of a CPU in this stage.
    fn add_state(&self, lane: &mut Lane, cpu: &CpuReport, words: bool) {
        if is_firmware(self.stage) {
            self.add_firmware_state(lane, cpu);
            return;
        }
        let y = lane.state_y;
        let kick = self.story.kicks.get(&cpu.index).map(|kick| self.scale.x(kick.ns));
        let online = cpu.online_ns().map(|ns| (ns, self.scale.x(ns)));
        match (cpu.outcome, kick) {
            (Outcome::NotAsked, _) => {}
            (Outcome::Online, None) => {
                lane.lines.push(Line { left: self.left, right: self.right, y, kind: LineKind::Online });
            }
            (Outcome::Online, Some(kick)) => {
                let (ns, x) = online.unwrap_or((0, kick));
                lane.lines.push(Line { left: kick, right: x, y, kind: LineKind::Waiting });
                lane.lines.push(Line { left: x, right: self.right, y, kind: LineKind::Online });
                let radius = (lane.height * 0.3).clamp(1.6, 4.5);
                lane.signs.push(Sign { x, y, radius, kind: SignKind::Online });
                if words && online.is_some() {
                    let when = format!("+{}", duration(ns.saturating_sub(self.story.origin)));
                    lane.texts.extend(self.beside(x, kick, y, when, Tone::Good));
                }
            }
            (outcome, kick) => {
                let x = kick.unwrap_or(self.left) + 10.0;
                lane.signs.push(Sign { x, y, radius: 4.5, kind: SignKind::Failed });
                if words {
                    lane.texts.extend(self.beside(x, x, y, outcome_words(outcome).into(), Tone::Bad));
                }
            }
        }
    }

    /// What stands beside a sign: to the right of it if it can be, otherwise to the left, clear of the kick.
    fn beside(&self, x: f64, kick: f64, y: f64, words: String, tone: Tone) -> Option<Text> {
        let right = Text { size: SMALL, tone, ..label(x + 8.0, y + 3.5, words) };
        let left = Text { x: x - 8.0, anchor: Anchor::End, ..right.clone() };
        let before = Text { x: kick - 6.0, ..left.clone() };
        let clear = |text: &Text, from: f64| text.extent().0 >= from && text.extent().1 <= self.right;
        if clear(&right, self.left) {
            Some(right)
        } else if clear(&left, kick + 6.0) {
            Some(left)
        } else {
            Some(before).filter(|before| clear(before, self.left))
        }
    }

    /// The entry of this CPU, if it is the one that firmware lets go first.
    fn first_entry(&self, cpu: &CpuReport) -> Option<&Entry> {
        self.stage.entries.first().filter(|entry| entry.cpu == cpu.index)
    }

    fn add_firmware_state(&self, lane: &mut Lane, cpu: &CpuReport) {
        let y = lane.state_y;
        if let Some(first) = self.first_entry(cpu) {
            let x = self.scale.x(first.ns);
            lane.lines.push(Line { left: self.left, right: x, y, kind: LineKind::Online });
            lane.signs.push(Sign { x, y, radius: (lane.height * 0.3).clamp(1.6, 4.5), kind: SignKind::Online });
        } else {
            lane.lines.push(Line { left: self.left, right: self.right, y, kind: LineKind::Waiting });
        }
    }

    /// Adds what stands below the state of a CPU.
    fn add_row(&self, lane: &mut Lane, cpu: &CpuReport, top: f64) {
        if !is_firmware(self.stage) {
            self.add_functions(lane, cpu, top);
            return;
        }
        let to = |entry: &Entry| format!("to EL{}, {}", entry.level, duration(entry.ns));
        let words = self.first_entry(cpu).map_or("held".to_owned(), to);
        let y = top + BAR / 2.0 + SMALL * 0.32;
        lane.texts.push(Text { size: SMALL, tone: Tone::Faint, ..label(self.left + PADDING, y, words) });
    }

    /// The innermost functions that are long enough to be seen, in one row.
    fn add_functions(&self, lane: &mut Lane, cpu: &CpuReport, top: f64) {
        let spans = span::nest(&cpu.events);
        let mut leaves = Vec::new();
        for span in &spans {
            self.leaves(span, &mut leaves);
        }
        let mut free = self.left;
        for (left, right, span) in leaves {
            let left = left.max(free);
            if right - left < NARROWEST {
                continue;
            }
            free = right;
            let target = span.target.map_or(String::new(), |target| format!(" → CPU {target}"));
            let long = duration(span.end_ns.unwrap_or(span.ns).saturating_sub(span.ns));
            let title = format!("{}{target}: {long}", span.name);
            let top = top + (ROW - BAR) / 2.0 - 2.0;
            lane.bars.push(Bar { left, right, top, height: BAR, kind: BarKind::Span, title });
            let names = [format!("{}{target}", span.name), span.name.to_owned()];
            let room = right - left - 2.0 * PADDING;
            let fits = names.into_iter().find(|name| text::width(&text::clean(name), SMALL) <= room);
            lane.texts.extend(fits.map(|name| Text {
                size: SMALL,
                in_bar: true,
                ..label(left + PADDING, top + BAR / 2.0 + SMALL * 0.32, name)
            }));
        }
    }

    /// Adds those within `span` that are wide enough, or `span` itself where there is none within it.
    fn leaves<'a, 'b>(&self, span: &'a Span<'b>, leaves: &mut Vec<(f64, f64, &'a Span<'b>)>) {
        let before = leaves.len();
        for child in &span.children {
            self.leaves(child, leaves);
        }
        let Some(end) = span.end_ns.filter(|_| !span.moment && leaves.len() == before) else { return };
        let is_within = end >= self.story.time.start && span.ns <= self.story.time.end;
        let (left, right) = (self.scale.x(span.ns), self.scale.x(end));
        if is_within && right - left >= NARROWEST {
            leaves.push((left, right, span));
        }
    }

    fn kicks(&self, lanes: &[Lane]) -> Vec<Arrow> {
        let lane_of = |cpu: u32| lanes.iter().find(|lane| lane.cpus == Some((cpu, cpu)));
        let arrows = self.story.kicks.iter().filter_map(|(&target, kick)| {
            let (from, to) = (lane_of(kick.by)?, lane_of(target)?);
            let start = if from.top < to.top { from.state_y } else { from.top };
            Some(Arrow { x: self.scale.x(kick.ns), from: start, to: to.state_y, target })
        });
        arrows.collect()
    }
}

#[cfg(test)]
mod tests;

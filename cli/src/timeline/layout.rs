//! Where everything in the picture is. Nothing is drawn here, so that tests can ask whether it overlaps.
//!
//! `heading` says in words what the boot came to, `lane` makes the lane of a CPU, `rows` its spans, `groups` decides which CPUs
//! share a lane or a label, `legend` explains the signs. `chain` lays out what runs in several stages with guests.

use super::scale::{Cut, Scale, Tick};
use super::story::Story;
use super::text;
use crate::report::Report;

mod chain;
mod groups;
mod heading;
mod lane;
mod legend;
mod rows;
#[cfg(test)]
mod tests;

/// The width of the picture.
pub const WIDTH: f64 = 1000.0;
/// The empty border.
const BORDER: f64 = 16.0;
/// Where the lanes begin, right of their labels.
const PLOT_LEFT: f64 = 108.0;
/// Where they end.
const PLOT_RIGHT: f64 = WIDTH - BORDER;
/// The size of the text in lanes.
const SIZE: f64 = 11.0;
/// The height of the axis, and of the place for the lengths of what is cut out of it.
const AXIS_HEIGHT: f64 = 22.0;
const CUT_LABEL_HEIGHT: f64 = 58.0;

/// A picture.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// Its height.
    pub height: f64,
    /// What the boot came to, in words.
    pub heading: Vec<Text>,
    /// The signs in the heading and in the legend.
    pub signs: Vec<Sign>,
    /// Where lanes begin and end, from top to bottom.
    pub plot: (f64, f64),
    /// The axis, at the top of the plot.
    pub ticks: Vec<Tick>,
    /// What the axis is called.
    pub axis: Vec<Text>,
    /// What is cut out of it.
    pub cuts: Vec<Cut>,
    /// What that is, in the legend.
    pub cut_means: &'static str,
    /// The lanes, from top to bottom.
    pub lanes: Vec<Lane>,
    /// The kicks, from lane to lane.
    pub kicks: Vec<Arrow>,
    /// The texts of the legend.
    pub legend: Vec<Text>,
}

/// The lane of a CPU, or of several of which there is nothing to tell apart.
#[derive(Clone, Debug)]
pub struct Lane {
    /// The first and the last of its CPUs; none for what was left out.
    pub cpus: Option<(u32, u32)>,
    /// What it is about.
    pub look: Look,
    /// Whether its background is the darker of two.
    pub shaded: bool,
    /// Its place.
    pub top: f64,
    /// Its height.
    pub height: f64,
    /// Where kicks end in it.
    pub state_y: f64,
    /// The lines under everything.
    pub lines: Vec<Line>,
    /// The spans.
    pub bars: Vec<Bar>,
    /// The signs.
    pub signs: Vec<Sign>,
    /// The texts.
    pub texts: Vec<Text>,
}

/// What a lane is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// A CPU that is online.
    Plain,
    /// Something that went wrong.
    Faulty,
    /// Something that nobody asked for.
    Absent,
}

/// What a text means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// What it says.
    Plain,
    /// It matters less than its surroundings.
    Faint,
    /// It went as it should.
    Good,
    /// It went wrong.
    Bad,
    /// It deserves a look.
    Odd,
}

/// Which end of a text is at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// Its beginning.
    Start,
    /// Its middle.
    Middle,
    /// Its end.
    End,
}

/// A line of text.
#[derive(Clone, Debug, PartialEq)]
pub struct Text {
    /// Its place.
    pub x: f64,
    /// The line on which it stands.
    pub y: f64,
    /// Which end of it is at that place.
    pub anchor: Anchor,
    /// The size of its font.
    pub size: f64,
    /// What it means.
    pub tone: Tone,
    /// Whether it is bold.
    pub bold: bool,
    /// Whether it stands in a bar, and not on the lane's background.
    pub in_bar: bool,
    /// What it says.
    pub text: String,
}

/// A span, or several that are too short to be drawn one by one.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// Its place.
    pub left: f64,
    /// Where it ends.
    pub right: f64,
    /// Its place.
    pub top: f64,
    /// Its height.
    pub height: f64,
    /// What it shows.
    pub kind: BarKind,
    /// What is said when one points at it.
    pub title: String,
}

/// What a bar shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BarKind {
    /// A function that was entered and left.
    Span,
    /// A function that was not left while the trace lasted.
    Open,
    /// A CPU that was waited for in vain.
    Missed,
    /// A time whose events were lost.
    Lost,
}

/// A state that lasts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// Where it begins.
    pub left: f64,
    /// Where it ends.
    pub right: f64,
    /// Its height.
    pub y: f64,
    /// What it shows.
    pub kind: LineKind,
}

/// A state of a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineKind {
    /// It was kicked and is not there yet, or waits for others.
    Waiting,
    /// It is online.
    Online,
}

/// A sign at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sign {
    /// Its place.
    pub x: f64,
    /// Its place.
    pub y: f64,
    /// Half its height.
    pub radius: f64,
    /// What it says.
    pub kind: SignKind,
}

/// What a sign says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignKind {
    /// Online from here on: a disc.
    Online,
    /// It went wrong here: a cross.
    Failed,
    /// Something deserves a look: a triangle.
    Odd,
    /// In the legend: a kick.
    Kick,
    /// In the legend: a state or a span of this look.
    Sample(Sample),
}

/// What the legend shows a piece of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample {
    /// A [`BarKind`].
    Bar(BarKind),
    /// A [`LineKind`].
    Line(LineKind),
    /// A time that is cut out.
    Cut,
}

/// A kick.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arrow {
    /// When.
    pub x: f64,
    /// The edge of the lane that it comes from.
    pub from: f64,
    /// Its tip.
    pub to: f64,
    /// The CPU that is kicked.
    pub target: u32,
}

/// How much room each CPU has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Density {
    /// Its spans are drawn, with names.
    Detailed,
    /// One row, with its label.
    Plain,
    /// One row, too low for text.
    Thin,
    /// A line.
    Hair,
}

impl Density {
    fn of(cpus: usize) -> Self {
        match cpus {
            0..=8 => Self::Detailed,
            9..=40 => Self::Plain,
            41..=160 => Self::Thin,
            _ => Self::Hair,
        }
    }

    /// The height of a lane with a single row.
    fn row(self) -> f64 {
        match self {
            Self::Detailed | Self::Plain => 16.0,
            Self::Thin => 8.0,
            Self::Hair => 4.0,
        }
    }

    /// How many CPUs share a label.
    fn group(self) -> u32 {
        match self {
            Self::Detailed | Self::Plain => 1,
            Self::Thin => 8,
            Self::Hair => 32,
        }
    }
}

impl Layout {
    /// Lays a report out.
    #[must_use]
    pub fn new(report: &Report) -> Self {
        if chain::is_chain(report) { Self::of_stages(report) } else { Self::of_one(&report.with_loader().with_calls()) }
    }

    /// Lays out a report whose CPUs have one lane each.
    fn of_one(report: &Report) -> Self {
        let story = Story::new(report);
        let scale = Scale::new(story.time.clone(), &story.moments, PLOT_LEFT, PLOT_RIGHT);
        let cut_means = "time in which nothing happens, cut out";
        let mut layout = Self { cuts: scale.cuts().collect(), cut_means, ..Self::default() };
        let below_heading = layout.add_heading(report, &story);
        let below_axis = layout.add_axis(&story, &scale, below_heading);
        layout.add_lanes(report, &story, &scale, below_axis);
        layout.add_kicks(&story, &scale);
        layout.add_legend(report);
        layout
    }

    /// Adds the axis below `top`. Returns where it ends.
    fn add_axis(&mut self, story: &Story, scale: &Scale, top: f64) -> f64 {
        let cut_labels = if self.cuts.is_empty() { 0.0 } else { CUT_LABEL_HEIGHT };
        let bottom = top + AXIS_HEIGHT + cut_labels;
        self.ticks = scale.ticks(story.origin, |label| text::width(label, SIZE));
        // Labels of ticks stay within the picture, and off the name of the axis.
        let half = |tick: &Tick| text::width(&tick.label, SIZE) / 2.0;
        self.ticks.retain(|tick| tick.x - half(tick) > PLOT_LEFT - 6.0 && tick.x + half(tick) < WIDTH);
        let name = if story.kicks.is_empty() { "from the entry" } else { "from first kick" };
        let axis = Text { anchor: Anchor::End, tone: Tone::Faint, ..label(PLOT_LEFT - 10.0, bottom - 8.0, name) };
        self.axis.push(Text { size: 10.0, ..axis });
        bottom
    }

    fn add_lanes(&mut self, report: &Report, story: &Story, scale: &Scale, top: f64) {
        let density = Density::of(report.cpus.len());
        let maker = lane::Maker { story, scale, density };
        let mut y = top;
        for group in groups::of_cpus(&report.cpus, density) {
            let lane = maker.lane(&group, y);
            y += lane.height;
            self.lanes.push(lane);
        }
        for left_out in groups::of_left_out(&report.left_out) {
            let lane = maker.left_out(&left_out, y);
            y += lane.height;
            self.lanes.push(lane);
        }
        self.plot = (top, y);
    }

    fn add_kicks(&mut self, story: &Story, scale: &Scale) {
        let lane_of = |cpu: u32| {
            let mut lanes = self.lanes.iter();
            lanes.find(|lane| lane.cpus.is_some_and(|(first, last)| (first..=last).contains(&cpu)))
        };
        let arrows = story.kicks.iter().filter(|(_, kick)| story.time.contains(&kick.ns));
        let arrows = arrows.filter_map(|(&target, kick)| {
            let (from, to) = (lane_of(kick.by)?, lane_of(target)?);
            let start = if from.top < to.top { from.top + from.height } else { from.top };
            Some(Arrow { x: scale.x(kick.ns), from: start, to: to.state_y, target })
        });
        self.kicks = arrows.collect();
    }
}

/// A text at a place, of the usual size and meaning.
fn label(x: f64, y: f64, text: impl Into<String>) -> Text {
    let text = text::clean(&text.into());
    Text { x, y, anchor: Anchor::Start, size: SIZE, tone: Tone::Plain, bold: false, in_bar: false, text }
}

impl Text {
    /// From where to where it reaches.
    #[must_use]
    pub fn extent(&self) -> (f64, f64) {
        let width = text::width(&self.text, self.size);
        match self.anchor {
            Anchor::Start => (self.x, self.x + width),
            Anchor::Middle => (self.x - width / 2.0, self.x + width / 2.0),
            Anchor::End => (self.x - width, self.x),
        }
    }
}

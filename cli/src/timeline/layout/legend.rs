//! What the signs mean. Only those that the picture has are explained.

use reveille_trace_format::Outcome;

use super::{BORDER, BarKind, Layout, LineKind, Sample, Sign, SignKind, Text, Tone, WIDTH, label};
use crate::report::Report;
use crate::timeline::story::is_faulty;

/// The room for a sign.
const SIGN: f64 = 30.0;
/// The distance of lines.
const LINE: f64 = 19.0;

impl Layout {
    /// Adds the legend below the lanes, which ends the picture.
    pub(super) fn add_legend(&mut self, report: &Report) {
        let has_bar = |kind: BarKind| self.lanes.iter().any(|lane| lane.bars.iter().any(|bar| bar.kind == kind));
        let online = report.cpus.iter().any(|cpu| cpu.outcome == Outcome::Online && cpu.online_ns().is_some());
        let entries = [
            (has_bar(BarKind::Span), Sample::Bar(BarKind::Span).into(), "function"),
            (has_bar(BarKind::Open), Sample::Bar(BarKind::Open).into(), "not left in the trace"),
            (!self.kicks.is_empty(), SignKind::Kick, "kick"),
            (!self.kicks.is_empty(), Sample::Line(LineKind::Waiting).into(), "waiting"),
            (online, SignKind::Online, "online from here"),
            (has_bar(BarKind::Missed), Sample::Bar(BarKind::Missed).into(), "waited for in vain"),
            (report.cpus.iter().any(is_faulty), SignKind::Failed, "failed"),
            (has_bar(BarKind::Lost), Sample::Bar(BarKind::Lost).into(), "events lost"),
            (!self.cuts.is_empty(), Sample::Cut.into(), self.cut_means),
        ];
        let (mut x, mut y) = (BORDER, self.plot.1 + 24.0);
        for (_, kind, words) in entries.into_iter().filter(|(is_there, ..)| *is_there) {
            let text = Text { tone: Tone::Faint, ..label(x + SIGN, y, words) };
            let (_, right) = text.extent();
            let back = if right > WIDTH - BORDER { x - BORDER } else { 0.0 };
            if back > 0.0 {
                y += LINE;
            }
            self.signs.push(Sign { x: x - back + SIGN / 2.0 - 4.0, y: y - 4.0, radius: 4.5, kind });
            self.legend.push(Text { x: text.x - back, y, ..text });
            x = right - back + 18.0;
        }
        self.height = y + BORDER;
    }
}

impl From<Sample> for SignKind {
    fn from(sample: Sample) -> Self {
        Self::Sample(sample)
    }
}

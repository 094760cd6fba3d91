//! What the boot came to, in words, above the picture: whoever reads no further still knows what went wrong.

use reveille_trace_format::Outcome;

use super::groups::{self, LeftOutGroup};
use super::{BORDER, Layout, Sign, SignKind, Text, Tone, WIDTH, label};
use crate::report::{CpuReport, End, Report};
use crate::summary::{milliseconds, outcome_words};
use crate::timeline::story::{Story, is_faulty};
use crate::timeline::text;
use crate::tree::ranges;

/// The size of the title.
const TITLE: f64 = 17.0;
/// The size of what stands below it.
const BODY: f64 = 12.0;
/// The distance of lines.
const LINE: f64 = 18.0;
/// More faults than this are not named here; their lanes name them.
const MOST_FAULTS: usize = 8;

impl Layout {
    /// Adds the heading. Returns where it ends.
    pub(super) fn add_heading(&mut self, report: &Report, story: &Story) -> f64 {
        let all = report.online_count == report.asked_count && report.end == End::Done;
        let title = match report.end {
            End::Done => format!("{}: {} of {} CPUs online", report.machine, report.online_count, report.asked_count),
            _ => format!("{}: the image did not come to its end", report.machine),
        };
        let tone = if all { Tone::Plain } else { Tone::Bad };
        let mut y = BORDER + TITLE;
        for line in text::wrap(&text::clean(&title), text::fitting(WIDTH - 2.0 * BORDER, TITLE)) {
            self.heading.push(Text { size: TITLE, bold: true, tone, ..label(BORDER, y, line) });
            y += TITLE + 5.0;
        }
        y -= 1.0;
        for line in facts(report, story) {
            y = self.add_line(&line, Tone::Faint, None, y);
        }
        let (faults, oddities) = (faults(report), oddities(report));
        let more = faults.len().saturating_sub(MOST_FAULTS);
        for fault in faults.iter().take(MOST_FAULTS) {
            y = self.add_line(fault, Tone::Bad, Some(SignKind::Failed), y);
        }
        if more > 0 {
            y = self.add_line(&format!("and {more} more, each in its lane"), Tone::Bad, Some(SignKind::Failed), y);
        }
        for oddity in oddities.iter().take(MOST_FAULTS) {
            y = self.add_line(oddity, Tone::Odd, Some(SignKind::Odd), y);
        }
        y - 4.0
    }

    /// Adds the heading of a stack with guests. Returns where it ends.
    pub(super) fn add_chain_heading(&mut self, report: &Report) -> f64 {
        let whole = |stage: &Report| stage.online_count == stage.asked_count && stage.end == End::Done;
        let names: Vec<String> = report.stages.iter().map(Report::stage_name).collect();
        let good = report.stages.iter().all(whole);
        let words =
            if good { "every stage has all its CPUs online" } else { "not every stage has all its CPUs online" };
        let tone = if good { Tone::Plain } else { Tone::Bad };
        let mut y = BORDER + TITLE;
        for line in text::wrap(
            &text::clean(&format!("{}: {words}", report.machine)),
            text::fitting(WIDTH - 2.0 * BORDER, TITLE),
        ) {
            self.heading.push(Text { size: TITLE, bold: true, tone, ..label(BORDER, y, line) });
            y += TITLE + 5.0;
        }
        y -= 1.0;
        y = self.add_line(&names.join(" → "), Tone::Faint, None, y);
        let words = "each stage's CPUs come up on a scale of its own, from its first kick on";
        y = self.add_line(words, Tone::Faint, None, y);
        let of_stage = |stage: &Report| {
            let name = stage.stage_name();
            faults(stage).into_iter().map(move |fault| format!("{name}: {fault}")).collect::<Vec<_>>()
        };
        let faults: Vec<String> = report.stages.iter().flat_map(of_stage).collect();
        for fault in faults.iter().take(MOST_FAULTS) {
            y = self.add_line(fault, Tone::Bad, Some(SignKind::Failed), y);
        }
        let more = faults.len().saturating_sub(MOST_FAULTS);
        if more > 0 {
            y = self.add_line(&format!("and {more} more"), Tone::Bad, Some(SignKind::Failed), y);
        }
        y - 4.0
    }

    /// Adds a line, or more where one does not take it. Returns where the next is.
    fn add_line(&mut self, line: &str, tone: Tone, sign: Option<SignKind>, mut y: f64) -> f64 {
        let x = if sign.is_some() { BORDER + 16.0 } else { BORDER };
        if let Some(kind) = sign {
            self.signs.push(Sign { x: BORDER + 5.0, y: y - 4.0, radius: 5.0, kind });
        }
        for part in text::wrap(&text::clean(line), text::fitting(WIDTH - BORDER - x, BODY)) {
            self.heading.push(Text { size: BODY, tone, bold: tone == Tone::Bad, ..label(x, y, part) });
            y += LINE;
        }
        y
    }
}

fn facts(report: &Report, story: &Story) -> Vec<String> {
    let image = format!("{} {}{}", report.image, report.image_version, report.entry_words());
    if report.end != End::Done {
        return vec![image];
    }
    let times = report.times().map_or(String::new(), |times| format!(" · {}", times.replace(", ", " · ")));
    let mut facts = vec![format!("{image}{times}")];
    if !story.kicks.is_empty() {
        let lost =
            report.cpus.iter().any(|cpu| story.kicks.values().any(|kick| kick.by == cpu.index) && cpu.lost_events > 0);
        let which = if lost { "first kick left in the trace" } else { "first kick" };
        let when = format!("{which} {} ms after the image was entered", milliseconds(story.origin));
        facts.push(format!("{when}; what the boot CPU did before is not drawn"));
    }
    facts
}

/// Everything that went wrong, CPUs with the same fault together.
fn faults(report: &Report) -> Vec<String> {
    let mut faults = Vec::new();
    match report.end {
        End::Done => {}
        End::Died => faults.push("the machine died: this is what the image said until then".to_owned()),
        End::TimedOut => {
            faults.push("the run was ended when its time was over: this is what was said until then".into())
        }
    }
    let mut kinds: Vec<Vec<&CpuReport>> = Vec::new();
    for cpu in report.cpus.iter().filter(|cpu| is_faulty(cpu)) {
        match kinds.iter_mut().find(|kind| kind[0].outcome == cpu.outcome && kind[0].reason == cpu.reason) {
            Some(kind) => kind.push(cpu),
            None => kinds.push(vec![cpu]),
        }
    }
    for kind in kinds {
        let reason = kind[0].reason.as_deref().unwrap_or("no reason was given");
        faults.push(format!("{} {}: {reason}", names(&kind), outcome_words(kind[0].outcome)));
    }
    let left_out = groups::of_left_out(&report.left_out).into_iter().filter(|group| group.fault);
    faults.extend(left_out.map(|LeftOutGroup { names, reason, .. }| format!("{names} left out: {reason}")));
    let proofs = report.proofs.iter().filter(|proof| !proof.passed);
    faults.extend(proofs.map(|proof| format!("the proof {} failed: {}", proof.name, proof.detail)));
    faults
}

fn names(cpus: &[&CpuReport]) -> String {
    match cpus {
        [cpu] => format!("CPU {} ({:#x})", cpu.index, cpu.hw_id),
        several => format!("CPUs {}", ranges(&several.iter().map(|cpu| cpu.index).collect::<Vec<_>>())),
    }
}

/// What is no fault of a CPU and still deserves a look.
fn oddities(report: &Report) -> Vec<String> {
    let lost: Vec<&CpuReport> = report.cpus.iter().filter(|cpu| cpu.lost_events > 0).collect();
    let mut oddities = Vec::new();
    if !lost.is_empty() {
        let count: u64 = lost.iter().map(|cpu| u64::from(cpu.lost_events)).sum();
        let whose = names(&lost);
        oddities
            .push(format!("{whose}: the oldest {count} events were lost, so what they did at first is missing here"));
    }
    let odd = report.cpus.iter().filter(|cpu| cpu.outcome == Outcome::Online);
    oddities.extend(odd.filter_map(|cpu| Some(format!("{} is online, but {}", names(&[cpu]), cpu.reason.as_ref()?))));
    oddities
}

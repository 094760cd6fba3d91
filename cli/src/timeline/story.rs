//! What a report says in time: when each CPU was kicked, how long it was waited for, and which time is worth drawing.

use std::collections::BTreeMap;
use std::ops::Range;

use reveille_trace_format::{KICK, Outcome};

use crate::report::{CpuReport, End, Report};
use crate::span::{self, Span};

/// A kick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kick {
    /// When.
    pub ns: u64,
    /// The CPU that gave it.
    pub by: u32,
}

/// The times of a report.
#[derive(Clone, Debug)]
pub struct Story {
    /// The first kick of each CPU that was kicked.
    pub kicks: BTreeMap<u32, Kick>,
    /// The zero of the picture: the first kick, or where there was none the entry of the image.
    pub origin: u64,
    /// What is drawn.
    pub time: Range<u64>,
    /// When the wait for CPUs was over, where the trace tells.
    pub wait_end: Option<u64>,
    /// Everything that happens in the picture.
    pub moments: Vec<u64>,
}

impl Story {
    /// Reads it from a report.
    #[must_use]
    pub fn new(report: &Report) -> Self {
        let kicks = kicks(report);
        let all = || report.cpus.iter().flat_map(|cpu| &cpu.events).map(|event| event.ns);
        let entry = all().min().unwrap_or(0);
        let latest = all().max().unwrap_or(0);
        let origin = kicks.values().map(|kick| kick.ns).min().unwrap_or(entry);
        let wait_end = wait_end(report, &kicks);
        let last_online = report.cpus.iter().filter_map(CpuReport::online_ns).max().filter(|ns| *ns > origin);
        let given_up = report.cpus.iter().any(waited_for).then_some(wait_end).flatten();
        let end = match (kicks.is_empty(), report.end) {
            (false, End::Done) => last_online.max(given_up).or(wait_end).unwrap_or(latest),
            _ => latest,
        };
        // What a boot loader did before belongs to the picture as well.
        let begin = if report.has_loader() { entry } else { origin };
        let margin = busy_time(all().filter(|ns| (begin..=end).contains(ns)).collect()) / 25;
        let time =
            begin.saturating_sub(margin)..end.saturating_add(margin).saturating_add(1).max(origin.saturating_add(1));
        let mut moments: Vec<u64> = all().chain(given_up).filter(|ns| time.contains(ns)).collect();
        moments.sort_unstable();
        moments.dedup();
        Self { kicks, origin, time, wait_end, moments }
    }

    /// The last kick of all.
    #[must_use]
    pub fn last_kick(&self) -> Option<Kick> {
        self.kicks.values().copied().max_by_key(|kick| kick.ns)
    }

    /// Until when a CPU that did not come was waited for, as far as the trace tells.
    #[must_use]
    pub fn waited_until(&self) -> u64 {
        self.wait_end.unwrap_or(self.time.end).clamp(self.time.start, self.time.end)
    }
}

/// The time between moments, without the few long waits in it.
fn busy_time(mut moments: Vec<u64>) -> u64 {
    moments.sort_unstable();
    let mut gaps: Vec<u64> = moments.windows(2).map(|pair| pair[1] - pair[0]).collect();
    gaps.sort_unstable();
    let mut rest: u64 = gaps.iter().sum();
    for _ in 0..gaps.len() / 4 {
        rest -= gaps.pop_if(|gap| *gap > rest / 8).unwrap_or(0);
    }
    rest
}

/// Whether it was kicked and never came online.
#[must_use]
pub fn waited_for(cpu: &CpuReport) -> bool {
    matches!(cpu.outcome, Outcome::TimedOut | Outcome::Stuck)
}

/// Whether it was asked for and is not online.
#[must_use]
pub fn is_faulty(cpu: &CpuReport) -> bool {
    waited_for(cpu) || cpu.outcome == Outcome::Failed
}

fn kicks(report: &Report) -> BTreeMap<u32, Kick> {
    let mut kicks: BTreeMap<u32, Kick> = BTreeMap::new();
    for cpu in &report.cpus {
        for event in cpu.events.iter().filter(|event| event.name == KICK) {
            let kick = Kick { ns: event.ns, by: cpu.index };
            if let Some(target) = event.target {
                kicks.entry(target).and_modify(|first| first.ns = first.ns.min(kick.ns)).or_insert(kick);
            }
        }
    }
    kicks
}

/// The end of the function that kicks and then waits: the innermost one around the last kick that does not concern one CPU.
fn wait_end(report: &Report, kicks: &BTreeMap<u32, Kick>) -> Option<u64> {
    let last = kicks.values().max_by_key(|kick| kick.ns)?;
    let control = report.cpus.iter().find(|cpu| cpu.index == last.by)?;
    let spans = span::nest(&control.events);
    let (mut level, mut end) = (spans.as_slice(), None);
    while let Some(around) = level.iter().rfind(|span| !span.moment && holds(span, last.ns)) {
        if around.target.is_none() {
            end = around.end_ns.or(end);
        }
        level = &around.children;
    }
    end
}

fn holds(span: &Span<'_>, ns: u64) -> bool {
    span.ns <= ns && span.end_ns.is_none_or(|end| ns <= end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn the_picture_begins_before_the_first_kick_and_ends_after_the_last_online() {
        let report = sample::cpus(4);
        let story = Story::new(&report);
        assert_eq!(story.origin, 51_500);
        assert!(story.time.start < 51_500 && story.time.start > 40_000, "{:?}", story.time);
        assert!(story.time.end > 103_300 && story.time.end < 120_000, "{:?}", story.time);
        assert_eq!(story.kicks.keys().copied().collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn a_dead_cpu_is_waited_for_until_the_function_that_waits_is_left() {
        let story = Story::new(&sample::dead_cpu());
        assert_eq!(story.waited_until(), 900_000);
        assert!(story.time.contains(&900_000));
    }

    #[test]
    fn without_a_kick_everything_is_drawn() {
        let story = Story::new(&sample::cpus(1));
        assert_eq!(story.origin, 0);
        assert!(story.time.contains(&900_000));
    }

    #[test]
    fn a_report_without_events_has_a_story() {
        let mut report = sample::cpus(2);
        report.cpus.iter_mut().for_each(|cpu| cpu.events.clear());
        let story = Story::new(&report);
        assert!(story.time.start < story.time.end);
        assert!(story.moments.is_empty());
    }
}

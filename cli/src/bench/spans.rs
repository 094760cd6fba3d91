//! Where the instructions of a bring-up go, by the names of the trace. For runs in which time is counted by instructions.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::report::{CpuReport, Phase, Report};

/// What one function takes, without what it calls.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Share {
    /// On which side.
    pub side: Side,
    /// The function.
    pub name: String,
    /// Instructions for each CPU that was brought up.
    pub instructions_per_cpu: f64,
}

/// Who executes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The CPU that brings the others up, from the first kick to the last.
    Control,
    /// A CPU that is brought up, until it is online.
    New,
}

/// The shares of all functions, the largest of each side first. One of the report's nanoseconds is `instructions`.
#[must_use]
pub fn of(report: &Report, instructions: f64) -> Vec<Share> {
    let Some((boot, others)) = report.cpus.split_first() else { return Vec::new() };
    let kicks = || boot.events.iter().filter(|event| event.name == "kick").map(|event| event.ns);
    let (Some(first), Some(last)) = (kicks().min(), kicks().max()) else { return Vec::new() };
    let mut sums: BTreeMap<(Side, &str), u64> = BTreeMap::new();
    // One thread emulates all CPUs when instructions are counted: while a new CPU runs, the control CPU does not.
    let mut elsewhere: Vec<(u64, u64)> =
        others.iter().filter_map(|cpu| Some((cpu.events.first()?.ns, cpu.events.last()?.ns))).collect();
    elsewhere.sort_unstable();
    add(&mut sums, Side::Control, boot, (first, last), &elsewhere);
    for cpu in others {
        if let Some(online) = cpu.online_ns() {
            add(&mut sums, Side::New, cpu, (0, online), &[]);
        }
    }
    let count = others.len() as f64;
    let shares = sums.into_iter().filter(|(_, sum)| *sum > 0).map(|((side, name), sum)| Share {
        side,
        name: name.to_owned(),
        instructions_per_cpu: sum as f64 * instructions / count,
    });
    let mut shares: Vec<Share> = shares.collect();
    shares.sort_by(|a, b| a.side.cmp(&b.side).then(b.instructions_per_cpu.total_cmp(&a.instructions_per_cpu)));
    shares
}

/// Adds the time that each function of `cpu` takes between `from` and `to`, without what it calls and what others do
/// `elsewhere` meanwhile.
fn add<'a>(
    sums: &mut BTreeMap<(Side, &'a str), u64>,
    side: Side,
    cpu: &'a CpuReport,
    (from, to): (u64, u64),
    elsewhere: &[(u64, u64)],
) {
    let mut stack: Vec<&str> = Vec::new();
    let mut since: Option<u64> = None;
    for event in &cpu.events {
        let now = event.ns.clamp(from, to);
        if let (Some(name), Some(since)) = (stack.last(), since) {
            let lost: u64 = elsewhere.iter().map(|&(a, b)| now.min(b).saturating_sub(since.max(a))).sum();
            *sums.entry((side, name)).or_default() += now.saturating_sub(since).saturating_sub(lost);
        }
        since = Some(now);
        match event.phase {
            Phase::Begin => stack.push(&event.name),
            Phase::End => drop(stack.pop()),
            Phase::Instant => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn a_function_is_not_charged_for_what_it_calls() {
        let report = sample::with_events(&[
            &[("kick", 100, Phase::Instant), ("outer", 110, Phase::Begin), ("kick", 400, Phase::Instant)],
            &[
                ("outer", 150, Phase::Begin),
                ("inner", 160, Phase::Begin),
                ("inner", 190, Phase::End),
                ("online", 195, Phase::Instant),
                ("outer", 300, Phase::End),
            ],
        ]);
        let share = |side, name: &str, instructions_per_cpu| Share { side, name: name.into(), instructions_per_cpu };
        // Of the 290 on the control CPU 150 passed while the other one ran.
        let expected =
            [share(Side::Control, "outer", 140.0), share(Side::New, "inner", 30.0), share(Side::New, "outer", 15.0)];
        assert_eq!(of(&report, 1.0), expected);
        assert_eq!(of(&report, 0.5)[0].instructions_per_cpu, 70.0);
    }
}

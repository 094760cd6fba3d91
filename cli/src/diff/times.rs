//! Which times changed by more than noise.

use std::collections::BTreeMap;

use crate::report::Report;
use crate::summary::milliseconds;
use crate::timeline::story::Story;

/// Times that differ by less than this are the same, whatever the percentage: a host's scheduler alone makes as much.
const LEAST: u64 = 100_000;
/// More CPUs than this are not named.
const MOST_CPUS: usize = 8;

/// The times that changed by at least `threshold` percent.
pub fn compare(before: &Report, after: &Report, threshold: u32) -> Vec<String> {
    let mut lines = Vec::new();
    let mut add = |name: &str, before: u64, after: u64| {
        lines.extend(changed(before, after, threshold).then(|| line(name, before, after)));
    };
    add("prepare", before.prepare_ns, after.prepare_ns);
    add("bring-up", before.bringup_ns, after.bringup_ns);
    let (one, other) = (kick_to_online(before), kick_to_online(after));
    let both = one.iter().filter_map(|(cpu, before)| Some((*cpu, *before, *other.get(cpu)?)));
    let mut both: Vec<(u32, u64, u64)> = both.collect();
    if both.len() > 1 {
        let middle = |pick: fn(&(u32, u64, u64)) -> u64| median(both.iter().map(pick).collect());
        add("kick to online, median", middle(|times| times.1), middle(|times| times.2));
    }
    both.retain(|(_, before, after)| changed(*before, *after, threshold));
    both.sort_by_key(|(cpu, before, after)| (std::cmp::Reverse(before.abs_diff(*after)), *cpu));
    for (cpu, before, after) in both.iter().take(MOST_CPUS) {
        add(&format!("kick to online, CPU {cpu}"), *before, *after);
    }
    if both.len() > MOST_CPUS {
        lines.push(format!("and {} more CPUs, by less", both.len() - MOST_CPUS));
    }
    lines
}

fn changed(before: u64, after: u64, threshold: u32) -> bool {
    let difference = before.abs_diff(after);
    difference >= LEAST && u128::from(difference) * 100 >= u128::from(before) * u128::from(threshold)
}

fn line(name: &str, before: u64, after: u64) -> String {
    let percent = match before {
        0 => String::new(),
        _ => format!(" ({:+.0} %)", (after as f64 / before as f64 - 1.0) * 100.0),
    };
    format!("{name}: {} ms → {} ms{percent}", milliseconds(before), milliseconds(after))
}

/// For each CPU, how long it took from its kick to being online.
fn kick_to_online(report: &Report) -> BTreeMap<u32, u64> {
    let kicks = Story::new(report).kicks;
    let times = report.cpus.iter().filter_map(|cpu| {
        let kick = kicks.get(&cpu.index)?;
        Some((cpu.index, cpu.online_ns()?.checked_sub(kick.ns)?))
    });
    times.collect()
}

fn median(mut times: Vec<u64>) -> u64 {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn noise_is_not_shouted() {
        let (before, mut after) = (sample::cpus(4), sample::cpus(4));
        after.prepare_ns += LEAST - 1;
        assert_eq!(compare(&before, &after, 50), Vec::<String>::new());
        after.prepare_ns += 1;
        assert_eq!(compare(&before, &after, 50), ["prepare: 0.012 ms → 0.112 ms (+833 %)"]);
    }

    #[test]
    fn the_threshold_is_in_percent() {
        let (mut before, mut after) = (sample::cpus(1), sample::cpus(1));
        (before.bringup_ns, after.bringup_ns) = (10_000_000, 14_000_000);
        assert_eq!(compare(&before, &after, 50), Vec::<String>::new());
        assert_eq!(compare(&before, &after, 40), ["bring-up: 10.000 ms → 14.000 ms (+40 %)"]);
        assert_eq!(compare(&after, &before, 20), ["bring-up: 14.000 ms → 10.000 ms (-29 %)"]);
    }

    #[test]
    fn slow_cpus_are_named_the_slowest_first() {
        let (before, mut after) = (sample::cpus(32), sample::cpus(32));
        for cpu in 4..20 {
            let delay = 1_000_000 * cpu as u64;
            after.cpus[cpu].events.iter_mut().for_each(|event| event.ns += delay);
        }
        let lines = compare(&before, &after, 50);
        assert!(lines[0].starts_with("kick to online, median"), "{lines:?}");
        assert!(lines[1].starts_with("kick to online, CPU 19: 0.050 ms → 19.050 ms"), "{lines:?}");
        assert_eq!(lines.last().map(String::as_str), Some("and 8 more CPUs, by less"));
    }
}

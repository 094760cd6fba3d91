//! Says what changed between two boots.
//!
//! Outcomes decide whether two boots count as the same: what became of each CPU, which were left out, and which proofs passed.
//! Functions that were passed, masks and times are compared as well, since they explain; `times` keeps quiet about noise.
//!
//! Of stacks, every stage is compared that both reports have, by its name; the last stages are whatever they are called.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::report::{CpuReport, Report};
use crate::style::{self, paint};
use crate::summary::outcome_words;
use crate::tree::ranges;

mod times;

/// What changed between two boots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Whether some outcome is another.
    pub outcomes_differ: bool,
    /// The changes, for people.
    pub text: String,
}

/// Compares two boots. Times that differ by less than `threshold` percent are noise.
#[must_use]
pub fn compare(before: &Report, after: &Report, threshold: u32) -> Difference {
    let mut text = String::new();
    let mut outcomes_differ = false;
    let pairs = stages(before, after);
    for (before, after) in &pairs {
        let stage = compare_stage(before, after, threshold);
        if pairs.len() > 1 && !stage.text.is_empty() {
            let _ = writeln!(text, "{}", paint(style::HEADING, format!("{}:", after.stage_name())));
        }
        text.push_str(&stage.text);
        outcomes_differ |= stage.outcomes_differ;
    }
    let counts = match pairs.as_slice() {
        [_] => count(after),
        stages => {
            stages.iter().map(|(_, it)| format!("{} {}", it.stage_name(), count(it))).collect::<Vec<_>>().join(", ")
        }
    };
    let conclusion = if outcomes_differ {
        paint(style::BAD, "the outcomes differ")
    } else {
        paint(style::GOOD, format!("the outcomes are the same: {counts}"))
    };
    let _ = writeln!(text, "{conclusion}");
    Difference { outcomes_differ, text }
}

/// The stages that are compared, in the order of the later boot: those that both have by one name, and the two reports themselves.
fn stages<'a>(before: &'a Report, after: &'a Report) -> Vec<(&'a Report, &'a Report)> {
    let is_main = |report: &Report, stage: &Report| stage.stage_name() == report.stage_name();
    let mut pairs = Vec::new();
    for stage in &after.stages {
        if is_main(after, stage) {
            pairs.push((before, after));
        } else {
            let earlier = before.stages.iter().filter(|earlier| !is_main(before, earlier));
            let same = earlier.into_iter().find(|earlier| earlier.stage_name() == stage.stage_name());
            pairs.extend(same.map(|earlier| (earlier, stage)));
        }
    }
    if !after.stages.iter().any(|stage| is_main(after, stage)) {
        pairs.push((before, after));
    }
    pairs
}

/// Compares a stage.
fn compare_stage(before: &Report, after: &Report, threshold: u32) -> Difference {
    let outcomes = outcomes(before, after);
    let same_machine = before.machine == after.machine;
    let times = if same_machine { times::compare(before, after, threshold) } else { Vec::new() };
    let sections = [
        ("what ran", settings(before, after)),
        ("outcomes", outcomes.clone()),
        ("masks", masks(before, after)),
        ("functions", functions(before, after)),
        ("times", times),
    ];
    let mut text = String::new();
    for (name, lines) in sections.into_iter().filter(|(_, lines)| !lines.is_empty()) {
        let _ = writeln!(text, "{}", paint(style::HEADING, name));
        lines.iter().for_each(|line| text.push_str(&format!("  {line}\n")));
    }
    Difference { outcomes_differ: !outcomes.is_empty(), text }
}

fn count(report: &Report) -> String {
    format!("{} of {} CPUs online", report.online_count, report.asked_count)
}

/// `name: before → after`, if these differ.
fn change(name: &str, before: impl ToString, after: impl ToString) -> Option<String> {
    let (before, after) = (before.to_string(), after.to_string());
    (before != after).then(|| format!("{name}: {before} → {after}"))
}

fn settings(before: &Report, after: &Report) -> Vec<String> {
    let image = |report: &Report| format!("{} {}", report.image, report.image_version);
    let level = |report: &Report| report.entry_level.map_or("no exception level".into(), |level| format!("EL{level}"));
    let changes = [
        change("machine", &before.machine, &after.machine)
            .map(|change| format!("{change}; the times of two machines are not compared")),
        change("image", image(before), image(after)),
        change("entered at", level(before), level(after)),
        change("boot CPU", format!("{:#x}", before.boot_hw_id), format!("{:#x}", after.boot_hw_id)),
        change("CPUs asked for", before.asked_count, after.asked_count),
        change("stages", stage_names(before), stage_names(after)),
    ];
    changes.into_iter().flatten().collect()
}

fn stage_names(report: &Report) -> String {
    let names: Vec<String> = report.stages.iter().map(Report::stage_name).collect();
    if names.is_empty() { "one".into() } else { names.join(", ") }
}

fn outcomes(before: &Report, after: &Report) -> Vec<String> {
    let end = |report: &Report| match report.end {
        crate::report::End::Done => "the image was done",
        crate::report::End::TimedOut => "the run was ended when its time was over",
        crate::report::End::Died => "the machine died",
    };
    let mut changes: Vec<String> = change("end", end(before), end(after)).into_iter().collect();
    changes.extend(change("online", count(before), count(after)));
    changes.extend(cpu_outcomes(before, after));
    let left_out = |report: &Report| {
        let one =
            |left_out: &crate::report::LeftOut| (left_out.node.clone(), format!("left out ({})", left_out.reason));
        report.left_out.iter().map(one).collect::<BTreeMap<_, _>>()
    };
    changes.extend(by_name(&left_out(before), &left_out(after), "not left out"));
    let proofs = |report: &Report| {
        let passed = |passed| if passed { "passed" } else { "failed" }.to_owned();
        report.proofs.iter().map(|proof| (format!("proof {}", proof.name), passed(proof.passed))).collect()
    };
    changes.extend(by_name(&proofs(before), &proofs(after), "not made"));
    changes
}

/// What changed for each name. `absent` stands for what one side has not.
fn by_name(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>, absent: &str) -> Vec<String> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let value = |side: &BTreeMap<String, String>, name| side.get(name).cloned().unwrap_or(absent.to_owned());
    names.into_iter().filter_map(|name| change(name, value(before, name), value(after, name))).collect()
}

/// What became of CPUs, those with the same change together.
fn cpu_outcomes(before: &Report, after: &Report) -> Vec<String> {
    let mut changes: BTreeMap<(String, String), Vec<u32>> = BTreeMap::new();
    for (index, before, after) in pairs(before, after) {
        let (before, after) = (cpu_outcome(before), cpu_outcome(after));
        if before != after {
            changes.entry((before, after)).or_default().push(index);
        }
    }
    let mut changes: Vec<_> = changes.into_iter().collect();
    changes.sort_by_key(|(_, cpus)| cpus[0]);
    changes.into_iter().map(|((before, after), cpus)| format!("{}: {before} → {after}", name(&cpus))).collect()
}

fn cpu_outcome(cpu: Option<&CpuReport>) -> String {
    let Some(cpu) = cpu else { return "not there".into() };
    let reason = cpu.reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
    format!("{}{reason}", outcome_words(cpu.outcome))
}

/// The CPUs of both, side by side.
fn pairs<'a>(
    before: &'a Report,
    after: &'a Report,
) -> impl Iterator<Item = (u32, Option<&'a CpuReport>, Option<&'a CpuReport>)> {
    let by_index = |report: &'a Report| report.cpus.iter().map(|cpu| (cpu.index, cpu)).collect::<BTreeMap<_, _>>();
    let (before, after) = (by_index(before), by_index(after));
    let indexes: BTreeSet<u32> = before.keys().chain(after.keys()).copied().collect();
    indexes.into_iter().map(move |index| (index, before.get(&index).copied(), after.get(&index).copied()))
}

/// CPUs by their numbers, which ascend.
fn name(cpus: &[u32]) -> String {
    format!("{} {}", if cpus.len() == 1 { "CPU" } else { "CPUs" }, ranges(cpus))
}

fn masks(before: &Report, after: &Report) -> Vec<String> {
    let list = |mask: &[u32]| if mask.is_empty() { "none".to_owned() } else { ranges(mask) };
    let (one, other) = (&before.masks, &after.masks);
    let masks = [
        ("possible", &one.possible, &other.possible),
        ("present", &one.present, &other.present),
        ("online", &one.online, &other.online),
        ("active", &one.active, &other.active),
    ];
    masks.into_iter().filter_map(|(name, before, after)| change(name, list(before), list(after))).collect()
}

/// Which functions CPUs passed in one boot and not in the other, CPUs with the same change together.
fn functions(before: &Report, after: &Report) -> Vec<String> {
    let mut changes: BTreeMap<(Vec<&str>, Vec<&str>), Vec<u32>> = BTreeMap::new();
    for (index, before, after) in pairs(before, after) {
        let (Some(before), Some(after)) = (before, after) else { continue };
        let (gone, new) = (missing(before, after), missing(after, before));
        if !(gone.is_empty() && new.is_empty()) {
            changes.entry((gone, new)).or_default().push(index);
        }
    }
    let mut changes: Vec<_> = changes.into_iter().collect();
    changes.sort_by_key(|(_, cpus)| cpus[0]);
    let mut lines = Vec::new();
    for ((gone, new), cpus) in changes {
        for (what, names) in [("no longer", gone), ("newly", new)] {
            if !names.is_empty() {
                lines.push(format!("{}: {what} {}", name(&cpus), names.join(", ")));
            }
        }
    }
    lines
}

/// What is in the trace of one and not in that of the other, in order.
fn missing<'a>(of: &'a CpuReport, from: &CpuReport) -> Vec<&'a str> {
    let other: BTreeSet<&str> = from.events.iter().map(|event| event.name.as_str()).collect();
    let mut seen = BTreeSet::new();
    let names = of.events.iter().map(|event| event.name.as_str());
    names.filter(|name| !other.contains(name) && seen.insert(*name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{LeftOut, sample};

    fn plain(before: &Report, after: &Report) -> (bool, String) {
        let difference = compare(before, after, 50);
        (difference.outcomes_differ, anstream::adapter::strip_str(&difference.text).to_string())
    }

    #[test]
    fn the_same_boot_differs_in_nothing() {
        let report = sample::cpus(4);
        assert_eq!(plain(&report, &report), (false, "the outcomes are the same: 4 of 4 CPUs online\n".into()));
    }

    #[test]
    fn a_cpu_that_died_is_named_with_what_it_no_longer_passes() {
        let (mut before, after) = (sample::two_cpus(), sample::dead_cpu());
        before.bringup_ns = 0;
        let expected = "\
outcomes
  online: 2 of 2 CPUs online → 1 of 2 CPUs online
  CPU 1: online → timed out: last stage reached: none; AFFINITY_INFO says ON_PENDING
masks
  online: 0-1 → 0
  active: 0-1 → 0
functions
  CPU 1: no longer secondary_entry, secondary_startup, online
the outcomes differ
";
        assert_eq!(plain(&before, &after), (true, expected.into()));
    }

    /// A stack with a firmware of so many CPUs below a kernel.
    fn stack(firmware: Report) -> Report {
        let (kernel, firmware) = (sample::cpus(4), Report { image: "firmware".into(), ..firmware });
        Report { stages: vec![firmware, kernel.clone()], ..kernel }
    }

    #[test]
    fn a_stage_below_that_differs_is_named_and_makes_the_outcome_another() {
        let good = stack(sample::cpus(4));
        let expected = "the outcomes are the same: firmware 4 of 4 CPUs online, kernel 4 of 4 CPUs online\n";
        assert_eq!(plain(&good, &good), (false, expected.into()));
        let mut firmware = sample::cpus(4);
        firmware.cpus[2].outcome = reveille_trace_format::Outcome::Failed;
        firmware.cpus[2].reason = Some("CPU_ON: DENIED (-3)".into());
        let (differ, text) = plain(&good, &stack(firmware));
        assert!(differ && text.starts_with("firmware:\noutcomes\n  CPU 2: online → failed: CPU_ON: DENIED"), "{text}");
        assert!(!text.contains("kernel:"), "{text}");
    }

    #[test]
    fn a_stage_that_only_one_has_is_a_setting_and_the_last_stages_are_compared_all_the_same() {
        let (alone, stack) = (sample::cpus(4), stack(sample::cpus(4)));
        let (differ, text) = plain(&alone, &stack);
        assert!(!differ && text.contains("stages: one → firmware, kernel"), "{text}");
        let other = Report { image: "linux".into(), ..stack.clone() };
        let (_, text) = plain(&stack, &other);
        assert!(text.contains("image: kernel 0.1.0 → linux 0.1.0"), "{text}");
    }

    #[test]
    fn cpus_with_the_same_change_share_a_line() {
        let (before, mut after) = (sample::cpus(16), sample::cpus(16));
        for index in [3, 4, 5, 9] {
            after.cpus[index].reason = Some("odd".into());
            after.cpus[index].events[1].name = "new_step".into();
        }
        let (differ, text) = plain(&before, &after);
        assert!(differ && text.contains("CPUs 3-5, 9: online → online: odd"), "{text}");
        assert!(text.contains("CPUs 3-5, 9: newly new_step"), "{text}");
    }

    #[test]
    fn other_settings_and_times_are_no_other_outcome() {
        let (before, mut after) = (sample::cpus(4), sample::cpus(4));
        (after.entry_level, after.image_version, after.prepare_ns) = (Some(2), "0.2.0".into(), 900_000);
        let (differ, text) = plain(&before, &after);
        assert!(!differ, "{text}");
        assert!(
            text.contains("image: kernel 0.1.0 → kernel 0.2.0") && text.contains("entered at: EL1 → EL2"),
            "{text}"
        );
        assert!(text.contains("prepare"), "{text}");
    }

    #[test]
    fn proofs_left_out_cpus_and_the_number_of_cpus_are_outcomes() {
        let before = sample::cpus(4);
        let mut failed = before.clone();
        failed.proofs[0].passed = false;
        assert!(plain(&before, &failed).1.contains("proof ipi: passed → failed"));
        let mut left_out = before.clone();
        left_out.left_out = vec![LeftOut { node: "cpu@9".into(), hw_id: None, reason: "no reg".into(), fault: true }];
        assert!(plain(&before, &left_out).1.contains("cpu@9: not left out → left out (no reg)"));
        let (differ, text) = plain(&before, &sample::cpus(6));
        assert!(differ && text.contains("CPUs 4-5: not there → online"), "{text}");
        assert!(text.contains("CPUs asked for: 4 → 6"), "{text}");
    }
}

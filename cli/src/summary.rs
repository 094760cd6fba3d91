//! Shows a report in words: a line for each CPU, then what the boot as a whole came to.

use std::fmt::Write;

use reveille_trace_format::Outcome;

use crate::report::{CpuReport, End, Proof, Report};
use crate::style::{self, paint};

/// The lines of the CPUs and the summary.
#[must_use]
pub fn draw(report: &Report) -> String {
    let mut text = String::new();
    let id_width = report.cpus.iter().map(|cpu| format!("{:#x}", cpu.hw_id).len()).max().unwrap_or(0);
    let index_width = report.cpus.iter().map(|cpu| cpu.index.to_string().len()).max().unwrap_or(0);
    for cpu in &report.cpus {
        let _ = writeln!(text, "{}", cpu_line(cpu, index_width, id_width));
    }
    if !report.cpus.is_empty() {
        text.push('\n');
    }
    text.push_str(&headline(report));
    report.proofs.iter().for_each(|proof| text.push_str(&proof_line(proof)));
    for left_out in &report.left_out {
        let id = left_out.hw_id.map_or(String::new(), |id| format!(" ({id:#x})"));
        let line = format!("left out: {}{id}: {}", left_out.node, left_out.reason);
        let _ = writeln!(text, "{}", if left_out.fault { paint(style::BAD, line) } else { line });
    }
    text.push_str(&doubts(report));
    text
}

/// What the boot came to as a whole, and how long it took. Figures that the image did not come to say are not made up.
fn headline(report: &Report) -> String {
    let where_it_ran = format!("{}, {}{}", report.machine, report.stage_name(), report.entry_words());
    if report.end != End::Done {
        return format!("{} on {where_it_ran}\n", paint(style::BAD, "the image did not come to its end"));
    }
    let all = report.online_count == report.asked_count;
    let count = format!("{} of {} CPUs online", report.online_count, report.asked_count);
    let times = report.times().map_or(String::new(), |times| format!("{times}\n"));
    format!("{} on {where_it_ran}\n{times}", paint(if all { style::GOOD } else { style::BAD }, count))
}

fn cpu_line(cpu: &CpuReport, index_width: usize, id_width: usize) -> String {
    let style = outcome_style(cpu.outcome);
    let outcome = outcome_words(cpu.outcome);
    let mut line = format!("CPU {:<index_width$}  {:<#id_width$x}  {}", cpu.index, cpu.hw_id, paint(style, outcome));
    if let (Outcome::Online, Some(ns)) = (cpu.outcome, cpu.online_ns()) {
        let _ = write!(line, "  at {} ms", milliseconds(ns));
    }
    if let Some(reason) = &cpu.reason {
        let _ = write!(line, "  {reason}");
    }
    if cpu.lost_events > 0 {
        let lost = format!("  ({} events lost)", cpu.lost_events);
        line.push_str(&paint(style::ODD, lost));
    }
    line
}

/// An outcome in words.
#[must_use]
pub fn outcome_words(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Online => "online",
        Outcome::NotAsked => "not asked for",
        Outcome::Failed => "failed",
        Outcome::TimedOut => "timed out",
        Outcome::Stuck => "stuck",
    }
}

/// How good an outcome is.
#[must_use]
pub fn outcome_style(outcome: Outcome) -> anstyle::Style {
    match outcome {
        Outcome::Online => style::GOOD,
        Outcome::NotAsked => style::FAINT,
        Outcome::Failed | Outcome::TimedOut | Outcome::Stuck => style::BAD,
    }
}

fn proof_line(proof: &Proof) -> String {
    let (style, outcome) = if proof.passed { (style::GOOD, "passed") } else { (style::BAD, "failed") };
    format!("proof {}: {}, {}\n", proof.name, paint(style, outcome), proof.detail)
}

/// Where the report's own figures do not agree, which is the image's mistake.
fn doubts(report: &Report) -> String {
    match report.bringup_ns_of_events() {
        Some(ns) if ns != report.bringup_ns && report.cpus.iter().all(|cpu| cpu.lost_events == 0) => {
            let doubt = format!("by its events, the bring-up took {} ms", milliseconds(ns));
            format!("{}\n", paint(style::ODD, doubt))
        }
        _ => String::new(),
    }
}

/// Nanoseconds as milliseconds with three decimals.
#[must_use]
pub fn milliseconds(ns: u64) -> String {
    let microseconds = ns.saturating_add(500) / 1000;
    format!("{}.{:03}", microseconds / 1000, microseconds % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{LeftOut, sample};

    fn plain(report: &Report) -> String {
        anstream::adapter::strip_str(&draw(report)).to_string()
    }

    #[test]
    fn a_good_boot() {
        let expected = "\
CPU 0  0x0  online
CPU 1  0x1  online  at 0.101 ms

2 of 2 CPUs online on virt, kernel entered at EL1
prepare 0.012 ms, bring-up 0.050 ms (first kick to last CPU online)
proof ipi: passed, one to and from each
";
        assert_eq!(plain(&sample::two_cpus()), expected);
    }

    #[test]
    fn a_dead_cpu_a_left_out_one_and_lost_events() {
        let mut report = sample::dead_cpu();
        report.cpus[0].lost_events = 3;
        report.left_out =
            vec![LeftOut { node: "cpu@2".into(), hw_id: Some(1), reason: "a duplicate".into(), fault: true }];
        let expected = "\
CPU 0  0x0  online  (3 events lost)
CPU 1  0x1  timed out  last stage reached: none; AFFINITY_INFO says ON_PENDING

1 of 2 CPUs online on virt, kernel entered at EL1
prepare 0.012 ms, bring-up 0.000 ms (first kick to last CPU online)
proof ipi: passed, one to and from each
left out: cpu@2 (0x1): a duplicate
";
        assert_eq!(plain(&report), expected);
    }

    #[test]
    fn a_bringup_that_its_events_do_not_bear_out_is_said() {
        let mut report = sample::two_cpus();
        report.bringup_ns = 1;
        assert!(plain(&report).contains("by its events, the bring-up took 0.050 ms"));
    }

    #[test]
    fn an_image_that_was_cut_short_is_not_counted() {
        let mut report = sample::two_cpus();
        (report.end, report.cpus, report.proofs) = (End::TimedOut, Vec::new(), Vec::new());
        assert_eq!(plain(&report), "the image did not come to its end on virt, kernel entered at EL1\n");
        report.entry_level = None;
        assert_eq!(plain(&report), "the image did not come to its end on virt, kernel\n");
    }

    #[test]
    fn times_are_rounded_to_microseconds() {
        assert_eq!(milliseconds(0), "0.000");
        assert_eq!(milliseconds(3_811_500), "3.812");
        assert_eq!(milliseconds(12_345_678_901), "12345.679");
    }
}

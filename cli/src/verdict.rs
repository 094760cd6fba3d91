//! Judges a run: whether everything that was asked for came up. [`crate::exit`] makes exit codes of it.

use std::time::Duration;

use reveille_trace_format::Outcome;

use crate::qemu::Ending;
use crate::report::{CpuReport, End, Report};

/// The exit code with which an image reports a panic.
const PANIC: i32 = 101;

/// How a run went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every CPU that was asked for is online, and every proof passed.
    AllOnline,
    /// The image came to its end, but not everything went well. What did not, each in a few words.
    NotAllOnline(Vec<String>),
    /// The run was ended after this time.
    TimedOut(Duration),
    /// The machine ended before the image was done, and how.
    Died(String),
}

/// Judges a run from how QEMU ended and what the image reported, if it reported anything.
#[must_use]
pub fn judge(ending: Ending, limit: Duration, report: Option<&Report>) -> Verdict {
    let code = match ending {
        Ending::TimedOut => return Verdict::TimedOut(limit),
        Ending::Exited(None) => return Verdict::Died("a signal ended QEMU".into()),
        Ending::Exited(Some(code)) => code,
    };
    let done = report.filter(|report| report.end == End::Done);
    match (code, done) {
        (PANIC, _) => Verdict::Died("the image panicked".into()),
        (0 | 1, Some(report)) => match problems(report, code) {
            problems if problems.is_empty() => Verdict::AllOnline,
            problems => Verdict::NotAllOnline(problems),
        },
        (_, None) => Verdict::Died(format!("QEMU ended with exit code {code} before the image was done")),
        (_, Some(_)) => Verdict::Died(format!("QEMU ended with exit code {code}")),
    }
}

/// What did not go well on a machine that came to its end with this exit code, each in a few words.
pub(crate) fn problems(report: &Report, code: i32) -> Vec<String> {
    let mut problems: Vec<String> = report.cpus.iter().filter_map(cpu_problem).collect();
    let left_out = report.left_out.iter().filter(|left_out| left_out.fault);
    problems.extend(left_out.map(|left_out| format!("{} was left out: {}", left_out.node, left_out.reason)));
    let proofs = report.proofs.iter().filter(|proof| !proof.passed);
    problems.extend(proofs.map(|proof| format!("the proof {} failed: {}", proof.name, proof.detail)));
    if problems.is_empty() && report.online_count < report.asked_count {
        problems.push(format!("{} of {} CPUs are online", report.online_count, report.asked_count));
    }
    let ended = report.guest.as_ref().and_then(|guest| guest.ended.as_ref()).filter(|_| !report.passed);
    problems.extend(ended.map(|ended| format!("it {ended}")));
    if problems.is_empty() && !(report.passed && code == 0) {
        problems.push("the image says that not all went well".into());
    }
    problems
}

fn cpu_problem(cpu: &CpuReport) -> Option<String> {
    let what = match cpu.outcome {
        Outcome::Online | Outcome::NotAsked => return None,
        Outcome::Failed => "failed",
        Outcome::TimedOut => "timed out",
        Outcome::Stuck => "is stuck",
    };
    let reason = cpu.reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
    Some(format!("CPU {} ({:#x}) {what}{reason}", cpu.index, cpu.hw_id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{LeftOut, Proof, sample};

    const LIMIT: Duration = Duration::from_secs(60);

    fn judged(code: i32, report: &Report) -> Verdict {
        judge(Ending::Exited(Some(code)), LIMIT, Some(report))
    }

    #[test]
    fn all_online_needs_records_and_exit_code_to_agree() {
        let report = sample::two_cpus();
        assert_eq!(judged(0, &report), Verdict::AllOnline);
        assert!(matches!(judged(1, &report), Verdict::NotAllOnline(_)));
        assert!(matches!(judged(2, &report), Verdict::Died(_)));
        assert!(matches!(judged(101, &report), Verdict::Died(_)));
    }

    #[test]
    fn a_cpu_that_nobody_asked_for_is_no_problem() {
        let mut report = sample::two_cpus();
        report.cpus[1].outcome = Outcome::NotAsked;
        (report.online_count, report.asked_count) = (1, 1);
        assert_eq!(judged(0, &report), Verdict::AllOnline);
    }

    #[test]
    fn what_did_not_come_up_is_named() {
        let report = sample::dead_cpu();
        let problem = "CPU 1 (0x1) timed out: last stage reached: none; AFFINITY_INFO says ON_PENDING";
        assert_eq!(judged(1, &report), Verdict::NotAllOnline(vec![problem.into()]));
        assert_eq!(judged(0, &report), Verdict::NotAllOnline(vec![problem.into()]));
    }

    #[test]
    fn a_failed_proof_and_a_faulty_description_are_problems() {
        let mut report = sample::two_cpus();
        report.proofs.push(Proof { name: "ipi".into(), passed: false, detail: "CPU 1 is deaf".into() });
        let left_out = |fault| LeftOut { node: "cpu@9".into(), hw_id: None, reason: "no reg".into(), fault };
        report.left_out = vec![left_out(true), left_out(false)];
        let problems = vec!["cpu@9 was left out: no reg".into(), "the proof ipi failed: CPU 1 is deaf".into()];
        assert_eq!(judged(1, &report), Verdict::NotAllOnline(problems));
    }

    #[test]
    fn a_machine_that_ends_before_it_is_done_has_died() {
        let mut report = sample::two_cpus();
        report.end = End::Died;
        assert!(matches!(judged(0, &report), Verdict::Died(_)));
        assert!(matches!(judge(Ending::Exited(Some(0)), LIMIT, None), Verdict::Died(_)));
        assert!(matches!(judge(Ending::Exited(None), LIMIT, Some(&sample::two_cpus())), Verdict::Died(_)));
    }

    #[test]
    fn a_run_that_was_ended_has_timed_out_whatever_it_said() {
        assert_eq!(judge(Ending::TimedOut, LIMIT, Some(&sample::two_cpus())), Verdict::TimedOut(LIMIT));
        assert_eq!(judge(Ending::TimedOut, LIMIT, None), Verdict::TimedOut(LIMIT));
    }
}

//! Judges a run: what a kernel made of what firmware did to it. Nothing here depends on how the run was made.

use std::collections::BTreeSet;

use reveille_trace_format::Outcome;
use serde::Serialize;

use crate::foreign::text::Said;
use crate::report::Report;
use crate::tree::ranges;
use crate::verdict::Verdict;

/// What a kernel made of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// Every CPU is online.
    Whole,
    /// It is up without some CPUs, and says so of each.
    Without,
    /// It is up without some CPUs, and says nothing of one at least.
    LostSilently,
    /// It never was up, and did not end.
    Hung,
    /// It crashed, or ended before it was up.
    Crashed,
}

impl Grade {
    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Whole => "came up whole",
            Self::Without => "came up without it, and said so",
            Self::LostSilently => "lost it silently",
            Self::Hung => "hung",
            Self::Crashed => "crashed",
        }
    }

    /// Whether a kernel may come to this when CPUs misbehave.
    #[must_use]
    pub fn is_well(self) -> bool {
        matches!(self, Self::Whole | Self::Without)
    }
}

/// A run, as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// How it went.
    pub verdict: &'a Verdict,
    /// What is known of its CPUs.
    pub report: Option<&'a Report>,
    /// What its console said.
    pub said: &'a Said,
    /// The last line of its console.
    pub last_line: Option<&'a str>,
}

/// What there is to say of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Judged {
    /// The grade.
    pub grade: Grade,
    /// The CPUs that are not online in the end.
    pub missing: Vec<u32>,
    /// What the kernel said of it, or where it was last.
    pub words: String,
}

/// Judges a run of a machine with `cpus` CPUs. `usual` are complaints that the console has where nothing is wrong.
#[must_use]
pub fn judge(run: Run<'_>, cpus: u32, usual: &Said) -> Judged {
    let ended = |grade, words: String| Judged { grade, missing: Vec::new(), words };
    let last_line = || match run.last_line {
        Some(line) => format!("last line: {line}"),
        None => "it said nothing".to_owned(),
    };
    match (run.verdict, run.report) {
        (Verdict::TimedOut(limit), _) => {
            ended(Grade::Hung, format!("not up after {} s; {}", limit.as_secs(), last_line()))
        }
        (Verdict::Died(how), _) => ended(Grade::Crashed, how.clone()),
        (_, None) => ended(Grade::Crashed, format!("it reported nothing; {}", last_line())),
        (verdict, Some(report)) => up(verdict, report, run.said, cpus, usual),
    }
}

/// Judges a kernel that is up.
fn up(verdict: &Verdict, report: &Report, said: &Said, cpus: u32, usual: &Said) -> Judged {
    let online = online(report, said);
    let missing: Vec<u32> = (0..cpus).filter(|cpu| !online.contains(cpu)).collect();
    let proofs = report.proofs.iter().filter(|proof| !proof.passed);
    let proofs = Said::new(proofs.map(|proof| proof.detail.as_str()));
    let complaint = |cpu: &u32| {
        let own = report.cpus.iter().find(|known| known.index == *cpu && !is_foreign(report));
        let own = own.filter(|own| !matches!(own.outcome, Outcome::Online | Outcome::NotAsked));
        let told = own.and_then(|own| own.reason.clone()).or_else(|| proofs.complaints.get(cpu).cloned());
        let line = || said.complaints.get(cpu).filter(|line| usual.complaints.get(cpu) != Some(line)).cloned();
        told.or_else(line)
    };
    let complaints: Vec<String> = (0..cpus).filter_map(|cpu| complaint(&cpu)).collect();
    let unsaid: Vec<u32> = missing.iter().copied().filter(|cpu| complaint(cpu).is_none()).collect();
    // What the system above Xen has is not what Xen has: only its own count tells.
    let uncounted = missing.is_empty() && said.count.is_some_and(|count| count < cpus);
    let problems = match verdict {
        Verdict::NotAllOnline(problems) if missing.is_empty() && complaints.is_empty() => problems.join("; "),
        _ => String::new(),
    };
    let (grade, words) = match unsaid.as_slice() {
        [] if missing.is_empty() && !uncounted => (Grade::Whole, shorten(complaints, problems)),
        [] if !uncounted => (Grade::Without, shorten(complaints, problems)),
        [] => (Grade::LostSilently, format!("it counts {} of {cpus} CPUs", said.count.unwrap_or_default())),
        unsaid => (Grade::LostSilently, format!("nothing is said of CPU {}", ranges(unsaid))),
    };
    Judged { grade, missing, words }
}

fn is_foreign(report: &Report) -> bool {
    report.image != "kernel"
}

/// The CPUs that are online in the end: by the last that user space saw of them, where that is the machine's, or by the report.
fn online(report: &Report, said: &Said) -> BTreeSet<u32> {
    match said.online.last() {
        Some(online) if report.image == "linux" => online.clone(),
        _ => report.masks.online.iter().copied().collect(),
    }
}

/// The first complaint, and how many more there are.
fn shorten(complaints: Vec<String>, otherwise: String) -> String {
    match complaints.as_slice() {
        [] => otherwise,
        [only] => only.clone(),
        [first, rest @ ..] => format!("{first} (and {} more)", rest.len()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::report::{Proof, sample};

    fn linux(online: &[u32]) -> Report {
        let mut report = sample::cpus(4);
        report.image = "linux".into();
        report.masks.online = online.to_vec();
        for cpu in report.cpus.iter_mut().filter(|cpu| !online.contains(&cpu.index)) {
            cpu.outcome = Outcome::TimedOut;
            cpu.reason = Some("CPU_ON: SUCCESS, and it never began".into());
        }
        report
    }

    fn judged(verdict: &Verdict, report: Option<&Report>, console: &[&str]) -> Judged {
        let said = Said::new(console.iter().copied());
        let run = Run { verdict, report, said: &said, last_line: console.last().copied() };
        judge(run, 4, &Said::default())
    }

    fn some() -> Verdict {
        Verdict::NotAllOnline(vec!["CPU 2 (0x2) timed out".into()])
    }

    #[test]
    fn a_kernel_is_whole_if_all_its_cpus_are_online() {
        let all = judged(&Verdict::AllOnline, Some(&linux(&[0, 1, 2, 3])), &["reveille: online 0-3"]);
        assert_eq!((all.grade, all.missing, all.words.as_str()), (Grade::Whole, vec![], ""));
    }

    #[test]
    fn a_missing_cpu_is_said_by_a_line_that_names_it_and_not_by_firmware() {
        let report = linux(&[0, 1, 3]);
        let said = judged(&some(), Some(&report), &["CPU2: failed to come online", "reveille: online 0-1,3"]);
        assert_eq!((said.grade, said.missing.as_slice()), (Grade::Without, &[2][..]));
        assert_eq!(said.words, "CPU2: failed to come online");
        let silent = judged(&some(), Some(&report), &["reveille: online 0-1,3"]);
        assert_eq!((silent.grade, silent.words.as_str()), (Grade::LostSilently, "nothing is said of CPU 2"));
        let other = judged(&some(), Some(&report), &["CPU1: failed to come online"]);
        assert_eq!(other.grade, Grade::LostSilently, "it is another CPU that is named");
    }

    #[test]
    fn what_is_said_where_nothing_is_wrong_does_not_count() {
        let console = ["CPU2: firmware is missing", "reveille: online 0-1,3"];
        let said = Said::new(console);
        let report = linux(&[0, 1, 3]);
        let run = Run { verdict: &some(), report: Some(&report), said: &said, last_line: None };
        assert_eq!(judge(run, 4, &Said::default()).grade, Grade::Without);
        assert_eq!(judge(run, 4, &said).grade, Grade::LostSilently);
    }

    #[test]
    fn our_kernel_says_it_by_its_records() {
        let mut report = sample::cpus(4);
        report.masks.online = vec![0, 1, 3];
        (report.cpus[2].outcome, report.cpus[2].reason) = (Outcome::Failed, Some("CPU_ON: DENIED (-3)".into()));
        let said = judged(&some(), Some(&report), &[]);
        assert_eq!((said.grade, said.words.as_str()), (Grade::Without, "CPU_ON: DENIED (-3)"));
        report.cpus[2].reason = None;
        assert_eq!(judged(&some(), Some(&report), &[]).grade, Grade::LostSilently);
        report.proofs[0] = Proof { name: "soak".into(), passed: false, detail: "CPU 2: it does not go off".into() };
        assert_eq!(judged(&some(), Some(&report), &[]).words, "CPU 2: it does not go off");
    }

    #[test]
    fn a_cpu_that_is_gone_in_the_end_is_missing() {
        let console = ["reveille: online 0-3", "reveille: cpu2 refuses online=1", "reveille: online 0-1,3"];
        let judged = judged(&Verdict::AllOnline, Some(&linux(&[0, 1, 2, 3])), &console);
        assert_eq!((judged.grade, judged.missing), (Grade::Without, vec![2]));
    }

    #[test]
    fn a_count_that_is_short_is_a_loss_that_nobody_speaks_of() {
        let judged = judged(&some(), Some(&linux(&[0, 1, 2, 3])), &["Brought up 3 CPUs"]);
        assert_eq!((judged.grade, judged.words.as_str()), (Grade::LostSilently, "it counts 3 of 4 CPUs"));
    }

    #[test]
    fn who_never_comes_up_hangs_or_has_crashed() {
        let limit = Verdict::TimedOut(Duration::from_secs(9));
        let hung = judged(&limit, Some(&linux(&[0])), &["Bringing up CPU2"]);
        assert_eq!((hung.grade, hung.words.as_str()), (Grade::Hung, "not up after 9 s; last line: Bringing up CPU2"));
        let crashed = judged(&Verdict::Died("Kernel panic".into()), None, &[]);
        assert_eq!((crashed.grade, crashed.words.as_str()), (Grade::Crashed, "Kernel panic"));
        assert_eq!(judged(&Verdict::AllOnline, None, &[]).grade, Grade::Crashed);
        assert!(Grade::Without.is_well() && !Grade::LostSilently.is_well());
    }
}

//! What became of a system that is not ours behind a boot loader of ours, with no firmware of ours below: the loader knows which CPUs
//! it has handed over, and what came of them only the system's console says.

use std::collections::BTreeSet;

use reveille_trace_format::Outcome;

use super::judge::{self, Ended};
use super::text::Said;
use crate::report::{CpuReport, Proof, Report};

/// The report of the system called `name`, from the report of the loader that has started it, and from what its console said. It begins
/// when the loader's last event is over, and its CPUs have no events: nobody could record them.
#[must_use]
pub fn report(name: &str, version: &str, loader: &Report, said: &Said, ended: &Ended, awaited: bool) -> Report {
    // What user space above a hypervisor sees are not the machine's CPUs.
    let listed = said.online.first().filter(|_| name == "linux");
    let cpus: Vec<CpuReport> = loader.cpus.iter().map(|cpu| self::cpu(cpu, said, listed)).collect();
    let is_told = listed.is_some() || said.count.is_some();
    let untold = Proof {
        name: "console".into(),
        passed: false,
        detail: "the system does not say how many CPUs are online, and no firmware of ours has seen them".into(),
    };
    Report {
        proofs: if is_told { Vec::new() } else { vec![untold] },
        counter_ns: loader.counter_ns.map(|begin| begin + length_ns(loader)),
        ..judge::behind(loader, name, version, cpus, said, ended, awaited)
    }
}

/// How long the loader ran, by its events.
fn length_ns(loader: &Report) -> u64 {
    loader.cpus.iter().flat_map(|cpu| &cpu.events).map(|event| event.ns).max().unwrap_or(0)
}

/// A CPU that the loader had, and what the system says of it.
fn cpu(known: &CpuReport, said: &Said, listed: Option<&BTreeSet<u32>>) -> CpuReport {
    let complaint = said.complaints.get(&known.index).map(|line| format!("it says: {line}"));
    let (outcome, reason) = if known.outcome != Outcome::Online {
        (known.outcome, known.reason.clone().or(complaint))
    } else if let Some(listed) = listed {
        match listed.contains(&known.index) {
            true => (Outcome::Online, complaint),
            false => (Outcome::Failed, complaint.or(Some("it is not online, and the system does not say why".into()))),
        }
    } else if known.index == 0 {
        // The one that says all this.
        (Outcome::Online, complaint)
    } else if complaint.is_some() {
        (Outcome::Failed, complaint)
    } else if said.count.is_some() {
        (Outcome::Online, None)
    } else {
        (Outcome::NotAsked, Some("nobody says whether it came".into()))
    };
    CpuReport { outcome, reason, lost_events: 0, events: Vec::new(), ..known.clone() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::report::{End, sample};
    use crate::verdict::Verdict;

    fn judged(name: &str, console: &[&str], ended: &Ended) -> (Report, Verdict) {
        let loader = Report { image: "loader".into(), counter_ns: Some(1_000), ..sample::cpus(4) };
        let report = report(name, "6.12", &loader, &Said::new(console.iter().copied()), ended, false);
        let verdict = judge::verdict(Some(&report), ended, false, Duration::from_secs(9));
        (report, verdict)
    }

    #[test]
    fn all_that_the_system_counts_or_lists_are_online_and_begin_after_the_loader() {
        for console in ["smp: Brought up 1 node, 4 CPUs", "reveille: online 0-3"] {
            let (report, verdict) = judged("linux", &[console], &Ended::Off);
            assert_eq!(verdict, Verdict::AllOnline);
            assert_eq!((report.online_count, report.asked_count, report.end), (4, 4, End::Done));
            assert!(report.counter_ns > Some(1_000) && report.cpus.iter().all(|cpu| cpu.events.is_empty()));
        }
    }

    #[test]
    fn one_that_is_not_listed_or_complained_of_is_named() {
        let complaint = "CPU2: failed to come online";
        for (name, told) in [("linux", "reveille: online 0-1,3"), ("xen", "Brought up 3 CPUs")] {
            let (report, verdict) = judged(name, &[complaint, told], &Ended::Off);
            let problem = "CPU 2 (0x2) failed: it says: CPU2: failed to come online";
            assert_eq!(verdict, Verdict::NotAllOnline(vec![problem.into()]));
            assert_eq!(report.masks.online, [0, 1, 3]);
        }
        let (_, verdict) = judged("xen", &["Brought up 3 CPUs", "reveille: online 0-3"], &Ended::Off);
        assert_eq!(verdict, Verdict::NotAllOnline(vec!["3 of 4 CPUs are online".into()]));
    }

    #[test]
    fn a_system_that_says_nothing_of_its_cpus_is_not_taken_to_have_them() {
        let (report, verdict) = judged("image", &["hello"], &Ended::Ready);
        let Verdict::NotAllOnline(problems) = verdict else { panic!("{verdict:?}") };
        assert!(problems[0].contains("does not say how many CPUs are online"), "{problems:?}");
        assert_eq!((report.online_count, report.asked_count), (1, 1));
    }
}

//! What became of a system that is not ours: a report like that of an image of ours, from what firmware recorded and what the
//! console said, and a verdict.

use std::collections::BTreeSet;
use std::time::Duration;

use reveille_trace_format::{ONLINE, Outcome};

use super::text::Said;
use crate::report::{CpuReport, End, Masks, Report, bringup_ns};
use crate::verdict::{self, Verdict};

/// What is wrong with a system that is awaited and ends.
pub const UNREADY: &str = "it switched the machine off before it said that it was up";

/// How a run of such a system ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It printed what it was to print when it is up.
    Ready,
    /// It switched the machine off. Without firmware of ours to tell them apart, also: it reset the machine.
    Off,
    /// It reset the machine.
    Reset,
    /// Its time was over.
    TimedOut,
    /// Its console shows a crash: this line.
    Crashed(String),
    /// QEMU ended in another way, in words.
    Otherwise(String),
}

impl Ended {
    /// Whether it came as far as it was to come. `awaited` says that it was to print something.
    #[must_use]
    pub fn is_well(&self, awaited: bool) -> bool {
        match self {
            Self::Ready => true,
            Self::Off => !awaited,
            _ => false,
        }
    }
}

/// The report of the system called `name`, from the report of the firmware below it, and from what its console said.
#[must_use]
pub fn report(name: &str, version: &str, firmware: &Report, said: &Said, ended: &Ended, awaited: bool) -> Report {
    let begin = firmware.entries.iter().find(|entry| entry.cpu == 0);
    let begin_ns = begin.map_or(0, |entry| entry.ns);
    // What user space above a hypervisor sees are not the machine's CPUs.
    let listed = said.online.first().filter(|_| name == "linux");
    let cpus: Vec<CpuReport> =
        firmware.cpus.iter().map(|cpu| self::cpu(cpu, begin_ns, firmware, said, listed)).collect();
    Report {
        entry_level: begin.map(|entry| entry.level),
        counter_ns: begin.map(|entry| entry.ns),
        ..behind(firmware, name, version, cpus, said, ended, awaited)
    }
}

/// The report of the system called `name` that runs as a guest, from what the hypervisor told of it, and from what its console said.
#[must_use]
pub fn guest_report(name: &str, version: &str, told: &Report, said: &Said, ended: &Ended, awaited: bool) -> Report {
    let Report { guest, calls, entries, lost_calls, .. } = told.clone();
    Report { guest, calls, entries, lost_calls, ..report(name, version, told, said, ended, awaited) }
}

/// The report of the system called `name` behind the stage that `known` is the report of: what follows from `cpus`, which is what became
/// of them, and from what the console said. What is known of the machine stays.
pub(super) fn behind(
    known: &Report,
    name: &str,
    version: &str,
    cpus: Vec<CpuReport>,
    said: &Said,
    ended: &Ended,
    awaited: bool,
) -> Report {
    let of = |is: fn(&CpuReport) -> bool| cpus.iter().filter(|cpu| is(cpu)).map(|cpu| cpu.index).collect::<Vec<_>>();
    let (all, online) = (of(|_| true), of(|cpu| cpu.outcome == Outcome::Online));
    let well = ended.is_well(awaited);
    Report {
        image: name.to_owned(),
        image_version: version.to_owned(),
        end: match ended {
            Ended::TimedOut => End::TimedOut,
            _ if well => End::Done,
            _ => End::Died,
        },
        asked_count: of(|cpu| cpu.outcome != Outcome::NotAsked).len() as u32,
        // Where it counts fewer, it is to be believed, even if it does not say which are missing.
        online_count: said.count.map_or(online.len() as u32, |count| count.min(online.len() as u32)),
        passed: well,
        masks: Masks { possible: all.clone(), present: all, active: online.clone(), online },
        prepare_ns: 0,
        bringup_ns: bringup_ns(&cpus).unwrap_or(0),
        cpus,
        left_out: Vec::new(),
        proofs: Vec::new(),
        calls: Vec::new(),
        entries: Vec::new(),
        lost_calls: 0,
        stages: Vec::new(),
        ..known.clone()
    }
}

/// A CPU as firmware knows it, on the system's own time, and with what the system says of it.
fn cpu(known: &CpuReport, begin_ns: u64, firmware: &Report, said: &Said, listed: Option<&BTreeSet<u32>>) -> CpuReport {
    let mut cpu = known.clone();
    for event in &mut cpu.events {
        event.ns = event.ns.saturating_sub(begin_ns);
    }
    let complaint = said.complaints.get(&cpu.index);
    let is_listed = listed.map(|online| online.contains(&cpu.index));
    let entered = firmware.entries.iter().any(|entry| entry.cpu == cpu.index);
    if !entered {
        let reason =
            [cpu.reason.take(), complaint.cloned()].into_iter().flatten().collect::<Vec<_>>().join("; it says: ");
        cpu.reason = Some(reason).filter(|reason| !reason.is_empty());
        if complaint.is_some() && cpu.outcome == Outcome::NotAsked {
            cpu.outcome = Outcome::Failed;
        }
    } else if is_listed == Some(false) || (is_listed.is_none() && complaint.is_some() && cpu.index != 0) {
        cpu.outcome = Outcome::Stuck;
        cpu.events.retain(|event| event.name != ONLINE);
        let says =
            complaint.map_or("it does not say why it is not online".to_owned(), |line| format!("it says: {line}"));
        cpu.reason = Some(format!("it began, and is not online; {says}"));
    } else {
        cpu.reason = complaint.map(|line| format!("it says: {line}"));
    }
    cpu
}

/// Judges a run of a system that is not ours.
#[must_use]
pub fn verdict(report: Option<&Report>, ended: &Ended, awaited: bool, limit: Duration) -> Verdict {
    let died = |how: &str| Verdict::Died(how.to_owned());
    match (ended, report) {
        (Ended::TimedOut, _) => Verdict::TimedOut(limit),
        (Ended::Crashed(line), _) => died(line),
        (Ended::Otherwise(how), _) => died(how),
        (Ended::Reset, _) => died("it reset the machine"),
        (Ended::Off, _) if awaited => died(UNREADY),
        (Ended::Off | Ended::Ready, None) => died("no stage of ours recorded anything"),
        (Ended::Off | Ended::Ready, Some(report)) => match verdict::problems(report, 0) {
            problems if problems.is_empty() => Verdict::AllOnline,
            problems => Verdict::NotAllOnline(problems),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Entry, sample};

    fn firmware(entered: &[u32]) -> Report {
        let mut report = sample::cpus(4);
        report.image = "firmware".into();
        report.entries = entered
            .iter()
            .map(|&cpu| Entry { cpu, ns: 1_000 + u64::from(cpu), address: 0x4020_0000, level: 1 })
            .collect();
        for cpu in report.cpus.iter_mut().filter(|cpu| !entered.contains(&cpu.index)) {
            cpu.outcome = Outcome::TimedOut;
            cpu.reason = Some("CPU_ON: SUCCESS, and it never began".into());
            cpu.events.clear();
        }
        report
    }

    fn judged(entered: &[u32], console: &[&str], ended: &Ended) -> (Report, Verdict) {
        let said = Said::new(console.iter().copied());
        let report = report("linux", "6.12", &firmware(entered), &said, ended, false);
        let verdict = verdict(Some(&report), ended, false, Duration::from_secs(9));
        (report, verdict)
    }

    #[test]
    fn all_that_firmware_let_go_are_online_if_nobody_says_otherwise() {
        let (report, verdict) = judged(&[0, 1, 2, 3], &["smp: Brought up 1 node, 4 CPUs"], &Ended::Off);
        assert_eq!(verdict, Verdict::AllOnline);
        assert_eq!((report.online_count, report.asked_count, report.end), (4, 4, End::Done));
        assert_eq!((report.counter_ns, report.entry_level), (Some(1_000), Some(1)));
        assert_eq!(Some(report.bringup_ns), report.bringup_ns_of_events());
    }

    #[test]
    fn a_cpu_that_never_began_is_named_with_what_the_system_says() {
        let (report, verdict) = judged(&[0, 1, 3], &["CPU2: failed to come online"], &Ended::Off);
        let problem =
            "CPU 2 (0x2) timed out: CPU_ON: SUCCESS, and it never began; it says: CPU2: failed to come online";
        assert_eq!(verdict, Verdict::NotAllOnline(vec![problem.into()]));
        assert_eq!(report.masks.online, [0, 1, 3]);
    }

    #[test]
    fn a_cpu_that_began_too_late_is_stuck() {
        let (report, _) =
            judged(&[0, 1, 2, 3], &["CPU2: failed to come online", "reveille: online 0-1,3"], &Ended::Off);
        assert_eq!((report.cpus[2].outcome, report.online_count), (Outcome::Stuck, 3));
        assert_eq!(report.cpus[2].online_ns(), None);
        let (report, _) = judged(&[0, 1, 2, 3], &["CPU2: refused once", "reveille: online 0-3"], &Ended::Off);
        assert_eq!(report.cpus[2].outcome, Outcome::Online, "who is listed as online is online");
    }

    #[test]
    fn what_user_space_above_a_hypervisor_sees_is_not_the_machines() {
        let console = ["CPU2 never came online", "Brought up 3 CPUs", "reveille: online 0-2"];
        let report = report("xen", "4.17", &firmware(&[0, 1, 3]), &Said::new(console), &Ended::Off, false);
        assert_eq!(report.masks.online, [0, 1, 3]);
    }

    #[test]
    fn a_count_below_what_began_is_believed() {
        let (report, verdict) = judged(&[0, 1, 2, 3], &["Brought up 3 CPUs"], &Ended::Off);
        assert_eq!(report.online_count, 3);
        assert_eq!(verdict, Verdict::NotAllOnline(vec!["3 of 4 CPUs are online".into()]));
    }

    #[test]
    fn a_run_that_does_not_end_well_is_told_apart() {
        let all = [0, 1, 2, 3];
        assert!(matches!(judged(&all, &[], &Ended::TimedOut).1, Verdict::TimedOut(_)));
        assert_eq!(judged(&all, &[], &Ended::Crashed("Oops".into())).1, Verdict::Died("Oops".into()));
        assert!(matches!(judged(&all, &[], &Ended::Reset).1, Verdict::Died(_)));
        assert!(Ended::Off.is_well(false) && !Ended::Off.is_well(true) && Ended::Ready.is_well(true));
        assert!(matches!(verdict(None, &Ended::Off, false, Duration::ZERO), Verdict::Died(_)));
    }
}

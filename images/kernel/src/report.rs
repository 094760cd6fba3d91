//! What the host is told when all is over.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use reveille::trace::{Event, Kind, Name};
use reveille::{CpuIndex, HwId, Outcome};
use reveille_runtime::cpus::topology;
use reveille_runtime::plan::Setup;
use reveille_runtime::report::{self, events};
use reveille_runtime::{clock, console};
use reveille_trace_format::Record;

use crate::arch::spans;
use crate::cpuinfo;
use crate::hotplug::hotplug;
use crate::names::{name, text};
use crate::proof::Proof;
use crate::smp::BroughtUp;

/// Where a CPU is that has claimed its kick and has begun with no step.
const EARLY: &str = text(spans::BEFORE_STARTING);

/// The work for a bring-up that is done before the bring-up itself.
const PREPARING: [Name; 2] = [spans::INIT_CPUS, name::setup_per_cpu_areas];

/// Tells the host who boots.
pub fn tell_boot(boot_cpu: HwId, entry_level: Option<u8>) {
    report::boot("kernel", env!("CARGO_PKG_VERSION"), boot_cpu, entry_level);
}

/// What there is to say about each CPU, by its index, when the boot is over. CPUs may come and go before it is told.
pub fn reasons(brought_up: &BroughtUp) -> Vec<Option<String>> {
    topology().cpus().iter().map(|cpu| reason(cpu.index, &outcome(cpu.index, brought_up))).collect()
}

/// Tells people and the host what became of every CPU, and whether all is well.
pub fn tell(setup: &Setup, brought_up: &BroughtUp, reasons: &[Option<String>], proofs: &[Proof]) -> bool {
    for (cpu, reason) in topology().cpus().iter().zip(reasons) {
        report::cpu(cpu, &outcome(cpu.index, brought_up), reason.as_deref());
    }
    report::traces(text);
    for Proof { name, passed, detail } in proofs {
        report::proof(name, *passed, detail);
    }
    let proven = proofs.iter().all(|proof| proof.passed);
    let (prepare_ns, bringup_ns) = phases();
    console::tell_host(&Record::Done {
        asked: brought_up.summary.asked as u32,
        online: brought_up.summary.online as u32,
        prepare_ns,
        bringup_ns,
        passed: proven,
    });
    let failed = brought_up.outcomes.iter().any(|outcome| !matches!(outcome, Outcome::Online | Outcome::NotAsked));
    proven && !failed && !setup.faults && brought_up.summary.online == brought_up.summary.asked
}

fn outcome(cpu: CpuIndex, brought_up: &BroughtUp) -> Outcome {
    if cpu.is_boot() { Outcome::Online } else { brought_up.outcomes[cpu.get()] }
}

/// Why a CPU is not online, or what is odd about one that is.
fn reason(cpu: CpuIndex, outcome: &Outcome) -> Option<String> {
    let mut reason = String::new();
    // A String takes everything.
    let _ = match outcome {
        Outcome::NotAsked => return None,
        Outcome::Online => {
            let (register, here, boot) = cpuinfo::feature_difference(cpu)?;
            write!(reason, "its {register} is {here:#x}, the boot CPU's is {boot:#x}")
        }
        Outcome::Stuck { firmware, .. } => {
            write!(reason, "arrived and got stuck in {} ({firmware})", hotplug().step_at(cpu).unwrap_or(EARLY))
        }
        other => write!(reason, "{other}"),
    };
    if let Outcome::Step(_) = outcome
        && let Some((register, here, boot)) = cpuinfo::feature_conflict(cpu)
    {
        let _ = write!(reason, ": its {register} is {here:#x}, the boot CPU's is {boot:#x}");
    }
    Some(reason)
}

/// Nanoseconds of preparation, and from the first kick to the last CPU through all its steps.
fn phases() -> (u64, u64) {
    let time_of = |event: Event| clock::instant_of(event.time);
    let boot = || events(CpuIndex::BOOT);
    let is_end = |event: &Event| event.name == name::online || event.name == name::active;
    let first_kick = boot().find(|event| event.name == name::kick).map(time_of);
    let last_online =
        topology().cpus().iter().filter_map(|cpu| events(cpu.index).filter(is_end).last().map(time_of)).max();
    let at = |wanted: Name, kind: Kind| boot().find(|event| event.name == wanted && event.kind == kind).map(time_of);
    let before: u64 =
        PREPARING.iter().filter_map(|&name| Some(at(name, Kind::End)?.nanos_since(at(name, Kind::Begin)?))).sum();
    let prepared = first_kick.or_else(|| at(name::bringup_nonboot_cpus, Kind::End));
    let here = match (at(name::smp_prepare_cpus, Kind::Begin), prepared) {
        (Some(start), Some(end)) => end.nanos_since(start),
        _ => 0,
    };
    let bringup = first_kick.zip(last_online).map_or(0, |(kick, online)| online.nanos_since(kick));
    (before + here, bringup)
}

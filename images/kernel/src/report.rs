//! What the host is told when all is over.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use reveille::trace::{Event, Kind, Name};
use reveille::{Cpu, CpuIndex, HwId, Outcome};
use reveille_runtime::cpus::{SMP, topology};
use reveille_runtime::{clock, console, println, trace};
use reveille_trace_format::{self as format, Phase, Record, SCHEMA};

use crate::arch::spans;
use crate::cpuinfo;
use crate::hotplug::hotplug;
use crate::names::{name, text};
use crate::proof::Proof;
use crate::smp::{BroughtUp, Setup};

/// Where a CPU is that has claimed its kick and has begun with no step.
const EARLY: &str = text(spans::BEFORE_STARTING);

/// The work for a bring-up that is done before the bring-up itself.
const PREPARING: [Name; 2] = [spans::INIT_CPUS, name::setup_per_cpu_areas];

/// Tells the host who boots.
pub fn tell_boot(boot_cpu: HwId, entry_level: Option<u8>) {
    console::tell_host(&Record::Boot {
        schema: SCHEMA,
        image: "kernel",
        version: env!("CARGO_PKG_VERSION"),
        entry_level,
        boot_hw_id: boot_cpu.0,
        counter_ns: clock::origin(),
    });
}

/// What there is to say about each CPU, by its index, when the boot is over. CPUs may come and go before it is told.
pub fn reasons(brought_up: &BroughtUp) -> Vec<Option<String>> {
    topology().cpus().iter().map(|cpu| reason(cpu.index, &outcome(cpu.index, brought_up))).collect()
}

/// Tells people and the host what became of every CPU, and whether all is well.
pub fn tell(setup: &Setup, brought_up: &BroughtUp, reasons: &[Option<String>], proofs: &[Proof]) -> bool {
    for (cpu, reason) in topology().cpus().iter().zip(reasons) {
        tell_cpu(cpu, outcome(cpu.index, brought_up), reason.as_deref());
    }
    for cpu in topology().cpus() {
        tell_events(cpu.index);
    }
    for proof in proofs {
        println!("Proof of {}: {} ({})", proof.name, if proof.passed { "passed" } else { "FAILED" }, proof.detail);
        let Proof { name, passed, detail } = proof;
        console::tell_host(&Record::Proof { name, passed: *passed, detail });
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

fn tell_cpu(cpu: &Cpu, outcome: Outcome, reason: Option<&str>) {
    if let Some(reason) = reason {
        println!("CPU {} ({}): {reason}", cpu.index, cpu.hw_id);
    }
    console::tell_host(&Record::Cpu {
        index: cpu.index.get() as u32,
        hw_id: cpu.hw_id.0,
        possible: SMP.masks.possible.contains(cpu.index),
        present: SMP.masks.present.contains(cpu.index),
        online: SMP.masks.online.contains(cpu.index),
        active: SMP.masks.active.contains(cpu.index),
        outcome: match outcome {
            Outcome::Online => format::Outcome::Online,
            Outcome::NotAsked => format::Outcome::NotAsked,
            Outcome::Failed(_) | Outcome::Busy(_) | Outcome::Step(_) => format::Outcome::Failed,
            Outcome::TimedOut(_) | Outcome::InFlight(_) => format::Outcome::TimedOut,
            Outcome::Stuck { .. } | Outcome::Hung(_) => format::Outcome::Stuck,
        },
        reason,
        lost_events: trace::ring(cpu.index).map_or(0, |ring| ring.lost() as u32),
    });
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

fn events(cpu: CpuIndex) -> impl Iterator<Item = Event> {
    trace::ring(cpu).into_iter().flat_map(|ring| ring.events())
}

fn tell_events(cpu: CpuIndex) {
    for event in events(cpu) {
        let concerns_another = cpu.is_boot() && event.value != 0;
        console::tell_host(&Record::Event {
            cpu: cpu.get() as u32,
            ns: clock::instant_of(event.time).0,
            phase: match event.kind {
                Kind::Begin => Phase::Begin,
                Kind::End => Phase::End,
                Kind::Instant => Phase::Instant,
            },
            name: text(event.name),
            target: concerns_another.then_some(event.value),
        });
    }
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

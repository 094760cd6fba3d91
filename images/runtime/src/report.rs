//! What an image tells the host of itself, its CPUs and their traces, whatever its role: the records that all have in common.

use reveille::trace::{Event, Kind, Name};
use reveille::{Cpu, CpuIndex, HwId, Outcome};
use reveille_trace_format::{self as format, Phase, Record, SCHEMA};

use crate::cpus::{SMP, topology};
use crate::{clock, console, println, trace};

/// Tells the host who boots.
pub fn boot(image: &str, version: &str, boot_cpu: HwId, entry_level: Option<u8>) {
    console::tell_host(&Record::Boot {
        schema: SCHEMA,
        image,
        version,
        entry_level,
        boot_hw_id: boot_cpu.0,
        counter_ns: clock::origin(),
    });
}

/// Tells people and the host what became of `cpu`, and why if there is something to say.
pub fn cpu(cpu: &Cpu, outcome: &Outcome, reason: Option<&str>) {
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

/// The events of the trace of `cpu`, the oldest first.
pub fn events(cpu: CpuIndex) -> impl Iterator<Item = Event> {
    trace::ring(cpu).into_iter().flat_map(|ring| ring.events())
}

/// Tells the host the traces of all CPUs; `text` is the text of their names.
pub fn traces(text: fn(Name) -> &'static str) {
    for cpu in topology().cpus() {
        for event in events(cpu.index) {
            let concerns_another = cpu.index.is_boot() && event.value != 0;
            console::tell_host(&Record::Event {
                cpu: cpu.index.get() as u32,
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
}

/// Tells people and the host of a check that the CPUs work.
pub fn proof(name: &str, passed: bool, detail: &str) {
    println!("Proof of {name}: {} ({detail})", if passed { "passed" } else { "FAILED" });
    console::tell_host(&Record::Proof { name, passed, detail });
}

/// Tells the host that every CPU has come, and the rest of the last records, for an image without a plan that takes all CPUs or none.
pub fn all_online(bringup_ns: u64, passed: bool) {
    for cpu in topology().cpus() {
        console::tell_host(&Record::Cpu {
            index: cpu.index.get() as u32,
            hw_id: cpu.hw_id.0,
            possible: true,
            present: true,
            online: true,
            active: false,
            outcome: format::Outcome::Online,
            reason: None,
            lost_events: 0,
        });
    }
    let count = topology().cpus().len() as u32;
    console::tell_host(&Record::Done { asked: count, online: count, prepare_ns: 0, bringup_ns, passed });
}

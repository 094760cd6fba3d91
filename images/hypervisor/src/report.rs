//! What the host is told of the hypervisor's own way up.

use alloc::string::ToString;

use reveille::trace::Event;
use reveille::{CpuIndex, Outcome};
use reveille_runtime::cpus::topology;
use reveille_runtime::report::{self, events};
use reveille_runtime::{clock, console};
use reveille_trace_format::Record;

use crate::names::{name, text};
use crate::smpboot::BroughtUp;

/// Tells people and the host what became of every CPU.
pub fn tell(brought_up: &BroughtUp) {
    for (cpu, outcome) in topology().cpus().iter().zip(&brought_up.outcomes) {
        let reason = match outcome {
            Outcome::Online | Outcome::NotAsked => None,
            other => Some(other.to_string()),
        };
        report::cpu(cpu, outcome, reason.as_deref());
    }
    report::traces(text);
    console::tell_host(&Record::Done {
        asked: brought_up.summary.asked as u32,
        online: brought_up.summary.online as u32,
        prepare_ns: 0,
        bringup_ns: bringup_ns(),
        passed: brought_up.is_whole(),
    });
}

/// Nanoseconds from the first kick to the last arrival.
fn bringup_ns() -> u64 {
    let time_of = |event: Event| clock::instant_of(event.time);
    let kick = events(CpuIndex::BOOT).find(|event| event.name == name::kick).map(time_of);
    let arrivals = topology().cpus().iter();
    let arrivals = arrivals.filter_map(|cpu| events(cpu.index).find(|event| event.name == name::online).map(time_of));
    kick.zip(arrivals.max()).map_or(0, |(kick, online)| online.nanos_since(kick))
}

//! What the host is told.

use alloc::string::String;
use alloc::vec::Vec;

use reveille::trace::Kind;
use reveille::{CpuIndex, HwId, Outcome};
use reveille_runtime::arch::power;
use reveille_runtime::cpus::topology;
use reveille_runtime::report::events;
use reveille_runtime::{clock, console, println, report, trace};
use reveille_trace_format::Record;

use crate::cpus::BroughtUp;
use crate::names::{name, text};

/// What is known so far.
pub struct Report {
    brought_up: BroughtUp,
    proofs: Vec<(&'static str, bool, String)>,
    cpus_told: bool,
}

impl Report {
    /// Tells the host who boots.
    pub fn begin(boot_cpu: HwId, entry_level: u8) {
        report::boot("loader", env!("CARGO_PKG_VERSION"), boot_cpu, Some(entry_level));
    }

    /// The CPUs are up, as far as they come.
    pub fn new(brought_up: BroughtUp) -> Self {
        Self { brought_up, proofs: Vec::new(), cpus_told: false }
    }

    /// Notes a check.
    pub fn proof(&mut self, name: &'static str, passed: bool, detail: String) {
        self.proofs.push((name, passed, detail));
    }

    /// Tells what became of every CPU, while they are there.
    pub fn tell_cpus(&mut self) {
        if core::mem::replace(&mut self.cpus_told, true) {
            return;
        }
        for (cpu, outcome) in topology().cpus().iter().zip(&self.brought_up.outcomes) {
            let outcome = if cpu.index.is_boot() { &Outcome::Online } else { outcome };
            let reason = match outcome {
                Outcome::Online | Outcome::NotAsked => None,
                other => Some(alloc::format!("{other}")),
            };
            report::cpu(cpu, outcome, reason.as_deref());
        }
    }

    /// The last that the host hears of the loader.
    pub fn end(&mut self, passed: bool) {
        trace::stop();
        self.tell_cpus();
        report::traces(text);
        for (name, passed, detail) in &self.proofs {
            report::proof(name, *passed, detail);
        }
        console::tell_host(&Record::Done {
            asked: self.brought_up.summary.asked as u32,
            online: self.brought_up.summary.online as u32,
            prepare_ns: 0,
            bringup_ns: bring_up_time(),
            passed,
        });
    }

    /// Nothing is started, for this reason. Ends the run.
    pub fn refuse(&mut self, reason: &str) -> ! {
        println!("Refused: {reason}");
        self.proof("start", false, reason.into());
        self.end(false);
        power::exit(1)
    }
}

/// Nanoseconds from the first kick to the last CPU at its thread.
fn bring_up_time() -> u64 {
    let time_of = |event: reveille::trace::Event| clock::instant_of(event.time);
    let kick = events(CpuIndex::BOOT).find(|event| event.name == name::kick).map(time_of);
    let is_end = |event: &reveille::trace::Event| event.kind == Kind::Instant && event.name == name::active;
    let last = topology().cpus().iter().filter_map(|cpu| events(cpu.index).filter(is_end).last().map(time_of)).max();
    kick.zip(last).map_or(0, |(kick, last)| last.nanos_since(kick))
}

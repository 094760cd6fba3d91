//! Requests that are made when the boot is over and has been proven, one after the other: `reveille.script=off:2,on:2`.
//!
//! `off:N`, `on:N`, `state:N:S`: hotplug's. `wait:MS`: lets time pass. `show:N`: where CPU N is. `check:N`: whether CPU N, which was
//! started wrongly, has written to what is no longer its own ([`guard`]). `steps`: the steps. `freeze`, `thaw`, `ipi:N`: the
//! console's. What each comes to is told like a proof, and then all proofs are made once more.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{Display, Write};
use core::str::Split;
use core::time::Duration;

use reveille::CpuIndex;
use reveille::hotplug::{HotplugState, StepFailure};
use reveille_runtime::cpus::{SMP, topology};
use reveille_runtime::{clock, plan, thread};
use spin::Once;

use super::guard;
use crate::hotplug::{self, Done, hotplug};
use crate::proof::{self, Proof};

static COMMANDS: Once<Vec<&'static str>> = Once::new();

/// These commands are to be executed.
pub fn set(commands: impl Iterator<Item = &'static str>) {
    COMMANDS.call_once(|| commands.collect());
}

/// Executes them.
///
/// # Panics
/// One cannot be read.
pub fn run() -> Vec<Proof> {
    let mut results = Vec::new();
    let commands = COMMANDS.get().map_or(&[][..], Vec::as_slice);
    for command in commands {
        let done = execute(command).unwrap_or_else(|| panic!("reveille.script: {command} cannot be read"));
        let (passed, detail) = match done {
            Ok(detail) => (true, detail),
            Err(detail) => (false, detail),
        };
        results.push(Proof { name: command, passed, detail });
    }
    if !commands.is_empty() {
        results.extend(proof::run());
    }
    results
}

/// `None` for what is no command.
fn execute(command: &str) -> Option<Result<String, String>> {
    let mut words = command.split(':');
    let verb = words.next()?;
    let done = match verb {
        "off" => cpu(&mut words).map(|cpu| told(cpu, hotplug::cpu_down(cpu), passed_over))?,
        "on" => cpu(&mut words).map(|cpu| told(cpu, hotplug::cpu_up(cpu), |()| String::from("done")))?,
        "state" => {
            let cpu = cpu(&mut words)?;
            told(cpu, hotplug::set_state(cpu, HotplugState(words.next()?.parse().ok()?)), passed_over)
        }
        "wait" => {
            let milliseconds = words.next()?.parse().ok()?;
            thread::sleep_until(clock::ticks_after(Duration::from_millis(milliseconds)));
            Ok(String::from("waited"))
        }
        "show" => Ok(place(cpu(&mut words)?)),
        "check" => {
            let cpu = cpu(&mut words)?;
            let place = place(cpu);
            if guard::is_intact(cpu) { Ok(format!("untouched; {place}")) } else { Err(format!("written to; {place}")) }
        }
        "steps" => Ok(steps()),
        "freeze" | "thaw" | "ipi" => return crate::console::run(&command.replace(':', " ")).map(Ok),
        _ => return None,
    };
    words.next().is_none().then_some(done)
}

fn cpu(words: &mut Split<'_, char>) -> Option<CpuIndex> {
    let cpu = words.next()?.parse().ok().and_then(CpuIndex::new)?;
    (cpu.get() < topology().cpus().len()).then_some(cpu)
}

fn told<T>(cpu: CpuIndex, done: Done<T>, describe: fn(T) -> String) -> Result<String, String> {
    let told = |what: &dyn Display| format!("{what}; {} us; {}", done.nanoseconds / 1_000, place(cpu));
    done.result.map(|result| told(&describe(result))).map_err(|error| told(&error))
}

/// What came of a request that was carried out, whatever a teardown said that had to succeed.
fn passed_over(failure: Option<StepFailure>) -> String {
    failure.map_or(String::from("done"), |failure| format!("done, though {failure}"))
}

/// Where `cpu` is: the step that it has passed last, what the two sides have agreed on, and what firmware says.
fn place(cpu: CpuIndex) -> String {
    let state = hotplug().state(cpu);
    let mut text = format!("at {}, {:?}", hotplug().steps().name(state), SMP.claim_word(cpu).state());
    let described = &topology().cpus()[cpu.get()];
    if let Some(method) = plan::method(described) {
        // A String takes everything.
        let _ = write!(text, ", {}", method.affinity_info(described));
    }
    text
}

fn steps() -> String {
    let mut text = String::new();
    for (state, section, name) in hotplug().steps().states() {
        let _ = match section {
            Some(section) => write!(text, "{state} {section:?} {name}; "),
            None => write!(text, "{state} - {name}; "),
        };
    }
    text
}

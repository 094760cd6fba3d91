//! The commands that concern guests.

use alloc::format;
use alloc::string::String;

use reveille_runtime::arch::timer;
use reveille_runtime::console::command::Took;
use reveille_runtime::{clock, memory};

use crate::domains::life_cycle::Refusal;
use crate::domains::{self, Domain, Past};
use crate::guest::ShownVcpu;

/// All guests.
pub fn list() -> String {
    let mut text = String::from("guest  vCPUs  memory    name          state\n");
    for domain in domains::all() {
        let (vcpus, size) = domain.asked().map_or((0, 0), |asked| (asked.vcpus, asked.memory >> 10));
        let (number, name, state) = (domain.number, domain.name(), state(domain));
        text.push_str(&format!("{number:>5}  {vcpus:>5}  {size:>4} MiB  {name:12}  {state}\n"));
    }
    text.push_str(&format!("{} KiB of memory are free", memory::free() >> 10));
    text
}

fn state(domain: &Domain) -> String {
    if let Err(refused) = domain.asked() {
        return format!("refused: {}", refused.reason);
    }
    match domain.past() {
        None => String::from(match domain.guest() {
            None => "being made",
            Some(guest) if guest.is_ending() => "on, and about to end",
            Some(_) => "on",
        }),
        Some(Past::Nothing) => String::from("off: it has not begun"),
        Some(Past::Failed(reason)) => format!("off: {reason}"),
        Some(Past::Ended(end)) => format!("off: it {end}"),
    }
}

/// Starts one.
pub fn start(domain: &Domain) -> String {
    request(domain, "runs", Domain::start)
}

/// Ends one.
pub fn stop(domain: &Domain) -> String {
    request(domain, "is off", Domain::stop)
}

/// Ends one, and starts it again.
pub fn reset(domain: &Domain) -> String {
    request(domain, "runs again", Domain::reset)
}

fn request(domain: &Domain, done: &str, request: fn(&Domain) -> Result<(), Refusal>) -> String {
    let start = clock::now();
    let (number, name) = (domain.number, domain.name());
    match request(domain) {
        Ok(()) => format!("Guest {number} ({name}) {done} after {}", Took::since(start)),
        Err(refusal) => format!("Guest {number} ({name}): {refusal}"),
    }
}

/// The vCPUs of one guest, or of all.
pub fn vcpus(domain: Option<&Domain>) -> String {
    let chosen = |other: &&Domain| domain.is_none_or(|domain| domain.number == other.number);
    let mut text = String::from("guest  vCPU  state       CPU  time run");
    for domain in domains::all().iter().filter(chosen) {
        let number = domain.number;
        let Some(guest) = domain.guest() else {
            text.push_str(&format!("\n{number:>5}  {}", state(domain)));
            continue;
        };
        for ShownVcpu { index, state, cpu, is_bound, run_time } in guest.shown_vcpus() {
            let time = Took(timer::instant(run_time).0);
            let bound = if is_bound { ", bound" } else { "" };
            text.push_str(&format!("\n{number:>5}  {index:>4}  {state:10}  {:>3}  {time}{bound}", cpu.get()));
        }
    }
    text
}

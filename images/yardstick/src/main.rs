//! What the bench measures the kernel against. `yardstick=` on the command line says which:
//!
//! - `bare`: CPU_ON and a counter, in assembly ([`floor`]);
//! - `online`: the same with MMU, redistributor, CPU interface and timer on;
//! - `library`: the library with an empty step table and no trace ([`library`]);
//! - `first`: one CPU, from CPU_ON to its first instruction;
//! - `version`: PSCI_VERSION, a thousand times;
//! - `id`: an id register, a thousand times;
//! - `ipi`: an interrupt to another CPU until it is handled, a thousand times ([`interrupt`]).
//!
//! The report has the CPUs and the time from the first kick to the last CPU, like the kernel's.

#![no_std]
#![no_main]

extern crate alloc;

mod floor;
mod interrupt;
mod library;

use alloc::vec::Vec;

use reveille::Topology;
use reveille_aarch64::psci::PsciNode;
use reveille_runtime::arch::head::BootArguments;
use reveille_runtime::arch::{cpu_start, power, processor, timer};
use reveille_runtime::{clock, console, devicetree, memory, plan, report};

/// What a bring-up took: the counter at the first kick and when the last CPU was there.
struct Phase {
    first_kick: u64,
    last_arrival: u64,
}

#[unsafe(no_mangle)]
fn image_main(arguments: BootArguments) -> ! {
    clock::set_origin(arguments.entry_ticks);
    match run(&arguments) {
        Ok(()) => power::exit(0),
        Err(reason) => panic!("{reason}"),
    }
}

fn run(arguments: &BootArguments) -> Result<(), &'static str> {
    let known = reveille_boards::ARM64.iter().flat_map(|board| board.devicetree_addresses).copied();
    let fdt = devicetree::find(arguments.devicetree, known)?;
    let (ram, reserved) = devicetree::memory(&fdt)?;
    memory::init(&ram, reserved)?;
    console::init(console::find(&fdt)?);
    report::boot("yardstick", env!("CARGO_PKG_VERSION"), processor::hw_id(), Some(arguments.entry_level));
    timer::init(&fdt)?;
    let psci = PsciNode::from_fdt(&fdt).map_err(|_| "there is no PSCI")?;
    power::use_psci(psci.conduit);
    let topology = cpu_start::read_all(&fdt)?;
    let phase = match plan::value(devicetree::command_line(&fdt), "yardstick=") {
        Some("bare") => floor::bare(&psci, topology),
        Some("online") => floor::online(&fdt, &psci, topology)?,
        Some("library") => library::bring_up(&psci, topology)?,
        Some("first") => floor::first(&psci, topology),
        Some("version") => floor::version(&psci),
        Some("id") => floor::id(),
        Some("ipi") => interrupt::send(&fdt, &psci, topology)?,
        _ => return Err("yardstick= must be bare, online, library, first, version, id or ipi"),
    };
    let nanoseconds = clock::instant_of(phase.last_arrival).nanos_since(clock::instant_of(phase.first_kick));
    report::all_online(nanoseconds, true);
    Ok(())
}

/// The ids of the CPUs to start.
fn secondaries(topology: &Topology) -> Vec<u64> {
    topology.cpus()[1..].iter().map(|cpu| cpu.hw_id.0).collect()
}

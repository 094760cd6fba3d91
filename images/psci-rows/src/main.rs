//! Calls the machine's PSCI provider as a strict reviewer would. Each row of the conformance checklist that a caller can see is a proof
//! in the report, by its number ([`rows`]); [`caller`] is how they call, from the boot CPU and from the others.
//!
//! It takes four CPUs or more, at most sixteen. `rows=reset` on the command line ends the run by SYSTEM_RESET instead of SYSTEM_OFF,
//! `rows=hostile` passes what no kernel would instead, `cycles=N` says how often a CPU is switched off and on.

#![no_std]
#![no_main]

extern crate alloc;

mod caller;
mod rows;

use reveille_aarch64::psci::PsciNode;
use reveille_psci_caller::id;
use reveille_runtime::arch::head::BootArguments;
use reveille_runtime::arch::{cpu_start, interrupts, processor, timer};
use reveille_runtime::{clock, console, devicetree, memory, plan, println, report};

use crate::caller::{MAILBOXES, Machine};

/// How often a CPU is switched off and on where nobody says.
const CYCLES: u32 = 50;

#[unsafe(no_mangle)]
fn image_main(arguments: BootArguments) -> ! {
    clock::set_origin(arguments.entry_ticks);
    match run(&arguments) {
        Ok((machine, last)) => {
            let answer = machine.call(last, [0; 3]);
            println!("row_33 failed: the last call returned {answer}");
            interrupts::sleep_for_ever()
        }
        Err(reason) => panic!("{reason}"),
    }
}

/// Everything but the call that ends the run.
fn run(arguments: &BootArguments) -> Result<(Machine, u64), &'static str> {
    let known = reveille_boards::ARM64.iter().flat_map(|board| board.devicetree_addresses).copied();
    let fdt = devicetree::find(arguments.devicetree, known)?;
    let (ram, reserved) = devicetree::memory(&fdt)?;
    memory::init(&ram, reserved)?;
    console::init(console::find(&fdt)?);
    report::boot("psci-rows", env!("CARGO_PKG_VERSION"), processor::hw_id(), Some(arguments.entry_level));
    timer::init(&fdt)?;
    let psci = PsciNode::from_fdt(&fdt).map_err(|_| "there is no PSCI")?;
    let topology = cpu_start::read_all(&fdt)?;
    let others = topology.cpus()[1..].iter().map(|cpu| cpu.hw_id.0).collect();
    let machine = Machine { conduit: psci.conduit, level: arguments.entry_level, others };
    if !(4..=MAILBOXES).contains(&topology.cpus().len()) {
        return Err("the rows take 4 to 16 CPUs");
    }
    let line = devicetree::command_line(&fdt);
    let cycles = plan::value(line, "cycles=").and_then(|count| count.parse().ok()).unwrap_or(CYCLES);
    let wanted = plan::value(line, "rows=");
    let passed = rows::run(&machine, cycles, wanted == Some("hostile"));
    report::all_online(0, passed);
    let last = if wanted == Some("reset") { id::SYSTEM_RESET } else { id::SYSTEM_OFF };
    Ok((machine, last))
}

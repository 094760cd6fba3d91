//! A guest that means harm. It tries what a guest must not be able to do, row by row of docs/isolation.md, and says of each row what came
//! of it: `hostile ROW holds: ...` or `hostile ROW fails: ...`. It expects the machine that the hypervisor makes ([`rows::machine`]).
//!
//! On its command line `attack=ROW` has it try one row alone, `seed=N` what junk it passes, and `flood_ms=N` how long each flood is. With
//! `witness=SECONDS` it is another guest, which means no harm: it measures that it is left alone for so long ([`witness`]).

#![no_std]
#![no_main]

extern crate alloc;

mod attempt;
mod calls;
mod registers;
mod rows;
mod tables;
mod vcpus;
mod witness;

use core::time::Duration;

use reveille_psci_caller::id;
use reveille_runtime::arch::head::BootArguments;
use reveille_runtime::arch::interrupts;
use reveille_runtime::{clock, console, devicetree, memory, plan, println};

use crate::calls::hvc;
use crate::rows::Attacker;

/// The junk that is passed where nobody says.
const SEED: u64 = 0x2545_f491_4f6c_dd1d;
/// How long a flood is where nobody says.
const FLOOD: Duration = Duration::from_millis(200);

#[unsafe(no_mangle)]
fn image_main(arguments: BootArguments) -> ! {
    clock::set_origin(arguments.entry_ticks);
    let end = match run(&arguments) {
        Ok(true) => id::SYSTEM_OFF,
        // A guest that resets itself fails the run.
        Ok(false) => id::SYSTEM_RESET,
        Err(reason) => panic!("{reason}"),
    };
    let answer = hvc(end, [0; 3]);
    println!("the end was refused: {answer}");
    interrupts::sleep_for_ever()
}

/// Whether all is as it should be.
fn run(arguments: &BootArguments) -> Result<bool, &'static str> {
    let fdt = devicetree::find(arguments.devicetree, core::iter::empty())?;
    let (ram, reserved) = devicetree::memory(&fdt)?;
    memory::init(&ram, reserved)?;
    console::init(console::find(&fdt)?);
    let end = ram.as_slice().iter().map(|range| range.end as u64).max().ok_or("there is no memory")?;
    let line = devicetree::command_line(&fdt);
    let number = |word: &str| plan::value(line, word).and_then(|number| number.parse().ok());
    tables::load();
    if let Some(seconds) = number("witness=") {
        return Ok(witness::run(Duration::from_secs(seconds)));
    }
    let flood = number("flood_ms=").map_or(FLOOD, Duration::from_millis);
    let mut attacker = Attacker::new(end, number("seed=").unwrap_or(SEED), flood);
    Ok(rows::run(&mut attacker, plan::value(line, "attack=")))
}

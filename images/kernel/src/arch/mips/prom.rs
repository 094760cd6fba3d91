//! CFE's entry state, its environment and its memory (Linux's `arch/mips/sibyte/cfe/setup.c`).

use alloc::boxed::Box;
use alloc::string::String;

use reveille::HwId;
use reveille_mips::cfe::{Cfe, EntryState};
use reveille_mips::counter;
use reveille_runtime::arch::head::BootArguments;
use reveille_runtime::arch::memory_map::{self, PAGE};
use reveille_runtime::arch::{cfe_console, power};
use reveille_runtime::memory::Ranges;
use reveille_runtime::{console, memory, println, trace};

use crate::names::name;
use crate::report;

/// The longest command line, in bytes (Linux's `CL_SIZE` there).
const COMMAND_LINE: usize = 512;
/// Count makes a step every other cycle.
const CYCLES_PER_COUNT: u32 = 2;

/// Takes the machine over from CFE: checks its seal, counts Count's ticks by what it says, and gets memory and a console from it.
///
/// # Errors
/// The kernel was not entered by CFE, or it has no memory.
pub fn prom_init(arguments: &BootArguments, boot_cpu: HwId) -> Result<&'static Cfe, &'static str> {
    let _span = trace::span(name::prom_init);
    // SAFETY: these are the registers of the entry.
    let entry = unsafe { EntryState::new(arguments.handle, arguments.entry, arguments.seal) };
    let cfe = Cfe::new(entry.map_err(|_| "the kernel was not entered by CFE")?);
    counter::set_frequency(count_frequency(&cfe)?);
    prom_meminit(&cfe)?;
    let cfe: &'static Cfe = Box::leak(Box::new(cfe));
    power::use_cfe(cfe);
    match cfe_console::new(cfe) {
        Ok(uart) => console::init(uart),
        // Nobody will read this; the next console may.
        Err(reason) => println!("{reason}"),
    }
    println!("Booting on CPU {boot_cpu}, entered by CFE");
    report::tell_boot(boot_cpu, None);
    Ok(cfe)
}

/// The memory that CFE leaves to the kernel.
fn prom_meminit(cfe: &Cfe) -> Result<(), &'static str> {
    let _span = trace::span(name::prom_meminit);
    let (mut ram, reserved) = (Ranges::new(), Ranges::new());
    for index in 0.. {
        match cfe.memory(index).map_err(|_| "CFE does not say what memory there is")? {
            Some(region) if region.is_available => {
                let range = memory_map::memory(region.start..region.start.saturating_add(region.size));
                ram.push(range.start.next_multiple_of(PAGE)..range.end & !(PAGE - 1))?;
            }
            Some(_) => {}
            None => break,
        }
    }
    memory::init(&ram, reserved)
}

/// How many steps Count makes in a second: CFE tells the CPU's speed in MHz.
///
/// # Errors
/// It does not.
pub fn count_frequency(cfe: &Cfe) -> Result<u32, &'static str> {
    const MISSING: &str = "CFE does not say how fast the CPU is (CPU_SPEED)";
    let mut room = [0; 16];
    let speed = cfe.environment(c"CPU_SPEED", &mut room).map_err(|_| MISSING)?;
    let megahertz: u32 = core::str::from_utf8(speed).ok().and_then(|speed| speed.parse().ok()).ok_or(MISSING)?;
    megahertz.checked_mul(1_000_000 / CYCLES_PER_COUNT).filter(|&frequency| frequency != 0).ok_or(MISSING)
}

/// The kernel command line; empty where there is none.
pub fn command_line(cfe: &Cfe) -> String {
    let mut room = [0; COMMAND_LINE];
    let line = cfe.environment(c"LINUX_CMDLINE", &mut room).unwrap_or_default();
    String::from_utf8_lossy(line).into_owned()
}

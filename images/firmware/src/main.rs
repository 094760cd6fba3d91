//! Firmware for QEMU's `virt` with `secure=on`: it runs at EL3, boots what QEMU was told to boot at the highest level below, and
//! answers its PSCI calls.
//!
//! In the order of the boot:
//!
//! - `reset.S`: every CPU from the reset vector; the boot CPU goes to [`firmware_main`], the others to where CPUs wait that are off;
//! - [`memory_map`] and [`board`]: what there is; [`cpus`]: which CPUs;
//! - [`gic`]: the interrupts, which are the next stage's, but for the one that wakes a CPU;
//! - [`next_stage`]: what is booted, and [`devicetree`]: what it is told of the machine;
//! - [`pens`]: where its CPUs wait, if it does not call for them;
//! - [`non_secure`]: the way into it, on the boot CPU and on every CPU that is switched on;
//! - [`exceptions`]: the way back, and [`psci`]: what the calls do. The decisions are `psci-server`'s;
//! - [`call_log`]: what was called and answered, written to the secure UART ([`console`]) by [`timer`];
//! - [`power`]: the end.

#![no_std]
#![no_main]

extern crate alloc;

mod board;
mod call_log;
mod console;
mod cpus;
mod devicetree;
mod exceptions;
mod gic;
mod memory_map;
mod next_stage;
mod non_secure;
mod pens;
mod power;
mod psci;
mod reset;
mod timer;

use alloc::string::String;
use core::panic::PanicInfo;

use buddy_system_allocator::LockedHeap;
use dtoolkit::fdt::Fdt;
use psci_server::Entry;
use reveille::MAX_CPUS;
use reveille_devices::fw_cfg::FwCfg;
use reveille_firmware_faults::{EnableMethod, Options};

use crate::console::println;
use crate::pens::Pens;

/// QEMU's file with the options: `-fw_cfg name=opt/reveille/firmware,string=...`.
const OPTIONS: &str = "opt/reveille/firmware";
/// Blocks of up to 2 GiB.
const HEAP_ORDERS: usize = 32;
const HEAP_SIZE: usize = 4 << 20;

#[global_allocator]
static HEAP: LockedHeap<HEAP_ORDERS> = LockedHeap::empty();

#[unsafe(link_section = ".uninitialised.heap")]
static mut HEAP_MEMORY: cpus::Memory<HEAP_SIZE> = cpus::Memory::NEW;

/// The boot CPU, from `reset.S`, on a stack of its own.
#[unsafe(no_mangle)]
extern "C" fn firmware_main() -> ! {
    // SAFETY: memory that nothing else uses, given to the heap once.
    unsafe { HEAP.lock().init((&raw mut HEAP_MEMORY).addr(), HEAP_SIZE) };
    console::init();
    match boot() {
        Ok(entry) => psci::enter(cpus::this_cpu(), entry),
        Err(reason) => {
            println!("firmware: nothing can be booted: {reason}");
            power::off()
        }
    }
}

/// Everything before the next stage, and where that begins.
fn boot() -> Result<Entry, &'static str> {
    // SAFETY: memory of the next stage, mapped, which nobody uses before it runs.
    let fdt = unsafe { reveille_devices::devicetree::at(board::DEVICETREE) }?;
    let ids = cpus::init(&fdt)?;
    call_log::begin(ids);
    gic::init(&fdt)?;
    let ram = next_stage::memory(&fdt)?;
    let mut fw_cfg = fw_cfg(&fdt)?;
    let Options { faults, enable_method } = options(&mut fw_cfg, ids.len());
    let pens = match enable_method {
        EnableMethod::Psci => None,
        // SAFETY: memory of the next stage, mapped, which nobody uses before it runs.
        EnableMethod::SpinTable => Some(unsafe { Pens::build(next_stage::pens_address(&fdt, &ram)?) }),
    };
    psci::init(ids, ram.clone(), faults, pens);
    let entry = next_stage::load(&fdt, &mut fw_cfg, &ram, pens)?;
    psci::fill_pens();
    println!(
        "Reveille firmware {}: {} CPU(s), next stage at {:#x}, EL{}",
        env!("CARGO_PKG_VERSION"),
        ids.len(),
        entry.address,
        non_secure::highest_level()
    );
    Ok(entry)
}

/// What QEMU hands over.
fn fw_cfg(fdt: &Fdt<'_>) -> Result<FwCfg, &'static str> {
    let registers = memory_map::device(&FwCfg::find(fdt)?)?;
    // SAFETY: mapped as a device, and nobody else uses it.
    Ok(unsafe { FwCfg::new(registers) })
}

/// What this firmware is asked for. Who asks for what there is not is told, and gets nothing else instead.
fn options(fw_cfg: &mut FwCfg, cpus: usize) -> Options<MAX_CPUS> {
    let text = fw_cfg.read(OPTIONS).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    Options::parse(&text, cpus, timer::ticks_of).unwrap_or_else(|error| {
        println!("firmware: an option cannot be had: {error}");
        power::off()
    })
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    console::print_last_words(format_args!("\nfirmware: CPU {}: {info}\n", cpus::this_cpu()));
    call_log::flush_if_possible();
    power::off()
}

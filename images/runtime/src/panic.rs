//! What is left to do when a CPU cannot go on: say so, with its number, and end the run.

use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

use crate::arch::{interrupts, power};
use crate::console::print_last_words;
use crate::per_cpu::smp_processor_id;
use crate::thread;

/// The status with which a run ends that a panic ended.
const STATUS: u8 = 101;

static PANICKED: AtomicBool = AtomicBool::new(false);

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let _masked = interrupts::mask();
    if PANICKED.swap(true, Ordering::AcqRel) {
        // Another CPU, or this one before, is at it.
        loop {
            interrupts::wait();
        }
    }
    let cpu = smp_processor_id();
    match info.location() {
        Some(place) => print_last_words(format_args!("\nCPU {cpu} panicked at {}:{}", place.file(), place.line())),
        None => print_last_words(format_args!("\nCPU {cpu} panicked")),
    }
    print_last_words(format_args!(", thread {}: {}\n", thread::current_name(), info.message()));
    power::exit(STATUS)
}

//! What is left to do when a CPU cannot go on: say so, with its number, and end the run; or only the thread, where nothing else
//! depends on it.

use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

use crate::arch::{interrupts, power};
use crate::console::print_last_words;
use crate::per_cpu::smp_processor_id;
use crate::{println, thread};

/// The status with which a run ends that a panic ended.
const STATUS: u8 = 101;

static PANICKED: AtomicBool = AtomicBool::new(false);

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    // Every lock masks interrupts while it is held.
    if interrupts::are_enabled() && thread::is_expendable() {
        end_thread(info);
    }
    let _masked = interrupts::mask();
    if PANICKED.swap(true, Ordering::AcqRel) {
        // Another CPU, or this one before, is at it.
        interrupts::sleep_for_ever();
    }
    let cpu = smp_processor_id();
    match info.location() {
        Some(place) => print_last_words(format_args!("\nCPU {cpu} panicked at {}:{}", place.file(), place.line())),
        None => print_last_words(format_args!("\nCPU {cpu} panicked")),
    }
    print_last_words(format_args!(", thread {}: {}\n", thread::current_name(), info.message()));
    power::exit(STATUS)
}

/// Reports the panic of a thread that nothing else depends on, which ends here; its CPU goes on.
fn end_thread(info: &PanicInfo<'_>) -> ! {
    let (name, cpu) = (thread::current_name(), smp_processor_id());
    match info.location() {
        Some(place) => {
            println!("CPU {cpu}: the thread {name} panicked at {}:{}: {}", place.file(), place.line(), info.message())
        }
        None => println!("CPU {cpu}: the thread {name} panicked: {}", info.message()),
    }
    loop {
        thread::sleep_until(u64::MAX);
    }
}

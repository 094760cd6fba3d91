//! CPUs that misbehave, for tests: the option `reveille.fault=cpu2:late:200ms`, of images that are built with the feature
//! `faults`. Nothing of this is in others.
//!
//! - [`spec`]: which faults there are, and how they are written;
//! - [`crate::arch::fault`]: those of firmware, which is where CPUs come from and go to;
//! - [`steps`]: those of hotplug steps;
//! - [`guard`]: whether a CPU that nobody waits for has written what it must not;
//! - [`script`]: requests that are made when the boot is over (`reveille.script=off:2,on:2`).
//!
//! A fault happens once, the first time that it can, so that what becomes of the CPU afterwards can be tested too. One that is given
//! twice happens twice. `no-off` lasts.

pub mod guard;
mod script;
pub mod spec;
mod steps;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;

use reveille::CpuIndex;
use reveille_runtime::arch::processor::{self, Features};
use reveille_runtime::arch::{interrupts, timer};
use reveille_runtime::per_cpu::smp_processor_id;
use reveille_runtime::{clock, thread};
use reveille_sim::fault::FaultKind;
use spin::Once;

pub use script::run as run_script;
use spec::{Fault, Kind};
pub use steps::table;

/// A fault, and whether it has happened.
struct Planned {
    fault: Fault,
    happened: AtomicBool,
}

static PLANNED: Once<Vec<Planned>> = Once::new();

/// Reads the options from the command line. When there is memory, and before the first CPU is started.
///
/// # Panics
/// One cannot be read: a test that asks for nothing proves nothing.
pub fn read_command_line(line: &str) {
    let line: &'static str = Box::leak(Box::from(line));
    let values = |name: &'static str| line.split_ascii_whitespace().filter_map(move |word| word.strip_prefix(name));
    PLANNED.call_once(|| {
        let faults = values("reveille.fault=").map(|text| {
            let fault = Fault::parse(text).unwrap_or_else(|reason| panic!("reveille.fault={text}: {reason}"));
            Planned { fault, happened: AtomicBool::new(false) }
        });
        faults.collect()
    });
    script::set(values("reveille.script=").flat_map(|commands| commands.split(',')));
}

/// The first fault of `cpu` that is `wanted` and has not happened; it happens now.
pub fn take<T>(cpu: CpuIndex, wanted: impl Fn(&Kind) -> Option<T>) -> Option<T> {
    PLANNED.get()?.iter().filter(|planned| planned.fault.cpu == cpu).find_map(|planned| {
        let found = wanted(&planned.fault.kind)?;
        (!planned.happened.swap(true, Ordering::Relaxed)).then_some(found)
    })
}

/// Whether `cpu` has this fault, which lasts.
pub fn has(cpu: CpuIndex, kind: FaultKind) -> bool {
    let fault = Fault { cpu, kind: Kind::Shared(kind) };
    PLANNED.get().is_some_and(|planned| planned.iter().any(|planned| planned.fault == fault))
}

/// Does nothing for a while.
pub fn let_pass(time: Duration) {
    let end = clock::ticks_after(time);
    while timer::ticks() < end {
        // To let others run takes an emulator that runs one CPU at a time longer than this. It is never the same for long: a CPU that sleeps
        // and looks by turns would otherwise be in step with this one, and each time hold the lock that a third waits for.
        (0..512 + timer::ticks() % 1021).for_each(|_| core::hint::black_box(()));
        interrupts::relax();
    }
}

/// The features of this CPU, which has just claimed its kick, as a fault would have them.
pub fn features(features: Features) -> Features {
    let cpu = smp_processor_id();
    let slow = |kind: &Kind| if let Kind::Shared(FaultKind::Slow(time)) = kind { Some(*time) } else { None };
    if let Some(time) = take(cpu, slow) {
        let_pass(time);
    }
    if take(cpu, |kind| (*kind == Kind::Shared(FaultKind::Features)).then_some(())).is_some() {
        return altered(features, processor::VITAL_REGISTER);
    }
    match take(cpu, |kind| if let Kind::Register(register) = kind { Some(*register) } else { None }) {
        Some(register) => altered(features, register.as_str()),
        None => features,
    }
}

fn altered(features: Features, register: &str) -> Features {
    features.with_other_bits(register, 0xf).unwrap_or_else(|| panic!("no feature register is called {register}"))
}

/// The hotplug thread of this CPU begins, unless it is never to be heard of again.
pub fn begin_hotplug_thread() {
    if take(smp_processor_id(), |kind| (*kind == Kind::Shared(FaultKind::Deaf)).then_some(())).is_some() {
        sleep_for_ever();
    }
}

fn sleep_for_ever() -> ! {
    loop {
        thread::sleep_until(u64::MAX);
    }
}

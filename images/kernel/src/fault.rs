//! CPUs that misbehave, for tests: the option `reveille.fault=cpu2:late:200ms`, of images that are built with the feature
//! `faults`. Nothing of this is in others.
//!
//! - [`spec`]: which faults there are, and how they are written;
//! - [`firmware`]: those of firmware, which is where CPUs come from and go to, with the [`stubs`] that it starts CPUs at;
//! - [`steps`]: those of hotplug steps;
//! - [`guard`]: whether a CPU that nobody waits for has written what it must not;
//! - [`script`]: requests that are made when the boot is over (`reveille.script=off:2,on:2`).
//!
//! A fault happens once, the first time that it can. One that is given twice happens twice.

mod firmware;
mod guard;
mod script;
mod spec;
mod steps;
mod stubs;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use dtoolkit::fdt::Fdt;
use reveille::CpuIndex;
use reveille_runtime::arch::processor::Features;
use reveille_runtime::devicetree;
use reveille_runtime::per_cpu::smp_processor_id;
use spin::Once;

pub use firmware::FaultyFirmware;
pub use script::run as run_script;
use spec::{Fault, Kind};
pub use steps::table;

/// A fault, and whether it has happened.
struct Planned {
    fault: Fault<'static>,
    happened: AtomicBool,
}

static PLANNED: Once<Vec<Planned>> = Once::new();

/// Reads the options. When there is memory, and before the first CPU is started.
///
/// # Panics
/// One cannot be read: a test that asks for nothing proves nothing.
pub fn read_command_line(fdt: &Fdt<'_>) {
    let line: &'static str = Box::leak(Box::from(devicetree::command_line(fdt)));
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
fn take<T>(cpu: CpuIndex, wanted: impl Fn(&Kind<'static>) -> Option<T>) -> Option<T> {
    PLANNED.get()?.iter().filter(|planned| planned.fault.cpu == cpu).find_map(|planned| {
        let found = wanted(&planned.fault.kind)?;
        (!planned.happened.swap(true, Ordering::Relaxed)).then_some(found)
    })
}

/// The features of this CPU as a fault would have them.
pub fn features(features: Features) -> Features {
    let register = take(smp_processor_id(), |kind| match *kind {
        Kind::Differs(register) => Some(register),
        _ => None,
    });
    match register {
        Some(register) => features
            .with_other_bits(register, 0xf)
            .unwrap_or_else(|| panic!("no feature register is called {register}")),
        None => features,
    }
}

//! The enable method `parking-protocol`, as it is, on simulated machines whose firmware parks CPUs at mailboxes.
//!
//! `schedules`: whatever is wrong with a CPU, and whatever is asked for; `planted`: mistakes that a method could make, and that the
//! same machines must find.

mod planted;
mod schedules;

use core::ptr::NonNull;
use std::time::Duration;

use reveille::hotplug::{Section, Step};
use reveille::{ContextId, Cpu, EnableMethod, Timeout};
use reveille_aarch64::parking_protocol::{Mailbox, Parking, ParkingProtocol};
use reveille_aarch64::pen::Pen;
use reveille_sim::Hardware;

/// How long the machines wait: 10 ms, and 1 ms for each CPU.
const TIMEOUT: Timeout = Timeout::new(Duration::from_millis(10), Duration::from_millis(1));

static STEPS: [Step<'static>; 3] = [
    Step::new(Section::Prepare, 0, "memory"),
    Step::new(Section::Starting, 0, "irq"),
    Step::new(Section::Online, 0, "worker"),
];

/// The machine, as the method knows it.
#[derive(Clone, Copy)]
struct Simulated<'w, 'm>(Hardware<'w, 'm>);

impl Pen for Simulated<'_, '_> {
    fn entry(&self) -> u64 {
        Hardware::PEN
    }

    fn release(&self, cpu: &Cpu, context: ContextId) {
        self.0.release(cpu.index, context);
    }

    fn enter(&self) -> ! {
        self.0.enter_pen()
    }
}

impl Parking for Simulated<'_, '_> {
    fn map(&self, physical: u64) -> Option<NonNull<Mailbox>> {
        self.0.mailbox(physical).map(NonNull::cast)
    }

    fn interrupt(&self, cpu: &Cpu) {
        self.0.interrupt(cpu.acpi.unwrap().cpu_interface);
    }

    fn complete_writes(&self) {
        self.0.complete_writes();
    }
}

/// The method under test.
fn library<'w>(hardware: Hardware<'w, '_>) -> Box<dyn EnableMethod + 'w> {
    let machine = Simulated(hardware);
    // SAFETY: the mailboxes are the machine's, and there for as long as it runs.
    Box::new(unsafe { ParkingProtocol::new(machine, machine) })
}

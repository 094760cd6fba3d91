//! CPUs that cannot leave, as the command line of a test asks: `loader.denied=N`, whom its way out refuses, and `loader.silent=N`, who
//! does not answer. With `loader.offer_all=1` the payload is offered them all the same.

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use reveille::handover::Exit;
use reveille::{CallError, Cpu, CpuIndex, FirmwareState};
use reveille_runtime::arch::interrupts;
use reveille_runtime::plan::value;
use reveille_runtime::thread;

const NOBODY: usize = usize::MAX;
/// PSCI's DENIED.
const DENIED: i32 = -3;

static DENIED_CPU: AtomicUsize = AtomicUsize::new(NOBODY);
static SILENT_CPU: AtomicUsize = AtomicUsize::new(NOBODY);
static OFFERS_ALL: AtomicBool = AtomicBool::new(false);

/// Reads who is meant.
pub fn read_command_line(line: &str) {
    for (name, cpu) in [("loader.denied=", &DENIED_CPU), ("loader.silent=", &SILENT_CPU)] {
        let named = value(line, name).and_then(|number| number.parse().ok());
        cpu.store(named.unwrap_or(NOBODY), Ordering::Relaxed);
    }
    OFFERS_ALL.store(value(line, "loader.offer_all=") == Some("1"), Ordering::Relaxed);
}

/// Whether the payload is offered CPUs that have not left.
pub fn offers_all() -> bool {
    OFFERS_ALL.load(Ordering::Relaxed)
}

fn is(named: &AtomicUsize, cpu: CpuIndex) -> bool {
    named.load(Ordering::Relaxed) == cpu.get()
}

/// `cpu` is about to be asked to leave.
pub fn before_leaving(cpu: CpuIndex) {
    if is(&SILENT_CPU, cpu) {
        let _ = thread::spawn_bound("silent", cpu, || interrupts::sleep_for_ever());
    }
}

/// A way out that is closed to one.
pub struct FaultyExit<'a>(pub &'a dyn Exit);

impl Exit for FaultyExit<'_> {
    fn check(&self, cpu: &Cpu) -> Result<(), CallError> {
        self.0.check(cpu)
    }

    fn leave(&self, cpu: &Cpu) -> i32 {
        if is(&DENIED_CPU, cpu.index) { DENIED } else { self.0.leave(cpu) }
    }

    fn refusal(&self, cpu: &Cpu, code: i32) -> CallError {
        self.0.refusal(cpu, code)
    }

    fn state(&self, cpu: &Cpu) -> FirmwareState {
        self.0.state(cpu)
    }
}

//! The interrupt controller of the machine, whichever it is.

use dtoolkit::fdt::Fdt;
use reveille::{CpuIndex, HwId};

use crate::ipi::Ipi;
use crate::{arch, ipi, thread};

/// What a CPU was interrupted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupt {
    /// Another CPU.
    Ipi(Ipi),
    /// This CPU's timer.
    Timer,
    /// Something nobody asked for, by the controller's number.
    Unknown(u32),
}

/// What a driver of an interrupt controller does.
pub trait InterruptController: Sync {
    /// Makes this CPU, which has the id `hw_id`, take interrupts from others.
    ///
    /// # Errors
    /// Why it cannot.
    fn init_this_cpu(&self, hw_id: HwId) -> Result<(), &'static str>;

    /// Makes this CPU, which has the id `hw_id`, take the interrupt of its timer.
    ///
    /// # Errors
    /// Why it cannot.
    fn enable_timer(&self, hw_id: HwId) -> Result<(), &'static str>;

    /// Keeps the interrupt of its timer from this CPU, which has the id `hw_id` and took it.
    fn disable_timer(&self, hw_id: HwId);

    /// Keeps every interrupt from this CPU, which has the id `hw_id` and took them: also those that are pending do not wake it
    /// any more. Afterwards the CPU may be initialised again, whether it was off meanwhile or not.
    fn disable_this_cpu(&self, hw_id: HwId);

    /// Interrupts `cpu`, which takes interrupts. What this CPU wrote before is visible to the handler.
    fn send_ipi(&self, cpu: CpuIndex, ipi: Ipi);

    /// Takes the pending interrupts of this CPU, calls `handler` for each, and ends it.
    fn handle(&self, handler: fn(Interrupt));
}

static CONTROLLER: spin::Once<&'static dyn InterruptController> = spin::Once::new();

/// Finds the machine's interrupt controller in the devicetree, and resets what of it all CPUs share.
///
/// # Errors
/// What is missing or cannot be mapped.
pub fn init(fdt: &Fdt<'_>) -> Result<(), &'static str> {
    CONTROLLER.try_call_once(|| arch::gic::init(fdt)).map(|_| ())
}

fn controller() -> &'static dyn InterruptController {
    *CONTROLLER.get().expect("the interrupt controller comes before interrupts")
}

/// Makes this CPU take interrupts; see [`InterruptController::init_this_cpu`].
///
/// # Errors
/// Why it cannot.
pub fn init_this_cpu(hw_id: HwId) -> Result<(), &'static str> {
    controller().init_this_cpu(hw_id)
}

/// Makes this CPU take its timer's interrupt; see [`InterruptController::enable_timer`].
///
/// # Errors
/// Why it cannot.
pub fn enable_timer(hw_id: HwId) -> Result<(), &'static str> {
    controller().enable_timer(hw_id)
}

/// Keeps the timer's interrupt from this CPU; see [`InterruptController::disable_timer`].
pub fn disable_timer(hw_id: HwId) {
    controller().disable_timer(hw_id);
}

/// Keeps all interrupts from this CPU; see [`InterruptController::disable_this_cpu`].
pub fn disable_this_cpu(hw_id: HwId) {
    controller().disable_this_cpu(hw_id);
}

/// Interrupts `cpu`.
pub(crate) fn send_ipi(cpu: CpuIndex, ipi: Ipi) {
    controller().send_ipi(cpu, ipi);
}

/// Handles what is pending on this CPU.
pub(crate) fn handle() {
    controller().handle(|interrupt| match interrupt {
        Interrupt::Ipi(ipi) => ipi::handle(ipi),
        Interrupt::Timer => thread::timer_interrupt(),
        Interrupt::Unknown(number) => crate::println!("unexpected interrupt {number}"),
    });
}

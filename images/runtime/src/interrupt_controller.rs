//! The interrupt controller of the machine, whichever it is.

use alloc::vec::Vec;

use reveille::{CpuIndex, HwId};

use crate::cpus::next_active;
use crate::ipi::Ipi;
use crate::lock::IrqLock;
use crate::per_cpu::smp_processor_id;
use crate::{devicetree, ipi, thread};

/// What a CPU was interrupted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupt {
    /// Another CPU.
    Ipi(Ipi),
    /// This CPU's timer.
    Timer,
    /// Another one that each CPU has of its own, by the controller's number.
    Private(u32),
    /// One that all CPUs share, by the controller's number.
    Shared(u32),
}

/// What a driver of an interrupt controller does.
pub trait InterruptController: Sync {
    /// What Linux calls controllers of its kind where it names its steps: `gic`.
    fn name(&self) -> &'static str;

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

    /// Has this CPU, which has the id `hw_id` and takes interrupts, take its private interrupt `number` from here on, or no longer.
    /// While it is level-triggered and its level is high, it comes as soon as it is taken.
    ///
    /// # Errors
    /// Why it cannot.
    fn set_private(&self, _hw_id: HwId, _number: u32, _enabled: bool) -> Result<(), &'static str> {
        Err("the interrupt controller has no other private interrupts")
    }

    /// Keeps every interrupt from this CPU, which has the id `hw_id` and took them: also those that are pending do not wake it
    /// any more. Afterwards the CPU may be initialised again, whether it was off meanwhile or not.
    fn disable_this_cpu(&self, hw_id: HwId);

    /// Has `cpu`, which takes interrupts, take the shared interrupt that a devicetree describes as `interrupt`: the controller's
    /// number of it.
    ///
    /// # Errors
    /// Why it cannot.
    fn enable_shared(&self, interrupt: devicetree::Interrupt, cpu: CpuIndex) -> Result<u32, &'static str>;

    /// Has `cpu`, which takes interrupts, take a shared interrupt that was enabled for another.
    fn route_shared(&self, number: u32, cpu: CpuIndex);

    /// Interrupts `cpu`, which takes interrupts. What this CPU wrote before is visible to the handler.
    fn send_ipi(&self, cpu: CpuIndex, ipi: Ipi);

    /// Takes the pending interrupts of this CPU, calls `handler` for each, and ends it.
    fn handle(&self, handler: fn(Interrupt));
}

static CONTROLLER: spin::Once<&'static dyn InterruptController> = spin::Once::new();

/// From here on `controller` is the machine's. The first one stays.
pub fn set(controller: &'static dyn InterruptController) {
    CONTROLLER.call_once(|| controller);
}

fn controller() -> &'static dyn InterruptController {
    *CONTROLLER.get().expect("the interrupt controller comes before interrupts")
}

/// What kind of controller the machine has; see [`InterruptController::name`].
#[must_use]
pub fn name() -> &'static str {
    controller().name()
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
        Interrupt::Private(number) => match PRIVATE.get(number as usize).and_then(spin::Once::get) {
            Some(handler) => handler(),
            None => crate::println!("unexpected private interrupt {number}"),
        },
        Interrupt::Shared(number) => match handler_of(number) {
            Some(handler) => handler(),
            None => crate::println!("unexpected interrupt {number}"),
        },
    });
}

/// Of each private interrupt, what all CPUs do about it.
static PRIVATE: [spin::Once<fn()>; 32] = [const { spin::Once::new() }; 32];

/// Has `handler` called on every CPU that takes its private interrupt `number` ([`set_private`]). The first one stays.
///
/// # Errors
/// There is no such interrupt.
pub fn request_private(number: u32, handler: fn()) -> Result<(), &'static str> {
    let private = PRIVATE.get(number as usize).ok_or("no CPU has such a private interrupt")?;
    private.call_once(|| handler);
    Ok(())
}

/// Has this CPU take a private interrupt, or not; see [`InterruptController::set_private`].
///
/// # Errors
/// Why it cannot.
pub fn set_private(hw_id: HwId, number: u32, enabled: bool) -> Result<(), &'static str> {
    controller().set_private(hw_id, number, enabled)
}

/// A shared interrupt that somebody asked for.
struct Request {
    number: u32,
    cpu: CpuIndex,
    handler: fn(),
}

static REQUESTS: IrqLock<Vec<Request>> = IrqLock::new(Vec::new());

fn handler_of(number: u32) -> Option<fn()> {
    REQUESTS.lock().iter().find(|request| request.number == number).map(|request| request.handler)
}

/// Has `handler` called for the shared interrupt `interrupt`: on `cpu`, until that goes down (Linux's `request_irq`).
///
/// # Errors
/// Why the interrupt cannot be had.
pub fn request(interrupt: devicetree::Interrupt, cpu: CpuIndex, handler: fn()) -> Result<(), &'static str> {
    // With the lock held: the interrupt may come before it is entered, and then waits for the handler.
    let mut requests = REQUESTS.lock();
    let number = controller().enable_shared(interrupt, cpu)?;
    requests.push(Request { number, cpu, handler });
    Ok(())
}

/// Has active CPUs take the shared interrupts that this CPU took: how many those were. This CPU is no longer active, and masks
/// interrupts (Linux's `irq_migrate_all_off_this_cpu`).
///
/// # Panics
/// No other CPU is active.
pub fn migrate_shared() -> usize {
    let own = smp_processor_id();
    let mut target = own;
    let mut moved = 0;
    for request in REQUESTS.lock().iter_mut().filter(|request| request.cpu == own) {
        target = next_active(target, own).expect("a CPU goes down while another is active");
        controller().route_shared(request.number, target);
        request.cpu = target;
        moved += 1;
    }
    moved
}

/// The CPU that takes each shared interrupt which somebody asked for, by the controller's number.
#[must_use]
pub fn shared() -> Vec<(u32, CpuIndex)> {
    REQUESTS.lock().iter().map(|request| (request.number, request.cpu)).collect()
}

//! What images share of CPUs that come and go: the thread on every CPU that carries out what is asked of it, the CPU's death, and requests
//! while other threads run. The steps are the image's ([`init`]); what many of them do is in [`crate::steps`].

use core::time::Duration;

use reveille::hotplug::{Hotplug, HotplugError, StepFailure, StepTable, Verdict};
use reveille::{Cpu, CpuIndex};
use spin::Once;

use crate::arch::interrupts;
use crate::cpus::{SMP, topology};
use crate::per_cpu::smp_processor_id;
use crate::thread::{self, Completion};
use crate::{clock, plan};

static TABLE: Once<StepTable<'static>> = Once::new();

crate::per_cpu! {
    /// Completed when the hotplug thread of the CPU has something to look at.
    static WAKE: Completion = Completion::new();
}

/// The CPUs, and the steps that they go through: those of `table`, which is asked for when this is called first.
pub fn init(table: impl FnOnce() -> StepTable<'static>) -> Hotplug<'static> {
    Hotplug::new(&SMP, TABLE.call_once(table))
}

/// The same, afterwards.
pub(crate) fn hotplug() -> Hotplug<'static> {
    Hotplug::new(&SMP, TABLE.get().expect("the steps are known before a CPU goes through them"))
}

/// Makes the hotplug thread of `cpu`, which waits until the CPU is up (Linux's `cpuhp/N`), and then begins with `first_run`: with
/// [`Hotplug::thread`], and what the image has to add.
///
/// # Errors
/// There is no room for its stack.
pub fn create_thread(cpu: CpuIndex, first_run: fn(CpuIndex) -> Verdict) -> Result<(), &'static str> {
    let thread = thread::spawn_parked("cpuhp", cpu, move || cpuhp_thread(first_run))?;
    thread::unpark(&thread);
    Ok(())
}

/// Has the hotplug thread of `cpu` look for what it is asked to do.
pub fn wake(cpu: CpuIndex) {
    WAKE.of(cpu).complete();
}

/// The same on this CPU, which has come up.
pub fn wake_own_thread() {
    WAKE.complete();
}

fn cpuhp_thread(first_run: fn(CpuIndex) -> Verdict) {
    // A step that panics costs the CPU this thread: requests for it end by their deadlines.
    thread::set_expendable();
    let cpu = smp_processor_id();
    let mut verdict = first_run(cpu);
    loop {
        match verdict {
            // Nothing is lost: it is woken for every order.
            Verdict::Sleep => _ = WAKE.wait(u64::MAX),
            Verdict::Die => take_cpu_down(cpu),
        }
        verdict = hotplug().thread(cpu);
    }
}

/// Takes this CPU from the others, and has its idle thread switch it off. Returns when it has come up again.
fn take_cpu_down(cpu: CpuIndex) {
    let _masked = interrupts::mask();
    hotplug().take_cpu_down(cpu);
    thread::request_idle_death();
    // Completed by the CPU itself when it is up again, or by whoever asks it for something after it could not be switched off.
    let _ = WAKE.wait(u64::MAX);
}

/// The idle thread of a dying CPU, interrupts masked. Returns if the CPU could not be switched off, and is online again.
pub fn cpu_die() {
    let cpu = this_cpu();
    let died = match plan::method(cpu) {
        Some(method) => hotplug().die(cpu, method).is_err(),
        None => true,
    };
    if died {
        // Nobody waits for it any more; what it owns stays its own.
        interrupts::sleep_for_ever();
    }
}

/// This CPU is waited for no longer: it switches itself off, so that it can be asked for again, or parks where it cannot.
pub fn give_up() -> ! {
    let cpu = this_cpu();
    if let Some(method) = plan::method(cpu) {
        method.cpu_die(cpu);
    }
    interrupts::sleep_for_ever()
}

fn this_cpu() -> &'static Cpu {
    &topology().cpus()[smp_processor_id().get()]
}

/// What became of a request, and how long it took from when its turn came, in nanoseconds.
pub struct Done<T> {
    /// What became of it.
    pub result: Result<T, HotplugError>,
    /// How long it took.
    pub nanoseconds: u64,
}

/// What becomes of a request to take a CPU down: a step that was passed over, if one failed.
pub type Down = Done<Option<StepFailure>>;

/// What a thread does in every turn of a wait: leaves the CPU to others for a while, since what is waited for takes some hundred
/// microseconds.
pub fn nap() {
    thread::sleep_until(clock::ticks_after(Duration::from_micros(50)));
}

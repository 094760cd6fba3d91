//! CPUs that come and go (Linux's `kernel/cpu.c`): the table of the steps that this kernel takes each CPU through, the thread on
//! every CPU that does the ONLINE ones, and the requests.
//!
//! Subsystems register their steps in [`STEPS`] at link time; they are in [`crate::steps`].

use core::time::Duration;

use linkme::distributed_slice;
use reveille::hotplug::{
    FreezeError, Frozen, Hotplug, HotplugError, HotplugPlatform, HotplugState, Step, StepFailure, StepTable, Verdict,
};
use reveille::{Cpu, CpuIndex};
use reveille_runtime::arch::interrupts;
use reveille_runtime::cpus::{SMP, topology};
use reveille_runtime::per_cpu::smp_processor_id;
use reveille_runtime::plan::{self, plan};
use reveille_runtime::thread::{self, Completion};
use reveille_runtime::{clock, trace};
use spin::Once;

use crate::arch::spans;
use crate::names::name;
use crate::smp::{self, Control};

/// The steps of all subsystems, in the order in which they were linked.
#[distributed_slice]
pub static STEPS: [Step<'static>];

static TABLE: Once<StepTable<'static>> = Once::new();

reveille_runtime::per_cpu! {
    /// Completed when the hotplug thread of the CPU has something to look at.
    static WAKE: Completion = Completion::new();
}

/// The CPUs, and the steps that they go through.
pub fn hotplug() -> Hotplug<'static> {
    let table = TABLE.call_once(|| {
        #[cfg(not(feature = "faults"))]
        let table = StepTable::collect(&*STEPS);
        #[cfg(feature = "faults")]
        let table = crate::fault::table(&STEPS);
        table.unwrap_or_else(|reason| panic!("hotplug steps: {reason}"))
    });
    Hotplug::new(&SMP, table)
}

impl HotplugPlatform for Control {
    fn wake(&self, cpu: CpuIndex) {
        WAKE.of(cpu).complete();
    }

    fn request_begins(&self, _: CpuIndex, _: HotplugState, _: HotplugState) {
        self.began.set(clock::now().0);
    }
}

/// Makes the hotplug thread of `cpu`, which waits until the CPU is up (Linux's `cpuhp/N`).
///
/// # Errors
/// There is no room for its stack.
pub fn create_thread(cpu: CpuIndex) -> Result<(), &'static str> {
    let thread = thread::spawn_parked("cpuhp", cpu, cpuhp_thread)?;
    thread::unpark(&thread);
    Ok(())
}

/// This CPU, which has come up: has its hotplug thread look for what it is asked to do.
pub fn wake_own_thread() {
    WAKE.complete();
}

fn cpuhp_thread() {
    // A step that panics costs the CPU this thread: requests for it end by their deadlines.
    thread::set_expendable();
    #[cfg(feature = "faults")]
    crate::fault::begin_hotplug_thread();
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

/// In the boot, when the idle thread has only just begun.
fn first_run(cpu: CpuIndex) -> Verdict {
    if cpu.is_boot() {
        return hotplug().thread(cpu);
    }
    trace::end(spans::IDLE);
    let verdict = {
        let _span = trace::span(name::cpuhp_thread_fun);
        hotplug().thread(cpu)
    };
    if hotplug().state(cpu) == hotplug().steps().online() {
        trace::instant(name::active, 0);
    }
    verdict
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
        smp::park();
    }
}

fn this_cpu() -> &'static Cpu {
    &topology().cpus()[smp_processor_id().get()]
}

/// What became of a request, and how long it took from when its turn came, in nanoseconds.
pub struct Done<T> {
    pub result: Result<T, HotplugError>,
    pub nanoseconds: u64,
}

/// Takes `cpu` up or down to `state`, for a thread, while others run.
pub fn set_state(cpu: CpuIndex, state: HotplugState) -> Done<Option<StepFailure>> {
    request(|control| hotplug().set_state(&plan(), control, cpu, state))
}

/// Brings `cpu` up.
pub fn cpu_up(cpu: CpuIndex) -> Done<()> {
    request(|control| hotplug().cpu_up(&plan(), control, cpu))
}

/// Takes `cpu` down.
pub fn cpu_down(cpu: CpuIndex) -> Done<Option<StepFailure>> {
    request(|control| hotplug().cpu_down(&plan(), control, cpu))
}

/// Takes down all CPUs but the boot CPU, and refuses requests until they are thawed.
pub fn freeze() -> Result<Frozen, FreezeError> {
    hotplug().freeze_secondary_cpus(&plan(), &Control::new(nap))
}

/// Brings frozen CPUs back; `told` hears what became of each.
pub fn thaw(frozen: &Frozen, told: &mut dyn FnMut(CpuIndex, Result<(), HotplugError>)) -> Result<(), HotplugError> {
    hotplug().thaw_secondary_cpus(&plan(), &Control::new(nap), frozen, told)
}

fn request<T>(request: impl FnOnce(&Control) -> Result<T, HotplugError>) -> Done<T> {
    let control = Control::new(nap);
    // One that is refused never begins.
    control.began.set(clock::now().0);
    let result = request(&control);
    Done { result, nanoseconds: clock::now().0.saturating_sub(control.began.get()) }
}

/// Leaves the CPU to others for a while: what is waited for takes some hundred microseconds.
fn nap() {
    thread::sleep_until(clock::ticks_after(Duration::from_micros(50)));
}

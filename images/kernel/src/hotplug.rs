//! CPUs that come and go (Linux's `kernel/cpu.c`): the table of the steps that this kernel takes each CPU through, and the requests. The
//! thread on every CPU that does the ONLINE ones is the runtime's.
//!
//! Subsystems register their steps in [`STEPS`] at link time; they are in [`crate::steps`].

use linkme::distributed_slice;
use reveille::CpuIndex;
use reveille::hotplug::{FreezeError, Frozen, Hotplug, HotplugError, HotplugPlatform, HotplugState, Step, Verdict};
pub use reveille_runtime::hotplug::Done;
use reveille_runtime::hotplug::{self as shared, Down, nap};
use reveille_runtime::plan::plan;
use reveille_runtime::{clock, trace};

use crate::arch::spans;
use crate::names::name;
use crate::smp::Control;

/// The steps of all subsystems, in the order in which they were linked.
#[distributed_slice]
pub static STEPS: [Step<'static>];

/// The CPUs, and the steps that they go through.
pub fn hotplug() -> Hotplug<'static> {
    shared::init(|| {
        #[cfg(not(feature = "faults"))]
        let table = reveille::hotplug::StepTable::collect(&*STEPS);
        #[cfg(feature = "faults")]
        let table = crate::fault::table(&STEPS);
        table.unwrap_or_else(|reason| panic!("hotplug steps: {reason}"))
    })
}

impl HotplugPlatform for Control {
    fn wake(&self, cpu: CpuIndex) {
        shared::wake(cpu);
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
    shared::create_thread(cpu, first_run)
}

/// In the boot, when the idle thread has only just begun.
fn first_run(cpu: CpuIndex) -> Verdict {
    #[cfg(feature = "faults")]
    crate::fault::begin_hotplug_thread();
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

/// Takes `cpu` up or down to `state`, for a thread, while others run.
pub fn set_state(cpu: CpuIndex, state: HotplugState) -> Down {
    request(|control| hotplug().set_state(&plan(), control, cpu, state))
}

/// Brings `cpu` up.
pub fn cpu_up(cpu: CpuIndex) -> Done<()> {
    request(|control| hotplug().cpu_up(&plan(), control, cpu))
}

/// Takes `cpu` down.
pub fn cpu_down(cpu: CpuIndex) -> Down {
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

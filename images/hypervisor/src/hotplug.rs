//! CPUs that come and go under running guests (Xen's `common/cpu.c`): the steps that a CPU goes through, under the names of the functions that
//! Xen's notifiers call, and the requests.
//!
//! A vCPU is a thread: when its CPU goes, it goes on elsewhere, with its sleep and its wake-ups. What of it is in the CPU's registers is put away
//! before ([`virt::tear_down_one`]); its interrupts are in its guest's `vgic`. One that is bound to the CPU has the CPU stay.

use reveille::CpuIndex;
use reveille::hotplug::{Hotplug, HotplugPlatform, Section, Step, StepError, StepTable};
pub use reveille_runtime::hotplug::Done;
use reveille_runtime::hotplug::{self as shared, Down, nap};
use reveille_runtime::plan::plan;
use reveille_runtime::{clock, println, steps, trace};

use crate::names::name;
use crate::smpboot::{self, Control};
use crate::{guest, virt};

/// Xen's numbers of errors.
const EIO: StepError = StepError(-5);
const ENOMEM: StepError = StepError(-12);
const EBUSY: StepError = StepError(-16);
const EINVAL: StepError = StepError(-22);

/// In the order of the way up.
static STEPS: [Step<'static>; 8] = [
    Step::new(Section::Prepare, 10, "smpboot:prepare").startup(&prepare).cant_stop(),
    Step::new(Section::Prepare, 20, "cpuhp:prepare").startup(&create_thread).cant_stop(),
    Step::new(Section::Starting, 10, "identify_cpu").startup(&identify_cpu),
    Step::new(Section::Starting, 20, "gic:starting").startup(&gic_init_secondary_cpu).teardown(&gic_dying),
    Step::new(Section::Starting, 30, "sched:starting").startup(&notify_cpu_starting).teardown(&sched_dying),
    Step::new(Section::Starting, 40, "timer:starting").startup(&init_timer_interrupt).teardown(&timer_dying),
    Step::new(Section::Starting, 50, "virt:starting").startup(&cpu_virt_paging).teardown(&virt_dying),
    Step::new(Section::Online, 10, "sched:active").startup(&activate).teardown(&deactivate),
];

/// Whether the boot CPU has been through this, under its own names, before there were steps.
fn is_done(cpu: CpuIndex) -> bool {
    cpu.is_boot()
}

/// The CPUs, and the steps that they go through.
pub fn hotplug() -> Hotplug<'static> {
    shared::init(|| StepTable::collect(&STEPS).unwrap_or_else(|reason| panic!("hotplug steps: {reason}")))
}

impl HotplugPlatform for Control {
    fn wake(&self, cpu: CpuIndex) {
        shared::wake(cpu);
    }
}

/// Brings `cpu` up, for a thread, while guests run.
pub fn cpu_up(cpu: CpuIndex) -> Done<()> {
    timed(|control| hotplug().cpu_up(&plan(), control, cpu))
}

/// Takes `cpu` down.
pub fn cpu_down(cpu: CpuIndex) -> Down {
    timed(|control| hotplug().cpu_down(&plan(), control, cpu))
}

fn timed<T>(request: impl FnOnce(&Control) -> Result<T, reveille::hotplug::HotplugError>) -> Done<T> {
    let began = clock::now();
    let result = request(&Control::new(nap));
    Done { result, nanoseconds: clock::now().nanos_since(began) }
}

/// Says why a step of `cpu` fails, and fails it with `error`.
fn fail(cpu: CpuIndex, error: StepError, reason: &str) -> StepError {
    println!("CPU {cpu}: {reason}");
    error
}

fn prepare(cpu: CpuIndex) -> Result<(), StepError> {
    if is_done(cpu) {
        return Ok(());
    }
    smpboot::prepare(cpu).map_err(|reason| fail(cpu, EIO, reason))
}

reveille_runtime::per_cpu! {
    static CREATED: spin::Once<()> = spin::Once::new();
}

/// The boot CPU never goes, and needs none.
fn create_thread(cpu: CpuIndex) -> Result<(), StepError> {
    if is_done(cpu) {
        return Ok(());
    }
    let created = CREATED.of(cpu).try_call_once(|| shared::create_thread(cpu, |cpu| hotplug().thread(cpu)));
    created.map(|_| ()).map_err(|reason| fail(cpu, ENOMEM, reason))
}

fn identify_cpu(cpu: CpuIndex) -> Result<(), StepError> {
    smpboot::identify_cpu().map_err(|register| fail(cpu, EINVAL, register))
}

fn gic_init_secondary_cpu(cpu: CpuIndex) -> Result<(), StepError> {
    if is_done(cpu) {
        return Ok(());
    }
    let _span = trace::span(name::gic_init_secondary_cpu);
    steps::irqchip_starting(cpu).map_err(|reason| fail(cpu, EIO, reason))
}

fn gic_dying(cpu: CpuIndex) -> Result<(), StepError> {
    steps::irqchip_dying(cpu);
    Ok(())
}

/// From here on this CPU takes threads, and calls of others.
fn notify_cpu_starting(cpu: CpuIndex) -> Result<(), StepError> {
    if is_done(cpu) {
        return Ok(());
    }
    let _span = trace::span(name::notify_cpu_starting);
    steps::sched_starting();
    Ok(())
}

fn sched_dying(_: CpuIndex) -> Result<(), StepError> {
    steps::sched_dying();
    Ok(())
}

fn init_timer_interrupt(cpu: CpuIndex) -> Result<(), StepError> {
    if is_done(cpu) {
        return Ok(());
    }
    let _span = trace::span(name::init_timer_interrupt);
    steps::timer_starting(cpu).map_err(|reason| fail(cpu, EIO, reason))
}

fn timer_dying(cpu: CpuIndex) -> Result<(), StepError> {
    steps::timer_dying(cpu);
    Ok(())
}

/// At boot all CPUs become able to run guests together, later each by itself (Xen's `cpu_virt_paging_callback`).
fn cpu_virt_paging(_: CpuIndex) -> Result<(), StepError> {
    virt::set_up_again();
    Ok(())
}

fn virt_dying(_: CpuIndex) -> Result<(), StepError> {
    virt::tear_down_one();
    Ok(())
}

fn activate(cpu: CpuIndex) -> Result<(), StepError> {
    steps::activate(cpu);
    Ok(())
}

/// A CPU to which a vCPU is bound stays, and so does the last one that is active.
fn deactivate(cpu: CpuIndex) -> Result<(), StepError> {
    if guest::is_home(cpu) {
        return Err(fail(cpu, EBUSY, "it stays, since a vCPU is bound to it"));
    }
    if steps::deactivate(cpu) { Ok(()) } else { Err(EBUSY) }
}

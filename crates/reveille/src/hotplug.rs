//! CPUs that come and go: named steps on the way up and down, undone in reverse where one fails (Linux's `kernel/cpu.c`).
//!
//! A [`StepTable`] holds what the subsystems of a system do to a CPU. [`Hotplug`] takes CPUs through it: all at boot
//! ([`Hotplug::bring_up`]), or one at a time to any state in which it can be held ([`Hotplug::set_state`]). Requests may come
//! from any CPU; they are carried out one after the other.
//!
//! ```text
//!            control CPU                        the CPU                          control CPU
//! OFFLINE ── PREPARE ──▶ kick ─▶ STARTING ─▶ online ─▶ ONLINE steps ─▶ done
//!    ▲                                                      │ order
//!    └── PREPARE teardowns ◀── AFFINITY_INFO: OFF ◀── CPU_OFF ◀─ STARTING ◀─ not online ◀─ ONLINE teardowns
//! ```
//!
//! The CPU's side is four calls: [`Hotplug::starting`] and [`Hotplug::come_online`] on its way up, [`Hotplug::thread`] in a
//! thread of its own, and, when that returns [`Verdict::Die`], [`Hotplug::take_cpu_down`] and [`Hotplug::die`] with
//! interrupts masked.
//!
//! Modules: `step` (what there is to do), `instances`, `walk` (doing and undoing it), `slot` (what the two sides tell each
//! other), `request` (the control CPU's side: `up`, `down`), `boot` (all CPUs at once), `frozen` (all down and up again).

mod boot;
mod down;
mod error;
mod frozen;
mod instances;
mod request;
pub(crate) mod slot;
mod step;
mod up;
mod walk;

pub use error::{HotplugError, StepFailure};
pub use frozen::{FreezeError, Frozen};
pub use instances::{Instance, Instances};
pub use step::{
    Callback, Direction, HotplugState, InstanceCallback, MAX_STEPS, Section, Step, StepError, StepTable, TableError,
};

use crate::bringup::Platform;
use crate::cpu::CpuIndex;
use crate::method::EnableMethod;
use crate::rendezvous::{Lost, State};
use crate::smp::{Arrival, Smp};
use crate::topology::Cpu;
use slot::{Failure, Order};

/// What hotplug needs from its system beside [`Platform`]. Requests may come from any CPU; one is carried out at a time.
pub trait HotplugPlatform: Platform {
    /// Has the hotplug thread of `cpu`, which is online, call [`Hotplug::thread`].
    fn wake(&self, cpu: CpuIndex);

    /// Told that a request for `cpu` begins, after those before it have ended. For tracing and measuring.
    fn request_begins(&self, cpu: CpuIndex, from: HotplugState, to: HotplugState) {
        let _ = (cpu, from, to);
    }
}

/// What a CPU's hotplug thread does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It sleeps until it is woken.
    Sleep,
    /// It masks interrupts, moves away what others left on this CPU, calls [`Hotplug::take_cpu_down`], and has the CPU's
    /// idle thread call [`Hotplug::die`].
    Die,
}

/// The state of the CPUs, and the steps that they go through. As cheap to copy as two references.
#[derive(Clone, Copy)]
pub struct Hotplug<'a> {
    smp: &'a Smp,
    steps: &'a StepTable<'a>,
}

impl<'a> Hotplug<'a> {
    /// Takes the CPUs of `smp` through `steps`. All that is done to one `smp` is done with one table.
    #[must_use]
    pub const fn new(smp: &'a Smp, steps: &'a StepTable<'a>) -> Self {
        Self { smp, steps }
    }

    /// The steps.
    #[must_use]
    pub const fn steps(&self) -> &'a StepTable<'a> {
        self.steps
    }

    /// How far `cpu` is.
    #[must_use]
    pub fn state(&self, cpu: CpuIndex) -> HotplugState {
        self.smp.hotplug(cpu).state()
    }

    /// The step that `cpu`, which runs, is at or has yet to begin with; `None` before it has begun with any, and behind the last.
    #[must_use]
    pub fn step_at(&self, cpu: CpuIndex) -> Option<&'static str> {
        let state = self.state(cpu);
        (self.steps.running()..self.steps.online()).contains(&state).then(|| self.steps.name_at(state.0))
    }

    /// Boot CPU: goes through all steps up to `state`, each here and now. A kernel calls it as its boot comes to the points
    /// where PREPARE, STARTING and ONLINE steps can run.
    ///
    /// # Errors
    /// The step that failed; those that this call did before are undone.
    pub fn advance_boot_cpu(&self, state: HotplugState) -> Result<(), StepFailure> {
        self.walk(CpuIndex::BOOT, state).map_err(|failure| self.describe(&failure))
    }

    /// New CPU, interrupts masked: goes through the STARTING steps (Linux's `notify_cpu_starting`).
    ///
    /// # Errors
    /// The step that failed. Those before it are undone; the caller hands its arrival to [`Self::fail`] and parks, or
    /// switches itself off by its method.
    pub fn starting(&self, arrival: &Arrival<'_>) -> Result<(), StepFailure> {
        let slot = self.smp.hotplug(arrival.cpu());
        slot.set_state(self.steps.running());
        self.walk(arrival.cpu(), self.steps.started()).map_err(|failure| {
            slot.note(&failure);
            self.describe(&failure)
        })
    }

    /// New CPU: says at once that a STARTING step has failed, so that nobody waits for it until the deadline.
    pub fn fail(&self, arrival: Arrival<'_>) {
        arrival.fail();
    }

    /// New CPU, interrupts masked: enters the online mask (Linux's `set_cpu_online`). Its hotplug thread finds an order when
    /// it first calls [`Self::thread`].
    ///
    /// # Errors
    /// [`Lost`] if it was given up meanwhile: it parks; its memory stays its own.
    pub fn come_online(&self, arrival: Arrival<'_>) -> Result<(), Lost> {
        let slot = self.smp.hotplug(arrival.cpu());
        slot.set_state(self.steps.ap_online());
        arrival.online()
    }

    /// The CPU's own hotplug thread, when it starts and whenever it is woken: does what was asked of it (Linux's
    /// `cpuhp_thread_fun`).
    #[must_use = "the thread may be told to take its CPU down"]
    pub fn thread(&self, cpu: CpuIndex) -> Verdict {
        let slot = self.smp.hotplug(cpu);
        let Some(order) = slot.begin() else { return Verdict::Sleep };
        let result = match order {
            Order::Single { position, instance, direction } => self
                .invoke_instance(cpu, position, instance, direction)
                .map_err(|error| Failure { position, direction, error, undo: None }),
            Order::Walk(target) => {
                let result = self.walk(cpu, target.max(self.steps.ap_online()));
                if result.is_ok() && target < self.steps.ap_online() {
                    return Verdict::Die;
                }
                result
            }
        };
        slot.finish(result);
        self.smp.note_settled();
        Verdict::Sleep
    }

    /// The CPU itself, interrupts masked: leaves the online mask and goes back through its STARTING steps (Linux's
    /// `take_cpu_down`). What others send it from here on is refused by the system. A teardown that fails is passed over, and
    /// reported to whoever asked.
    pub fn take_cpu_down(&self, cpu: CpuIndex) {
        let slot = self.smp.hotplug(cpu);
        self.smp.masks.online.remove(cpu);
        slot.set_state(self.steps.started());
        if let Err(failure) = self.walk_down_regardless(cpu, self.steps.running()) {
            slot.note(&failure);
        }
    }

    /// The CPU's idle thread, interrupts masked, as the last thing: says that the CPU touches nothing more, and switches it
    /// off by `method` (Linux's `cpuhp_report_idle_dead` and `cpu_die`).
    ///
    /// Returns only if firmware refuses: the CPU has then been through its STARTING steps again and is online, and its idle
    /// thread goes on.
    ///
    /// # Errors
    /// [`Lost`] if nobody waits for it any more, or if it could not be started again: it parks; its memory stays its own.
    pub fn die(&self, cpu: &Cpu, method: &dyn EnableMethod) -> Result<(), Lost> {
        let slot = self.smp.hotplug(cpu.index);
        let claim = self.smp.claim_word(cpu.index);
        claim.report_dead()?;
        let code = method.cpu_die(cpu);
        let generation = claim.revive()?;
        if let Err(failure) = self.walk(cpu.index, self.steps.started()) {
            slot.note(&failure);
            claim.fail(generation)?;
            return Err(Lost(State::Stuck));
        }
        slot.set_state(self.steps.ap_online());
        claim.come_online(generation)?;
        self.smp.masks.online.insert(cpu.index);
        slot.refuse(code);
        Ok(())
    }

    /// Takes what is known of a failure of `cpu` that no request has reported: of a teardown after a bring-up that failed.
    #[must_use]
    pub fn take_failure(&self, cpu: CpuIndex) -> Option<StepFailure> {
        self.smp.hotplug(cpu).take_note().map(|failure| self.describe(&failure))
    }

    fn describe(&self, failure: &Failure) -> StepFailure {
        StepFailure {
            step: self.steps.name_at(failure.position),
            direction: failure.direction,
            error: failure.error,
            undo: failure.undo.map(|(position, error)| (self.steps.name_at(position), error)),
        }
    }
}

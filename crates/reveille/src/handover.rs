//! Handing CPUs over: how a boot loader that runs on all CPUs leaves them to the system that it starts next.
//!
//! That system must find each CPU where it can take it: switched off ([`SwitchOff`]), or in a pen. So every CPU but the one that starts
//! the next system leaves. The control CPU asks them all ([`Handover::hand_over`]) and waits for all together, by one deadline; each
//! answers on its own ([`Handover::leave`]) and goes through an [`Exit`], from where it touches nothing of the old system any more.
//! What became of each is its [`Departure`].
//!
//! ```text
//! control CPU                              the CPU that leaves
//! Here ─▶ Asked, Leaver::ask ────────────▶ its thread, interrupts masked
//!                                          Asked ─▶ Leaving, Exit::leave ─▶ off, or in its pen
//! Exit::state until FirmwareState::Off                    └─ refused: Leaving ─▶ Refused
//! past the deadline: Asked ─▶ Withdrawn    a CPU that comes too late finds that, and stays
//! ```
//!
//! A CPU that is not gone ([`Departure::is_gone`]) still has the old system's memory, which must then be given to nobody.

use core::fmt;

use crate::bringup::Plan;
use crate::cpu::{CpuIndex, MAX_CPUS};
use crate::method::{CallError, FirmwareState};
use crate::smp::Smp;
use crate::sync::{AtomicU32, Ordering, RacedWord};
use crate::time::{Instant, Timeout};
use crate::topology::Cpu;

/// Where CPUs go.
pub trait Exit: Sync {
    /// Control CPU: whether `cpu` can go there, and whether it will be seen that it has.
    ///
    /// # Errors
    /// Why not.
    fn check(&self, cpu: &Cpu) -> Result<(), CallError>;

    /// On `cpu` itself, interrupts masked, with nothing left to do: goes. Returns only if that is refused, with the code of the
    /// refusal ([`Self::refusal`] gives it a name).
    fn leave(&self, cpu: &Cpu) -> i32;

    /// What the code that [`Self::leave`] returned on `cpu` means.
    fn refusal(&self, cpu: &Cpu, code: i32) -> CallError;

    /// Control CPU: [`FirmwareState::Off`] if `cpu` is there.
    fn state(&self, cpu: &Cpu) -> FirmwareState;
}

/// Each CPU is switched off by its own enable method, and firmware is asked whether it is: the next system starts it again.
pub struct SwitchOff<'a>(pub Plan<'a>);

const NO_METHOD: CallError = CallError { call: "enable-method", code: 0, meaning: "the CPU has none" };

impl Exit for SwitchOff<'_> {
    fn check(&self, cpu: &Cpu) -> Result<(), CallError> {
        let method = self.0.method(cpu).ok_or(NO_METHOD)?;
        method.cpu_can_disable(cpu)?;
        match method.affinity_info(cpu) {
            FirmwareState::Unknown => {
                Err(CallError { call: "enable-method", code: 0, meaning: "nobody can say whether the CPU is off" })
            }
            _ => Ok(()),
        }
    }

    fn leave(&self, cpu: &Cpu) -> i32 {
        self.0.method(cpu).map_or(0, |method| method.cpu_die(cpu) as i32)
    }

    fn refusal(&self, cpu: &Cpu, code: i32) -> CallError {
        self.0.method(cpu).map_or(NO_METHOD, |method| method.die_error(code.into()))
    }

    fn state(&self, cpu: &Cpu) -> FirmwareState {
        self.0.method(cpu).map_or(FirmwareState::Unknown, |method| method.cpu_kill(cpu))
    }
}

/// The control CPU's side. All calls come from there.
pub trait Leaver {
    /// The time now.
    fn now(&self) -> Instant;

    /// Called in every turn of the wait: lets others run.
    fn relax(&self);

    /// Has `cpu`, which is online, call [`Handover::leave`] as soon as it can, with interrupts masked and nothing left to do.
    ///
    /// # Errors
    /// Why that is not possible.
    fn ask(&self, cpu: &Cpu) -> Result<(), CallError>;
}

/// What became of a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// It is where the exit leads, or was off all the time.
    Gone,
    /// It could not be asked, or its way out is closed.
    Unable(CallError),
    /// It was asked, and has not answered by the deadline.
    Silent,
    /// It tried to go, and was refused; it waits where [`Handover::leave`] returned.
    Refused(CallError),
    /// It said that it goes, and has not been seen where it should be by the deadline.
    Missing(FirmwareState),
}

impl Departure {
    /// Whether the next system can have it, and everything that it used.
    #[must_use]
    pub const fn is_gone(&self) -> bool {
        matches!(self, Self::Gone)
    }
}

/// The reason as a sentence.
impl fmt::Display for Departure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("gone"),
            Self::Unable(error) => write!(f, "cannot leave: {error}"),
            Self::Silent => f.write_str("was asked to leave and does not answer"),
            Self::Refused(error) => write!(f, "could not leave: {error}"),
            Self::Missing(firmware) => write!(f, "has left and is not there yet ({firmware})"),
        }
    }
}

/// Why [`Handover::leave`] has returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotGone {
    /// The deadline was over before this CPU answered: it stays where it is, and its memory its own.
    Withdrawn,
    /// Its way out was closed. It is in no mask any more.
    Refused,
}

const HERE: u32 = 0;
const ASKED: u32 = 1;
const LEAVING: u32 = 2;
const REFUSED: u32 = 3;
const WITHDRAWN: u32 = 4;

/// How far each CPU is. Place it in a `static`.
pub struct Handover {
    states: [RacedWord; MAX_CPUS],
    /// What those were refused with that are [`REFUSED`].
    codes: [AtomicU32; MAX_CPUS],
}

impl Handover {
    crate::sync::const_unless_loom! {
        /// Nobody was asked to leave.
        #[must_use]
        pub fn new() -> Self {
            #[cfg(not(loom))]
            let (states, codes) =
                ([const { RacedWord::new(HERE) }; MAX_CPUS], [const { AtomicU32::new(0) }; MAX_CPUS]);
            #[cfg(loom)]
            let (states, codes) =
                (core::array::from_fn(|_| RacedWord::new(HERE)), core::array::from_fn(|_| AtomicU32::new(0)));
            Self { states, codes }
        }
    }

    fn state(&self, cpu: CpuIndex) -> &RacedWord {
        &self.states[cpu.get()]
    }

    fn exchange(&self, cpu: CpuIndex, from: u32, to: u32) -> Result<u32, u32> {
        self.state(cpu).compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
    }

    /// Control CPU: has every other CPU of the plan leave through `exit`, and waits until each has, by `timeout` from when the last one
    /// was asked. Once. `departures` has an entry for each CPU, by index; that of the control CPU, which must be the boot CPU, is left as it is.
    ///
    /// A CPU that never came up is not asked: it is gone if its enable method says that it is off.
    pub fn hand_over<L: Leaver>(
        &self,
        smp: &Smp,
        plan: &Plan<'_>,
        exit: &dyn Exit,
        leaver: &L,
        timeout: Timeout,
        departures: &mut [Departure],
    ) {
        let mut asked = 0;
        for (cpu, departure) in plan.secondaries().zip(departures.iter_mut().skip(1)) {
            *departure = if smp.masks.online.contains(cpu.index) {
                asked += 1;
                self.ask(cpu, exit, leaver)
            } else {
                match plan.method(cpu).map_or(FirmwareState::Unknown, |method| method.affinity_info(cpu)) {
                    FirmwareState::Off => Departure::Gone,
                    firmware => Departure::Missing(firmware),
                }
            };
        }
        let deadline = timeout.deadline(leaver.now(), asked);
        while self.look(plan, exit, departures) && !deadline.is_past(leaver.now()) {
            leaver.relax();
        }
        self.give_up(plan, exit, departures);
    }

    /// Asks `cpu`. Until it has left it is [`Departure::Silent`].
    fn ask<L: Leaver>(&self, cpu: &Cpu, exit: &dyn Exit, leaver: &L) -> Departure {
        if let Err(error) = exit.check(cpu) {
            return Departure::Unable(error);
        }
        // The CPU may answer before the call that asks it has returned.
        self.state(cpu.index).store(ASKED, Ordering::Release);
        match leaver.ask(cpu) {
            Ok(()) => Departure::Silent,
            // One that has heard it all the same, and is on its way, is waited for.
            Err(error) => {
                self.exchange(cpu.index, ASKED, WITHDRAWN).map_or(Departure::Silent, |_| Departure::Unable(error))
            }
        }
    }

    /// Looks at those that are not gone: whether there is one that may still go.
    fn look(&self, plan: &Plan<'_>, exit: &dyn Exit, departures: &mut [Departure]) -> bool {
        let mut waits = false;
        for (cpu, departure) in plan.secondaries().zip(departures.iter_mut().skip(1)) {
            if *departure == Departure::Silent {
                match self.state(cpu.index).load(Ordering::Acquire) {
                    LEAVING if exit.state(cpu) == FirmwareState::Off => *departure = Departure::Gone,
                    REFUSED => *departure = self.refused(cpu, exit),
                    _ => waits = true,
                }
            }
        }
        waits
    }

    fn refused(&self, cpu: &Cpu, exit: &dyn Exit) -> Departure {
        let code = self.codes[cpu.index.get()].load(Ordering::Relaxed) as i32;
        Departure::Refused(exit.refusal(cpu, code))
    }

    fn give_up(&self, plan: &Plan<'_>, exit: &dyn Exit, departures: &mut [Departure]) {
        for (cpu, departure) in plan.secondaries().zip(departures.iter_mut().skip(1)) {
            if *departure == Departure::Silent
                && let Err(state) = self.exchange(cpu.index, ASKED, WITHDRAWN)
            {
                *departure = match exit.state(cpu) {
                    FirmwareState::Off => Departure::Gone,
                    _ if state == REFUSED => self.refused(cpu, exit),
                    firmware => Departure::Missing(firmware),
                };
            }
        }
    }

    /// The CPU that was asked, interrupts masked, with nothing left to do: leaves the masks, and goes through `exit`. Returns only if it
    /// is not to go, or cannot.
    pub fn leave(&self, smp: &Smp, cpu: &Cpu, exit: &dyn Exit) -> NotGone {
        if self.exchange(cpu.index, ASKED, LEAVING).is_err() {
            return NotGone::Withdrawn;
        }
        smp.masks.active.remove(cpu.index);
        smp.masks.online.remove(cpu.index);
        let code = exit.leave(cpu);
        self.codes[cpu.index.get()].store(code as u32, Ordering::Relaxed);
        // Nobody else changes it from there.
        let _ = self.exchange(cpu.index, LEAVING, REFUSED);
        NotGone::Refused
    }
}

impl Default for Handover {
    fn default() -> Self {
        Self::new()
    }
}

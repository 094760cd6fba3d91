//! Why a CPU is not where it was asked to be: [`HotplugError`] and [`StepFailure`].

use core::fmt;

use super::step::{Direction, HotplugState, StepError};
use crate::bringup::Outcome;
use crate::method::{CallError, FirmwareState};

/// A step that failed, and what came of undoing those that were done before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepFailure {
    /// Its name.
    pub step: &'static str,
    /// Whether its startup or its teardown failed.
    pub direction: Direction,
    /// Its error.
    pub error: StepError,
    /// The step that could not be undone in turn, and its error: the CPU stays there. `None` if everything was undone.
    pub undo: Option<(&'static str, StepError)>,
}

impl fmt::Display for StepFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} of {} failed ({})", self.direction, self.step, self.error)?;
        match self.undo {
            Some((step, error)) => write!(f, ", and {step} could not be undone ({error})"),
            None => Ok(()),
        }
    }
}

/// Why a request was refused, or what came of it instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HotplugError {
    /// Another request is under way, and was by the deadline.
    #[error("another request is under way")]
    Busy,
    /// This CPU is still at work on an earlier request.
    #[error("it is still at work on an earlier request, at {0}")]
    StillRunning(&'static str),
    /// [`super::Hotplug::disable`] is in force, or CPUs are frozen.
    #[error("hotplug is disabled")]
    Disabled,
    /// It is not in the present mask.
    #[error("it is not present")]
    NotPresent,
    /// It is in this state already.
    #[error("it is at {0} already")]
    AlreadyThere(&'static str),
    /// No CPU can be held in this state.
    #[error("no CPU can be held in state {0}")]
    CannotHold(HotplugState),
    /// It is the last CPU that is online.
    #[error("it is the last CPU that is online")]
    LastCpu,
    /// Its enable method cannot take it down.
    #[error("it cannot be taken down: {0}")]
    CannotDie(CallError),
    /// It could not be brought up.
    #[error("{0}")]
    NotUp(Outcome),
    /// It could not be brought up, and what was prepared for it could not be undone.
    #[error("{outcome}, and then {failure}")]
    NotUpNorUndone {
        /// What became of it.
        outcome: Outcome,
        /// The teardown that failed.
        failure: StepFailure,
    },
    /// A step failed, and the CPU is where it was before (or where the undoing stopped, if that failed).
    #[error("{0}")]
    Step(StepFailure),
    /// A step failed, and the CPU could not be brought back to where it was.
    #[error("{failure}, and then it could not be brought back from {state}")]
    NotUndone {
        /// The step.
        failure: StepFailure,
        /// The name of the state in which the CPU is.
        state: &'static str,
    },
    /// Its hotplug thread did not begin by the deadline. The request was withdrawn.
    #[error("its hotplug thread does not answer")]
    NoAnswer,
    /// A step has not returned by the deadline. It goes on.
    #[error("it has not come past {0} by the deadline")]
    Hung(&'static str),
    /// Firmware refused to switch it off. It was brought back to where it was.
    #[error("{0}: it is on, and was brought back")]
    DieRefused(CallError),
    /// It said that it is off, and firmware does not, by the deadline. What it owns stays its own.
    #[error("it does not go off ({0})")]
    NotOff(FirmwareState),
    /// The step has no instances, is not of this table, or has this instance (not) already.
    #[error("there is no such instance to add or remove")]
    NoSuchInstance,
    /// CPUs have passed this STARTING step, and its instances can no longer change.
    #[error("CPUs have passed {0}, whose instances come before")]
    TooLate(&'static str),
}

impl HotplugError {
    /// The number that Linux has for this (negative), for kernels whose callers expect one: `-EBUSY` where the request may be made again,
    /// `-EINVAL` where the CPU is not one to make it of, and what a step said where a step failed (`_cpu_up` and `_cpu_down` of
    /// `kernel/cpu.c`, `__cpu_up` of `arch/arm64/kernel/smp.c`).
    #[must_use]
    pub const fn errno(&self) -> i32 {
        const EIO: i32 = -5;
        const EBUSY: i32 = -16;
        const EINVAL: i32 = -22;
        const EOPNOTSUPP: i32 = -95;
        const ETIMEDOUT: i32 = -110;
        match self {
            Self::Busy | Self::StillRunning(_) | Self::Disabled | Self::LastCpu | Self::TooLate(_) => EBUSY,
            Self::NotPresent | Self::AlreadyThere(_) | Self::CannotHold(_) | Self::NoSuchInstance => EINVAL,
            Self::CannotDie(_) => EOPNOTSUPP,
            Self::NoAnswer | Self::Hung(_) => ETIMEDOUT,
            Self::NotUp(_) | Self::NotUpNorUndone { .. } | Self::DieRefused(_) | Self::NotOff(_) => EIO,
            Self::Step(failure) | Self::NotUndone { failure, .. } => failure.error.0,
        }
    }
}

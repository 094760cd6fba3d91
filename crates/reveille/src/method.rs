//! How a CPU is started: the [`EnableMethod`] trait, in the shape of Linux's `struct cpu_operations`.

use core::fmt;

use crate::rendezvous::ContextId;
use crate::topology::Cpu;

/// An operation that somebody else refused: a firmware call, or a step of the caller's own.
///
/// The code is kept as it came, so that what firmware said reaches the person who has to mend it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub struct CallError {
    /// The call, by the name its specification gives it: `CPU_ON`.
    pub call: &'static str,
    /// The code that it returned, unchanged; 0 where nothing returned one.
    pub code: i64,
    /// What the specification calls that code: `INVALID_PARAMETERS`, or `unknown code`.
    pub meaning: &'static str,
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.call, self.meaning)?;
        if self.code == 0 { Ok(()) } else { write!(f, " ({})", self.code) }
    }
}

/// What firmware says about a CPU (PSCI's AFFINITY_INFO), for the report on one that did not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirmwareState {
    /// It runs, as far as firmware knows.
    On,
    /// It is off.
    Off,
    /// It was started, and has not reached its entry point.
    OnPending,
    /// Firmware refused to say.
    Refused(CallError),
    /// The method has no way to ask.
    Unknown,
}

impl fmt::Display for FirmwareState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::On => f.write_str("firmware says ON"),
            Self::Off => f.write_str("firmware says OFF"),
            Self::OnPending => f.write_str("firmware says ON_PENDING"),
            Self::Refused(error) => write!(f, "firmware refused to say ({error})"),
            Self::Unknown => f.write_str("firmware cannot be asked"),
        }
    }
}

/// A way to start CPUs. Each CPU of a machine has its own method, and a machine may mix them.
///
/// All calls but [`Self::cpu_die`] come from the control CPU, one at a time, with its MMU and caches on. The method's own writes that a CPU
/// reads before its MMU is on must be cleaned to the point of coherency by the method.
pub trait EnableMethod: Sync {
    /// The name, as a devicetree's `enable-method` gives it: `psci`.
    fn name(&self) -> &'static str;

    /// Reads what the method must know about `cpu`, early on the boot CPU (Linux's `cpu_init`).
    ///
    /// # Errors
    /// Why the CPU can never be started by this method; it is then not possible.
    fn cpu_init(&self, cpu: &Cpu) -> Result<(), CallError> {
        let _ = cpu;
        Ok(())
    }

    /// Does what must be done once before `cpu` is started (Linux's `cpu_prepare`).
    ///
    /// # Errors
    /// Why it cannot be started; it is then not present.
    fn cpu_prepare(&self, cpu: &Cpu) -> Result<(), CallError>;

    /// Starts `cpu` at the entry point that the method was made with, handing it `context` (Linux's `cpu_boot`). Returns
    /// when the request is made, not when the CPU runs.
    ///
    /// # Errors
    /// What the firmware answered. The CPU must then not arrive later with this context id; if it does, it finds its claim
    /// withdrawn.
    fn cpu_boot(&self, cpu: &Cpu, context: ContextId) -> Result<(), CallError>;

    /// Whether `cpu` can be taken down (Linux's `cpu_can_disable`).
    ///
    /// # Errors
    /// Why it cannot: the method has no way, or somebody (a trusted OS, say) lives there.
    fn cpu_can_disable(&self, cpu: &Cpu) -> Result<(), CallError> {
        let _ = cpu;
        Err(CallError { call: "cpu_can_disable", code: 0, meaning: "its enable method has no way to switch it off" })
    }

    /// On `cpu` itself, interrupts masked, with nothing left to do: switches it off (Linux's `cpu_die`), or waits for
    /// [`Self::cpu_kill`]. Returns only if
    /// that is refused, with the code of the refusal ([`Self::die_error`] gives it a name); the CPU is then still on.
    fn cpu_die(&self, cpu: &Cpu) -> i64 {
        let _ = cpu;
        0
    }

    /// What the code that [`Self::cpu_die`] returned means.
    fn die_error(&self, code: i64) -> CallError {
        CallError { call: "cpu_die", code, meaning: "refused" }
    }

    /// Control CPU: whether `cpu`, which has said that it touches nothing more, is off; a method by which a CPU cannot switch itself
    /// off does that here (Linux's `cpu_kill`). Called again until the answer is [`FirmwareState::Off`] or the deadline has come.
    ///
    /// It is also asked of a CPU that got stuck, before a request would bring it up again: a method that stops CPUs from outside
    /// stops that one too, wherever it is.
    fn cpu_kill(&self, cpu: &Cpu) -> FirmwareState {
        self.affinity_info(cpu)
    }

    /// What firmware says about `cpu` now.
    fn affinity_info(&self, cpu: &Cpu) -> FirmwareState {
        let _ = cpu;
        FirmwareState::Unknown
    }
}

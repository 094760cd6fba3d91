//! The faults and their text form: those that the simulated machine has too, `cpu2:late:200ms` ([`FaultKind`]), and those that
//! take a real one.

use reveille::CpuIndex;
use reveille::hotplug::Direction;
use reveille_sim::fault::{self, FaultError, FaultKind, StepName};

/// One fault of one CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The CPU that misbehaves.
    pub cpu: CpuIndex,
    /// What it does.
    pub kind: Kind,
}

/// What a CPU, or firmware on its behalf, does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What the simulated machine knows.
    Shared(FaultKind),
    /// `wrong-id:INDEX`: it arrives with the context id of the CPU with this index.
    WrongId(u16),
    /// `stale`: it arrives with the context id of the kick before.
    Stale,
    /// `again:STEP`, `again-down:STEP`: in this step it is reset, and arrives a second time with the context id that it had.
    Again(Direction, StepName),
    /// `panics-down:STEP`: it panics in the teardown of this step.
    PanicsDown(StepName),
    /// `features:REGISTER`: it differs from the boot CPU in this register.
    Register(StepName),
}

impl Fault {
    /// Reads the text form.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, FaultError> {
        let (cpu, rest) = text.strip_prefix("cpu").and_then(|rest| rest.split_once(':')).ok_or(FaultError::Cpu)?;
        let cpu = cpu.parse().ok().and_then(CpuIndex::new).ok_or(FaultError::Cpu)?;
        // Names of steps have colons in them.
        let (kind, value) = rest.split_once(':').unwrap_or((rest, ""));
        let name = || StepName::new(value).ok_or(FaultError::Value);
        let kind = match kind {
            "wrong-id" if !value.is_empty() => Kind::WrongId(value.parse().map_err(|_| FaultError::Value)?),
            "features" if !value.is_empty() => Kind::Register(name()?),
            "again" => Kind::Again(Direction::Up, name()?),
            "again-down" => Kind::Again(Direction::Down, name()?),
            "panics-down" => Kind::PanicsDown(name()?),
            "stale" => Kind::Stale,
            _ => Kind::Shared(text.parse::<fault::Fault>()?.kind),
        };
        Ok(Self { cpu, kind })
    }
}

//! What can go wrong with a CPU, and how that is written: [`Fault`], as `cpu2:late:200ms`.
//!
//! `no_std`, so that the test option of a kernel and the simulated machine read the same text. What firmware of ours can do wrong is
//! written in the same way: [`FirmwareFault`].

mod firmware;

pub use firmware::{FirmwareFault, FirmwareFaultKind, Says};

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

/// A CPU, and what is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The CPU's logical number.
    pub cpu: usize,
    /// What is wrong with it.
    pub kind: FaultKind,
}

impl Fault {
    /// Whether it is a fault of one of the CPUs that are started on a machine with `cpus` CPUs: all but the one that boots.
    #[must_use]
    pub fn is_of_started_cpu(&self, cpus: usize) -> bool {
        (1..cpus).contains(&self.cpu)
    }
}

/// What is wrong with a CPU. The text form of each stands beside it, after `cpuN:`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// `dead`: it is started and never arrives.
    Dead,
    /// `refused:-2`: firmware refuses to start it, with this code.
    Refused(i64),
    /// `refused-yet-starts:-6`: firmware says that it refuses, and starts it.
    RefusedYetStarts(i64),
    /// `late:200ms`: it arrives this long after its kick.
    Late(Duration),
    /// `slow:20ms`: it arrives at once, and needs this long from its claim to its first STARTING step.
    Slow(Duration),
    /// `twice`: firmware starts it twice with the same context id.
    Twice,
    /// `wrong-id`: firmware hands it the context id of another CPU.
    WrongId,
    /// `features`: it differs from the boot CPU, and refuses to come online.
    Features,
    /// `fails:STEP`: the startup of this step fails.
    Fails(StepName),
    /// `fails-down:STEP`: the teardown of this step fails.
    FailsDown(StepName),
    /// `stops:STEP`: it stops for ever in the startup of this step.
    Stops(StepName),
    /// `stops-down:STEP`: it stops for ever in the teardown of this step.
    StopsDown(StepName),
    /// `panics:STEP`: it panics in the startup of this step, and so stops there.
    Panics(StepName),
    /// `deaf`: its hotplug thread is never woken.
    Deaf,
    /// `no-off`: it cannot be switched off at all.
    NoOff,
    /// `off-denied:-3`: firmware refuses to switch it off, with this code.
    OffDenied(i64),
    /// `stays-on:50ms`: it says that it is off, and firmware says for this long that it is on.
    StaysOn(Duration),
}

/// The name of a hotplug step, or the number of the state that it leads to, as in `fails:timer:starting` and `fails:5`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct StepName {
    text: [u8; Self::LONGEST],
    length: u8,
}

impl StepName {
    /// The longest name, in bytes.
    pub const LONGEST: usize = 40;

    /// The name `text`; `None` if it is empty or longer than [`Self::LONGEST`].
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let mut name = Self { text: [0; Self::LONGEST], length: text.len() as u8 };
        name.text.get_mut(..text.len()).filter(|room| !room.is_empty())?.copy_from_slice(text.as_bytes());
        Some(name)
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // It was made of a text.
        core::str::from_utf8(&self.text[..usize::from(self.length)]).unwrap_or_default()
    }

    /// Whether this is the step called `name`, which leads to the state `state`.
    #[must_use]
    pub fn names(&self, name: &str, state: u16) -> bool {
        self.as_str() == name || self.as_str().parse() == Ok(state)
    }
}

impl fmt::Display for StepName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for StepName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// A text that names no fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// It does not begin with `cpu`, a number and a colon.
    #[error("a fault begins with its CPU, as in cpu2:dead")]
    Cpu,
    /// There is no such kind.
    #[error("there is no such fault (there are dead, refused, late, and more)")]
    Kind,
    /// What belongs after the kind is missing.
    #[error("the fault needs a code, a time or a step, as in cpu2:late:200ms")]
    Missing,
    /// What stands after the kind cannot be read, or nothing may stand there.
    #[error("what follows the fault is no code, time (as 200ms), or step")]
    Value,
}

/// The codes of PSCI (DEN0022), by name.
pub const PSCI_CODES: [(&str, i64); 9] = [
    ("NOT_SUPPORTED", -1),
    ("INVALID_PARAMETERS", -2),
    ("DENIED", -3),
    ("ALREADY_ON", -4),
    ("ON_PENDING", -5),
    ("INTERNAL_FAILURE", -6),
    ("NOT_PRESENT", -7),
    ("DISABLED", -8),
    ("INVALID_ADDRESS", -9),
];

/// What the specification calls a code that PSCI returned.
#[must_use]
pub fn psci_code(code: i64) -> &'static str {
    PSCI_CODES.iter().find(|&&(_, known)| known == code).map_or("unknown code", |(name, _)| name)
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let (cpu, rest) = text.strip_prefix("cpu").and_then(|rest| rest.split_once(':')).ok_or(FaultError::Cpu)?;
        let cpu = cpu.parse().map_err(|_| FaultError::Cpu)?;
        let (kind, value) = match rest.split_once(':') {
            Some((kind, value)) => (kind, Some(value)),
            None => (rest, None),
        };
        let step = || StepName::new(value.ok_or(FaultError::Missing)?).ok_or(FaultError::Value);
        let kind = match kind {
            "refused" => FaultKind::Refused(code(value)?),
            "refused-yet-starts" => FaultKind::RefusedYetStarts(code(value)?),
            "late" => FaultKind::Late(time(value)?),
            "slow" => FaultKind::Slow(time(value)?),
            "fails" => FaultKind::Fails(step()?),
            "fails-down" => FaultKind::FailsDown(step()?),
            "stops" => FaultKind::Stops(step()?),
            "stops-down" => FaultKind::StopsDown(step()?),
            "panics" => FaultKind::Panics(step()?),
            "off-denied" => FaultKind::OffDenied(code(value)?),
            "stays-on" => FaultKind::StaysOn(time(value)?),
            "dead" | "twice" | "wrong-id" | "features" | "deaf" | "no-off" if value.is_some() => {
                return Err(FaultError::Value);
            }
            "dead" => FaultKind::Dead,
            "twice" => FaultKind::Twice,
            "wrong-id" => FaultKind::WrongId,
            "features" => FaultKind::Features,
            "deaf" => FaultKind::Deaf,
            "no-off" => FaultKind::NoOff,
            _ => return Err(FaultError::Kind),
        };
        Ok(Self { cpu, kind })
    }
}

fn code(value: Option<&str>) -> Result<i64, FaultError> {
    let value = value.ok_or(FaultError::Missing)?;
    let by_name = PSCI_CODES.iter().find(|(name, _)| *name == value).map(|&(_, code)| code);
    by_name.or_else(|| value.parse().ok()).ok_or(FaultError::Value)
}

const UNITS: [(&str, u64); 4] = [("ns", 1), ("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000)];

fn time(value: Option<&str>) -> Result<Duration, FaultError> {
    let value = value.ok_or(FaultError::Missing)?;
    let (count, unit) = value.split_at(value.find(|digit: char| !digit.is_ascii_digit()).unwrap_or(value.len()));
    let (_, nanos) = UNITS.iter().find(|(name, _)| *name == unit).ok_or(FaultError::Value)?;
    let count: u64 = count.parse().map_err(|_| FaultError::Value)?;
    count.checked_mul(*nanos).map(Duration::from_nanos).ok_or(FaultError::Value)
}

/// A time in the largest unit that gives a whole number.
struct Time(Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        let whole = UNITS.iter().rev().find(|(_, unit)| nanos.is_multiple_of(u128::from(*unit)));
        let (name, unit) = whole.unwrap_or(&UNITS[0]);
        write!(f, "{}{name}", nanos / u128::from(*unit))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cpu{}:{}", self.cpu, self.kind)
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dead => f.write_str("dead"),
            Self::Refused(code) => write!(f, "refused:{code}"),
            Self::RefusedYetStarts(code) => write!(f, "refused-yet-starts:{code}"),
            Self::Late(time) => write!(f, "late:{}", Time(*time)),
            Self::Slow(time) => write!(f, "slow:{}", Time(*time)),
            Self::Twice => f.write_str("twice"),
            Self::WrongId => f.write_str("wrong-id"),
            Self::Features => f.write_str("features"),
            Self::Fails(step) => write!(f, "fails:{step}"),
            Self::FailsDown(step) => write!(f, "fails-down:{step}"),
            Self::Stops(step) => write!(f, "stops:{step}"),
            Self::StopsDown(step) => write!(f, "stops-down:{step}"),
            Self::Panics(step) => write!(f, "panics:{step}"),
            Self::Deaf => f.write_str("deaf"),
            Self::NoOff => f.write_str("no-off"),
            Self::OffDenied(code) => write!(f, "off-denied:{code}"),
            Self::StaysOn(time) => write!(f, "stays-on:{}", Time(*time)),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::ToString;

    use super::*;

    #[test]
    fn every_fault_is_read_as_it_is_written() {
        for text in [
            "cpu1:dead",
            "cpu1:refused:-2",
            "cpu12:refused-yet-starts:-6",
            "cpu2:late:200ms",
            "cpu2:slow:3us",
            "cpu3:twice",
            "cpu3:wrong-id",
            "cpu3:features",
            "cpu1:fails:timer:starting",
            "cpu1:fails-down:5",
            "cpu1:stops:timer:starting",
            "cpu1:stops-down:sched:active",
            "cpu1:panics:sched:active",
            "cpu1:deaf",
            "cpu1:no-off",
            "cpu1:off-denied:-3",
            "cpu1:stays-on:50ms",
            "cpu1:late:0s",
        ] {
            assert_eq!(text.parse::<Fault>().map(|fault| fault.to_string()).as_deref(), Ok(text));
        }
        assert_eq!("cpu2:refused:DENIED".parse(), Ok(Fault { cpu: 2, kind: FaultKind::Refused(-3) }));
        assert_eq!("cpu2:late:1500us".parse::<Fault>().unwrap().to_string(), "cpu2:late:1500us");
    }

    #[test]
    fn what_is_no_fault_is_refused_with_its_reason() {
        let long = "cpu1:fails:a-name-that-is-longer-than-any-step-of-a-kernel";
        for (text, error) in [
            ("", FaultError::Cpu),
            ("dead", FaultError::Cpu),
            ("cpu:dead", FaultError::Cpu),
            ("cpu-1:dead", FaultError::Cpu),
            ("cpu1", FaultError::Cpu),
            ("cpu1:", FaultError::Kind),
            ("cpu1:sleepy", FaultError::Kind),
            ("cpu1:late", FaultError::Missing),
            ("cpu1:late:", FaultError::Value),
            ("cpu1:late:5", FaultError::Value),
            ("cpu1:late:ms", FaultError::Value),
            ("cpu1:late:5 ms", FaultError::Value),
            ("cpu1:late:99999999999999999999s", FaultError::Value),
            ("cpu1:late:18446744073709551615s", FaultError::Value),
            ("cpu1:refused:NO", FaultError::Value),
            ("cpu1:dead:1", FaultError::Value),
            ("cpu1:fails:", FaultError::Value),
            (long, FaultError::Value),
        ] {
            assert_eq!(text.parse::<Fault>(), Err(error), "{text}");
        }
    }

    #[test]
    fn a_step_is_named_by_its_name_or_its_state() {
        assert!(StepName::new("timer").is_some_and(|name| name.names("timer", 7) && !name.names("time", 7)));
        assert!(StepName::new("7").is_some_and(|name| name.names("timer", 7) && !name.names("timer", 8)));
    }
}

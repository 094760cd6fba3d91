//! What firmware can do wrong with a CPU, and how that is written: [`FirmwareFault`], as `cpu2:late:200ms` or `all:power-up:20ms`.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use super::{FaultError, Time, code, time};

/// What is wrong with firmware, where a CPU is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirmwareFault {
    /// The CPU's place in the devicetree, from 0, which is the boot CPU; `None` for every CPU.
    pub cpu: Option<usize>,
    /// What is wrong.
    pub kind: FirmwareFaultKind,
}

/// What is wrong with firmware. The text form of each stands beside it, after `cpuN:` or `all:`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirmwareFaultKind {
    /// `dead`: CPU_ON succeeds, and the CPU never comes.
    Dead,
    /// `late:200ms`: it comes this long after CPU_ON.
    Late(Duration),
    /// `power-up:20ms`: the same, as a property of the hardware that is well.
    PowerUp(Duration),
    /// `refused:-2`: CPU_ON is answered with this code.
    Refused(i64),
    /// `refused-yet-starts:-6`: so it is, and the CPU comes.
    RefusedYetStarts(i64),
    /// `dropped:5ms`: a CPU_ON that comes sooner than this after one that was carried out, for any CPU, succeeds and is forgotten.
    Dropped(Duration),
    /// `off-denied:-3`: CPU_OFF is answered with this code.
    OffDenied(i64),
    /// `stays-on:50ms`: for this long after CPU_OFF the CPU is said to be on, and CPU_ON is answered ALREADY_ON.
    StaysOn(Duration),
    /// `lies:OFF`: AFFINITY_INFO says this, whatever is true.
    Lies(Says),
}

/// What AFFINITY_INFO can say of a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    /// It is on.
    On,
    /// It is off.
    Off,
    /// It is on its way.
    OnPending,
}

const SAYS: [(&str, Says); 3] = [("ON", Says::On), ("OFF", Says::Off), ("ON_PENDING", Says::OnPending)];

impl FirmwareFault {
    /// Whether it concerns this CPU.
    #[must_use]
    pub fn concerns(&self, cpu: usize) -> bool {
        self.cpu.is_none_or(|own| own == cpu)
    }
}

impl FromStr for FirmwareFault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let (cpu, rest) = text.split_once(':').ok_or(FaultError::Cpu)?;
        let number = || cpu.strip_prefix("cpu")?.parse().ok();
        let cpu = if cpu == "all" { None } else { Some(number().ok_or(FaultError::Cpu)?) };
        let (kind, value) = match rest.split_once(':') {
            Some((kind, value)) => (kind, Some(value)),
            None => (rest, None),
        };
        let kind = match kind {
            "dead" if value.is_some() => return Err(FaultError::Value),
            "dead" => FirmwareFaultKind::Dead,
            "late" => FirmwareFaultKind::Late(time(value)?),
            "power-up" => FirmwareFaultKind::PowerUp(time(value)?),
            "refused" => FirmwareFaultKind::Refused(code(value)?),
            "refused-yet-starts" => FirmwareFaultKind::RefusedYetStarts(code(value)?),
            "dropped" => FirmwareFaultKind::Dropped(time(value)?),
            "off-denied" => FirmwareFaultKind::OffDenied(code(value)?),
            "stays-on" => FirmwareFaultKind::StaysOn(time(value)?),
            "lies" => {
                let value = value.ok_or(FaultError::Missing)?;
                let says = SAYS.iter().find(|(name, _)| *name == value);
                FirmwareFaultKind::Lies(says.ok_or(FaultError::Value)?.1)
            }
            _ => return Err(FaultError::Kind),
        };
        Ok(Self { cpu, kind })
    }
}

impl fmt::Display for FirmwareFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cpu {
            Some(cpu) => write!(f, "cpu{cpu}:")?,
            None => f.write_str("all:")?,
        }
        match self.kind {
            FirmwareFaultKind::Dead => f.write_str("dead"),
            FirmwareFaultKind::Late(time) => write!(f, "late:{}", Time(time)),
            FirmwareFaultKind::PowerUp(time) => write!(f, "power-up:{}", Time(time)),
            FirmwareFaultKind::Refused(code) => write!(f, "refused:{code}"),
            FirmwareFaultKind::RefusedYetStarts(code) => write!(f, "refused-yet-starts:{code}"),
            FirmwareFaultKind::Dropped(time) => write!(f, "dropped:{}", Time(time)),
            FirmwareFaultKind::OffDenied(code) => write!(f, "off-denied:{code}"),
            FirmwareFaultKind::StaysOn(time) => write!(f, "stays-on:{}", Time(time)),
            FirmwareFaultKind::Lies(says) => {
                let name = SAYS.iter().find(|(_, known)| *known == says).map_or("", |(name, _)| name);
                write!(f, "lies:{name}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::ToString;

    use super::*;

    #[test]
    fn every_fault_of_firmware_is_read_as_it_is_written() {
        for text in [
            "cpu1:dead",
            "all:late:200ms",
            "all:power-up:20ms",
            "cpu1:refused:-2",
            "cpu12:refused-yet-starts:-6",
            "all:dropped:5ms",
            "cpu3:off-denied:-3",
            "cpu3:stays-on:50ms",
            "cpu2:lies:ON",
            "cpu2:lies:OFF",
            "all:lies:ON_PENDING",
        ] {
            assert_eq!(text.parse::<FirmwareFault>().map(|fault| fault.to_string()).as_deref(), Ok(text));
        }
        let fault: FirmwareFault = "cpu2:refused:DENIED".parse().unwrap();
        assert_eq!(fault, FirmwareFault { cpu: Some(2), kind: FirmwareFaultKind::Refused(-3) });
        assert!(fault.concerns(2) && !fault.concerns(1));
    }

    #[test]
    fn what_is_no_fault_of_firmware_is_refused_with_its_reason() {
        for (text, error) in [
            ("dead", FaultError::Cpu),
            ("every:dead", FaultError::Cpu),
            ("cpu:dead", FaultError::Cpu),
            ("cpu1:fails:timer", FaultError::Kind),
            ("all:late", FaultError::Missing),
            ("all:dead:1", FaultError::Value),
            ("cpu1:lies", FaultError::Missing),
            ("cpu1:lies:maybe", FaultError::Value),
        ] {
            assert_eq!(text.parse::<FirmwareFault>(), Err(error), "{text}");
        }
    }
}

//! The faults, and their text form: `cpu2:late:200ms`.

use core::time::Duration;

use reveille::CpuIndex;
use reveille::hotplug::Direction;

/// One fault of one CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault<'a> {
    /// The CPU that misbehaves.
    pub cpu: CpuIndex,
    /// What it does.
    pub kind: Kind<'a>,
}

/// What happens in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepFault {
    /// `fails`: it returns an error.
    Fails,
    /// `stops`, of a STARTING step: the CPU stops, interrupts masked.
    Stops,
    /// `hangs`, of an ONLINE step: it does not return.
    Hangs,
    /// `panics`, of an ONLINE step.
    Panics,
    /// `again`, of a STARTING or ONLINE step: the CPU is reset, and arrives a second time with the context id that it had.
    Again,
}

/// What a CPU, or firmware on its behalf, does. A step is named by its name or by the number of the state that it leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// `dead`: it is started and never arrives.
    Dead,
    /// `slow:TIME`: it arrives as long after its kick.
    Slow(Duration),
    /// `late:TIME`: it arrives as long after the deadline of those who wait for it.
    Late(Duration),
    /// `refused:CODE`: CPU_ON returns this code.
    Refused(i64),
    /// `wrong-id:INDEX`: it arrives with the context id of the CPU with this index.
    WrongId(u16),
    /// `stale`: it arrives with the context id of the kick before.
    Stale,
    /// `stops:STEP` and so on: this happens in the startup of this step; `undo-stops:STEP` and so on: in its teardown.
    Step(StepFault, Direction, &'a str),
    /// `differs:REGISTER`: this feature register differs from the boot CPU's.
    Differs(&'a str),
    /// `off-denied`: CPU_OFF returns DENIED.
    OffDenied,
    /// `off-ignored`: CPU_OFF neither returns nor switches the CPU off.
    OffIgnored,
    /// `off-again`: after CPU_OFF it arrives a second time with the context id that it had.
    OffAgain,
}

impl<'a> Fault<'a> {
    /// Reads the text form.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &'a str) -> Result<Self, &'static str> {
        let (cpu, kind) = text.split_once(':').ok_or("a fault is cpuN:KIND or cpuN:KIND:VALUE")?;
        let index = cpu.strip_prefix("cpu").and_then(|number| number.parse().ok());
        let cpu = index.and_then(CpuIndex::new).ok_or("there is no such CPU")?;
        // Names of steps have colons in them.
        let (kind, value) = kind.split_once(':').map_or((kind, None), |(kind, value)| (kind, Some(value)));
        Ok(Self { cpu, kind: Kind::parse(kind, value)? })
    }
}

impl<'a> Kind<'a> {
    fn parse(kind: &str, value: Option<&'a str>) -> Result<Self, &'static str> {
        let text = || value.ok_or("this fault needs a value");
        let number = || text()?.parse().map_err(|_| "its value is no number");
        Ok(match kind {
            "slow" => Self::Slow(time(text()?)?),
            "late" => Self::Late(time(text()?)?),
            "refused" => Self::Refused(number()?),
            "wrong-id" => Self::WrongId(u16::try_from(number()?).map_err(|_| "this is no index")?),
            "differs" => Self::Differs(text()?),
            _ if value.is_some() => {
                let (kind, direction) =
                    kind.strip_prefix("undo-").map_or((kind, Direction::Up), |kind| (kind, Direction::Down));
                Self::Step(StepFault::parse(kind)?, direction, text()?)
            }
            "dead" => Self::Dead,
            "stale" => Self::Stale,
            "off-denied" => Self::OffDenied,
            "off-ignored" => Self::OffIgnored,
            "off-again" => Self::OffAgain,
            _ => return Err("there is no such fault"),
        })
    }
}

impl StepFault {
    fn parse(text: &str) -> Result<Self, &'static str> {
        Ok(match text {
            "fails" => Self::Fails,
            "stops" => Self::Stops,
            "hangs" => Self::Hangs,
            "panics" => Self::Panics,
            "again" => Self::Again,
            _ => return Err("there is no such fault with a value"),
        })
    }
}

/// A number with its unit.
fn time(text: &str) -> Result<Duration, &'static str> {
    let units = [("ns", 1), ("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000)];
    let nanoseconds = units.iter().find_map(|(unit, factor)| {
        let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
        number.checked_mul(*factor)
    });
    nanoseconds.map(Duration::from_nanos).ok_or("a time is a number and ns, us, ms or s")
}

//! What the loader's command line asks of it.

use core::time::Duration;

use reveille::Timeout;
use reveille_runtime::plan::{Wishes, value};

/// How the payload finds the other CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Switched off by firmware.
    Off,
    /// In a pen, each waiting for its word.
    SpinTable,
}

impl Manner {
    /// As the command line has it, and the devicetree where it names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::SpinTable => "spin-table",
        }
    }
}

/// The options of a boot.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What all images take that bring CPUs up.
    pub bring_up: Wishes,
    /// `loader.handover=off|spin-table`: how the CPUs are handed over; where it does not say, off if there is PSCI.
    pub manner: Option<Manner>,
    /// `loader.without=1`: goes on without CPUs that cannot be handed over.
    pub without: bool,
    /// `loader.leave_ms=N`: how long CPUs may take to leave.
    pub leave: Timeout,
    /// `loader.checkers=N`: how many CPUs check the payload, where that is fewer than there are.
    pub checkers: Option<usize>,
}

impl Options {
    /// Reads them.
    ///
    /// # Errors
    /// A manner that there is not.
    pub fn from_command_line(line: &str) -> Result<Self, &'static str> {
        let manner = match value(line, "loader.handover=") {
            None => None,
            Some("off") => Some(Manner::Off),
            Some("spin-table") => Some(Manner::SpinTable),
            Some(_) => return Err("loader.handover is off or spin-table"),
        };
        let leave = value(line, "loader.leave_ms=").and_then(|milliseconds| milliseconds.parse().ok());
        Ok(Self {
            bring_up: Wishes::from_command_line(line),
            manner,
            without: value(line, "loader.without=") == Some("1"),
            leave: leave.map_or(Timeout::DEFAULT, |ms| Timeout::new(Duration::from_millis(ms), Duration::ZERO)),
            checkers: value(line, "loader.checkers=").and_then(|count| count.parse().ok()),
        })
    }
}

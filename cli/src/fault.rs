//! What `--fault` takes: what is wrong with a CPU, on a simulated machine or as firmware of ours has it. What both have is written the
//! same.

use std::fmt;
use std::str::FromStr;

use reveille_sim::Fault;
use reveille_sim::fault::{FaultError, FirmwareFault};

use crate::error::Error;

/// What the user wrote, which one of the two has at least.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenFault {
    text: String,
    simulated: Result<Fault, FaultError>,
    firmware: Result<FirmwareFault, FaultError>,
}

impl GivenFault {
    /// As the simulated machine has it.
    ///
    /// # Errors
    /// [`Error::FaultElsewhere`].
    pub fn simulated(&self) -> Result<Fault, Error> {
        self.simulated.map_err(|_| Error::FaultElsewhere { fault: self.text.clone(), place: "a simulated machine" })
    }

    /// As the firmware has it.
    ///
    /// # Errors
    /// [`Error::FaultElsewhere`].
    pub fn firmware(&self) -> Result<FirmwareFault, Error> {
        self.firmware.map_err(|_| Error::FaultElsewhere { fault: self.text.clone(), place: "the firmware" })
    }
}

impl FromStr for GivenFault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let (simulated, firmware) = (text.parse(), text.parse());
        match (simulated, firmware) {
            // That of the one which knows more kinds, unless it does not know even the CPU.
            (Err(simulated), Err(firmware)) => Err(if simulated == FaultError::Cpu { firmware } else { simulated }),
            (simulated, firmware) => Ok(Self { text: text.to_owned(), simulated, firmware }),
        }
    }
}

impl fmt::Display for GivenFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_taken_where_it_can_be_had() {
        let both: GivenFault = "cpu2:late:200ms".parse().unwrap();
        assert!(both.simulated().is_ok() && both.firmware().is_ok());
        let firmware: GivenFault = "all:power-up:20ms".parse().unwrap();
        let refused = firmware.simulated().unwrap_err().to_string();
        assert_eq!(refused, "the fault all:power-up:20ms cannot be had on a simulated machine");
        let simulated: GivenFault = "cpu3:fails:sched:active".parse().unwrap();
        assert!(
            simulated.simulated().is_ok() && simulated.firmware().unwrap_err().to_string().ends_with("the firmware")
        );
        for text in ["cpu1:sleepy", "dead", "cpu1:late", "all:late:soon"] {
            assert!(text.parse::<GivenFault>().is_err(), "{text}");
        }
    }
}

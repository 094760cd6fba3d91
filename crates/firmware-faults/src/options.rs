//! The options of the firmware: words, as on a kernel's command line.

use core::time::Duration;

use reveille_sim::fault::{FaultError, FirmwareFault, FirmwareFaultKind};

use crate::faults::Faults;

/// How the next stage is told to start CPUs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EnableMethod {
    /// By calls of PSCI.
    #[default]
    Psci,
    /// By addresses that it writes to words that the CPUs wait for.
    SpinTable,
}

/// What the firmware is asked for, on a machine of at most `CPUS` CPUs.
pub struct Options<const CPUS: usize> {
    /// `enable-method=psci` or `enable-method=spin-table`.
    pub enable_method: EnableMethod,
    /// `fault=cpu2:dead`, as often as is wanted.
    pub faults: Faults<CPUS>,
}

/// Options that cannot be read: the word, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError<'a> {
    /// There is no such word.
    #[error("{0}: there is no such option (there are fault= and enable-method=)")]
    Unknown(&'a str),
    /// There is no such enable method.
    #[error("{0}: there is no such enable method (there are psci and spin-table)")]
    EnableMethod(&'a str),
    /// It is no fault.
    #[error("{0}: {1}")]
    Fault(&'a str, FaultError),
    /// The machine has no such CPU.
    #[error("{0}: the machine has no such CPU")]
    NoSuchCpu(&'a str),
    /// CPUs are not started by calls.
    #[error("{0}: with spin-table a CPU can be dead, and no other fault can be had")]
    NeedsCalls(&'a str),
}

impl<const CPUS: usize> Options<CPUS> {
    /// Reads the options of a machine with `cpus` CPUs, whose clock counts `ticks` in a time.
    ///
    /// # Errors
    /// The first word that cannot be read.
    pub fn parse(text: &str, cpus: usize, ticks: impl Fn(Duration) -> u64) -> Result<Self, OptionsError<'_>> {
        let mut options = Self { enable_method: EnableMethod::default(), faults: Faults::none() };
        let mut needs_calls = None;
        for word in text.split_ascii_whitespace() {
            match word.split_once('=') {
                Some(("enable-method", "psci")) => options.enable_method = EnableMethod::Psci,
                Some(("enable-method", "spin-table")) => options.enable_method = EnableMethod::SpinTable,
                Some(("enable-method", _)) => return Err(OptionsError::EnableMethod(word)),
                Some(("fault", fault)) => {
                    let fault: FirmwareFault = fault.parse().map_err(|error| OptionsError::Fault(word, error))?;
                    if fault.cpu.is_some_and(|cpu| cpu >= cpus) {
                        return Err(OptionsError::NoSuchCpu(word));
                    }
                    if fault.kind != FirmwareFaultKind::Dead {
                        needs_calls = needs_calls.or(Some(word));
                    }
                    options.faults.add(&fault, &ticks);
                }
                _ => return Err(OptionsError::Unknown(word)),
            }
        }
        match needs_calls {
            Some(word) if options.enable_method == EnableMethod::SpinTable => Err(OptionsError::NeedsCalls(word)),
            _ => Ok(options),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::ToString;

    use super::*;

    fn parse(text: &str) -> Result<Options<4>, OptionsError<'_>> {
        Options::parse(text, 4, |time| time.as_nanos() as u64)
    }

    #[test]
    fn without_words_all_is_well() {
        let options = parse(" \n").ok().unwrap();
        assert_eq!(options.enable_method, EnableMethod::Psci);
        assert!((0..4).all(|cpu| !options.faults.is_dead(cpu)));
    }

    #[test]
    fn words_that_cannot_be_read_are_named_with_the_reason() {
        for (text, sentence) in [
            ("quiet", "quiet: there is no such option (there are fault= and enable-method=)"),
            ("el=1", "el=1: there is no such option (there are fault= and enable-method=)"),
            (
                "enable-method=acpi",
                "enable-method=acpi: there is no such enable method (there are psci and spin-table)",
            ),
            ("fault=cpu1:dead fault=dead", "fault=dead: a fault begins with its CPU, as in cpu2:dead"),
            ("fault=cpu4:dead", "fault=cpu4:dead: the machine has no such CPU"),
            (
                "fault=cpu1:late:1s enable-method=spin-table",
                "fault=cpu1:late:1s: with spin-table a CPU can be dead, and no other fault can be had",
            ),
        ] {
            assert_eq!(parse(text).err().map(|error| error.to_string()).as_deref(), Some(sentence));
        }
    }

    #[test]
    fn faults_are_those_of_the_cpu_or_of_all() {
        let options = parse("enable-method=spin-table fault=cpu2:dead").ok().unwrap();
        assert_eq!(options.enable_method, EnableMethod::SpinTable);
        assert!(options.faults.is_dead(2) && !options.faults.is_dead(1));
        let all = parse("fault=all:dead").ok().unwrap();
        assert!((0..4).all(|cpu| all.faults.is_dead(cpu)));
    }
}

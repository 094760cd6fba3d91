//! The exit codes, all of them decided here.

use std::process::ExitCode;

use crate::bench::BenchError;
use crate::error::Error;
use crate::setup::SetupError;
use crate::torture::judge::Grade;
use crate::torture::{self, Torture};
use crate::verdict::Verdict;

/// What the command's exit code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// Every CPU that was asked for is online. For commands that boot nothing: all is well.
    Fine = 0,
    /// Some are not, or a proof failed. For `diff`: two boots differ. For `torture`: a CPU was lost silently, or the system hung or crashed.
    NotAllOnline = 1,
    /// The command was used wrongly.
    WrongUse = 2,
    /// The host lacks something.
    HostLacks = 3,
    /// The run took longer than it may.
    TimedOut = 4,
    /// The machine died.
    MachineDied = 5,
    /// Ended by Ctrl-C or a signal.
    Interrupted = 130,
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status as u8)
    }
}

impl From<&Verdict> for ExitStatus {
    fn from(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::AllOnline => Self::Fine,
            Verdict::NotAllOnline(_) => Self::NotAllOnline,
            Verdict::TimedOut(_) => Self::TimedOut,
            Verdict::Died(_) => Self::MachineDied,
        }
    }
}

impl From<&Torture> for ExitStatus {
    fn from(torture: &Torture) -> Self {
        let usual = torture.trials.first().map(|trial| trial.judged.grade);
        match usual {
            Some(Grade::Hung) => Self::TimedOut,
            Some(Grade::Crashed) => Self::MachineDied,
            _ if torture::is_well(torture) => Self::Fine,
            _ => Self::NotAllOnline,
        }
    }
}

impl From<&Error> for ExitStatus {
    fn from(error: &Error) -> Self {
        match error {
            Error::UnknownMachine { .. }
            | Error::CpuCount { .. }
            | Error::NotSimulated { .. }
            | Error::OnlySimulated { .. }
            | Error::OnlyMisbehaving { .. }
            | Error::OnlyFirmware { .. }
            | Error::OnlyGuests { .. }
            | Error::NoVhe { .. }
            | Error::NoSuchCpu { .. }
            | Error::FaultElsewhere { .. }
            | Error::NothingToSoak
            | Error::SoakElsewhere { .. }
            | Error::NothingToTorture
            | Error::NoSuchScenario { .. }
            | Error::EntryLevel { .. }
            | Error::Format { .. }
            | Error::NoFormats { .. }
            | Error::NoEntryLevels { .. }
            | Error::NotDescribed { .. }
            | Error::CommandLine { .. }
            | Error::NoCpuModels { .. }
            | Error::NoSuchGic { .. }
            | Error::NoStack { .. }
            | Error::StackOrder { .. }
            | Error::Foreign { .. }
            | Error::StackWithout { .. }
            | Error::GicCpuCount { .. }
            | Error::Devicetree { .. }
            | Error::Guests { .. }
            | Error::NoDevicetree { .. }
            | Error::OutputPath { .. }
            | Error::ReportRead { .. }
            | Error::QemuRefused { .. }
            | Error::Bench(BenchError::NotMeasured { .. } | BenchError::NoPeer { .. } | BenchError::OneCpu)
            | Error::Setup(SetupError::Consent(_)) => Self::WrongUse,
            Error::Bench(BenchError::Run { .. }) => Self::NotAllOnline,
            Error::Bench(BenchError::Peer(_)) => Self::HostLacks,
            Error::Interrupted | Error::Setup(SetupError::Interrupted) => Self::Interrupted,
            Error::Setup(_)
            | Error::Image(_)
            | Error::QemuStart { .. }
            | Error::FirmwareLog { .. }
            | Error::OutputWrite { .. }
            | Error::Unprinted { .. } => Self::HostLacks,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_verdict_has_its_exit_code() {
        let table = [
            (Verdict::AllOnline, 0),
            (Verdict::NotAllOnline(vec!["CPU 1 failed".into()]), 1),
            (Verdict::TimedOut(Duration::from_secs(60)), 4),
            (Verdict::Died("panic".into()), 5),
        ];
        for (verdict, code) in table {
            assert_eq!(ExitStatus::from(&verdict) as u8, code, "{verdict:?}");
        }
    }

    #[test]
    fn every_kind_of_error_has_its_exit_code() {
        let source = || std::io::Error::other("broken");
        let table = [
            (Error::UnknownMachine { name: "x".into(), known: "virt".into() }, 2),
            (Error::CpuCount { machine: "virt", asked: 0, range: 1..=512 }, 2),
            (Error::NothingToSoak, 2),
            (Error::Devicetree { path: "x".into(), problem: "none".into() }, 2),
            (Error::OutputPath { path: "x".into(), what: "report", source: source() }, 2),
            (Error::ReportRead { path: "x".into(), problem: "none".into() }, 2),
            (Error::QemuRefused { message: "no".into() }, 2),
            (Error::QemuStart { program: "qemu".into(), source: source() }, 3),
            (Error::OutputWrite { path: "x".into(), what: "report", source: source() }, 3),
            (Error::Setup(SetupError::Consent("maybe".into())), 2),
            (Error::Setup(SetupError::StillMissing("ld.lld".into())), 3),
            (Error::Interrupted, 130),
            (Error::Setup(SetupError::Interrupted), 130),
        ];
        for (error, code) in table {
            assert_eq!(ExitStatus::from(&error) as u8, code, "{error}");
        }
    }
}

//! CFE as an enable method (Linux's `prom_boot_secondary` of `arch/mips/sibyte/cfe/smp.c`): [`CfeCpus`].

use core::sync::atomic::{Ordering, fence};

use cfe_abi::Error;
use reveille::{CallError, ContextId, Cpu, EnableMethod, FirmwareState};

use crate::boot_record::BootRecords;
use crate::cfe::{Cfe, Firmware};

/// The name of the method.
pub const NAME: &str = "cfe";

const START: &str = "cfe_cpu_start";
const STOP: &str = "cfe_cpu_stop";

/// CFE starts CPUs, each with its record from one table, and stops them.
///
/// CFE takes STOP from CPU 0 only. A kernel whose control CPU may be another hands in a [`Firmware`] that makes the calls there.
pub struct CfeCpus<F> {
    cfe: Cfe<F>,
    records: &'static BootRecords,
    entry_point: u32,
    sleep_for_ever: fn() -> !,
}

impl<F: Firmware> CfeCpus<F> {
    /// Starts CPUs at `entry_point` with their records of `records`; a CPU that goes down does `sleep_for_ever`,
    /// taking no interrupt, until CPU 0 stops it.
    pub const fn new(cfe: Cfe<F>, records: &'static BootRecords, entry_point: u32, sleep_for_ever: fn() -> !) -> Self {
        Self { cfe, records, entry_point, sleep_for_ever }
    }
}

/// What CFE calls a code.
const fn meaning(error: Error) -> &'static str {
    match error {
        Error::General => "refused",
        Error::InvalidCommand => "no such command",
        Error::InvalidParameter => "invalid parameter",
        Error::NotReady => "not ready",
        _ => "unknown code",
    }
}

const fn refused(call: &'static str, error: Error) -> CallError {
    CallError { call, code: error.code(), meaning: meaning(error) }
}

impl<F: Firmware + Sync> EnableMethod for CfeCpus<F> {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_prepare(&self, _: &Cpu) -> Result<(), CallError> {
        Ok(())
    }

    /// CFE refuses to start a CPU that runs. One that was given up before may: it is stopped, and started again.
    fn cpu_boot(&self, cpu: &Cpu, context: ContextId) -> Result<(), CallError> {
        let none = CallError { call: START, code: 0, meaning: "it has no boot record" };
        let (sp, gp) = self.records.stack_and_record(cpu.index).ok_or(none)?;
        // SYNC: what was prepared is in place for a CPU that runs at once.
        fence(Ordering::SeqCst);
        let start = || self.cfe.cpu_start(cpu.hw_id.0, self.entry_point, sp as u32, gp as u32, context.to_raw());
        match start() {
            Err(Error::General) if self.cfe.cpu_stop(cpu.hw_id.0).is_ok() => start(),
            result => result,
        }
        .map_err(|error| refused(START, error))
    }

    fn cpu_can_disable(&self, cpu: &Cpu) -> Result<(), CallError> {
        if cpu.hw_id.0 == 0 {
            return Err(CallError { call: "cpu_can_disable", code: 0, meaning: "CFE stops all CPUs but CPU 0" });
        }
        Ok(())
    }

    /// Does not return: CFE has no way for a CPU to stop itself. What it wrote survives the reset by which it is stopped.
    fn cpu_die(&self, _: &Cpu) -> i64 {
        #[cfg(target_arch = "mips")]
        crate::cache::write_back_data_cache();
        (self.sleep_for_ever)()
    }

    fn cpu_kill(&self, cpu: &Cpu) -> FirmwareState {
        match self.cfe.cpu_stop(cpu.hw_id.0) {
            Ok(()) => FirmwareState::Off,
            Err(error) => FirmwareState::Refused(refused(STOP, error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::boxed::Box;
    use std::sync::Mutex;
    use std::vec::Vec;

    use cfe_abi::{CpuCommand, CpuControl, Request};
    use reveille::topology::{MethodIndex, ProbeOptions};
    use reveille::{CpuIndex, HwId, Smp, Topology};

    use super::*;
    use crate::boot_record::tests::records;

    /// CPU 1, which runs or waits.
    #[derive(Default)]
    struct OneCpu {
        runs: Mutex<bool>,
        will_not_stop: bool,
        asked: Mutex<Vec<(u64, u64)>>,
    }

    impl Firmware for &OneCpu {
        fn call(&self, request: &mut Request) {
            let CpuControl { cpu_number, command, a1, .. } = request.parameters();
            self.asked.lock().unwrap().push((command, a1));
            let mut runs = self.runs.lock().unwrap();
            let start = command == CpuCommand::Start.code();
            request.status = if cpu_number != 1 || start && *runs || !start && self.will_not_stop { -1 } else { 0 };
            if request.status == 0 {
                *runs = start;
            }
        }
    }

    fn method(firmware: &OneCpu) -> CfeCpus<&OneCpu> {
        let records = Box::leak(records(CpuIndex::new(1).unwrap(), 0x9000));
        CfeCpus::new(Cfe::new(firmware), records, 0x8010_0000, || unreachable!("nobody dies here"))
    }

    fn topology() -> Box<Topology> {
        let mut topology = Box::new(Topology::new(HwId(0)));
        let options = ProbeOptions { boot_cpu: HwId(0), method: MethodIndex(0), nr_cpus: usize::MAX };
        let _ = topology.probe(&options, (1..3).map(HwId), &mut |_| true, &mut |_| unreachable!());
        topology
    }

    fn context() -> ContextId {
        let smp = Box::leak(Box::new(Smp::new()));
        let cpu = CpuIndex::new(1).unwrap();
        ContextId::new(cpu, smp.claim_word(cpu).kick().unwrap())
    }

    #[test]
    fn a_cpu_is_started_with_its_context_in_a1() {
        let firmware = OneCpu::default();
        let topology = topology();
        let context = context();
        assert_eq!(method(&firmware).cpu_boot(&topology.cpus()[1], context), Ok(()));
        assert_eq!(*firmware.asked.lock().unwrap(), [(1, u64::from(context.to_raw()))]);
    }

    #[test]
    fn one_that_was_given_up_and_runs_is_stopped_and_started_again() {
        let firmware = OneCpu { runs: Mutex::new(true), ..OneCpu::default() };
        assert_eq!(method(&firmware).cpu_boot(&topology().cpus()[1], context()), Ok(()));
        assert!(*firmware.runs.lock().unwrap());
        let commands: Vec<u64> = firmware.asked.lock().unwrap().iter().map(|asked| asked.0).collect();
        assert_eq!(commands, [1, 0, 1]);
    }

    #[test]
    fn one_that_does_not_stop_is_refused_with_cfes_code() {
        let firmware = OneCpu { runs: Mutex::new(true), will_not_stop: true, ..OneCpu::default() };
        let error = CallError { call: "cfe_cpu_start", code: -1, meaning: "refused" };
        assert_eq!(method(&firmware).cpu_boot(&topology().cpus()[1], context()), Err(error));
        let error = CallError { call: "cfe_cpu_stop", code: -1, meaning: "refused" };
        assert_eq!(method(&firmware).cpu_kill(&topology().cpus()[1]), FirmwareState::Refused(error));
    }

    #[test]
    fn one_without_a_record_is_not_started() {
        let firmware = OneCpu::default();
        let error = method(&firmware).cpu_boot(&topology().cpus()[2], context()).unwrap_err();
        assert_eq!(error.meaning, "it has no boot record");
        assert!(firmware.asked.lock().unwrap().is_empty());
    }

    #[test]
    fn one_that_goes_down_is_stopped_and_cpu_0_cannot_be() {
        let firmware = OneCpu { runs: Mutex::new(true), ..OneCpu::default() };
        let topology = topology();
        assert!(method(&firmware).cpu_can_disable(&topology.cpus()[0]).is_err());
        assert_eq!(method(&firmware).cpu_can_disable(&topology.cpus()[1]), Ok(()));
        assert_eq!(method(&firmware).cpu_kill(&topology.cpus()[1]), FirmwareState::Off);
        assert!(!*firmware.runs.lock().unwrap());
    }
}

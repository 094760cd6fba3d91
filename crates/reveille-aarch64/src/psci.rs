//! The enable method `psci` (Arm DEN0022): firmware starts CPUs.
//!
//! [`PsciNode`] is what the devicetree says of the firmware, [`Psci`] the method, and [`Firmware`] the way to call it: a
//! [`Conduit`] on arm64, something else in tests.

mod node;

use reveille::{CallError, ContextId, Cpu, EnableMethod, FirmwareState};

pub use node::{Functions, PsciNode, PsciNodeError};

/// How firmware is called, as the devicetree says; a caller never guesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduit {
    /// The SMC instruction.
    Smc,
    /// The HVC instruction.
    Hvc,
}

/// Something that answers SMCCC calls.
pub trait Firmware {
    /// Calls `function` with arguments in X1 to X3, the others 0; what came back in X0.
    fn call(&self, function: u32, arguments: [u64; 3]) -> u64;
}

#[cfg(target_arch = "aarch64")]
impl Firmware for Conduit {
    fn call(&self, function: u32, [x1, x2, x3]: [u64; 3]) -> u64 {
        use smccc::{Call, Hvc, Smc};
        let arguments = [x1, x2, x3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        match self {
            Self::Smc => Smc::call64(function, arguments)[0],
            Self::Hvc => Hvc::call64(function, arguments)[0],
        }
    }
}

/// What DEN0022 calls a return code (section 5.2.2).
#[must_use]
pub const fn code_name(code: i64) -> &'static str {
    match code {
        0 => "SUCCESS",
        -1 => "NOT_SUPPORTED",
        -2 => "INVALID_PARAMETERS",
        -3 => "DENIED",
        -4 => "ALREADY_ON",
        -5 => "ON_PENDING",
        -6 => "INTERNAL_FAILURE",
        -7 => "NOT_PRESENT",
        -8 => "DISABLED",
        -9 => "INVALID_ADDRESS",
        _ => "unknown code",
    }
}

/// The code in X0. Firmware may extend a negative 32-bit code by zeros or by its sign; any other value is kept whole.
const fn code(x0: u64) -> i64 {
    if x0 >> 32 == 0 { x0 as u32 as i32 as i64 } else { x0 as i64 }
}

const fn refused(call: &'static str, code: i64) -> CallError {
    CallError { call, code, meaning: code_name(code) }
}

/// PSCI as an enable method: all CPUs are started at one entry point, and told apart by the context id.
pub struct Psci<F = Conduit> {
    firmware: F,
    functions: Functions,
    entry_point: u64,
}

#[cfg(target_arch = "aarch64")]
impl Psci {
    /// The firmware that `node` describes, starting CPUs at the physical address `entry_point`.
    #[must_use]
    pub const fn new(node: &PsciNode, entry_point: u64) -> Self {
        Self::with_firmware(node.conduit, node.functions, entry_point)
    }
}

impl<F: Firmware> Psci<F> {
    /// The same over any [`Firmware`].
    #[must_use]
    pub const fn with_firmware(firmware: F, functions: Functions, entry_point: u64) -> Self {
        Self { firmware, functions, entry_point }
    }
}

/// The CPU has nothing to start it with: firmware of version 0.1 whose node has no id for CPU_ON.
const NO_CPU_ON: CallError = CallError { call: "CPU_ON", code: -1, meaning: "the devicetree gives it no function id" };

impl<F: Firmware + Sync> EnableMethod for Psci<F> {
    fn name(&self) -> &'static str {
        "psci"
    }

    fn cpu_prepare(&self, _cpu: &Cpu) -> Result<(), CallError> {
        self.functions.cpu_on.map(|_| ()).ok_or(NO_CPU_ON)
    }

    /// CPU_ON (DEN0022 section 5.6). The 64-bit context id arrives in X0 of the new CPU.
    fn cpu_boot(&self, cpu: &Cpu, context: ContextId) -> Result<(), CallError> {
        let cpu_on = self.functions.cpu_on.ok_or(NO_CPU_ON)?;
        match code(self.firmware.call(cpu_on, [cpu.hw_id.0, self.entry_point, u64::from(context.to_raw())])) {
            0 => Ok(()),
            code => Err(refused("CPU_ON", code)),
        }
    }

    /// AFFINITY_INFO at level 0 (DEN0022 section 5.8); firmware of version 0.1 has no such call.
    fn affinity_info(&self, cpu: &Cpu) -> FirmwareState {
        let Some(affinity_info) = self.functions.affinity_info else { return FirmwareState::Unknown };
        match code(self.firmware.call(affinity_info, [cpu.hw_id.0, 0, 0])) {
            0 => FirmwareState::On,
            1 => FirmwareState::Off,
            2 => FirmwareState::OnPending,
            code => FirmwareState::Refused(refused("AFFINITY_INFO", code)),
        }
    }
}

/// Switches the machine off (SYSTEM_OFF, DEN0022 section 5.9). Returns only where firmware has no such call.
pub fn system_off(firmware: &impl Firmware) -> CallError {
    refused("SYSTEM_OFF", code(firmware.call(smccc::psci::PSCI_SYSTEM_OFF, [0; 3])))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::vec::Vec;

    use reveille::{ClaimWord, CpuIndex, HwId, Topology};

    use super::*;

    /// Answers every call with one value, and remembers the calls.
    struct Fake {
        x0: u64,
        calls: Mutex<Vec<(u32, [u64; 3])>>,
    }

    impl Firmware for &Fake {
        fn call(&self, function: u32, arguments: [u64; 3]) -> u64 {
            self.calls.lock().unwrap().push((function, arguments));
            self.x0
        }
    }

    fn answers(x0: u64) -> Fake {
        Fake { x0, calls: Mutex::new(Vec::new()) }
    }

    fn cpu() -> Cpu {
        Cpu { hw_id: HwId(0x1_0000_0203), ..Topology::new(HwId(0)).cpus()[0] }
    }

    fn context() -> ContextId {
        ContextId::new(CpuIndex::new(5).unwrap(), ClaimWord::new().kick().unwrap())
    }

    fn boot(x0: u64) -> Result<(), CallError> {
        Psci::with_firmware(&answers(x0), Functions::V0_2, 0x4020_0000).cpu_boot(&cpu(), context())
    }

    #[test]
    fn row_22_cpu_on_passes_target_entry_and_context() {
        let fake = answers(0);
        Psci::with_firmware(&fake, Functions::V0_2, 0x4020_0000).cpu_boot(&cpu(), context()).unwrap();
        let expected = (0xc400_0003, [0x1_0000_0203, 0x4020_0000, u64::from(context().to_raw())]);
        assert_eq!(*fake.calls.lock().unwrap(), [expected]);
    }

    #[test]
    fn rows_9_to_21_every_code_survives_under_its_name() {
        let names = [
            (-1, "NOT_SUPPORTED"),
            (-2, "INVALID_PARAMETERS"),
            (-3, "DENIED"),
            (-4, "ALREADY_ON"),
            (-5, "ON_PENDING"),
            (-6, "INTERNAL_FAILURE"),
            (-7, "NOT_PRESENT"),
            (-8, "DISABLED"),
            (-9, "INVALID_ADDRESS"),
            (-77, "unknown code"),
            (3, "unknown code"),
        ];
        for (code, meaning) in names {
            let expected = Err(CallError { call: "CPU_ON", code, meaning });
            assert_eq!(boot(code as u64), expected, "sign-extended {code}");
            assert_eq!(boot(u64::from(code as u32)), expected, "zero-extended {code}");
        }
        let odd = 0x1234_5678_0000_0000;
        assert_eq!(boot(odd).unwrap_err().code, odd as i64);
    }

    #[test]
    fn row_51_version_0_1_uses_the_ids_of_the_tree() {
        let fake = answers(0);
        let functions = Functions { cpu_on: Some(0x95c1_ba60), affinity_info: None };
        let psci = Psci::with_firmware(&fake, functions, 0x4020_0000);
        psci.cpu_boot(&cpu(), context()).unwrap();
        assert_eq!(fake.calls.lock().unwrap()[0].0, 0x95c1_ba60);
        assert_eq!(psci.affinity_info(&cpu()), FirmwareState::Unknown);
    }

    #[test]
    fn without_cpu_on_no_call_is_made() {
        let fake = answers(0);
        let psci = Psci::with_firmware(&fake, Functions { cpu_on: None, affinity_info: None }, 0);
        assert_eq!(psci.cpu_prepare(&cpu()), Err(NO_CPU_ON));
        assert_eq!(psci.cpu_boot(&cpu(), context()), Err(NO_CPU_ON));
        assert!(fake.calls.lock().unwrap().is_empty());
    }

    #[test]
    fn row_30_affinity_info_tells_the_states_apart() {
        let ask = |x0| Psci::with_firmware(&answers(x0), Functions::V0_2, 0).affinity_info(&cpu());
        assert_eq!(ask(0), FirmwareState::On);
        assert_eq!(ask(1), FirmwareState::Off);
        assert_eq!(ask(2), FirmwareState::OnPending);
        assert_eq!(ask(-2_i64 as u64), FirmwareState::Refused(refused("AFFINITY_INFO", -2)));
    }

    #[test]
    fn row_2_system_off_is_the_32_bit_call() {
        let fake = answers(u64::MAX);
        assert_eq!(system_off(&&fake), refused("SYSTEM_OFF", -1));
        assert_eq!(*fake.calls.lock().unwrap(), [(0x8400_0008, [0; 3])]);
    }
}

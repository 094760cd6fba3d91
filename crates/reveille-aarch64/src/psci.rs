//! The enable method `psci` (Arm DEN0022): firmware starts CPUs.
//!
//! [`PsciNode`] is what the devicetree or ACPI says of the firmware, [`Psci`] the method, and [`Firmware`] the way to call it: a
//! [`Conduit`] on arm64, something else in tests.

mod fadt;
mod node;

use core::fmt;

use reveille::{CallError, ContextId, Cpu, EnableMethod, FirmwareState};
use smccc::psci::{PSCI_MIGRATE_INFO_TYPE, PSCI_MIGRATE_INFO_UP_CPU_64, PSCI_SYSTEM_OFF, PSCI_SYSTEM_RESET};

pub use fadt::FadtError;
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
    // For size: seventeen arguments are a lot of registers to set up at every call.
    #[inline(never)]
    fn call(&self, function: u32, [x1, x2, x3]: [u64; 3]) -> u64 {
        use smccc::{Call, Hvc, Smc};
        let arguments = [x1, x2, x3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        match self {
            Self::Smc => Smc::call64(function, arguments)[0],
            Self::Hvc => Hvc::call64(function, arguments)[0],
        }
    }
}

/// What DEN0022 calls a return code.
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

#[inline(never)] // For size: it has the names of all codes in it.
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

    /// PSCI_VERSION. Firmware of version 0.1 has no such call, and is 0.1 without being asked.
    ///
    /// # Errors
    /// What the firmware answered instead of a version.
    pub fn version(&self) -> Result<Version, CallError> {
        let Some(version) = self.functions.version else { return Ok(Version { major: 0, minor: 1 }) };
        let answer = self.firmware.call(version, [0; 3]) as u32;
        if answer >> 31 == 0 {
            Ok(Version { major: (answer >> 16) as u16, minor: answer as u16 })
        } else {
            Err(refused("PSCI_VERSION", code(u64::from(answer))))
        }
    }

    /// Switches the calling CPU off (CPU_OFF). Returns only if firmware refuses, and then the CPU is still on.
    ///
    /// Of a CPU that is switched off nothing remains: what others wait for it to do is the caller's to settle before. Its
    /// dirty cache lines are firmware's to clean.
    pub fn cpu_off(&self) -> CallError {
        match self.functions.cpu_off {
            Some(cpu_off) => refused("CPU_OFF", code(self.firmware.call(cpu_off, [0; 3]))),
            None => no_function("CPU_OFF"),
        }
    }

    /// Whether a trusted OS that cannot be moved lives on `cpu` (Linux's `psci_tos_resident_on`). Firmware that does not know
    /// the question has none.
    fn trusted_os_lives_on(&self, cpu: &Cpu) -> bool {
        const UNIPROCESSOR: [i64; 2] = [0, 1];
        self.functions.version.is_some()
            && UNIPROCESSOR.contains(&code(self.firmware.call(PSCI_MIGRATE_INFO_TYPE, [0; 3])))
            && self.firmware.call(PSCI_MIGRATE_INFO_UP_CPU_64, [0; 3]) == cpu.hw_id.0
    }
}

/// The version of PSCI that firmware implements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// 1 of version 1.0.
    pub major: u16,
    /// 0 of version 1.0.
    pub minor: u16,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// There is nothing to call: firmware of version 0.1 whose node has no id for the function.
const fn no_function(call: &'static str) -> CallError {
    CallError { call, code: -1, meaning: "the devicetree gives it no function id" }
}

impl<F: Firmware + Sync> EnableMethod for Psci<F> {
    fn name(&self) -> &'static str {
        "psci"
    }

    fn cpu_prepare(&self, _cpu: &Cpu) -> Result<(), CallError> {
        self.functions.cpu_on.map(|_| ()).ok_or(no_function("CPU_ON"))
    }

    /// CPU_ON. The 64-bit context id arrives in X0 of the new CPU.
    fn cpu_boot(&self, cpu: &Cpu, context: ContextId) -> Result<(), CallError> {
        let cpu_on = self.functions.cpu_on.ok_or(no_function("CPU_ON"))?;
        match code(self.firmware.call(cpu_on, [cpu.hw_id.0, self.entry_point, u64::from(context.to_raw())])) {
            0 => Ok(()),
            code => Err(refused("CPU_ON", code)),
        }
    }

    /// Refuses where there is no CPU_OFF, and the CPU of a trusted OS, which must stay on (DEN0022, 5.9 and 5.10).
    fn cpu_can_disable(&self, cpu: &Cpu) -> Result<(), CallError> {
        if self.functions.cpu_off.is_none() {
            return Err(no_function("CPU_OFF"));
        }
        if self.trusted_os_lives_on(cpu) {
            return Err(CallError { call: "MIGRATE_INFO_UP_CPU", code: 0, meaning: "a trusted OS lives on it" });
        }
        Ok(())
    }

    /// CPU_OFF.
    fn cpu_die(&self, _cpu: &Cpu) -> i64 {
        self.cpu_off().code
    }

    fn die_error(&self, code: i64) -> CallError {
        refused("CPU_OFF", code)
    }

    /// AFFINITY_INFO at level 0; firmware of version 0.1 has no such call.
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

/// Switches the machine off (SYSTEM_OFF). Returns only where firmware has no such call.
pub fn system_off(firmware: &impl Firmware) -> CallError {
    refused("SYSTEM_OFF", code(firmware.call(PSCI_SYSTEM_OFF, [0; 3])))
}

/// Restarts the machine (SYSTEM_RESET). Returns only where firmware has no such call.
pub fn system_reset(firmware: &impl Firmware) -> CallError {
    refused("SYSTEM_RESET", code(firmware.call(PSCI_SYSTEM_RESET, [0; 3])))
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

    const V0_1: Functions =
        Functions { version: None, cpu_off: Some(0x95c1_ba5f), cpu_on: Some(0x95c1_ba60), affinity_info: None };

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
        let psci = Psci::with_firmware(&fake, V0_1, 0x4020_0000);
        psci.cpu_prepare(&cpu()).unwrap();
        psci.cpu_boot(&cpu(), context()).unwrap();
        assert_eq!(psci.affinity_info(&cpu()), FirmwareState::Unknown);
        assert_eq!(psci.version(), Ok(Version { major: 0, minor: 1 }));
        psci.cpu_off();
        let on = (0x95c1_ba60, [0x1_0000_0203, 0x4020_0000, u64::from(context().to_raw())]);
        assert_eq!(*fake.calls.lock().unwrap(), [on, (0x95c1_ba5f, [0; 3])]);
    }

    #[test]
    fn row_19_a_cpu_that_is_on_already_is_an_invalid_parameter_to_version_0_1() {
        let fake = answers(-2_i64 as u64);
        let error = Psci::with_firmware(&fake, V0_1, 0).cpu_boot(&cpu(), context()).unwrap_err();
        assert_eq!(error, CallError { call: "CPU_ON", code: -2, meaning: "INVALID_PARAMETERS" });
    }

    #[test]
    fn row_1_a_version_has_its_major_in_the_upper_half() {
        let version = |x0| Psci::with_firmware(&answers(x0), Functions::V0_2, 0).version();
        assert_eq!(version(0x1_0001), Ok(Version { major: 1, minor: 1 }));
        assert_eq!(version(0x2), Ok(Version { major: 0, minor: 2 }));
        assert_eq!(version(0x7fff_ffff), Ok(Version { major: 0x7fff, minor: 0xffff }));
        assert_eq!(version(0xdead_beef_0001_0000), Ok(Version { major: 1, minor: 0 }), "a 32-bit call answers in W0");
        for not_supported in [u64::MAX, 0xffff_ffff] {
            assert_eq!(version(not_supported), Err(refused("PSCI_VERSION", -1)));
        }
        assert_eq!(std::format!("{}", version(0x1_0002).unwrap()), "1.2");
    }

    #[test]
    fn row_25_cpu_off_returns_only_to_say_why_the_cpu_is_still_on() {
        let fake = answers(u64::from(-3_i32 as u32));
        assert_eq!(Psci::with_firmware(&fake, Functions::V0_2, 0).cpu_off(), refused("CPU_OFF", -3));
        assert_eq!(fake.calls.lock().unwrap().len(), 1);
    }

    /// Has a trusted OS of this type on the CPU with the id 0x100.
    struct Resident(u64);

    impl Firmware for Resident {
        fn call(&self, function: u32, _: [u64; 3]) -> u64 {
            match function {
                PSCI_MIGRATE_INFO_TYPE => self.0,
                PSCI_MIGRATE_INFO_UP_CPU_64 => 0x100,
                _ => unreachable!("{function:#x} was called"),
            }
        }
    }

    #[test]
    fn row_35_the_cpu_of_a_trusted_os_stays_on() {
        let refuses = |answer, hw_id| {
            let psci = Psci::with_firmware(Resident(answer), Functions::V0_2, 0);
            psci.cpu_can_disable(&Cpu { hw_id: HwId(hw_id), ..cpu() }).is_err()
        };
        for unmovable in [0, 1] {
            assert!(refuses(unmovable, 0x100));
            assert!(!refuses(unmovable, 0x101));
        }
        for none in [2, u64::MAX, 0xffff_ffff] {
            assert!(!refuses(none, 0x100));
        }
        let psci = Psci::with_firmware(Resident(0), Functions { cpu_off: None, ..V0_1 }, 0);
        assert_eq!(psci.cpu_can_disable(&cpu()), Err(no_function("CPU_OFF")));
    }

    #[test]
    fn row_25_a_refused_cpu_off_keeps_its_code_and_gets_its_name() {
        for answer in [-3_i64, -1, -77] {
            let fake = answers(answer as u64);
            let psci = Psci::with_firmware(&fake, Functions::V0_2, 0);
            let code = psci.cpu_die(&cpu());
            assert_eq!(psci.die_error(code), refused("CPU_OFF", answer));
        }
    }

    #[test]
    fn without_a_function_id_no_call_is_made() {
        let fake = answers(0);
        let psci = Psci::with_firmware(&fake, Functions { cpu_on: None, cpu_off: None, ..V0_1 }, 0);
        assert_eq!(psci.cpu_prepare(&cpu()), Err(no_function("CPU_ON")));
        assert_eq!(psci.cpu_boot(&cpu(), context()), Err(no_function("CPU_ON")));
        assert_eq!(psci.cpu_off(), no_function("CPU_OFF"));
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
    fn row_2_what_exists_as_a_32_bit_call_only_is_called_as_one() {
        let fake = answers(u64::MAX);
        let psci = Psci::with_firmware(&fake, Functions::V0_2, 0);
        assert!(psci.version().is_err());
        assert_eq!(psci.cpu_off(), refused("CPU_OFF", -1));
        assert_eq!(system_off(&&fake), refused("SYSTEM_OFF", -1));
        assert_eq!(system_reset(&&fake), refused("SYSTEM_RESET", -1));
        let ids = [0x8400_0000, 0x8400_0002, 0x8400_0008, 0x8400_0009];
        assert_eq!(*fake.calls.lock().unwrap(), ids.map(|id| (id, [0; 3])));
    }
}

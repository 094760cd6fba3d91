//! The server: takes calls, and answers them or refuses.

mod power;

use arm_psci::{AffinityInfo, ErrorCode, FunctionId, MigrateInfoType, Mpidr, PowerState};

use crate::cpu::{Cpu, CpuState, Entry, Resumed};
use crate::platform::Platform;
use crate::policy::Version;
use crate::sync::const_unless_loom;

const SMCCC_VERSION: u32 = 0x8000_0000;
const SMCCC_ARCH_FEATURES: u32 = 0x8000_0001;

/// How often AFFINITY_INFO looks at several CPUs again because they changed meanwhile.
const LOOKS: usize = 8;

/// What becomes of a call and of the CPU that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Answer {
    /// The call returns with this X0.
    Return(u64),
    /// The calling CPU is off to others, from now on. It does nothing more but sleep and ask [`Server::enter`].
    Off,
    /// The calling CPU sleeps in this state. When it wakes up, it asks [`Server::resume`].
    Suspended(PowerState),
    /// The system is to be switched off. The call never returns.
    SystemOff,
    /// The system is to be reset. The call never returns.
    SystemReset,
}

impl From<ErrorCode> for Answer {
    fn from(code: ErrorCode) -> Self {
        Self::Return(code.into())
    }
}

/// The CPUs of a machine, or of a virtual machine, and what is answered to them.
pub struct Server<P, const CPUS: usize> {
    platform: P,
    cpus: [Cpu; CPUS],
}

/// The function's arguments, truncated to 32 bits if it is a 32-bit call.
struct Arguments {
    wide: bool,
    x1: u64,
    x2: u64,
    x3: u64,
}

impl Arguments {
    fn new(function: FunctionId, [x1, x2, x3]: [u64; 3]) -> Self {
        const WIDE: u32 = 1 << 30;
        let wide = u32::from(function) & WIDE != 0;
        let [x1, x2, x3] = [x1, x2, x3].map(|x| if wide { x } else { u64::from(x as u32) });
        Self { wide, x1, x2, x3 }
    }

    /// What the last two say.
    const fn entry(&self) -> Entry {
        Entry { address: self.x2, context_id: self.x3 }
    }
}

impl<P: Platform, const CPUS: usize> Server<P, CPUS> {
    const_unless_loom! {
        /// A server whose CPUs are all off. Of the platform's CPUs it keeps the first `CPUS`; the others do not exist.
        #[must_use]
        pub fn new(platform: P) -> Self {
            #[cfg(not(loom))]
            let cpus = [const { Cpu::new() }; CPUS];
            #[cfg(loom)]
            let cpus = core::array::from_fn(|_| Cpu::new());
            Self { platform, cpus }
        }
    }

    /// The platform.
    pub const fn platform(&self) -> &P {
        &self.platform
    }

    /// A CPU that runs already, without CPU_ON: the machine started with it. Whether it was off to the server.
    pub fn boot(&self, cpu: usize) -> bool {
        self.cpu(cpu).is_some_and(Cpu::boot)
    }

    /// What state a CPU is in; `None` where there is no such CPU.
    #[must_use]
    pub fn state(&self, cpu: usize) -> Option<CpuState> {
        self.cpu(cpu).map(|cpu| cpu.word().cpu_state())
    }

    /// On a CPU that came up, or woke up in its sleep: what it is to enter with. To each CPU_ON that succeeded it is told once; if
    /// there was none, the CPU goes back to sleep.
    #[must_use]
    pub fn enter(&self, cpu: usize) -> Option<Entry> {
        self.cpu(cpu)?.take()
    }

    /// On a CPU that was suspended and woke up: how it goes on. `None` where it was not suspended.
    #[must_use]
    pub fn resume(&self, cpu: usize) -> Option<Resumed> {
        self.cpu(cpu)?.resume()
    }

    /// Answers a call that `caller` made with these X0 to X3. A call that is refused changes nothing.
    pub fn handle(&self, caller: usize, [x0, x1, x2, x3]: [u64; 4]) -> Answer {
        let id = x0 as u32;
        let policy = self.platform.policy();
        let Some((function, version)) = policy.function(id) else {
            return self.calling_convention(id, x1 as u32);
        };
        let arguments = Arguments::new(function, [x1, x2, x3]);
        let answer = match function {
            FunctionId::PsciVersion => Ok(Answer::Return(policy.version.to_raw().into())),
            FunctionId::PsciFeatures => self.features(arguments.x1 as u32),
            FunctionId::MigrateInfoType => Ok(Answer::Return(u32::from(MigrateInfoType::MigrationNotRequired).into())),
            FunctionId::SystemOff => Ok(Answer::SystemOff),
            FunctionId::SystemReset => Ok(Answer::SystemReset),
            FunctionId::CpuOn32 | FunctionId::CpuOn64 => self.cpu_on(&arguments),
            FunctionId::CpuOff => self.cpu_off(caller),
            FunctionId::CpuSuspend32 | FunctionId::CpuSuspend64 => self.cpu_suspend(caller, &arguments),
            FunctionId::AffinityInfo32 | FunctionId::AffinityInfo64 => self.affinity_info(&arguments),
            _ => Err(ErrorCode::NotSupported),
        };
        answer.unwrap_or_else(|code| code_of(version, code).into())
    }

    /// SMCCC's own functions, and all that is none.
    fn calling_convention(&self, id: u32, argument: u32) -> Answer {
        match (self.platform.policy().discoverable_smccc(), id, argument) {
            (Some(smccc), SMCCC_VERSION, _) => Answer::Return(u64::from(smccc.major) << 16 | u64::from(smccc.minor)),
            (Some(_), SMCCC_ARCH_FEATURES, SMCCC_VERSION | SMCCC_ARCH_FEATURES) => Answer::Return(0),
            (Some(_), SMCCC_ARCH_FEATURES, function) => match self.platform.architecture_feature(function) {
                Some(feature) => Answer::Return(feature.into()),
                None => ErrorCode::NotSupported.into(),
            },
            _ => ErrorCode::NotSupported.into(),
        }
    }

    fn features(&self, id: u32) -> Result<Answer, ErrorCode> {
        let policy = self.platform.policy();
        let flags = match id {
            SMCCC_VERSION => policy.discoverable_smccc().map(|_| 0),
            id => FunctionId::try_from(id).ok().and_then(|function| policy.feature(function)),
        };
        flags.map(|flags| Answer::Return(flags.into())).ok_or(ErrorCode::NotSupported)
    }

    fn affinity_info(&self, arguments: &Arguments) -> Result<Answer, ErrorCode> {
        let highest_level = if arguments.wide { 3 } else { 2 };
        let level = arguments.x2 as u32;
        let id = affinity(arguments.x1)?;
        if level > highest_level {
            return Err(ErrorCode::InvalidParameters);
        }
        let state = if level == 0 {
            self.find(id).map(|cpu| self.cpus[cpu].word().cpu_state())
        } else {
            self.state_of_all(id, level)
        };
        let info = match state.ok_or(ErrorCode::InvalidParameters)? {
            CpuState::Off => AffinityInfo::Off,
            CpuState::OnPending => AffinityInfo::OnPending,
            CpuState::On | CpuState::Suspended => AffinityInfo::On,
        };
        Ok(Answer::Return(u32::from(info).into()))
    }

    /// The state of an affinity instance above level 0: on if any CPU of it is, else on its way if any is. `None` where it has none.
    ///
    /// The CPUs cannot be looked at in one moment: one may hand over to another that was seen off already. So it takes two looks
    /// between which no word changed, and where CPUs come and go all the time the instance is on.
    fn state_of_all(&self, id: u64, level: u32) -> Option<CpuState> {
        // The fourth field is 8 bits above the third, but those are zero in all ids.
        let fields = u64::MAX << (8 * level);
        let mut before = None;
        for _ in 0..LOOKS {
            let mut sum = 0_u32;
            let mut state = None;
            for (own, cpu) in self.ids().iter().zip(&self.cpus) {
                if own & fields != id & fields {
                    continue;
                }
                let word = cpu.word();
                sum = sum.wrapping_add(word.0);
                state = match (word.cpu_state(), state) {
                    (CpuState::On | CpuState::Suspended, _) => return Some(CpuState::On),
                    (CpuState::OnPending, _) => Some(CpuState::OnPending),
                    (CpuState::Off, state) => state.or(Some(CpuState::Off)),
                };
            }
            if before == Some(sum) || state.is_none() {
                return state;
            }
            before = Some(sum);
        }
        Some(CpuState::On)
    }

    /// The CPU that a call with these X0 to X3 is about, if it is CPU_ON, or AFFINITY_INFO of a CPU, and the CPU exists.
    #[must_use]
    pub fn target(&self, [x0, x1, x2, x3]: [u64; 4]) -> Option<usize> {
        let (function, _) = self.platform.policy().function(x0 as u32)?;
        let arguments = Arguments::new(function, [x1, x2, x3]);
        let level = match function {
            FunctionId::CpuOn32 | FunctionId::CpuOn64 => 0,
            FunctionId::AffinityInfo32 | FunctionId::AffinityInfo64 => arguments.x2 as u32,
            _ => return None,
        };
        affinity(arguments.x1).ok().filter(|_| level == 0).and_then(|id| self.find(id))
    }

    fn ids(&self) -> &[u64] {
        let ids = self.platform.cpu_ids();
        &ids[..ids.len().min(CPUS)]
    }

    fn cpu(&self, cpu: usize) -> Option<&Cpu> {
        self.cpus.get(cpu).filter(|_| cpu < self.ids().len())
    }

    /// The number of a CPU. Where the ids are in no order, a binary search finds nothing or what it looks for.
    fn find(&self, id: u64) -> Option<usize> {
        let ids = self.ids();
        ids.binary_search(&id).ok().or_else(|| ids.iter().position(|own| *own == id))
    }
}

/// The affinity fields that a caller passes. Other bits must be zero.
fn affinity(argument: u64) -> Result<u64, ErrorCode> {
    Mpidr::try_from(argument).map(u64::from).map_err(|_| ErrorCode::InvalidParameters)
}

/// The code that a version has for what is wrong: older ones know fewer.
const fn code_of(version: Version, code: ErrorCode) -> ErrorCode {
    match (version, code) {
        (Version::V0_1, ErrorCode::AlreadyOn | ErrorCode::OnPending | ErrorCode::InvalidAddress)
        | (Version::V0_2, ErrorCode::InvalidAddress) => ErrorCode::InvalidParameters,
        (Version::V0_1, ErrorCode::InternalFailure) => ErrorCode::Denied,
        (_, code) => code,
    }
}

//! What a provider offers: which version of PSCI, with which of what the specification leaves open.

use arm_psci::{FeatureFlagsCpuSuspend, FunctionId, PowerState, Version as SmcccVersion};

/// The version of PSCI that callers are told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// 0.1: no standard function ids, and none but [`LegacyIds`].
    V0_1,
    /// 0.2.
    V0_2,
    /// 1.0: 0.2 with PSCI_FEATURES and INVALID_ADDRESS.
    V1_0,
    /// 1.1.
    V1_1,
}

impl Version {
    pub(crate) const fn to_raw(self) -> u32 {
        match self {
            Self::V0_1 => 1,
            Self::V0_2 => 2,
            Self::V1_0 => 0x1_0000,
            Self::V1_1 => 0x1_0001,
        }
    }
}

/// The function ids of PSCI 0.1, which a provider chooses and names in the devicetree.
///
/// Calls of them are 64-bit calls, and have the return codes of version 0.1. Standard ids go before them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LegacyIds {
    /// CPU_SUSPEND.
    pub cpu_suspend: Option<u32>,
    /// CPU_OFF.
    pub cpu_off: Option<u32>,
    /// CPU_ON.
    pub cpu_on: Option<u32>,
}

impl LegacyIds {
    /// None.
    pub const NONE: Self = Self { cpu_suspend: None, cpu_off: None, cpu_on: None };

    const fn function(&self, id: u32) -> Option<FunctionId> {
        match (self.cpu_suspend, self.cpu_off, self.cpu_on) {
            (Some(own), _, _) if own == id => Some(FunctionId::CpuSuspend64),
            (_, Some(own), _) if own == id => Some(FunctionId::CpuOff),
            (_, _, Some(own)) if own == id => Some(FunctionId::CpuOn64),
            _ => None,
        }
    }
}

/// How the `power_state` of CPU_SUSPEND is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PowerStateFormat {
    /// Power level in bits 25:24, power-down in bit 16, state id in bits 15:0.
    Original,
    /// Power-down in bit 30, state id in bits 27:0. From version 1.0 on.
    Extended,
}

impl PowerStateFormat {
    /// The state, or `None` where bits are set that must not be.
    pub(crate) fn parse(self, power_state: u32) -> Option<PowerState> {
        const POWER_DOWN: u32 = 1 << 16;
        const ZERO: u32 = 0xfcfe_0000;
        match self {
            Self::Extended => PowerState::try_from(power_state).ok(),
            Self::Original if power_state & ZERO != 0 => None,
            Self::Original if power_state & POWER_DOWN != 0 => Some(PowerState::PowerDown(power_state & !POWER_DOWN)),
            Self::Original => Some(PowerState::StandbyOrRetention(power_state)),
        }
    }
}

/// What is offered to callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The version of PSCI.
    pub version: Version,
    /// Function ids of PSCI 0.1, alone or beside the standard ones.
    pub legacy_ids: LegacyIds,
    /// The version of the calling convention. From 1.1 on, which takes a provider that preserves X4 to X17, callers can ask for it.
    pub smccc: Option<SmcccVersion>,
    /// The layout of `power_state`.
    pub power_state_format: PowerStateFormat,
    /// Whether MIGRATE_INFO_TYPE exists, and says that there is no trusted OS. Without it callers take the same from NOT_SUPPORTED.
    pub migrate_info_type: bool,
}

impl Policy {
    /// Version 1.1 over SMCCC 1.1.
    pub const V1_1: Self = Self {
        version: Version::V1_1,
        legacy_ids: LegacyIds::NONE,
        smccc: Some(SmcccVersion { major: 1, minor: 1 }),
        power_state_format: PowerStateFormat::Original,
        migrate_info_type: true,
    };

    /// Version 1.0 over SMCCC 1.0.
    pub const V1_0: Self = Self { version: Version::V1_0, smccc: None, ..Self::V1_1 };

    /// Version 0.2 over SMCCC 1.0.
    pub const V0_2: Self = Self { version: Version::V0_2, ..Self::V1_0 };

    /// Version 0.1 with these ids.
    #[must_use]
    pub const fn v0_1(legacy_ids: LegacyIds) -> Self {
        Self { version: Version::V0_1, legacy_ids, ..Self::V0_2 }
    }

    /// The version of the calling convention, where callers can ask for it.
    pub(crate) fn discoverable_smccc(&self) -> Option<SmcccVersion> {
        self.smccc.filter(|version| (version.major, version.minor) >= (1, 1))
    }

    /// The function that a caller means, and the version whose return codes it knows.
    pub(crate) fn function(&self, id: u32) -> Option<(FunctionId, Version)> {
        let standard = FunctionId::try_from(id).ok().filter(|function| self.feature(*function).is_some());
        let standard = standard.map(|function| (function, self.version));
        standard.or_else(|| Some((self.legacy_ids.function(id)?, Version::V0_1)))
    }

    /// The feature flags of a function with a standard id, or `None` where there is no such function.
    pub(crate) fn feature(&self, function: FunctionId) -> Option<u32> {
        use FunctionId as F;
        let exists = match function {
            F::PsciVersion | F::CpuOff | F::SystemOff | F::SystemReset => true,
            F::CpuOn32 | F::CpuOn64 | F::CpuSuspend32 | F::CpuSuspend64 => true,
            F::AffinityInfo32 | F::AffinityInfo64 => true,
            F::MigrateInfoType => self.migrate_info_type,
            F::PsciFeatures => self.version >= Version::V1_0,
            _ => false,
        };
        let flags = match (function, self.power_state_format) {
            (F::CpuSuspend32 | F::CpuSuspend64, PowerStateFormat::Extended) => {
                FeatureFlagsCpuSuspend::EXTENDED_POWER_STATE.bits()
            }
            _ => 0,
        };
        (exists && self.version >= Version::V0_2).then_some(flags)
    }
}

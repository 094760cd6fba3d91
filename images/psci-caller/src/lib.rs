//! What images pass that try a PSCI provider, and what they get. The numbers are written down from the specification (DEN 0022) once more, and
//! not taken from the provider: whoever judges it must not share its mistakes.

#![no_std]
#![forbid(unsafe_code)]

mod junk;

pub use junk::Junk;

/// Function ids, of the SMC64 convention where there is one.
pub mod id {
    /// PSCI_VERSION.
    pub const VERSION: u64 = 0x8400_0000;
    /// CPU_SUSPEND.
    pub const CPU_SUSPEND: u64 = 0xc400_0001;
    /// CPU_OFF.
    pub const CPU_OFF: u64 = 0x8400_0002;
    /// CPU_ON.
    pub const CPU_ON: u64 = 0xc400_0003;
    /// AFFINITY_INFO of the SMC32 convention.
    pub const AFFINITY_INFO_32: u64 = 0x8400_0004;
    /// AFFINITY_INFO.
    pub const AFFINITY_INFO: u64 = 0xc400_0004;
    /// MIGRATE.
    pub const MIGRATE: u64 = 0xc400_0005;
    /// MIGRATE_INFO_TYPE.
    pub const MIGRATE_INFO_TYPE: u64 = 0x8400_0006;
    /// SYSTEM_OFF.
    pub const SYSTEM_OFF: u64 = 0x8400_0008;
    /// SYSTEM_RESET.
    pub const SYSTEM_RESET: u64 = 0x8400_0009;
    /// PSCI_FEATURES.
    pub const FEATURES: u64 = 0x8400_000a;
    /// SMCCC_VERSION (DEN 0028).
    pub const SMCCC_VERSION: u64 = 0x8000_0000;
}

/// Return codes, and what AFFINITY_INFO says.
pub mod code {
    /// SUCCESS.
    pub const SUCCESS: i64 = 0;
    /// NOT_SUPPORTED.
    pub const NOT_SUPPORTED: i64 = -1;
    /// INVALID_PARAMETERS.
    pub const INVALID_PARAMETERS: i64 = -2;
    /// ALREADY_ON.
    pub const ALREADY_ON: i64 = -4;
    /// ON_PENDING.
    pub const ON_PENDING: i64 = -5;
    /// INVALID_ADDRESS.
    pub const INVALID_ADDRESS: i64 = -9;
    /// AFFINITY_INFO: the CPU is on.
    pub const ON: i64 = 0;
    /// AFFINITY_INFO: the CPU is off.
    pub const OFF: i64 = 1;
}

//! Where a boot loader of ours finds what it is to start.

use std::fmt;

/// Where QEMU puts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum PayloadPlace {
    /// As files of its fw_cfg.
    #[default]
    FwCfg,
    /// In memory, as one archive: the loader's initrd.
    Memory,
}

impl fmt::Display for PayloadPlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::FwCfg => "fw-cfg",
            Self::Memory => "memory",
        })
    }
}

//! How firmware of ours has the CPUs of the stage below it started.

use std::fmt;

/// What the devicetree calls it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum EnableMethod {
    /// By calls of PSCI.
    #[default]
    Psci,
    /// By words in memory, which the CPUs watch.
    SpinTable,
}

impl EnableMethod {
    /// Whether CPUs wait in pens.
    #[must_use]
    pub fn has_pens(self) -> bool {
        self == Self::SpinTable
    }
}

impl fmt::Display for EnableMethod {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Psci => "psci",
            Self::SpinTable => "spin-table",
        })
    }
}

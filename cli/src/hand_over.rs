//! How a boot loader of ours hands its CPUs over.

use std::fmt;

/// Where the next stage finds them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum HandOver {
    /// Switched off by firmware.
    Off,
    /// In a pen, each waiting for a word.
    SpinTable,
}

impl fmt::Display for HandOver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Off => "off",
            Self::SpinTable => "spin-table",
        })
    }
}

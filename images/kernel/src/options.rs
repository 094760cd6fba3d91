//! What the command line asks of this kernel, beside Linux's own options for CPUs.

use reveille_runtime::plan::{Wishes, value};

use crate::soak;

/// The options of a boot. An architecture may have more.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What all images take that bring CPUs up.
    pub bring_up: Wishes,
    /// `reveille.soak=N` and `reveille.seed=S`: CPUs are taken down and brought back N times, by choices that begin with S.
    pub soak: Option<soak::Options>,
    /// `reveille.console=1`: commands are taken from the console before the run ends.
    pub console: bool,
    /// `reveille.spin=1`: in the end every CPU spins for ever, for a hypervisor that shares out its time.
    pub spin: bool,
}

impl Options {
    /// Reads them. Words that are none of these, and values that cannot be read, are passed over.
    pub fn from_command_line(line: &str) -> Self {
        let value = |name| value(line, name);
        Self {
            bring_up: Wishes::from_command_line(line),
            soak: value("reveille.soak=").and_then(|cycles| cycles.parse().ok()).map(|cycles| soak::Options {
                cycles,
                seed: value("reveille.seed=").and_then(|seed| seed.parse().ok()).unwrap_or(1),
            }),
            console: value("reveille.console=") == Some("1"),
            spin: value("reveille.spin=") == Some("1"),
        }
    }
}

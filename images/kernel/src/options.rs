//! What the command line asks of this kernel, beside Linux's own options for CPUs.

use core::time::Duration;

use reveille::{Policy, SmpOptions, Timeout};

use crate::soak;

/// What the last word of `line` says that begins with `name`.
pub fn value<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split_ascii_whitespace().filter_map(|word| word.strip_prefix(name)).next_back()
}

/// The options of a boot. An architecture may have more.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// `nosmp`, `maxcpus=N`, `nr_cpus=N`.
    pub smp: SmpOptions,
    /// `reveille.policy=parallel|serial|K`: how many CPUs may be on their way at once.
    pub policy: Policy,
    /// `reveille.timeout_ms=N`: how long to wait for CPUs, from the last kick.
    pub timeout: Timeout,
    /// `reveille.soak=N` and `reveille.seed=S`: CPUs are taken down and brought back N times, by choices that begin with S.
    pub soak: Option<soak::Options>,
    /// `reveille.console=1`: commands are taken from the console before the run ends.
    pub console: bool,
}

impl Options {
    /// Reads them. Words that are none of these, and values that cannot be read, are passed over.
    pub fn from_command_line(line: &str) -> Self {
        let value = |name| value(line, name);
        let policy = match value("reveille.policy=") {
            Some("serial") => Policy::SERIAL,
            Some(count) => count.parse().map_or(Policy::PARALLEL, Policy::at_most),
            None => Policy::PARALLEL,
        };
        let timeout = value("reveille.timeout_ms=").and_then(|milliseconds| milliseconds.parse().ok());
        Self {
            smp: SmpOptions::from_command_line(line),
            policy,
            timeout: timeout.map_or(Timeout::DEFAULT, |ms| Timeout::new(Duration::from_millis(ms), Duration::ZERO)),
            soak: value("reveille.soak=").and_then(|cycles| cycles.parse().ok()).map(|cycles| soak::Options {
                cycles,
                seed: value("reveille.seed=").and_then(|seed| seed.parse().ok()).unwrap_or(1),
            }),
            console: value("reveille.console=") == Some("1"),
        }
    }
}

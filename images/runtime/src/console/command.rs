//! What the commands of all consoles share: their words, what is said of those that are wrong, and how long something took.

use alloc::format;
use alloc::string::String;
use core::fmt;
use core::str::SplitAsciiWhitespace;

use reveille::{CpuIndex, CpuMask, Instant};

use crate::clock;
use crate::cpus::topology;

/// The words of a line.
#[derive(Clone, Debug)]
pub struct Words<'a>(SplitAsciiWhitespace<'a>);

impl<'a> Words<'a> {
    /// Those of `line`.
    #[must_use]
    pub fn of(line: &'a str) -> Self {
        Self(line.split_ascii_whitespace())
    }

    /// The next word, which stays.
    #[must_use]
    pub fn peek(&self) -> Option<&'a str> {
        self.0.clone().next()
    }

    /// Complains of a word that nobody has asked for.
    ///
    /// # Errors
    /// The complaint, in a sentence.
    pub fn end(mut self) -> Result<(), String> {
        match self.next() {
            Some(word) => Err(format!("'{word}' is too much; help lists the commands")),
            None => Ok(()),
        }
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        self.0.next()
    }
}

/// What is said of a command that there is not.
#[must_use]
pub fn unknown(command: &str) -> String {
    format!("there is no command '{command}'; help lists them")
}

/// A CPU of this machine, by its index.
///
/// # Errors
/// There is no such CPU, in a sentence.
pub fn cpu(word: &str) -> Result<CpuIndex, String> {
    let index: usize = word.parse().map_err(|_| format!("'{word}' is no number of a CPU"))?;
    let all: CpuMask = topology().cpus().iter().map(|cpu| cpu.index).collect();
    let cpu = CpuIndex::new(index).filter(|&cpu| all.contains(cpu));
    cpu.ok_or_else(|| format!("there is no CPU {index}; there is CPU {all}"))
}

/// A time in nanoseconds, shown in milliseconds with three decimals.
#[derive(Clone, Copy, Debug)]
pub struct Took(pub u64);

impl Took {
    /// What has passed since `start`.
    #[must_use]
    pub fn since(start: Instant) -> Self {
        Self(clock::now().nanos_since(start))
    }
}

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let microseconds = self.0.saturating_add(500) / 1_000;
        write!(f, "{}.{:03} ms", microseconds / 1_000, microseconds % 1_000)
    }
}

//! The rows: what is tried, and what is to come of it. The last ones leave vCPUs behind that do nothing else any more.

mod devices;
mod instructions;
pub mod interrupts;
pub mod machine;
mod memory;
mod psci;
mod storms;
mod system_registers;
mod timer;

use alloc::format;
use alloc::string::String;
use core::time::Duration;

use reveille_psci_caller::Junk;
use reveille_runtime::println;

use crate::attempt::{Attempts, Outcome};
use crate::vcpus::{self, Vcpus, Work};

/// What came of a row: what was seen, or what was seen instead of what should be.
type Verdict = Result<String, String>;
type Row = (&'static str, fn(&mut Attacker) -> Verdict);

/// Who tries.
pub struct Attacker {
    /// The first address behind its memory.
    memory_end: u64,
    vcpus: Vcpus,
    junk: Junk,
    /// How long a flood is.
    flood: Duration,
    attempts: &'static mut Attempts,
}

impl Attacker {
    /// One whose memory ends at `memory_end`.
    pub fn new(memory_end: u64, seed: u64, flood: Duration) -> Self {
        let vcpus = Vcpus::count();
        Self { memory_end, vcpus, junk: Junk::new(seed.max(1)), flood, attempts: vcpus::attempts_of_the_first() }
    }

    /// Has all vCPUs do `work` for so long.
    fn all(&mut self, limit: Duration, work: Work) -> Result<(), &'static str> {
        self.vcpus.all(limit, self.attempts, work)
    }
}

/// Tries all rows, or the one with that name, and tells of each. Whether all hold.
pub fn run(attacker: &mut Attacker, only: Option<&str>) -> bool {
    let rows = [
        memory::ROWS,
        devices::ROWS,
        psci::ROWS,
        instructions::ROWS,
        system_registers::ROWS,
        timer::ROWS,
        interrupts::ROWS,
        storms::ROWS,
    ];
    let wanted = |name: &str| only.is_none_or(|only| only == name);
    let (mut tried, mut held) = (0, 0);
    for (name, row) in rows.into_iter().flatten().filter(|(name, _)| wanted(name)) {
        let verdict = row(attacker);
        tried += 1;
        held += u32::from(verdict.is_ok());
        match verdict {
            Ok(detail) => println!("hostile {name} holds: {detail}"),
            Err(detail) => println!("hostile {name} fails: {detail}"),
        }
    }
    println!("hostile: {held} of {tried} rows hold, with {} vCPUs", attacker.vcpus.count);
    held == tried && tried > 0
}

/// Holds what came of a try against what should.
fn expect(what: &str, outcome: Outcome, right: bool) -> Result<(), String> {
    if right { Ok(()) } else { Err(format!("{what} {outcome}")) }
}

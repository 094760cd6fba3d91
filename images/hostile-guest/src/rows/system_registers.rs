//! System registers: those of higher levels, those that are the machine's, and junk in those that are the guest's.

use alloc::format;
use alloc::string::String;

use super::{Attacker, Row, Verdict, expect};
use crate::attempt::{Outcome, try_translation_junk};

/// The rows of this module.
pub const ROWS: &[Row] = &[
    ("registers_of_el2_and_el3", higher_levels),
    ("id_registers_hide_what_there_is_not", ids),
    ("debug_registers_are_not_the_machines", debug),
    ("performance_monitors_are_not_the_machines", performance),
    ("registers_of_the_machine_are_not_its_own", machines),
    ("registers_take_junk", junk),
    ("system_instructions_take_junk", instructions),
    ("translation_takes_junk", translation),
];

/// A register or system instruction by op0, op1, CRn, CRm, op2.
type Encoding = (u32, u32, u32, u32, u32);

const fn word(read: bool, (op0, op1, crn, crm, op2): Encoding) -> u32 {
    0xd500_0000 | (read as u32) << 21 | op0 << 19 | op1 << 16 | crn << 12 | crm << 8 | op2 << 5
}

fn encodings(op0: u32, op1: u32) -> impl Iterator<Item = Encoding> {
    (0..16 * 16 * 8).map(move |number| (op0, op1, number >> 7, number >> 3 & 0xf, number & 7))
}

impl Attacker {
    fn read(&mut self, encoding: Encoding) -> Outcome {
        self.attempts.execute(&[word(true, encoding)], 0)
    }

    fn write(&mut self, encoding: Encoding, value: u64) -> Outcome {
        self.attempts.execute(&[word(false, encoding)], value)
    }
}

fn name((op0, op1, crn, crm, op2): Encoding) -> String {
    format!("S{op0}_{op1}_C{crn}_C{crm}_{op2}")
}

fn higher_levels(attacker: &mut Attacker) -> Verdict {
    let mut count = 0;
    for encoding in [1, 2, 3].into_iter().flat_map(|op0| (4..8).flat_map(move |op1| encodings(op0, op1))) {
        // What the implementation defines may be anything but the machine's; the rest is undefined at EL1.
        let outcome = attacker.write(encoding, u64::MAX);
        expect(&name(encoding), outcome, outcome.is_undefined())?;
        if encoding.0 != 1 {
            let outcome = attacker.read(encoding);
            expect(&name(encoding), outcome, outcome.is_undefined())?;
        }
        count += 1;
    }
    Ok(format!("{count} encodings: undefined"))
}

fn ids(attacker: &mut Attacker) -> Verdict {
    /// ID_AA64PFR0: EL2, EL3, RAS, SVE. ID_AA64PFR1: MTE, SME. ID_AA64DFR0: trace, PMU, SPE. ID_AA64MMFR1: VHE, LORegions.
    const HIDDEN: [(Encoding, u64); 4] = [
        ((3, 0, 0, 4, 0), 0xf << 8 | 0xf << 12 | 0xf << 28 | 0xf << 32),
        ((3, 0, 0, 4, 1), 0xf << 8 | 0xf << 24),
        ((3, 0, 0, 5, 0), 0xf << 4 | 0xf << 8 | 0xf << 32),
        ((3, 0, 0, 7, 1), 0xf << 8 | 0xf << 16),
    ];
    for (encoding, hidden) in HIDDEN {
        let outcome = attacker.read(encoding);
        expect(&name(encoding), outcome, matches!(outcome, Outcome::Returned(value) if value & hidden == 0))?;
    }
    Ok("their fields are 0".into())
}

/// Expects that nothing is kept in these registers, or that they are not there. How many they are.
fn keep_nothing(attacker: &mut Attacker, encodings: impl Iterator<Item = Encoding>) -> Result<usize, String> {
    let mut count = 0;
    for encoding in encodings {
        let written = attacker.write(encoding, u64::MAX);
        let read = attacker.read(encoding);
        let nothing = |outcome: Outcome| outcome.is_undefined() || matches!(outcome, Outcome::Returned(_));
        let right = nothing(written) && (read.is_undefined() || read == Outcome::Returned(0));
        expect(&name(encoding), read, right)?;
        count += 1;
    }
    Ok(count)
}

fn debug(attacker: &mut Attacker) -> Verdict {
    // DBGBVR, DBGBCR, DBGWVR and DBGWCR of each number, MDSCR, MDCCINT, OSECCR, DBGCLAIM, DBGPRCR, OSDLR.
    let numbered = (0..16).flat_map(|number| (4..8).map(move |op2| (2, 0, 0, number, op2)));
    let others = [(2, 0, 0, 2, 2), (2, 0, 0, 2, 0), (2, 0, 0, 6, 2), (2, 0, 7, 9, 6), (2, 0, 1, 4, 4), (2, 0, 1, 3, 4)];
    let count = keep_nothing(attacker, numbered.chain(others))?;
    Ok(format!("{count} registers keep nothing"))
}

fn performance(attacker: &mut Attacker) -> Verdict {
    let named = (0..8).flat_map(|op2| [(3, 3, 9, 12, op2), (3, 3, 9, 13, op2), (3, 3, 9, 14, op2), (3, 0, 9, 14, op2)]);
    let numbered = (8..16).flat_map(|crm| (0..8).map(move |op2| (3, 3, 14, crm, op2)));
    let count = keep_nothing(attacker, named.chain(numbered))?;
    Ok(format!("{count} registers keep nothing"))
}

/// Those that the hypervisor keeps for no guest: what one wrote another would read.
fn machines(attacker: &mut Attacker) -> Verdict {
    // ACTLR; ERRSELR and the error records; LORSA to LORC; SCXTNUM_EL1 and _EL0; TPIDR2_EL0; the physical timer.
    let encodings = [
        (3, 0, 1, 0, 1),
        (3, 0, 5, 3, 1),
        (3, 0, 5, 4, 1),
        (3, 0, 5, 5, 0),
        (3, 0, 10, 4, 0),
        (3, 0, 10, 4, 3),
        (3, 0, 13, 0, 7),
        (3, 3, 13, 0, 7),
        (3, 3, 13, 0, 5),
        (3, 3, 14, 2, 0),
        (3, 3, 14, 2, 1),
        (3, 3, 14, 2, 2),
    ];
    let count = keep_nothing(attacker, encodings.into_iter())?;
    Ok(format!("{count} registers: undefined, or nothing is kept"))
}

/// Those that this image cannot do without: it would only harm itself. They are tried by other rows.
fn is_needed(encoding: Encoding) -> bool {
    const SCTLR: Encoding = (3, 0, 1, 0, 0);
    const TTBR0: Encoding = (3, 0, 2, 0, 0);
    const TCR: Encoding = (3, 0, 2, 0, 2);
    const MAIR: Encoding = (3, 0, 10, 2, 0);
    const VBAR: Encoding = (3, 0, 12, 0, 0);
    const TPIDR: Encoding = (3, 0, 13, 0, 4);
    const TPIDRRO_EL0: Encoding = (3, 3, 13, 0, 3);
    [SCTLR, TTBR0, TCR, MAIR, VBAR, TPIDR, TPIDRRO_EL0].contains(&encoding)
}

fn junk(attacker: &mut Attacker) -> Verdict {
    let mut count = 0;
    for encoding in [2, 3].into_iter().flat_map(|op0| (0..4).flat_map(move |op1| encodings(op0, op1))) {
        let _ = attacker.read(encoding);
        if !is_needed(encoding) {
            let value = attacker.junk.argument();
            let _ = attacker.write(encoding, value);
        }
        count += 1;
    }
    // What would disturb the rows that follow: the timer, and what EL0 may do.
    for (encoding, value) in [((3, 3, 14, 3, 1), 0), ((3, 0, 14, 1, 0), 0), ((3, 0, 1, 0, 2), 0)] {
        let _ = attacker.write(encoding, value);
    }
    Ok(format!("{count} encodings: taken, or exceptions of EL1"))
}

/// Cache and TLB maintenance, translations, predictions: with addresses that are junk.
fn instructions(attacker: &mut Attacker) -> Verdict {
    let mut count = 0;
    for encoding in (0..4).flat_map(|op1| encodings(1, op1)) {
        // DC ZVA and its like would write where the address says.
        let own = attacker.memory_end - 0x1000;
        let writes = encoding.2 == 7 && encoding.3 == 4;
        let address = if writes { own } else { attacker.junk.argument() };
        let _ = attacker.write(encoding, address);
        let _ = attacker.read(encoding);
        count += 1;
    }
    Ok(format!("{count} encodings: taken, or exceptions of EL1"))
}

fn translation(attacker: &mut Attacker) -> Verdict {
    const TRIES: usize = 400;
    for _ in 0..TRIES {
        let (tables, control) = (attacker.junk.number(), attacker.junk.number());
        let _ = attacker.attempts.call_without_mmu(try_translation_junk, tables, control);
    }
    Ok(format!("{TRIES} times: taken, or exceptions of EL1"))
}

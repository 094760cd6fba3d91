//! Memory that is not the guest's: the hypervisor's and other guests', which lie elsewhere in the machine's memory.

use alloc::format;
use alloc::string::String;

use super::{Attacker, Row, Verdict, expect};
use crate::attempt::*;
use crate::tables::RAM;

/// The rows of this module.
pub const ROWS: &[Row] = &[
    ("memory_of_others_is_not_read", |attacker| beyond(attacker, try_ldr, "LDR")),
    ("memory_of_others_is_not_written", |attacker| beyond(attacker, try_str, "STR")),
    ("memory_of_others_is_not_executed", execute),
    ("memory_ends_with_its_last_byte", edge),
    ("memory_beyond_the_guests_addresses", far),
    ("memory_of_others_takes_no_other_access", forms),
    ("tables_of_stage_1_in_memory_of_others", walks),
];

/// Classes of exceptions: data and instruction aborts from the guest's own level.
pub const DATA: u64 = 0x25;
pub const INSTRUCTION: u64 = 0x21;

/// How far the machine's memory is looked through: to where no machine of the tests has any more.
const END: u64 = RAM + (4 << 30);
const STEP: u64 = 2 << 20;

/// Addresses outside the guest's memory, in steps that miss no piece that others could have.
fn others(attacker: &Attacker) -> impl Iterator<Item = u64> + use<> {
    (attacker.memory_end..END).step_by(STEP as usize).map(|address| address + (address >> 9 & 0xff8))
}

fn beyond(attacker: &mut Attacker, code: Code, what: &str) -> Verdict {
    let mut count = 0;
    for address in others(attacker) {
        let outcome = attacker.attempts.call_without_mmu(code, address, 0);
        expect(&format!("{what} of {address:#x}:"), outcome, outcome.is_abort(DATA, address))?;
        count += 1;
    }
    // The same by the guest's own translation, as memory.
    for address in others(attacker).take_while(|address| *address < RAM + (1 << 30)) {
        let outcome = attacker.attempts.call(code, address, 0);
        expect(&format!("{what} of {address:#x}, translated:"), outcome, outcome.is_abort(DATA, address))?;
        count += 1;
    }
    Ok(format!("{count} external aborts"))
}

fn execute(attacker: &mut Attacker) -> Verdict {
    let mut count = 0;
    for address in others(attacker).map(|address| address & !3) {
        let outcome = attacker.attempts.jump(address);
        expect(&format!("a jump to {address:#x}"), outcome, outcome.is_abort(INSTRUCTION, address))?;
        count += 1;
    }
    Ok(format!("{count} external aborts"))
}

fn edge(attacker: &mut Attacker) -> Verdict {
    let end = attacker.memory_end;
    let last = attacker.attempts.call_without_mmu(try_ldr, end - 8, 0);
    expect("the last word", last, matches!(last, Outcome::Returned(_)))?;
    // An access that is half inside is the first page's fault that is not there.
    for (code, inside) in [(try_ldr as Code, 4), (try_str as Code, 1), (try_ldrw as Code, 2), (try_ldp as Code, 8)] {
        let outcome = attacker.attempts.call(code, end - inside, 0);
        expect("an access across the end", outcome, outcome.class() == Some(DATA))?;
    }
    let below = attacker.attempts.call_without_mmu(try_ldr, RAM - 8, 0);
    expect("the word before the first", below, below.is_abort(DATA, RAM - 8))?;
    Ok("the last word is read, and nothing behind it".into())
}

fn far(attacker: &mut Attacker) -> Verdict {
    for shift in [36, 38, 39, 40, 43, 47, 48, 52, 63] {
        for address in [1 << shift, (1_u64 << shift) + (1 << 21), (1 << shift) - 4096] {
            for code in [try_ldr as Code, try_str as Code, try_ldp as Code] {
                let outcome = attacker.attempts.call_without_mmu(code, address, 0);
                expect(&format!("{address:#x}"), outcome, outcome.class() == Some(DATA))?;
            }
            let outcome = attacker.attempts.jump(address);
            expect(&format!("a jump to {address:#x}"), outcome, outcome.class() == Some(INSTRUCTION))?;
        }
    }
    Ok("data and instruction aborts".into())
}

/// Accesses whose syndrome does not say what was to be read or written.
pub const FORMS: &[(&str, Code)] = &[
    ("LDP", try_ldp),
    ("STP", try_stp),
    ("STNP", try_stnp),
    ("LDR with writeback", try_post_index),
    ("LDXR", try_ldxr),
    ("STXR", try_stxr),
    ("LDADD", try_ldadd),
    ("CAS", try_cas),
    ("LDR of a SIMD register", try_simd),
    ("DC ZVA", try_zero),
];

/// Maintenance, prefetches and translations, which may do nothing at all where there is nothing.
pub const HARMLESS: &[(&str, Code)] = &[
    ("DC CVAC and CIVAC", try_clean),
    ("DC IVAC", try_invalidate),
    ("IC IVAU", try_fetch_forget),
    ("PRFM", try_prefetch),
    ("AT S1E1W", try_translate),
];

fn forms(attacker: &mut Attacker) -> Verdict {
    for address in others(attacker).map(|address| address & !0xfff).step_by(16) {
        expect_forms_to_abort(address, |code| attacker.attempts.call_without_mmu(code, address, 0))?;
    }
    Ok(format!("{} forms: aborts; {}: aborts, or nothing", FORMS.len(), HARMLESS.len()))
}

/// Expects that every access of these forms to `address` aborts, and that maintenance aborts or does nothing; `call` tries one there.
pub fn expect_forms_to_abort(address: u64, mut call: impl FnMut(Code) -> Outcome) -> Result<(), String> {
    for &(name, code) in FORMS {
        let outcome = call(code);
        expect(&format!("{name} of {address:#x}"), outcome, outcome.class() == Some(DATA))?;
    }
    for &(name, code) in HARMLESS {
        let outcome = call(code);
        let returned = matches!(outcome, Outcome::Returned(_));
        expect(&format!("{name} of {address:#x}"), outcome, returned || outcome.class() == Some(DATA))?;
    }
    Ok(())
}

fn walks(attacker: &mut Attacker) -> Verdict {
    let devices = super::machine::NOT_ITS_OWN.iter().map(|&(_, address)| address);
    let emulated = [super::machine::DISTRIBUTOR, super::machine::REDISTRIBUTORS, super::machine::UART];
    let elsewhere = [attacker.memory_end, RAM + (1 << 30), RAM - 4096, 1 << 38];
    let mut count = 0;
    for table in devices.chain(emulated).chain(elsewhere).map(|address| address & !0xfff) {
        let outcome = attacker.attempts.call(try_walk, table, 0);
        expect(&format!("a walk through {table:#x}"), outcome, outcome.class() == Some(DATA))?;
        count += 1;
    }
    Ok(format!("{count} aborts of walks"))
}

//! Devices: those of the machine, which the guest has none of, and those that the hypervisor shows it.

use alloc::format;

use super::machine::*;
use super::memory::{DATA, FORMS, HARMLESS, INSTRUCTION, expect_forms_to_abort};
use super::{Attacker, Row, Verdict, expect};
use crate::attempt::*;

/// The rows of this module.
pub const ROWS: &[Row] = &[
    ("devices_of_the_machine_are_not_there", not_its_own),
    ("devices_without_a_syndrome", without_syndrome),
    ("devices_are_not_executed", execute),
    ("devices_in_all_sizes_at_all_offsets", sizes),
    ("devices_take_junk", junk),
];

/// Accesses of 1, 2, 4 and 8 bytes: reads, and writes.
const READS: [Code; 4] = [try_ldrb, try_ldrh, try_ldrw, try_ldr];
const WRITES: [Code; 4] = [try_strb, try_strh, try_strw, try_str];

/// What there is of each emulated device.
fn emulated(attacker: &Attacker) -> [(u64, u64); 3] {
    let redistributors = attacker.vcpus.count as u64 * REDISTRIBUTOR_SIZE;
    [(DISTRIBUTOR, DISTRIBUTOR_SIZE), (REDISTRIBUTORS, redistributors), (UART, 0x1000)]
}

fn not_its_own(attacker: &mut Attacker) -> Verdict {
    let further =
        ("the redistributor behind its last", REDISTRIBUTORS + attacker.vcpus.count as u64 * REDISTRIBUTOR_SIZE);
    for &(name, address) in NOT_ITS_OWN.iter().chain(&[further]) {
        for code in READS.into_iter().chain(WRITES) {
            let outcome = attacker.attempts.call_without_mmu(code, address, 0);
            expect(name, outcome, outcome.is_abort(DATA, address))?;
        }
        let outcome = attacker.attempts.jump(address);
        expect(name, outcome, outcome.is_abort(INSTRUCTION, address))?;
    }
    Ok(format!("{} devices: external aborts", NOT_ITS_OWN.len() + 1))
}

fn without_syndrome(attacker: &mut Attacker) -> Verdict {
    for (start, _) in emulated(attacker) {
        expect_forms_to_abort(start, |code| attacker.attempts.call(code, start, 0))?;
    }
    Ok(format!("{} forms: data aborts; {}: aborts, or nothing", FORMS.len(), HARMLESS.len()))
}

fn execute(attacker: &mut Attacker) -> Verdict {
    for (start, _) in emulated(attacker) {
        let outcome = attacker.attempts.jump(start);
        expect(&format!("a jump to {start:#x}"), outcome, outcome.is_abort(INSTRUCTION, start))?;
    }
    Ok("external aborts".into())
}

/// Reads all of every device in all sizes, aligned or not, and writes zeroes where there are no registers.
fn sizes(attacker: &mut Attacker) -> Verdict {
    let mut count = 0;
    for (start, size) in emulated(attacker) {
        // Registers are dense at the beginning of a frame, and of its last page.
        let offsets =
            (0..size).filter(|offset| offset % 0x1_0000 < 0x140 || offset % 0x1_0000 > 0xffd0 || offset % 0xfd == 0);
        for offset in offsets {
            for code in READS {
                let outcome = attacker.attempts.call_without_mmu(code, start + offset, 0);
                let returned = matches!(outcome, Outcome::Returned(_));
                expect(&format!("{:#x}", start + offset), outcome, returned || outcome.class() == Some(DATA))?;
                count += 1;
            }
        }
    }
    Ok(format!("{count} reads: values, or aborts"))
}

/// Junk into every register but those by which the guest is heard.
fn junk(attacker: &mut Attacker) -> Verdict {
    const WRITTEN: usize = 6_000;
    for _ in 0..WRITTEN {
        let devices = emulated(attacker);
        let (start, size) = devices[attacker.junk.below(3) as usize];
        let offset = match attacker.junk.below(4) {
            0 => attacker.junk.below(size),
            1 => attacker.junk.below(size) & !7,
            // The banks of a bit or a byte for each interrupt.
            _ => (attacker.junk.below(size) & !0xffff) + (attacker.junk.below(0x1000) & !3),
        };
        let offset = if start == UART { 4 + offset % 0xffc } else { offset };
        let code = WRITES[attacker.junk.below(4) as usize];
        let value = attacker.junk.argument();
        let outcome = attacker.attempts.call(code, start + offset, value);
        let returned = matches!(outcome, Outcome::Returned(_));
        expect(&format!("{:#x}", start + offset), outcome, returned || outcome.class() == Some(DATA))?;
    }
    // The UART's loopback would keep from now on what is printed.
    for (offset, value) in [(0x30, 0x301), (0x38, 0), (0x2c, 0x70)] {
        let _ = attacker.attempts.call(try_strw, UART + offset, value);
    }
    Ok(format!("{WRITTEN} writes: taken, or aborts"))
}

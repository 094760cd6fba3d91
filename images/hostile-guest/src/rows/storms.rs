//! All vCPUs at once, at what costs others most. The last rows leave vCPUs behind that never do anything else.

use alloc::format;
use core::arch::asm;
use core::time::Duration;

use reveille_psci_caller::{Junk, code, id};
use reveille_runtime::arch::timer;
use reveille_runtime::{clock, println};

use super::machine::UART;
use super::{Attacker, Row, Verdict};
use crate::attempt::{MMU_OFF, take_exceptions_for_ever, try_strb};
use crate::calls::hvc;
use crate::tables::RAM;
use crate::vcpus;

/// The rows of this module.
pub const ROWS: &[Row] = &[
    ("tlb_and_instruction_cache_flood", maintenance),
    ("vcpus_on_and_off_in_a_storm", on_and_off),
    ("vcpus_that_never_yield", never_yield),
    ("uart_flood", uart),
    ("vcpus_in_exceptions_for_ever", exceptions),
];

/// How long it is waited at most for vCPUs that are left behind to get going.
const MOMENT: Duration = Duration::from_secs(5);

fn maintenance(attacker: &mut Attacker) -> Verdict {
    let limit = attacker.flood;
    attacker.all(limit, |_, _| {
        while !vcpus::is_over() {
            // SAFETY: maintenance has no effect on what memory holds.
            unsafe {
                asm!(
                    "tlbi vmalle1is",
                    "tlbi vaae1is, xzr",
                    "ic ialluis",
                    "tlbi vmalle1",
                    "ic iallu",
                    "dsb sy",
                    "isb",
                    options(nostack)
                );
            }
        }
    })?;
    Ok(format!("{limit:?} on all vCPUs"))
}

fn on_and_off(attacker: &mut Attacker) -> Verdict {
    let end = clock::ticks_after(attacker.flood);
    let mut starts = 0;
    while timer::ticks() < end {
        for index in 1..attacker.vcpus.count {
            attacker.vcpus.wait_off(index)?;
            attacker.vcpus.start(index, |_, _| ())?;
            starts += 1;
            // As it comes, as it runs and as it goes: one answer or another, but never a second vCPU.
            for _ in 0..4 {
                let answer = hvc(id::CPU_ON, [vcpus::id_of(index), 0, 0]);
                if answer != code::INVALID_ADDRESS {
                    return Err(format!("CPU_ON to address 0 answers {answer}"));
                }
            }
        }
    }
    (1..attacker.vcpus.count).try_for_each(|index| attacker.vcpus.wait_off(index))?;
    Ok(format!("{starts} starts"))
}

/// Nothing but branches, with everything masked.
fn never_yield(attacker: &mut Attacker) -> Verdict {
    let limit = 2 * attacker.flood;
    attacker.all(limit, |_, _| {
        let masked = reveille_runtime::arch::interrupts::mask();
        while !vcpus::is_over() {}
        drop(masked);
    })?;
    Ok(format!("{limit:?} on all vCPUs"))
}

fn uart(attacker: &mut Attacker) -> Verdict {
    let limit = attacker.flood;
    attacker.all(limit, |index, attempts| {
        let mut junk = Junk::new(index as u64 + 33);
        while !vcpus::is_over() {
            let byte = match junk.below(64) {
                0 => b'\n',
                1 => b'\r',
                _ => b' ' + junk.below(95) as u8,
            };
            let _ = attempts.call(try_strb, UART, byte.into());
        }
    })?;
    println!();
    Ok(format!("{limit:?} from all vCPUs"))
}

/// Two vCPUs whose exceptions lead nowhere: one with vectors in memory of others, one whose tables are there too.
fn exceptions(attacker: &mut Attacker) -> Verdict {
    const NOWHERE: u64 = RAM + (1 << 30);
    let last = attacker.vcpus.count - 1;
    if last < 2 {
        return Err("this takes three vCPUs".into());
    }
    // SAFETY: of no use for anything afterwards, which the vCPU is not put to.
    attacker.vcpus.start(last, |_, _| unsafe {
        take_exceptions_for_ever(NOWHERE, MMU_OFF);
    })?;
    // SAFETY: as above.
    attacker.vcpus.start(last - 1, |_, _| unsafe {
        take_exceptions_for_ever(NOWHERE, MMU_OFF | 1);
    })?;
    let end = clock::ticks_after(MOMENT);
    for index in [last, last - 1] {
        let on = || hvc(id::CPU_ON, [vcpus::id_of(index), vcpus::entry(), 0]);
        while on() == code::ON_PENDING && timer::ticks() < end {
            vcpus::relax();
        }
        let answer = on();
        if answer != code::ALREADY_ON {
            return Err(format!("CPU_ON of a vCPU in exceptions answers {answer}"));
        }
    }
    Ok("two vCPUs are in them until the guest ends".into())
}

//! Floods of interrupts, and interrupt controllers that are used as no kernel does.

use alloc::format;

use reveille_psci_caller::Junk;

use super::machine::*;
use super::{Attacker, Row, Verdict};
use crate::attempt::{Attempts, try_strw};
use crate::registers::{read_register, write_register};
use crate::vcpus;

/// The rows of this module.
pub const ROWS: &[Row] = &[
    ("sgi_flood_from_all_vcpus", flood),
    ("sgi_junk_from_all_vcpus", junk),
    ("interrupts_that_are_never_ended", never_ended),
    ("gic_junk_from_all_vcpus", registers),
];

/// Has this vCPU take all its SGIs.
pub fn open(index: usize, attempts: &mut Attempts) {
    let redistributor = REDISTRIBUTORS + index as u64 * REDISTRIBUTOR_SIZE;
    let _ = attempts.call(try_strw, DISTRIBUTOR, 0b10);
    // GICR_IGROUPR0, GICR_ISENABLER0.
    let _ = attempts.call(try_strw, redistributor + 0x1_0080, 0xffff_ffff);
    let _ = attempts.call(try_strw, redistributor + 0x1_0100, 0xffff);
    write_register!("icc_pmr_el1", 0xff);
    write_register!("icc_igrpen1_el1", 1);
}

fn flood(attacker: &mut Attacker) -> Verdict {
    const ALL_BUT_SELF: u64 = 1 << 40;
    let limit = attacker.flood;
    attacker.all(limit, |index, attempts| {
        open(index, attempts);
        let mut number = 0;
        while !vcpus::is_over() {
            for _ in 0..32 {
                number += 1;
                write_register!("icc_sgi1r_el1", ALL_BUT_SELF | (number & 0xf) << 24);
                write_register!("icc_sgi1r_el1", 0xff | (number & 0xf) << 24);
            }
            let taken = read_register!("icc_iar1_el1");
            write_register!("icc_eoir1_el1", taken);
        }
    })?;
    Ok(format!("{limit:?} from all vCPUs to all"))
}

fn junk(attacker: &mut Attacker) -> Verdict {
    let limit = attacker.flood;
    attacker.all(limit, |index, attempts| {
        open(index, attempts);
        let mut junk = Junk::new(index as u64 + 77);
        while !vcpus::is_over() {
            write_register!("icc_sgi1r_el1", junk.number());
            write_register!("icc_sgi0r_el1", junk.number());
            write_register!("icc_asgi1r_el1", junk.number());
            write_register!("icc_sgi1r_el1", junk.argument());
        }
    })?;
    Ok(format!("{limit:?} from all vCPUs"))
}

/// Takes what comes, ends none of it or something else, and changes what it takes all the time.
fn never_ended(attacker: &mut Attacker) -> Verdict {
    let limit = attacker.flood;
    attacker.all(limit, |index, attempts| {
        open(index, attempts);
        let mut junk = Junk::new(index as u64 + 99);
        while !vcpus::is_over() {
            write_register!("icc_sgi1r_el1", 0xff | junk.below(16) << 24);
            let taken = read_register!("icc_iar1_el1");
            match junk.below(8) {
                0 => write_register!("icc_eoir1_el1", taken ^ 1),
                1 => write_register!("icc_dir_el1", junk.argument()),
                2 => write_register!("icc_eoir1_el1", junk.argument()),
                3 => write_register!("icc_pmr_el1", junk.number()),
                4 => write_register!("icc_igrpen1_el1", junk.number()),
                _ => {}
            }
        }
    })?;
    Ok(format!("{limit:?} on all vCPUs"))
}

/// All vCPUs write into all redistributors at once, while interrupts come.
fn registers(attacker: &mut Attacker) -> Verdict {
    let limit = attacker.flood;
    attacker.all(limit, |index, attempts| {
        open(index, attempts);
        let mut junk = Junk::new(index as u64 + 55);
        while !vcpus::is_over() {
            let frame = junk.below(vcpus::MOST as u64) * REDISTRIBUTOR_SIZE + 0x1_0000;
            let base = if junk.below(2) == 0 { DISTRIBUTOR } else { REDISTRIBUTORS + frame };
            let _ = attempts.call(try_strw, base + (junk.below(0x1000) & !3), junk.argument());
            write_register!("icc_sgi1r_el1", 1 << 40 | junk.below(16) << 24);
        }
    })?;
    Ok(format!("{limit:?} from all vCPUs"))
}

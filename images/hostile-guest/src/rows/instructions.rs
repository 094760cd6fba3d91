//! Instructions that are none for a guest, and states that it cannot be in.

use alloc::format;
use core::time::Duration;

use super::{Attacker, Row, Verdict, expect};
use crate::attempt::{Attempts, Outcome};
use crate::vcpus;

/// The rows of this module.
pub const ROWS: &[Row] = &[
    ("hvc_and_smc_with_any_immediate", immediates),
    ("instructions_that_are_none", undefined),
    ("semihosting_is_not_the_guests", semihosting),
    ("returns_to_states_that_are_none", illegal_returns),
    ("el0_calls_nobody", el0),
    ("el0_in_aarch32", aarch32),
    ("caches_by_set_and_way", set_way),
];

/// A function that nobody has.
const NO_FUNCTION: u64 = 0x8300_ff77;
const NOT_SUPPORTED: u64 = u64::MAX;

/// Classes: SVC from AArch64 and AArch32, an illegal state, WFI and WFE, BRK.
const SVC: u64 = 0x15;
const SVC_32: u64 = 0x11;
const ILLEGAL_STATE: u64 = 0x0e;
const BRK: u64 = 0x3c;

fn immediates(attacker: &mut Attacker) -> Verdict {
    const HVC: u32 = 0xd400_0002;
    const SMC: u32 = 0xd400_0003;
    let mut count = 0;
    for immediate in (0..256).chain((0..8).map(|_| attacker.junk.below(0x1_0000) as u32)).chain([0xea1, 0xffff]) {
        for call in [HVC, SMC] {
            let outcome = attacker.attempts.execute(&[call | immediate << 5], NO_FUNCTION);
            expect("a call", outcome, outcome == Outcome::Returned(NOT_SUPPORTED))?;
            count += 1;
        }
    }
    Ok(format!("{count} calls: -1"))
}

fn undefined(attacker: &mut Attacker) -> Verdict {
    /// What there is on no processor, or on none as a guest sees it.
    const NONE: &[(&str, u32)] = &[
        ("UDF", 0x0000_0000),
        ("UDF", 0x0000_1234),
        ("an unallocated encoding", 0x0400_0000 | 0xffff),
        ("PTRUE (SVE)", 0x2518_e3e0),
        ("RDVL (SVE)", 0x04bf_5020),
        ("RDSVL (SME)", 0x04bf_5820),
        ("STG (MTE)", 0xd920_0800 | 0x1f << 5),
        ("HLT", 0xd440_0000),
        ("DCPS1", 0xd4a0_0001),
        ("DCPS2", 0xd4a0_0002),
        ("DCPS3", 0xd4a0_0003),
        ("DRPS", 0xd6bf_03e0),
        ("SMSTART (SME)", 0xd503_477f),
        ("LDGM (MTE)", 0xd9e0_0000),
    ];
    /// What does nothing, or is undefined.
    const NOTHING: &[(&str, u32)] =
        &[("IRG (MTE)", 0x9adf_1000), ("PACIA", 0xdac1_0020), ("ESB", 0xd503_221f), ("PSB", 0xd503_223f)];
    for &(name, word) in NONE {
        let outcome = attacker.attempts.execute(&[word], 0);
        expect(name, outcome, outcome.is_undefined())?;
    }
    for &(name, word) in NOTHING {
        let outcome = attacker.attempts.execute(&[word], 0);
        expect(name, outcome, outcome.is_undefined() || matches!(outcome, Outcome::Returned(_)))?;
    }
    let outcome = attacker.attempts.execute(&[0xd420_0000], 0);
    expect("BRK", outcome, outcome.class() == Some(BRK))?;
    Ok(format!("{} undefined, {} undefined or nothing, BRK its own", NONE.len(), NOTHING.len()))
}

/// The debugger's door of an emulator, through which a guest would open files of the host. SYS_CLOCK would harm nobody.
fn semihosting(attacker: &mut Attacker) -> Verdict {
    const HLT: u32 = 0xd45e_0000;
    const SYS_CLOCK: u64 = 0x10;
    let outcome = attacker.attempts.execute(&[HLT], SYS_CLOCK);
    expect("HLT #0xf000", outcome, outcome.is_undefined())?;
    Ok("undefined".into())
}

fn illegal_returns(attacker: &mut Attacker) -> Verdict {
    const MASKED: u64 = 0x3c0;
    // EL2, EL3, with either stack pointer; EL0 with that of its level; what is reserved; AArch32 above EL0.
    let modes = [
        0x8, 0x9, 0xa, 0xb, 0xc, 0xd, 0xe, 0xf, 0x1, 0x2, 0x3, 0x6, 0x7, 0x11, 0x12, 0x13, 0x16, 0x17, 0x1a, 0x1b,
        0x1f, 0x1d,
    ];
    for mode in modes {
        let outcome = attacker.attempts.enter(MASKED | mode, &[]);
        expect(&format!("mode {mode:#x}"), outcome, outcome.class() == Some(ILLEGAL_STATE))?;
    }
    let il = attacker.attempts.enter(MASKED | 1 << 20 | 5, &[]);
    expect("IL", il, il.class() == Some(ILLEGAL_STATE))?;
    Ok(format!("{} modes: illegal execution state", modes.len()))
}

fn el0(attacker: &mut Attacker) -> Verdict {
    const EL0: u64 = 0x3c0;
    // HVC, SMC, MSR of VBAR_EL1, MRS of HCR_EL2, TLBI VMALLE1, ERET.
    for word in [0xd400_0002, 0xd400_0003, 0xd518_c000, 0xd53c_1100, 0xd508_871f, 0xd69f_03e0] {
        let outcome = attacker.attempts.enter(EL0, &[word]);
        expect(&format!("{word:#x} at EL0"), outcome, matches!(outcome.class(), Some(0 | 0x18)))?;
    }
    let outcome = attacker.attempts.enter(EL0, &[0xd400_0001]);
    expect("SVC at EL0", outcome, outcome.class() == Some(SVC))?;
    Ok("undefined, but SVC".into())
}

/// While other vCPUs want the CPU, so that WFE comes out of the guest.
fn aarch32(attacker: &mut Attacker) -> Verdict {
    const USER: u64 = 0x1d0;
    const THUMB: u64 = 1 << 5;
    /// EL0's WFI and WFE are not trapped to EL1.
    const WAITS: u64 = 1 << 16 | 1 << 18;
    const SVC_1: u32 = 0xef00_0001;
    const WFE: u32 = 0xe320_f002;
    if crate::registers::read_register!("id_aa64pfr0_el1") & 0xf != 2 {
        return Ok("there is no AArch32".into());
    }
    // HVC, SMC, MRC of MIDR and of PMCR, MCR of SCTLR, MRC of DBGDIDR, LDC of DBGDTRTXint, MRRC of CNTVCT, UDF.
    let words = [
        0xe140_0070,
        0xe160_0070,
        0xee10_0f10,
        0xee19_0f1c,
        0xee01_0f10,
        0xee10_0e10,
        0xed90_5e00,
        0xec51_0f1e,
        0xe7f0_00f0,
    ];
    for word in words {
        let outcome = attacker.attempts.enter(USER, &[word, SVC_1]);
        let right = matches!(outcome.class(), Some(0 | 0x03..=0x0c | SVC_32));
        expect(&format!("{word:#x} in AArch32"), outcome, right)?;
    }
    attacker.all(Duration::from_millis(200), |index, attempts| {
        let wait = |attempts: &mut Attempts, spsr, instructions: &[u32]| attempts.enter_with(WAITS, spsr, instructions);
        while !vcpus::is_over() {
            if index == 0 {
                // Where it goes on behind a WFE, of 4 bytes or of 2, the immediate of the SVC there says.
                let arm = wait(attempts, USER, &[WFE, SVC_1, SVC_1 + 1]);
                let thumb = wait(attempts, USER | THUMB, &[0xdf01_bf20, 0xdf03_df02]);
                attempts.note(arm.immediate() == Some(1) && thumb.immediate() == Some(1));
            }
        }
    })?;
    if !attacker.attempts.all_noted() {
        return Err("a WFE in AArch32 goes on somewhere else than behind it".into());
    }
    Ok(format!("{} instructions: exceptions of EL1; WFE goes on behind it", words.len()))
}

/// Invalidates and cleans all caches by set and way, and levels that there are not.
fn set_way(attacker: &mut Attacker) -> Verdict {
    // DC ISW, DC CSW, DC CISW, of X0.
    for word in [0xd508_7640, 0xd508_7a40, 0xd508_7e40] {
        for level in 0..8 {
            for number in 0..64 {
                let argument = level << 1 | number << 6 | (attacker.junk.number() & 0xf) << 28;
                let outcome = attacker.attempts.execute(&[word], argument);
                expect("a maintenance by set and way", outcome, matches!(outcome, Outcome::Returned(_)))?;
            }
        }
    }
    Ok("nothing, as far as memory is concerned".into())
}

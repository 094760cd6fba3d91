//! System registers that the guest does not reach itself: those that send interrupts, and the id registers, which hide what the guest
//! cannot have (Xen's `vsysreg.c`).

use vgic::SgiGroup;

use super::Vcpu;
use super::context::read_register;
use super::exit::{AtOnce, Syndrome};

/// A system register by op0, op1, CRn, CRm, op2.
type Encoding = (u64, u64, u64, u64, u64);

const ACTLR: Encoding = (3, 0, 1, 0, 1);
const OSLSR: Encoding = (2, 0, 1, 1, 4);
const ICC_DIR: Encoding = (3, 0, 12, 11, 1);
const ICC_SGI1R: Encoding = (3, 0, 12, 11, 5);
const ICC_ASGI1R: Encoding = (3, 0, 12, 11, 6);
const ICC_SGI0R: Encoding = (3, 0, 12, 11, 7);

const fn encoding(esr: u64) -> Encoding {
    (esr >> 20 & 3, esr >> 14 & 7, esr >> 10 & 0xf, esr >> 1 & 0xf, esr >> 17 & 7)
}

impl Vcpu {
    /// Does it if the guest reads an id register, or sends an interrupt. Interrupts are masked.
    pub(super) fn access_system_register_at_once(&mut self, syndrome: &Syndrome) -> AtOnce {
        let register = (syndrome.esr >> 5 & 0x1f) as usize;
        let concerns_itself = match (encoding(syndrome.esr), syndrome.esr & 1 != 0) {
            ((3, 0, 0, crm @ 1..=7, op2), true) => {
                self.set_register(register, read_id(crm, op2) & !hidden(crm, op2));
                false
            }
            (ICC_SGI1R, false) => {
                let guest = self.guest();
                let concerned = guest.vgic().send_sgi(self.index(), SgiGroup::Group1, self.register(register));
                guest.wake_all(&concerned);
                concerned.contains(self.index())
            }
            _ => return AtOnce::Not,
        };
        self.skip();
        AtOnce::done(concerns_itself)
    }

    /// The guest reads or writes another. Interrupts are masked, the vCPU is loaded.
    pub(super) fn access_system_register(&mut self, syndrome: &Syndrome) {
        let register = (syndrome.esr >> 5 & 0x1f) as usize;
        let done = if syndrome.esr & 1 != 0 {
            read(encoding(syndrome.esr)).map(|value| self.set_register(register, value)).is_some()
        } else {
            self.write_system_register(encoding(syndrome.esr), self.register(register))
        };
        if done {
            self.skip();
        } else {
            self.inject_undefined();
        }
    }

    /// Whether there is such a register.
    fn write_system_register(&self, encoding: Encoding, value: u64) -> bool {
        let guest = self.guest();
        let concerned = match encoding {
            ICC_SGI0R => guest.vgic().send_sgi(self.index(), SgiGroup::Group0, value),
            ICC_DIR => guest.vgic().deactivate(self.index(), value as u32 & 0xff_ffff),
            // For another security state, which there is none of.
            ICC_ASGI1R => return true,
            encoding => return is_inert(encoding),
        };
        guest.wake_all(&concerned);
        true
    }
}

/// What reads as zero and takes no writes: performance monitors, debug registers, auxiliary control.
fn is_inert(encoding: Encoding) -> bool {
    is_performance_monitor(encoding) || is_debug(encoding) || encoding == ACTLR
}

/// Breakpoints, watchpoints, the OS lock and what else debuggers use, but for trace.
const fn is_debug((op0, op1, ..): Encoding) -> bool {
    op0 == 2 && (op1 == 0 || op1 == 3)
}

const fn is_performance_monitor((op0, op1, crn, crm, _): Encoding) -> bool {
    op0 == 3 && (crn == 9 && (op1 == 0 && crm == 14 || op1 == 3 && crm >= 12) || crn == 14 && op1 == 3 && crm >= 8)
}

/// What the guest reads, but for id registers.
fn read(encoding: Encoding) -> Option<u64> {
    /// There is an OS lock, which is open.
    const OS_LOCK: u64 = 1 << 3;
    match encoding {
        OSLSR => Some(OS_LOCK),
        encoding => is_inert(encoding).then_some(0),
    }
}

/// Of an id register the fields that the guest does not see, which stand for what it does not have.
const fn hidden(crm: u64, op2: u64) -> u64 {
    match (crm, op2) {
        // ID_AA64PFR0_EL1: EL2, EL3, RAS, SVE, MPAM, AMU, RME.
        (4, 0) => fields(&[8, 12, 28, 32, 40, 44, 52]),
        // ID_AA64PFR1_EL1: MTE, RAS_frac, MPAM_frac, SME.
        (4, 1) => fields(&[8, 12, 16, 24]),
        // ID_AA64ZFR0_EL1, ID_AA64SMFR0_EL1.
        (4, 4 | 5) => u64::MAX,
        // ID_AA64DFR0_EL1: trace, PMU, SPE, trace filter, trace buffer.
        (5, 0) => fields(&[4, 8, 32, 40, 44]),
        // ID_AA64ISAR1_EL1: pointer authentication, LS64.
        (6, 1) => fields(&[4, 8, 24, 28, 60]),
        // ID_AA64ISAR2_EL1: pointer authentication.
        (6, 2) => fields(&[8, 12]),
        // ID_AA64MMFR0_EL1: all but 36 bits of a physical address, fine-grained traps, ECV.
        (7, 0) => 0b1110 | fields(&[56, 60]),
        // ID_AA64MMFR1_EL1: VHE, limited ordering regions, execute-never at stage 2, HCRX_EL2.
        (7, 1) => fields(&[8, 16, 28, 40]),
        // ID_AA64MMFR2_EL1: nested virtualisation, its traps.
        (7, 2) => fields(&[24, 56]),
        _ => 0,
    }
}

/// Fields of four bits that begin there.
const fn fields(lowest: &[u32]) -> u64 {
    let mut mask = 0;
    let mut place = 0;
    while place < lowest.len() {
        mask |= 0xf << lowest[place];
        place += 1;
    }
    mask
}

/// The id register of this CPU.
fn read_id(crm: u64, op2: u64) -> u64 {
    macro_rules! id_registers {
        ($($crm:literal: $($op2:literal)+;)+) => {
            match (crm, op2) {
                $($(($crm, $op2) => read_register!(concat!("s3_0_c0_c", $crm, "_", $op2)),)+)+
                _ => 0,
            }
        };
    }
    id_registers! {
        1: 0 1 2 3 4 5 6 7;
        2: 0 1 2 3 4 5 6 7;
        3: 0 1 2 3 4 5 6 7;
        4: 0 1 2 3 4 5 6 7;
        5: 0 1 2 3 4 5 6 7;
        6: 0 1 2 3 4 5 6 7;
        7: 0 1 2 3 4 5 6 7;
    }
}

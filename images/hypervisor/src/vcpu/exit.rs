//! Why the guest came out, and what is done about it.

use psci_server::{Answer, Resumed};
use reveille_psci_log::Call;
use reveille_runtime::arch::{self, interrupts};

use super::context::read_register;
use super::inject::Abort;
use super::{Stopped, Vcpu, timer};
use crate::guest::End;
use crate::guest::devices::Access;

/// What the guest did, as the CPU tells it.
#[derive(Clone, Copy, Debug)]
pub struct Syndrome {
    /// ESR_EL2.
    pub esr: u64,
    /// FAR_EL2: the virtual address.
    pub far: u64,
    /// The guest's physical address of an access that stage 2 did not map.
    pub address: u64,
}

impl Syndrome {
    /// That of the guest which has just come out; interrupts have been masked since.
    pub fn read() -> Self {
        let far = read_register!("far_el2");
        let page = (read_register!("hpfar_el2") >> 4 & 0xff_ffff_ffff) << 12;
        Self { esr: read_register!("esr_el2"), far, address: page | far & 0xfff }
    }

    /// The exception class.
    pub const fn class(&self) -> u64 {
        self.esr >> 26 & 0x3f
    }
}

/// Exception classes.
mod class {
    pub const WFX: u64 = 0x01;
    pub const HVC: u64 = 0x16;
    pub const SMC: u64 = 0x17;
    pub const SYSTEM_REGISTER: u64 = 0x18;
    pub const INSTRUCTION_ABORT: u64 = 0x20;
    pub const DATA_ABORT: u64 = 0x24;
}

/// In the syndrome of WFI and WFE: it was WFE.
const WFE: u64 = 1;

/// What is to be done when interrupts are no longer masked.
pub enum After {
    /// The guest goes on.
    Nothing,
    /// The vCPU sleeps until it has an interrupt, or until then.
    Sleep {
        /// By the machine's counter.
        deadline: u64,
    },
    /// It waits for another vCPU, which may be waiting for this CPU.
    LetOthersRun,
    /// The guest calls firmware.
    Call,
    /// It accesses what is no memory.
    Access(GuestAccess),
}

/// What becomes of something that the guest came out for, before anything else is done.
pub enum AtOnce {
    /// It is done, and the guest goes on.
    GoesOn,
    /// It is done, and this vCPU may have another interrupt.
    ComesOut,
    /// It takes more than that.
    Not,
}

impl AtOnce {
    /// Done, with what changed for this vCPU's interrupts.
    pub const fn done(concerns_itself: bool) -> Self {
        if concerns_itself { Self::ComesOut } else { Self::GoesOn }
    }
}

/// An access of the guest's, and the register that it is to or from.
pub struct GuestAccess {
    access: Access,
    register: usize,
    /// The value that was read has its sign extended.
    signed: bool,
    /// To 64 bits.
    wide: bool,
    syndrome: Syndrome,
}

/// The register number that stands for zero.
const ZERO_REGISTER: usize = 31;

impl Vcpu {
    /// Does what takes no more than the guest's registers and a lock. Linux comes out for little else while it boots: id registers (it asks
    /// 50,000 times whether there are random numbers), its console, and interrupts to its other vCPUs. Interrupts are masked; the vCPU's
    /// own are in the list registers.
    pub(super) fn handle_at_once(&mut self, syndrome: &Syndrome) -> AtOnce {
        match syndrome.class() {
            class::SYSTEM_REGISTER => self.access_system_register_at_once(syndrome),
            class::DATA_ABORT => {
                let Some(access) = self.decode(syndrome) else { return AtOnce::Not };
                let Some((value, concerned)) = self.guest().access_uart(&access.access) else { return AtOnce::Not };
                self.finish(&access, value);
                AtOnce::done(concerned)
            }
            _ => AtOnce::Not,
        }
    }

    /// Does what needs the vCPU loaded. Interrupts are masked, and have been since the guest came out.
    pub(super) fn handle(&mut self, syndrome: &Syndrome) -> After {
        match syndrome.class() {
            class::WFX => {
                self.skip_of(syndrome);
                if syndrome.esr & WFE != 0 {
                    return After::LetOthersRun;
                }
                if self.has_interrupt() {
                    return After::Nothing;
                }
                After::Sleep { deadline: timer::deadline() }
            }
            class::HVC => After::Call,
            class::SMC => {
                self.skip();
                After::Call
            }
            class::SYSTEM_REGISTER => {
                self.access_system_register(syndrome);
                After::Nothing
            }
            class::DATA_ABORT => match self.decode(syndrome) {
                Some(access) => After::Access(access),
                None => {
                    self.inject_abort(Abort::Data, syndrome.far);
                    After::Nothing
                }
            },
            class::INSTRUCTION_ABORT => {
                self.inject_abort(Abort::Instruction, syndrome.far);
                After::Nothing
            }
            _ => {
                self.inject_undefined();
                After::Nothing
            }
        }
    }

    /// Goes on behind the instruction.
    pub(super) fn skip(&mut self) {
        self.registers.pc += 4;
    }

    /// The same, where it may be one of 16 bits: EL0 may run AArch32.
    fn skip_of(&mut self, syndrome: &Syndrome) {
        const IL: u64 = 1 << 25;
        self.registers.pc += if syndrome.esr & IL != 0 { 4 } else { 2 };
    }

    /// A register of the guest.
    pub(super) fn register(&self, register: usize) -> u64 {
        if register == ZERO_REGISTER { 0 } else { self.registers.x[register] }
    }

    /// Writes a register of the guest.
    pub(super) fn set_register(&mut self, register: usize, value: u64) {
        if register != ZERO_REGISTER {
            self.registers.x[register] = value;
        }
    }

    /// The access that the guest attempted, if the CPU says which.
    fn decode(&self, syndrome: &Syndrome) -> Option<GuestAccess> {
        let esr = syndrome.esr;
        // The syndrome is valid, and it is no walk of stage 1 that failed.
        if esr & 1 << 24 == 0 || esr & 1 << 7 != 0 {
            return None;
        }
        let register = (esr >> 16 & 0x1f) as usize;
        let write = (esr & 1 << 6 != 0).then(|| self.register(register));
        let access = Access { address: syndrome.address, size: vgic::AccessSize::from_sas(esr >> 22), write };
        let (signed, wide) = (esr & 1 << 21 != 0, esr & 1 << 15 != 0);
        Some(GuestAccess { access, register, signed, wide, syndrome: *syndrome })
    }

    /// Has the guest's interrupt controller do it: nothing else is there.
    pub(super) fn access(&mut self, access: &GuestAccess) {
        match self.guest().access_interrupt_controller(&access.access) {
            Some(value) => self.finish(access, value),
            None => {
                let _masked = interrupts::mask();
                self.load();
                self.inject_abort(Abort::Data, access.syndrome.far);
            }
        }
    }

    /// The guest's devices have done it; `value` is what was read.
    fn finish(&mut self, access: &GuestAccess, value: u64) {
        if access.access.write.is_none() {
            self.set_register(access.register, access.extend(value));
        }
        self.skip();
    }

    /// Answers the call that is in X0 to X3.
    pub(super) fn call(&mut self) -> Option<Stopped> {
        let index = self.index();
        let [x0, x1, x2, x3, ..] = self.registers.x;
        let registers = [x0, x1, x2, x3];
        let (ticks, psci) = (arch::timer::ticks(), self.guest().psci());
        let answer = psci.handle(index, registers);
        let call = Call { registers, target: psci.target(registers), faulty: false };
        self.guest().log().called(index, ticks, call, answer);
        match answer {
            Answer::Return(value) => self.registers.x[0] = value,
            Answer::Off => return Some(Stopped::Off),
            Answer::Suspended(_) => return self.suspend(),
            Answer::SystemOff => self.guest().end(End::PoweredOff),
            Answer::SystemReset => self.guest().end(End::Reset),
        }
        None
    }

    /// Sleeps until there is an interrupt, and goes on as the server says.
    fn suspend(&mut self) -> Option<Stopped> {
        let deadline = {
            let _masked = interrupts::mask();
            self.load();
            if self.has_interrupt() { 0 } else { timer::deadline() }
        };
        self.guest().wait(self.index(), deadline);
        match self.guest().psci().resume(self.index()) {
            Some(Resumed::Enter(entry)) => self.reset(entry),
            Some(Resumed::Return(value)) => self.registers.x[0] = value,
            None => {}
        }
        None
    }
}

impl GuestAccess {
    /// What the register holds that `value` was loaded into.
    fn extend(&self, value: u64) -> u64 {
        let bits = 8 * self.access.size.bytes();
        let unused = 64 - bits as u32;
        let value = value << unused;
        let value = if self.signed { ((value as i64) >> unused) as u64 } else { value >> unused };
        if self.wide { value } else { value & 0xffff_ffff }
    }
}

//! A guest whose driver has started, and what tests ask of it.

use vgic::{AccessSize, VcpuSet, Vgic};

pub const PENDING: u64 = 1 << 62;
pub const ACTIVE: u64 = 1 << 63;
pub const GROUP_1: u64 = 1 << 60;
/// A maintenance interrupt when it ends.
pub const EOI: u64 = 1 << 41;
pub const PRIORITY: u64 = 0xa0 << 48;

/// The vCPU takes Group 1, of any priority.
pub const VMCR: u64 = 0xff << 24 | 0b10;

pub const TIMER: u32 = 27;
/// Level-triggered, as all SPIs are after reset.
pub const UART: u32 = 33;
/// Edge-triggered.
pub const EDGE: u32 = 40;

/// The frame SGI of a vCPU's redistributor.
pub const fn frame(vcpu: u64) -> u64 {
    0x2_0000 * vcpu + 0x1_0000
}

/// As Linux leaves it: Group 1 on, all interrupts enabled, priority 0xa0, SPIs to vCPU 0.
pub fn started(vcpus: usize) -> Vgic {
    let mut vgic = Vgic::new(vcpus, 64).unwrap();
    let _ = vgic.write_distributor(0, AccessSize::Word, 0b10);
    for block in 1..=2 {
        let _ = vgic.write_distributor(0x100 + 4 * block, AccessSize::Word, 0xffff_ffff);
    }
    for interrupt in (32..96).step_by(4) {
        let _ = vgic.write_distributor(0x400 + interrupt, AccessSize::Word, 0xa0a0_a0a0);
    }
    let _ = vgic.write_distributor(0xc00 + 4 * u64::from(EDGE / 16), AccessSize::Word, 0b10 << (2 * (EDGE % 16)));
    for vcpu in 0..vcpus as u64 {
        let _ = vgic.write_redistributors(frame(vcpu) + 0x100, AccessSize::Word, 0xffff_ffff);
        for interrupt in 0..32 {
            let _ = vgic.write_redistributors(frame(vcpu) + 0x400 + interrupt, AccessSize::Byte, 0xa0);
        }
    }
    vgic
}

/// Routes an SPI to an affinity.
pub fn route(vgic: &mut Vgic, intid: u32, affinity: u64) -> VcpuSet {
    vgic.write_distributor(0x6000 + 8 * u64::from(intid), AccessSize::Doubleword, affinity)
}

/// Has a vCPU run: fills four list registers, lets the vCPU change them, takes them back.
pub fn run(vgic: &mut Vgic, vcpu: usize, guest: impl FnOnce(&mut [u64; 4])) -> VcpuSet {
    let mut registers = [0; 4];
    let hcr = vgic.fill(vcpu, VMCR, &mut registers);
    guest(&mut registers);
    vgic.sync(vcpu, &registers, hcr)
}

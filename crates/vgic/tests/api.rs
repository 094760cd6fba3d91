//! The interrupt controller as a guest's driver and a hypervisor use it.

use vgic::{AccessSize, MAX_SPIS, SizeError, VcpuSet, Vgic};

const PENDING: u64 = 1 << 62;
const ACTIVE: u64 = 1 << 63;

/// The vCPU takes Group 1, of any priority.
const VMCR: u64 = 0xff << 24 | 0b10;

const TIMER: u32 = 27;
const UART: u32 = 33;

/// As Linux leaves it: Group 1 on, all interrupts enabled, priority 0xa0, SPIs to vCPU 0.
fn started(vcpus: usize) -> Vgic {
    let mut vgic = Vgic::new(vcpus, 64).unwrap();
    let _ = vgic.write_distributor(0, AccessSize::Word, 0b10);
    for block in 1..=2 {
        let _ = vgic.write_distributor(0x100 + 4 * block, AccessSize::Word, 0xffff_ffff);
    }
    for interrupt in 32..96 {
        let _ = vgic.write_distributor(0x400 + interrupt, AccessSize::Byte, 0xa0);
    }
    for vcpu in 0..vcpus as u64 {
        let frame = 0x2_0000 * vcpu + 0x1_0000;
        let _ = vgic.write_redistributors(frame + 0x100, AccessSize::Word, 0xffff_ffff);
        for interrupt in 0..32 {
            let _ = vgic.write_redistributors(frame + 0x400 + interrupt, AccessSize::Byte, 0xa0);
        }
    }
    vgic
}

#[test]
fn a_level_that_stays_high_is_delivered_again_after_its_end() {
    let mut vgic = started(2);
    assert_eq!(vgic.set_ppi(1, TIMER, true), VcpuSet::one(1));
    let mut registers = [0; 4];
    let hcr = vgic.fill(1, VMCR, &mut registers);
    let pending = registers[0];
    assert_eq!(pending, PENDING | 1 << 60 | 0xa0 << 48 | 1 << 41 | 27);

    // Taken, and not ended yet.
    registers[0] = pending & !PENDING | ACTIVE;
    let _ = vgic.sync(1, &registers, hcr);
    assert!(!vgic.has_deliverable(1, VMCR));
    let hcr = vgic.fill(1, VMCR, &mut registers);
    assert_eq!(registers[0], pending & !PENDING | ACTIVE);

    registers[0] &= !ACTIVE;
    let _ = vgic.sync(1, &registers, hcr);
    assert!(vgic.has_deliverable(1, VMCR));
    assert!(vgic.set_ppi(1, TIMER, false).is_empty());
    assert!(!vgic.has_deliverable(1, VMCR));
}

#[test]
fn an_spi_goes_where_it_is_routed() {
    let mut vgic = started(18);
    let router = 0x6000 + 8 * u64::from(UART);
    assert!(vgic.write_distributor(router, AccessSize::Doubleword, 0x101).is_empty());
    assert_eq!(vgic.read_distributor(router, AccessSize::Doubleword), 0x101);
    assert_eq!(vgic.set_spi(UART, true), VcpuSet::one(17));
    assert!(!vgic.has_deliverable(0, VMCR));
    // To nobody, and back: it stays pending.
    assert!(vgic.write_distributor(router, AccessSize::Doubleword, 0x20).is_empty());
    assert_eq!(vgic.write_distributor(router, AccessSize::Doubleword, 0x1), VcpuSet::one(1));
    assert!(vgic.has_deliverable(1, VMCR));
}

#[test]
fn sizes_that_no_gicv3_has_are_refused() {
    assert_eq!(Vgic::new(0, 0).err(), Some(SizeError::Vcpus(0)));
    assert_eq!(Vgic::new(513, 0).err(), Some(SizeError::Vcpus(513)));
    assert_eq!(Vgic::new(1, MAX_SPIS + 1).err(), Some(SizeError::Spis(MAX_SPIS + 1)));
}

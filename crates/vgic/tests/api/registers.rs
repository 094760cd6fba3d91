//! What a guest reads and writes, by offset and size.

use vgic::{AccessSize, MAX_SPIS, REDISTRIBUTOR_SIZE, SizeError, VcpuSet, Vgic};

use crate::guest::{EDGE, PENDING, UART, VMCR, frame, run, started};

use AccessSize::{Byte, Doubleword, Halfword, Word};

const SIZES: [AccessSize; 4] = [Byte, Halfword, Word, Doubleword];

#[test]
fn sizes_that_no_gicv3_has_are_refused() {
    assert_eq!(Vgic::new(0, 0).err(), Some(SizeError::Vcpus(0)));
    assert_eq!(Vgic::new(513, 0).err(), Some(SizeError::Vcpus(513)));
    assert_eq!(Vgic::new(1, MAX_SPIS + 1).err(), Some(SizeError::Spis(MAX_SPIS + 1)));
    assert_eq!(Vgic::new(512, MAX_SPIS).unwrap().redistributors_size(), 64 << 20);
}

#[test]
fn a_driver_finds_a_gicv3_with_one_security_state() {
    let vgic = Vgic::new(3, 33).unwrap();
    assert_eq!(vgic.read_distributor(0xffe8, Word) >> 4 & 0xf, 3, "GICD_PIDR2.ArchRev");
    assert_eq!(vgic.read_distributor(0x0, Word), 1 << 6 | 1 << 4, "DS and ARE");
    let typer = vgic.read_distributor(0x4, Word);
    assert_eq!(typer & 0x1f, 2, "ITLinesNumber: 33 SPIs are given as 64");
    assert_eq!(typer >> 19 & 0x1f, 9, "IDbits");
    assert_eq!(typer >> 25 & 1, 1, "No1N");
    assert_eq!(typer >> 16 & 0b11, 0, "neither MBIS nor LPIS");
}

#[test]
fn redistributors_are_found_by_their_affinity_up_to_the_last() {
    let vgic = Vgic::new(18, 0).unwrap();
    let typer = |vcpu| vgic.read_redistributors(vcpu * REDISTRIBUTOR_SIZE + 8, Doubleword);
    assert_eq!(typer(0), 0);
    assert_eq!(typer(16), 0x100 << 32 | 16 << 8);
    assert_eq!(typer(17), 0x101 << 32 | 17 << 8 | 1 << 4);
    assert_eq!(vgic.read_redistributors(17 * REDISTRIBUTOR_SIZE + 8, Word), 17 << 8 | 1 << 4);
    assert_eq!(vgic.read_redistributors(17 * REDISTRIBUTOR_SIZE + 12, Word), 0x101);
    assert_eq!(vgic.read_redistributors(0xffe8, Word) >> 4, 3);
    // Awake, whatever a driver writes.
    assert_eq!(vgic.read_redistributors(0x14, Word), 0);
    for size in SIZES {
        assert_eq!(vgic.read_redistributors(18 * REDISTRIBUTOR_SIZE + 8, size), 0);
    }
}

#[test]
fn set_and_clear_registers_read_the_same_and_change_their_own_bits() {
    let mut vgic = Vgic::new(2, 64).unwrap();
    for (set, clear) in [(0x100, 0x180), (0x200, 0x280), (0x300, 0x380)] {
        let _ = vgic.write_distributor(set + 8, Word, 0xff);
        let _ = vgic.write_distributor(clear + 8, Word, 0x0f);
        let _ = vgic.write_redistributors(frame(1) + set, Word, 0xf000_00ff);
        let _ = vgic.write_redistributors(frame(1) + clear, Word, 0xffff);
        for offset in [set, clear] {
            assert_eq!(vgic.read_distributor(offset + 8, Word), 0xf0);
            assert_eq!(vgic.read_distributor(offset + 4, Word), 0);
            assert_eq!(vgic.read_redistributors(frame(1) + offset, Word), 0xf000_0000);
            assert_eq!(vgic.read_redistributors(frame(0) + offset, Word), 0);
        }
    }
}

#[test]
fn with_affinity_routing_the_distributor_has_no_sgis_and_ppis() {
    let mut vgic = started(1);
    for offset in [0x080, 0x100, 0x180, 0x200, 0x280, 0x300, 0x380, 0x400, 0xc00, 0x800, 0xf00, 0xf10, 0xf20, 0x6000] {
        let _ = vgic.write_distributor(offset, Word, 0xffff_ffff);
        assert_eq!(vgic.read_distributor(offset, Word), 0, "{offset:#x}");
    }
    assert!(!vgic.has_deliverable(0, VMCR));
}

#[test]
fn priorities_are_words_or_bytes_of_which_five_bits_are_kept() {
    let mut vgic = Vgic::new(1, 32).unwrap();
    let _ = vgic.write_distributor(0x420, Word, 0xffa7_0810);
    assert_eq!(vgic.read_distributor(0x420, Word), 0xf8a0_0810);
    assert_eq!(vgic.read_distributor(0x422, Byte), 0xa0);
    let _ = vgic.write_distributor(0x421, Byte, 0x30);
    assert_eq!(vgic.read_distributor(0x420, Word), 0xf8a0_3010);
    let _ = vgic.write_distributor(0x420, Halfword, 0xffff);
    assert_eq!(vgic.read_distributor(0x420, Word), 0xf8a0_3010);
    assert_eq!(vgic.read_distributor(0x420, Halfword), 0);
}

#[test]
fn sgis_are_edges_and_the_rest_is_what_the_guest_configures() {
    let mut vgic = Vgic::new(1, 32).unwrap();
    let _ = vgic.write_redistributors(frame(0) + 0xc00, Word, 0);
    assert_eq!(vgic.read_redistributors(frame(0) + 0xc00, Word), 0xaaaa_aaaa);
    let _ = vgic.write_redistributors(frame(0) + 0xc04, Word, 0xc000_0001);
    assert_eq!(vgic.read_redistributors(frame(0) + 0xc04, Word), 0x8000_0000);
    let _ = vgic.write_distributor(0xc0c, Word, 0x2);
    assert_eq!((vgic.read_distributor(0xc08, Word), vgic.read_distributor(0xc0c, Word)), (0, 2));
}

#[test]
fn routes_are_doublewords_or_halves_of_them() {
    let mut vgic = Vgic::new(2, 32).unwrap();
    let router = 0x6000 + 8 * u64::from(UART);
    let _ = vgic.write_distributor(router, Doubleword, u64::MAX);
    assert_eq!(vgic.read_distributor(router, Doubleword), 0xff_ffff, "neither IRM nor Aff3");
    let _ = vgic.write_distributor(router, Word, 1);
    let _ = vgic.write_distributor(router + 4, Word, 1);
    assert_eq!(vgic.read_distributor(router, Doubleword), 1);
    assert_eq!(vgic.set_spi(UART, true), VcpuSet::EMPTY, "it is not enabled");
    let _ = vgic.write_distributor(0, Word, 0b10);
    assert_eq!(vgic.write_distributor(0x104, Word, 0b10), VcpuSet::one(1));
}

#[test]
fn intids_from_1020_on_do_not_exist() {
    let mut vgic = Vgic::new(1, MAX_SPIS).unwrap();
    for offset in [0x080, 0x100, 0x200, 0x300] {
        let _ = vgic.write_distributor(offset + 4 * 31, Word, 0xffff_ffff);
        assert_eq!(vgic.read_distributor(offset + 4 * 31, Word), 0x0fff_ffff, "{offset:#x}");
    }
    let _ = vgic.write_distributor(0x400 + 1020, Word, 0xffff_ffff);
    let _ = vgic.write_distributor(0x6000 + 8 * 1020, Doubleword, 1);
    assert_eq!(vgic.read_distributor(0x400 + 1020, Word), 0);
    assert_eq!(vgic.read_distributor(0x6000 + 8 * 1020, Doubleword), 0);
    let _ = vgic.write_distributor(0xc00 + 4 * 63, Word, 0xffff_ffff);
    assert_eq!(vgic.read_distributor(0xc00 + 4 * 63, Word), 0x00aa_aaaa);
    assert_eq!(vgic.set_spi(1020, true) | vgic.set_spi(31, true) | vgic.set_ppi(0, 15, true), VcpuSet::EMPTY);
}

#[test]
fn other_sizes_and_addresses_read_as_zero_and_ignore_writes() {
    let mut vgic = started(2);
    let untouched = |vgic: &Vgic| {
        let words = |end: u64| (0..end).step_by(4);
        let distributor: Vec<_> = words(0x1_0000).map(|offset| vgic.read_distributor(offset, Word)).collect();
        let redistributors: Vec<_> = words(0x4_0000).map(|offset| vgic.read_redistributors(offset, Word)).collect();
        (distributor, redistributors)
    };
    let before = untouched(&vgic);
    for offset in [0x0, 0x4, 0x84, 0x104, 0x204, 0x304, 0xc0c, 0xffe8] {
        for size in [Byte, Halfword, Doubleword] {
            assert_eq!(vgic.read_distributor(offset, size), 0, "{offset:#x} {size:?}");
            assert!(vgic.write_distributor(offset, size, u64::MAX).is_empty());
            let _ = vgic.write_redistributors(frame(1) + offset, size, u64::MAX);
        }
    }
    for offset in [0x102, 0x421, 0x6101, u64::MAX, 0x1_0100, 0x2_0100] {
        assert_eq!(vgic.read_distributor(offset, Word), 0, "{offset:#x}");
        let _ = vgic.write_distributor(offset, Word, u64::MAX);
    }
    for offset in [4 * 0x1_0000, u64::MAX, u64::MAX - 3, frame(0) + 0x102, frame(0) + 0x104, frame(0) + 0x6100] {
        assert_eq!(vgic.read_redistributors(offset, Word), 0, "{offset:#x}");
        let _ = vgic.write_redistributors(offset, Word, u64::MAX);
    }
    assert_eq!(untouched(&vgic), before);
}

#[test]
fn a_write_is_pending_while_a_running_vcpu_may_take_what_was_disabled() {
    let mut vgic = started(1);
    let pending = |vgic: &Vgic| (vgic.read_distributor(0, Word) >> 31, vgic.read_redistributors(0, Word) >> 3);
    let _ = vgic.set_spi(EDGE, true);
    let _ = vgic.write_redistributors(frame(0) + 0x200, Word, 1);
    let mut registers = [0; 4];
    let hcr = vgic.fill(0, VMCR, &mut registers);
    assert_eq!(pending(&vgic), (0, 0));
    assert_eq!(vgic.write_distributor(0x184, Word, 1 << (EDGE % 32)), VcpuSet::one(0));
    assert_eq!(pending(&vgic), (1, 0));
    assert_eq!(vgic.write_redistributors(frame(0) + 0x180, Word, 1), VcpuSet::one(0));
    assert_eq!(pending(&vgic), (1, 1));
    let _ = vgic.sync(0, &registers, hcr);
    assert_eq!(pending(&vgic), (0, 0));
    // Both are still pending, and come when they are enabled again.
    assert!(!vgic.has_deliverable(0, VMCR));
    assert_eq!(vgic.write_distributor(0x104, Word, 1 << (EDGE % 32)), VcpuSet::one(0));
    let _ = run(&mut vgic, 0, |registers| assert_eq!(registers[0] & (PENDING | 0x3ff), PENDING | 40));
}

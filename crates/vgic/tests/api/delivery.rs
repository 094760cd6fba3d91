//! What goes into list registers and comes back, whom that concerns, and who must not sleep.

use vgic::{AccessSize, VcpuSet};

use crate::guest::{ACTIVE, EDGE, EOI, GROUP_1, PENDING, PRIORITY, TIMER, UART, VMCR, frame, route, run, started};

const EN: u64 = 1 << 0;
const LRENPIE: u64 = 1 << 2;
const NPIE: u64 = 1 << 3;
const VGRP0EIE: u64 = 1 << 4;
const VGRP1DIE: u64 = 1 << 7;
const TDIR: u64 = 1 << 14;

#[test]
fn a_level_that_stays_high_is_delivered_again_after_its_end() {
    let mut vgic = started(2);
    assert_eq!(vgic.set_ppi(1, TIMER, true), VcpuSet::one(1));
    let pending = PENDING | GROUP_1 | PRIORITY | EOI | 27;
    let _ = run(&mut vgic, 1, |registers| {
        assert_eq!(*registers, [pending, 0, 0, 0]);
        registers[0] ^= PENDING | ACTIVE;
    });
    assert!(!vgic.has_deliverable(1, VMCR));
    let _ = run(&mut vgic, 1, |registers| {
        assert_eq!(registers[0], pending ^ PENDING ^ ACTIVE, "it is active, and not pending too");
        registers[0] &= !ACTIVE;
    });
    assert!(vgic.has_deliverable(1, VMCR));
    assert!(vgic.set_ppi(1, TIMER, false).is_empty());
    assert!(!vgic.has_deliverable(1, VMCR));
}

#[test]
fn an_edge_while_it_is_handled_concerns_the_vcpu_that_runs_and_comes_again() {
    let mut vgic = started(2);
    assert_eq!(vgic.set_spi(EDGE, true), VcpuSet::one(0));
    let _ = run(&mut vgic, 0, |registers| registers[0] ^= PENDING | ACTIVE);
    let mut registers = [0; 4];
    let hcr = vgic.fill(0, VMCR, &mut registers);
    let _ = vgic.set_spi(EDGE, false);
    assert_eq!(vgic.set_spi(EDGE, true), VcpuSet::one(0), "its list register has to become pending as well");
    let _ = vgic.sync(0, &registers, hcr);
    let _ = run(&mut vgic, 0, |registers| {
        assert_eq!(registers[0], PENDING | ACTIVE | GROUP_1 | PRIORITY | 40);
        registers[0] &= !ACTIVE;
    });
    let _ = run(&mut vgic, 0, |registers| {
        assert_eq!(registers[0], PENDING | GROUP_1 | PRIORITY | 40);
        registers[0] = 0;
    });
    assert!(!vgic.has_deliverable(0, VMCR));
}

#[test]
fn a_level_while_it_is_in_a_list_register_concerns_nobody() {
    let mut vgic = started(1);
    let _ = vgic.set_spi(UART, true);
    let mut registers = [0; 4];
    let hcr = vgic.fill(0, VMCR, &mut registers);
    assert!(vgic.set_spi(UART, false).is_empty() && vgic.set_spi(UART, true).is_empty());
    let _ = vgic.sync(0, &registers, hcr);
    assert!(vgic.has_deliverable(0, VMCR));
}

#[test]
fn an_spi_goes_where_it_is_routed() {
    let mut vgic = started(18);
    assert!(route(&mut vgic, UART, 0x101).is_empty());
    assert_eq!(vgic.set_spi(UART, true), VcpuSet::one(17));
    assert!(!vgic.has_deliverable(0, VMCR));
    // To nobody, and back: it stays pending.
    assert!(route(&mut vgic, UART, 0x20).is_empty());
    assert_eq!(route(&mut vgic, UART, 0x1), VcpuSet::one(1));
    assert!(vgic.has_deliverable(1, VMCR));
}

#[test]
fn an_spi_that_is_routed_elsewhere_while_it_is_offered_moves_when_the_vcpu_leaves_the_guest() {
    let mut vgic = started(2);
    let _ = vgic.set_spi(UART, true);
    let mut registers = [0; 4];
    let hcr = vgic.fill(0, VMCR, &mut registers);
    assert_eq!(route(&mut vgic, UART, 1), VcpuSet::one(0));
    assert!(!vgic.has_deliverable(1, VMCR));
    assert_eq!(vgic.sync(0, &registers, hcr), VcpuSet::one(1));
    assert!(vgic.has_deliverable(1, VMCR));
}

#[test]
fn an_spi_that_is_routed_elsewhere_while_it_is_active_is_ended_where_it_was_taken() {
    let mut vgic = started(2);
    let _ = vgic.set_spi(UART, true);
    let _ = run(&mut vgic, 0, |registers| registers[0] ^= PENDING | ACTIVE);
    assert!(route(&mut vgic, UART, 1).is_empty());
    let told = run(&mut vgic, 0, |registers| {
        assert_eq!(registers[0] & ACTIVE, ACTIVE);
        registers[0] &= !ACTIVE;
    });
    assert_eq!(told, VcpuSet::one(1), "the level is still high");
}

#[test]
fn an_edge_while_it_is_handled_goes_to_the_vcpu_that_it_is_routed_to_by_then() {
    let mut vgic = started(2);
    let _ = vgic.set_spi(EDGE, true);
    let _ = run(&mut vgic, 0, |registers| registers[0] ^= PENDING | ACTIVE);
    let _ = route(&mut vgic, EDGE, 1);
    let _ = vgic.set_spi(EDGE, false) | vgic.set_spi(EDGE, true);
    let told = run(&mut vgic, 0, |registers| {
        assert_eq!(registers[0] & (PENDING | ACTIVE | EOI), ACTIVE | EOI, "not pending on vCPU 0 when it ends");
        registers[0] &= !ACTIVE;
    });
    assert_eq!(told, VcpuSet::one(1));
}

#[test]
fn priority_decides_then_the_intid_and_what_does_not_fit_asks_for_maintenance() {
    let mut vgic = started(1);
    for (intid, priority) in [(34, 0x80), (35, 0x40), (36, 0x40)] {
        let _ = vgic.write_distributor(0x400 + intid, AccessSize::Byte, priority);
        let _ = vgic.set_spi(intid as u32, true);
    }
    let intids = |registers: &[u64]| registers.iter().map(|register| *register as u32).collect::<Vec<_>>();
    let mut registers = [0; 4];
    assert_eq!(vgic.fill(0, VMCR, &mut registers), EN);
    assert_eq!(intids(&registers), [35, 36, 34, 0]);

    let _ = vgic.set_ppi(0, TIMER, true);
    let mut two = [0; 2];
    assert_eq!(vgic.fill(0, VMCR, &mut two), EN | NPIE | VGRP0EIE | VGRP1DIE);
    assert_eq!(intids(&two), [35, 36], "what an earlier call gave out and nobody took back is given out again");
}

#[test]
fn a_guest_that_holds_many_interrupts_active_is_offered_others_all_the_same() {
    let mut vgic = started(1);
    let active = 0x1e_u64;
    let _ = vgic.write_redistributors(frame(0) + 0x300, AccessSize::Word, active);
    let _ = vgic.write_redistributors(frame(0) + 0x400 + 4, AccessSize::Byte, 0xb0);
    let _ = vgic.set_spi(UART, true);
    let mut registers = [0; 4];
    let hcr = vgic.fill(0, VMCR, &mut registers);
    assert_eq!(hcr & (LRENPIE | TDIR), LRENPIE | TDIR);
    assert_eq!(registers.map(|register| register as u32), [1, 2, 3, 33], "SGI 4 has the lowest priority");

    // The guest ends two that are in no list register: SGI 4 is the only one left out.
    let _ = vgic.sync(0, &registers, hcr | 2 << 27);
    assert_eq!(vgic.read_redistributors(frame(0) + 0x300, AccessSize::Word), active & !(1 << 4));
}

#[test]
fn an_interrupt_that_is_not_taken_keeps_no_list_register_from_others() {
    let mut vgic = started(1);
    // SGI 1 is in Group 0, which the vCPU does not take, and pending again while it is active.
    let _ = vgic.write_redistributors(frame(0) + 0x080, AccessSize::Word, !0b10);
    let _ = vgic.write_redistributors(frame(0) + 0x300, AccessSize::Word, 0b10);
    let _ = vgic.write_redistributors(frame(0) + 0x200, AccessSize::Word, 0b1110);
    let _ = vgic.write_distributor(0, AccessSize::Word, 0b11);
    let mut registers = [0; 2];
    assert_eq!(vgic.fill(0, VMCR, &mut registers) & NPIE, NPIE);
    let active = registers.into_iter().find(|register| *register as u32 == 1);
    assert_eq!(active.map(|register| register & (PENDING | ACTIVE | EOI)), Some(ACTIVE | EOI));
    // With room for all of them it may be both.
    let mut registers = [0; 4];
    assert_eq!(vgic.fill(0, VMCR, &mut registers), EN);
    assert_eq!(registers[0] & (PENDING | ACTIVE | EOI), PENDING | ACTIVE);
}

#[test]
fn what_a_guest_ends_that_is_not_active_ends_nothing_else() {
    let mut vgic = started(2);
    let mut registers = [0; 4];
    let hcr = vgic.fill(0, VMCR, &mut registers);
    let told = vgic.write_redistributors(frame(0) + 0x300, AccessSize::Word, 1);
    assert_eq!(told, VcpuSet::one(0), "it is in no list register yet");
    let _ = vgic.sync(0, &registers, hcr | 1 << 27);
    assert_eq!(vgic.read_redistributors(frame(0) + 0x300, AccessSize::Word), 1);
}

#[test]
fn a_trapped_write_to_icc_dir_ends_what_is_active_on_that_vcpu_alone() {
    let mut vgic = started(2);
    let _ = vgic.set_spi(EDGE, true);
    let _ = run(&mut vgic, 0, |registers| registers[0] ^= PENDING | ACTIVE);
    let is_active = |vgic: &vgic::Vgic| vgic.read_distributor(0x304, AccessSize::Word) != 0;
    for (vcpu, intid) in [(1, EDGE), (0, UART), (0, 1023), (7, 3), (0, u32::MAX)] {
        let _ = vgic.deactivate(vcpu, intid);
        assert!(is_active(&vgic), "{vcpu}, {intid}");
    }
    let _ = vgic.deactivate(0, EDGE);
    assert!(!is_active(&vgic));
}

#[test]
fn a_vcpu_may_sleep_through_what_it_does_not_take() {
    let mut vgic = started(1);
    let _ = vgic.set_ppi(0, TIMER, true);
    let vmcr = |mask: u64, groups: u64| mask << 24 | groups;
    assert!(vgic.has_deliverable(0, vmcr(0xa8, 0b10)));
    assert!(!vgic.has_deliverable(0, vmcr(0xa0, 0b10)));
    assert!(!vgic.has_deliverable(0, vmcr(0xff, 0b01)));
    assert!(!vgic.has_deliverable(1, VMCR), "there is no such vCPU");
    let _ = vgic.write_distributor(0, AccessSize::Word, 0);
    assert!(!vgic.has_deliverable(0, VMCR));
    assert_eq!(vgic.write_distributor(0, AccessSize::Word, 0b10), VcpuSet::one(0));
    assert!(vgic.has_deliverable(0, VMCR));
    assert!(vgic.write_distributor(0, AccessSize::Word, 0b10).is_empty(), "nothing changes");
}

#[test]
fn list_registers_that_were_not_given_back_hold_what_they_held() {
    let mut vgic = started(1);
    let _ = vgic.set_spi(EDGE, true);
    let mut registers = [0; 4];
    let hcr = vgic.fill(0, VMCR, &mut registers);
    let _ = vgic.sync(0, &[], hcr);
    assert!(vgic.has_deliverable(0, VMCR));
    assert!(vgic.sync(0, &[u64::MAX; 32], u64::MAX).is_empty(), "nothing is out any more");
    assert_eq!(vgic.fill(9, VMCR, &mut registers), 0);
    assert_eq!(registers, [0; 4]);
}

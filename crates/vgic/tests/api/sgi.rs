//! Which vCPUs an SGI goes to.

use vgic::{AccessSize, SgiGroup, VcpuSet, Vgic, affinity, vcpu_of};

use crate::guest::{frame, started};

fn targets(vgic: &mut Vgic, value: u64) -> Vec<usize> {
    let told: Vec<_> = vgic.send_sgi(2, SgiGroup::Group1, value | 5 << 24).iter().collect();
    // What they were told is what became pending.
    for vcpu in 0..vgic.vcpus() {
        let pending = vgic.read_redistributors(frame(vcpu as u64) + 0x200, AccessSize::Word);
        assert_eq!(pending, if told.contains(&vcpu) { 1 << 5 } else { 0 }, "vCPU {vcpu}");
        let _ = vgic.write_redistributors(frame(vcpu as u64) + 0x280, AccessSize::Word, 1 << 5);
    }
    told
}

#[test]
fn a_target_list_names_vcpus_of_one_cluster() {
    let mut vgic = started(20);
    assert_eq!(targets(&mut vgic, 0b1000_0000_0000_0101), [0, 2, 15]);
    assert_eq!(targets(&mut vgic, 1 << 16 | 0b1_1001), [16, 19], "Aff1 is 1; there is no vCPU 20");
    assert_eq!(targets(&mut vgic, 0), []);
    for elsewhere in [2 << 16, 1 << 32, 1 << 48, 1 << 44] {
        assert_eq!(targets(&mut vgic, elsewhere | 0xffff), [], "{elsewhere:#x}");
    }
}

#[test]
fn irm_names_all_but_the_sender() {
    let mut vgic = started(4);
    assert_eq!(targets(&mut vgic, 1 << 40 | 0b100), [0, 1, 3]);
}

#[test]
fn an_sgi_is_sent_in_its_own_group_only() {
    let mut vgic = started(2);
    assert!(vgic.send_sgi(0, SgiGroup::Group0, 0b10).is_empty());
    let _ = vgic.write_redistributors(frame(1) + 0x080, AccessSize::Word, 0);
    assert!(vgic.send_sgi(0, SgiGroup::Group1, 0b10).is_empty());
    assert!(vgic.send_sgi(0, SgiGroup::Group0, 0b10).is_empty(), "it is pending, and Group 0 is off in GICD_CTLR");
    assert_eq!(vgic.write_distributor(0, AccessSize::Word, 0b01), VcpuSet::one(0) | VcpuSet::one(1));
    assert!(vgic.has_deliverable(1, 0xff << 24 | 0b01));
}

#[test]
fn vcpus_have_affinities_that_lead_back_to_them() {
    assert_eq!([0, 15, 16, 17, 511].map(affinity), [0, 0xf, 0x100, 0x101, 0x1f0f]);
    for vcpu in 0..512 {
        assert_eq!(vcpu_of(affinity(vcpu)), Some(vcpu));
    }
    for nobody in [0x10, 0x1_0000, 1 << 32, 1 << 31] {
        assert_eq!(vcpu_of(nobody), None, "{nobody:#x}");
    }
}

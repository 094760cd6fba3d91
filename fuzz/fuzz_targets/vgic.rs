//! The virtual GICv3: what a guest, its devices and a hypervisor do to it, held against the model of the crate's own tests, and accesses
//! of any kind, of which only this is asked: that nothing panics, and that no list registers hold the same interrupt.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vgic::{AccessSize, SgiGroup, Vgic};

#[path = "../../crates/vgic/tests/model/reference.rs"]
mod reference;
#[path = "../../crates/vgic/tests/model/step.rs"]
mod step;
#[path = "../../crates/vgic/tests/model/world.rs"]
mod world;

use crate::step::Step;
use crate::world::World;

fuzz_target!(|data: &[u8]| {
    let Some((first, rest)) = data.split_first() else {
        return;
    };
    let list_registers = 1 + usize::from(first / 3 % 5);
    match first % 3 {
        0 => anything(rest, list_registers),
        mode => World::run(rest.as_chunks().0.iter().map(|bytes| Step::decode(*bytes)), list_registers, mode == 1),
    }
});

/// Accesses that no driver makes, and list registers that no CPU leaves behind.
fn anything(data: &[u8], list_registers: usize) {
    let (vcpus, spis) = (data.len() % 40, data.len() * 7 % 1100);
    let Ok(mut vgic) = Vgic::new(vcpus, spis) else {
        return;
    };
    let mut registers = vec![0; list_registers];
    for [kind, vcpu, a, b, c, d, value @ ..] in data.as_chunks::<14>().0 {
        let size = AccessSize::from_sas(u64::from(*kind >> 6));
        let vcpu = usize::from(*vcpu);
        let word = u32::from_le_bytes([*a, *b, *c, *d]);
        let offset = u64::from(word) & if word & 1 << 31 == 0 { 0x1_ffff } else { u64::MAX };
        let value = u64::from_le_bytes(*value);
        let told = match kind % 8 {
            0..2 => vgic.write_distributor(offset, size, value),
            2..4 => vgic.write_redistributors(offset, size, value),
            4 => vgic.send_sgi(vcpu, if a & 1 == 0 { SgiGroup::Group0 } else { SgiGroup::Group1 }, value),
            5 => vgic.set_spi(word % 1100, value & 1 != 0) | vgic.set_ppi(vcpu, word % 40, value & 2 != 0),
            6 => vgic.deactivate(vcpu, word % 1100),
            _ => {
                let hcr = vgic.fill(vcpu, value, &mut registers);
                let mut intids: Vec<_> =
                    registers.iter().filter(|register| **register != 0).map(|register| *register as u32).collect();
                intids.sort_unstable();
                assert!(intids.is_sorted_by(|one, other| one < other));
                registers[0] ^= value;
                vgic.sync(vcpu, &registers, hcr ^ value << 27)
            }
        };
        assert!(told.iter().all(|vcpu| vcpu < vcpus));
        let _ = vgic.has_deliverable(vcpu, value);
        let _ = (vgic.read_distributor(offset, size), vgic.read_redistributors(offset, size));
    }
}

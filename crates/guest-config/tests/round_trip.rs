//! What is written is read again.

use std::ops::RangeInclusive;

use dtoolkit::fdt::Fdt;
use dtoolkit::model::DeviceTree;
use guest_config::{Configuration, GUEST_0, Guest, HEADER, Limits, Module, Pins, write};
use proptest::option;
use proptest::prelude::*;

const NAMES: [&str; 3] = [GUEST_0, "domU1", "domU2"];

/// An Image that needs as much as its file has bytes.
fn header(_: &Module) -> Option<[u8; HEADER]> {
    let mut header = [0; HEADER];
    header[56..60].copy_from_slice(b"ARM\x64");
    Some(header)
}

fn module(addresses: RangeInclusive<u64>) -> impl Strategy<Value = Module> {
    (addresses, 1..0x80_0000_u64).prop_map(|(address, size)| Module { address, size })
}

prop_compose! {
    fn guest(name: &'static str)(
        vcpus in 1..=8_usize,
        memory in 0x5000..0x4_0000_u64,
        kernel in module(0x4000_0000..=0x5000_0000),
        // Elsewhere: two nodes of one name are one.
        ramdisk in option::of(module(0x10_0000_0000..=0x10_1000_0000)),
        vpl011: bool,
        spis in option::of(0..=64_u32),
        quiet: bool,
        bound in proptest::collection::vec(option::of(0..512_usize), 8),
    ) -> Guest<'static> {
        let bootargs = if quiet { "" } else { "console=ttyAMA0 quiet" };
        // Guest 0 has its console, and as many SPIs as there are.
        let (vpl011, spis) = if name == GUEST_0 { (true, None) } else { (vpl011, spis) };
        let mut pins = Pins::NONE;
        bound.iter().take(vcpus).enumerate().for_each(|(vcpu, cpu)| _ = cpu.map(|cpu| pins.set(vcpu, cpu)));
        let pins = match pins.get(0) {
            Some(_) if name == GUEST_0 => Pins::in_order(vcpus),
            None if name == GUEST_0 => Pins::NONE,
            _ => pins,
        };
        Guest { name, vcpus, memory, kernel, ramdisk, bootargs, vpl011, spis, pins }
    }
}

proptest! {
    #[test]
    fn guests_that_were_written_are_read(
        all in NAMES.map(guest),
        count in 0..=NAMES.len(),
        own in prop_oneof![Just(""), Just("console=dtuart"), Just("dom0_mem=1M")],
    ) {
        let guests = &all[..count];
        let mut tree = DeviceTree::new();
        write(&mut tree, own, guests);
        let blob = tree.to_dtb();
        let ram = [0x4000_0000..0x8000_0000, 0x10_0000_0000..0x10_2000_0000];
        let limits = Limits {
            vcpus: 8,
            cpus: 512,
            default_vcpus: 1,
            memory: 1 << 20,
            default_memory: 1 << 10,
            least_memory: 1 << 10,
            spis: 64,
            ram: &ram,
            memory_unit: 1,
            memory_start: 0x4000_0000,
            guests: NAMES.len(),
            header,
        };
        let read = Configuration::read(&Fdt::new(&blob).unwrap(), &limits);
        prop_assert!(read.bootargs.starts_with(own));
        prop_assert_eq!(read.guests, guests.iter().map(|guest| Ok(*guest)).collect::<Vec<_>>());
    }
}

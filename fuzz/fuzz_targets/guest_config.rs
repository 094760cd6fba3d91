//! Reads guests from whatever passes for a devicetree, and checks what a hypervisor would rely on afterwards.
#![no_main]

use guest_config::{Configuration, GUEST_0, GuestMachine, HEADER, Layout, Limits, Module, Pl011};
use libfuzzer_sys::fuzz_target;
use reveille::topology::open_fdt;

const LIMITS: Limits<'static> = Limits {
    vcpus: 8,
    cpus: 4,
    default_vcpus: 4,
    memory: 1 << 20,
    default_memory: 1 << 19,
    least_memory: 1 << 12,
    spis: 64,
    ram: &[0x4000_0000..0x8000_0000, 0x10_0000_0000..0x10_4000_0000],
    memory_unit: 1 << 11,
    memory_start: 0x4000_0000,
    guests: 8,
    header,
};

/// An Image that needs as much as its file has bytes.
fn header(_: &Module) -> Option<[u8; HEADER]> {
    let mut header = [0; HEADER];
    header[56..60].copy_from_slice(b"ARM\x64");
    Some(header)
}

fuzz_target!(|data: &[u8]| {
    let Ok(fdt) = open_fdt(data) else {
        return;
    };
    let configuration = Configuration::read(&fdt, &LIMITS);
    let mut memory = 0;
    for (number, guest) in configuration.guests.iter().enumerate() {
        let guest = match guest {
            Ok(guest) => guest,
            Err(refused) => {
                let said = refused.to_string();
                assert!(said.starts_with(refused.name) && said.len() > refused.name.len() + 2);
                continue;
            }
        };
        assert!(guest.name != GUEST_0 || number == 0 || fdt.find_node("/chosen/guest0").is_some());
        assert!((1..=LIMITS.vcpus).contains(&guest.vcpus));
        assert!(guest.memory >= LIMITS.least_memory && guest.spis.is_none_or(|spis| spis <= LIMITS.spis));
        assert!(guest.pins.iter().all(|(vcpu, cpu)| vcpu < guest.vcpus && cpu < LIMITS.cpus));
        memory += guest.memory;
        let modules = [Some(guest.kernel), guest.ramdisk].into_iter().flatten();
        for module in modules.clone() {
            let range = module.range();
            assert!(!range.is_empty());
            assert!(LIMITS.ram.iter().any(|ram| ram.start <= range.start && range.end <= ram.end));
        }
        assert!(modules.map(|module| module.size).sum::<u64>() <= 1024 * guest.memory);
        let memory_of_guest = 0x4000_0000..0x4000_0000 + 1024 * guest.memory;
        let layout = header(&guest.kernel)
            .map(|header| Layout::new(&memory_of_guest, &header, &guest.kernel, guest.ramdisk.as_ref()))
            .expect("there is a header")
            .expect("what was read has a place");
        assert!(layout.devicetree < memory_of_guest.end && layout.kernel == memory_of_guest.start);
        let ramdisk = layout.ramdisk.clone().unwrap_or(layout.devicetree..layout.devicetree);
        assert!(layout.kernel + guest.kernel.size <= ramdisk.start && ramdisk.end <= layout.devicetree);
        let machine = GuestMachine {
            memory: std::slice::from_ref(&memory_of_guest),
            mpidrs: &[0, 1, 2, 3, 4, 5, 6, 7][..guest.vcpus],
            distributor: 0x800_0000..0x801_0000,
            redistributors: 0x80a_0000..0x900_0000,
            pl011: guest.vpl011.then_some(Pl011 { address: 0x900_0000, intid: 33 }),
            pl031: None,
            bootargs: guest.bootargs,
            ramdisk: layout.ramdisk,
        };
        let blob = machine.devicetree().expect("whatever was read can be written");
        open_fdt(&blob).expect("what is written can be read");
    }
    assert!(memory <= LIMITS.memory);
});

//! Reads CPUs and PSCI from whatever passes for ACPI's tables, and checks what a kernel would rely on afterwards.
#![no_main]

use std::cell::RefCell;
use std::collections::HashSet;

use libfuzzer_sys::fuzz_target;
use reveille::acpi::find_table;
use reveille::topology::{MadtOptions, MethodIndex};
use reveille::{HwId, MAX_CPUS, Topology};
use reveille_aarch64::AFFINITY_MASK;
use reveille_aarch64::psci::PsciNode;

thread_local! {
    // Kept from run to run, so that what an earlier table left behind would show.
    static TOPOLOGY: RefCell<Box<Topology>> = RefCell::new(Box::new(Topology::new(HwId(0))));
}

fuzz_target!(|data: &[u8]| {
    let memory = |address: u64| data.get(usize::try_from(address).ok()?..);
    let _ = find_table(data, *b"APIC", &memory);
    let _ = PsciNode::from_fadt(&table(*b"FACP", data));
    let madt = table(*b"APIC", data);
    for (psci, nr_cpus) in [(true, MAX_CPUS), (false, 3)] {
        let options = MadtOptions {
            boot_cpu: HwId(0),
            hw_id_mask: AFFINITY_MASK,
            psci: psci.then_some(MethodIndex(0)),
            parking_protocol: Some(MethodIndex(1)),
            nr_cpus,
        };
        TOPOLOGY.with_borrow_mut(|topology| read(topology, &madt, &options));
    }
});

/// `data` as a table whose signature, length and checksum are right, so that its reader gets to the rest.
fn table(signature: [u8; 4], data: &[u8]) -> Vec<u8> {
    let mut table = data.to_vec();
    if table.len() >= 36 {
        let length = table.len() as u32;
        table[..4].copy_from_slice(&signature);
        table[4..8].copy_from_slice(&length.to_le_bytes());
        table[9] = 0;
        table[9] = table.iter().fold(0_u8, |sum, &byte| sum.wrapping_sub(byte));
    }
    table
}

fn read(topology: &mut Topology, madt: &[u8], options: &MadtOptions) {
    let mut left_out = 0;
    let result = topology.read_madt(madt, options, &mut |cpu| left_out += usize::from(!cpu.node.is_empty()));
    let cpus = topology.cpus();
    assert!((1..=options.nr_cpus).contains(&cpus.len()));
    assert_eq!(cpus[0].hw_id, options.boot_cpu);
    match result {
        Ok(findings) => {
            assert_eq!(findings.left_out, left_out);
            assert!(findings.boot_cpu_found || cpus.len() == 1);
        }
        Err(_) => assert_eq!((cpus.len(), left_out), (1, 0)),
    }
    let mut ids = HashSet::new();
    for (position, cpu) in cpus.iter().enumerate() {
        assert_eq!(cpu.index.get(), position);
        assert!(ids.insert(cpu.hw_id));
        if position > 0 {
            assert_eq!(cpu.hw_id.0 & !AFFINITY_MASK, 0);
            assert!(cpu.method.is_some() && cpu.acpi.is_some());
            assert!(options.psci.is_some() || cpu.release_address.is_some());
        }
    }
}

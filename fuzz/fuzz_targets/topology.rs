//! Reads CPUs and PSCI from whatever passes for a devicetree, and checks what a kernel would rely on afterwards.
#![no_main]

use std::cell::RefCell;
use std::collections::HashSet;

use dtoolkit::fdt::Fdt;
use libfuzzer_sys::fuzz_target;
use reveille::topology::{FdtOptions, Findings, TopologyError, open_fdt};
use reveille::{HwId, MAX_CPUS, Topology};
use reveille_aarch64::AFFINITY_MASK;
use reveille_aarch64::psci::PsciNode;

thread_local! {
    // Kept from run to run, so that what an earlier tree left behind would show.
    static TOPOLOGY: RefCell<Box<Topology>> = RefCell::new(Box::new(Topology::new(HwId(0))));
}

fuzz_target!(|data: &[u8]| {
    let Ok(fdt) = open_fdt(data) else {
        return;
    };
    let _ = PsciNode::from_fdt(&fdt);
    let boot_cpu = HwId(u64::from(fdt.boot_cpuid_phys()));
    for nr_cpus in [MAX_CPUS, 3] {
        let options = FdtOptions { boot_cpu, hw_id_mask: AFFINITY_MASK, methods: &["psci", "spin-table"], nr_cpus };
        TOPOLOGY.with_borrow_mut(|topology| read(topology, &fdt, &options));
    }
});

fn read(topology: &mut Topology, fdt: &Fdt<'_>, options: &FdtOptions<'_>) {
    let mut left_out = 0;
    let result =
        topology.read_fdt(fdt, options, &mut |cpu| left_out += usize::from(!cpu.reason.to_string().is_empty()));
    let cpus = topology.cpus();
    assert!((1..=options.nr_cpus).contains(&cpus.len()));
    assert_eq!(cpus[0].hw_id, options.boot_cpu);
    match result {
        Ok(Findings { boot_cpu_found, left_out: counted }) => {
            assert_eq!(counted, left_out);
            assert!(boot_cpu_found || cpus.len() == 1);
        }
        Err(TopologyError::NoCpus | TopologyError::AddressCells(_)) => assert_eq!((cpus.len(), left_out), (1, 0)),
    }
    let mut ids = HashSet::new();
    for (position, cpu) in cpus.iter().enumerate() {
        assert_eq!(cpu.index.get(), position);
        assert!(ids.insert(cpu.hw_id));
        if position > 0 {
            assert_eq!(cpu.hw_id.0 & !AFFINITY_MASK, 0);
            assert!(cpu.method.is_some_and(|method| usize::from(method.0) < options.methods.len()));
        }
    }
}

//! What [`reveille::Topology`] makes of devicetrees and MADTs, good and hostile, and of answers.
#![cfg(not(loom))]

mod blob;
mod board;
mod cpu_map;
mod hostile;
mod madt;
mod probe;
mod trees;

use reveille::topology::{FdtOptions, Findings, MethodIndex, Reason, TopologyError};
use reveille::{HwId, MAX_CPUS};
use trees::{Build, PSCI, Reading, cell, cpu, cpus, named_cpu, node, options};

const FOUND: bool = true;

/// What a node `cpu@id` that was left out looks like.
fn out(id: u32, reason: Reason) -> (String, Option<u64>, Reason) {
    (format!("cpu@{id:x}"), Some(u64::from(id)), reason)
}

fn findings(boot_cpu_found: bool, left_out: usize) -> Result<Findings, TopologyError> {
    Ok(Findings { boot_cpu_found, left_out })
}

#[test]
fn row_47_ids_have_one_cell_or_two() {
    let one = Reading::of_cpus([cpu(0), cpu(0x100)]);
    assert_eq!(one.ids(), [0, 0x100]);
    assert_eq!(one.findings, findings(FOUND, 0));

    let two = |high: u32, low: u32| named_cpu(&format!("cpu@{high:x}.{low:x}"), [cell(high), cell(low)].concat());
    let two_cells = cpus([two(0, 0), two(0, 0x1_0203), two(0xff, 0)]).with("#address-cells", cell(2));
    assert_eq!(Reading::of(two_cells).ids(), [0, 0x1_0203, 0xff_0000_0000]);
}

#[test]
fn row_47_other_numbers_of_cells_leave_the_boot_cpu_alone() {
    for cells in [0, 3, 4, u32::MAX] {
        let reading = Reading::of(cpus([cpu(0), cpu(1)]).with("#address-cells", cell(cells)));
        assert_eq!(reading.findings, Err(TopologyError::AddressCells(cells)));
        assert_eq!(reading.ids(), [0]);
        assert!(reading.left_out.is_empty());
    }
}

#[test]
fn row_47_without_address_cells_those_of_the_root_count_and_then_one() {
    let bare = || cpus([cpu(0), cpu(1)]).without("#address-cells");
    assert_eq!(Reading::of(bare()).ids(), [0, 1]);

    let mut tree = dtoolkit::model::DeviceTree::new();
    tree.root.add_child(bare());
    tree.root = tree.root.with("#address-cells", cell(2));
    let reading = Reading::of_blob(&tree.to_dtb(), &options());
    assert_eq!(reading.reasons(), [("cpu@0", Reason::BadReg), ("cpu@1", Reason::BadReg)]);
}

#[test]
fn row_47_bits_outside_the_affinity_fields_are_an_error() {
    let reading = Reading::of_cpus([cpu(0), cpu(0x8000_0001), cpu(0x0100_0000), cpu(0x00ff_ffff)]);
    assert_eq!(reading.ids(), [0, 0x00ff_ffff]);
    assert_eq!(reading.left_out, [0x8000_0001, 0x0100_0000].map(|id| out(id, Reason::BadId)));
    assert_eq!(reading.findings, findings(FOUND, 2));
}

#[test]
fn row_48_a_node_without_a_usable_reg_is_left_out() {
    let missing = cpu(1).without("reg");
    let odd = [&[][..], &[0, 0, 2], &[0, 0, 0, 0, 2], &[0, 0, 0, 0, 0, 0, 0, 3], &[0; 400]];
    let odd = odd.map(|reg| named_cpu(&format!("cpu@bad{}", reg.len()), reg));
    let reading = Reading::of_cpus([cpu(0), missing].into_iter().chain(odd).chain([cpu(9)]));
    assert_eq!(reading.ids(), [0, 9]);
    assert_eq!(reading.left_out.len(), 6);
    assert!(reading.left_out.iter().all(|(_, id, reason)| (*id, *reason) == (None, Reason::BadReg)));
}

#[test]
fn row_48_of_nodes_with_one_id_the_first_counts() {
    let again = |name: &str, id| named_cpu(name, cell(id)).with("numa-node-id", cell(7));
    let reading = Reading::of_cpus([cpu(1), again("cpu@a", 1), cpu(0), again("cpu@b", 0), again("cpu@c", 1)]);
    assert_eq!(reading.ids(), [0, 1]);
    let duplicate = Reason::Duplicate;
    assert_eq!(reading.reasons(), [("cpu@a", duplicate), ("cpu@b", duplicate), ("cpu@c", duplicate)]);
    assert!(reading.topology.cpus().iter().all(|cpu| cpu.numa_node.is_none()));
}

#[test]
fn row_49_the_boot_cpu_is_logical_0_wherever_it_stands() {
    for boot in [0x101, 0, 0x100] {
        let options = FdtOptions { boot_cpu: HwId(boot), ..options() };
        let reading = Reading::with_options(cpus([cpu(0), cpu(0x100), cpu(0x101)]), &options);
        let others = [0, 0x100, 0x101].into_iter().filter(|&id| id != boot);
        assert_eq!(reading.ids(), [boot].into_iter().chain(others).collect::<Vec<_>>());
        assert_eq!(reading.findings, findings(FOUND, 0));
    }
}

#[test]
fn row_49_if_the_boot_cpu_is_absent_the_machine_runs_on_it_alone() {
    let options = FdtOptions { boot_cpu: HwId(7), ..options() };
    let reading = Reading::with_options(cpus([cpu(0), cpu(1)]), &options);
    assert_eq!(reading.ids(), [7]);
    assert_eq!(reading.methods(), [None]);
    assert_eq!(reading.findings, findings(!FOUND, 2));
    assert_eq!(reading.reasons(), [("cpu@0", Reason::BootCpuMissing), ("cpu@1", Reason::BootCpuMissing)]);

    let none = Reading::of(node("chosen"));
    assert_eq!((none.findings, none.ids()), (Err(TopologyError::NoCpus), vec![0]));
    let empty = Reading::of_cpus([]);
    assert_eq!((empty.findings, empty.ids()), (findings(!FOUND, 0), vec![0]));
}

#[test]
fn row_49_the_boot_cpu_needs_no_method_and_no_status() {
    for method in [None, Some(&b"acme,wake\0"[..])] {
        let boot = cpu(0).without("enable-method");
        let boot = method.map_or(boot.clone(), |method| boot.with("enable-method", method));
        let reading = Reading::of_cpus([cpu(1), boot]);
        assert_eq!((reading.ids(), reading.methods()), (vec![0, 1], vec![None, Some(0)]));
    }
    for status in [&b"disabled\0"[..], b"fail\0", b"reserved\0"] {
        let reading = Reading::of_cpus([cpu(0).with("status", status), cpu(1)]);
        assert_eq!((reading.ids(), reading.methods()), (vec![0, 1], vec![Some(0); 2]));
    }
}

#[test]
fn row_50_a_missing_or_unknown_enable_method_drops_only_that_cpu() {
    let with = |id, method: &[u8]| cpu(id).with("enable-method", method);
    let reading = Reading::of_cpus([
        cpu(0),
        cpu(1).without("enable-method"),
        with(2, b"acme,wake\0"),
        with(3, b"psc\0"),
        with(4, b"psci-1\0"),
        with(5, b"PSCI\0"),
        with(6, b""),
        with(7, b"\0"),
        cpu(8),
    ]);
    assert_eq!(reading.ids(), [0, 8]);
    let unknown = (2..8).map(|id| out(id, Reason::UnknownMethod));
    let expected: Vec<_> = [out(1, Reason::NoMethod)].into_iter().chain(unknown).collect();
    assert_eq!(reading.left_out, expected);
}

#[test]
fn row_50_mixed_methods_boot_and_of_several_strings_the_first_known_one_counts() {
    let with = |id, method: &[u8]| cpu(id).with("enable-method", method);
    let reading = Reading::of_cpus([
        cpu(0),
        with(1, b"spin-table\0").with("cpu-release-addr", 0xd8u64.to_be_bytes()),
        with(2, b"acme,wake\0spin-table\0psci\0"),
        with(3, b"psci\0spin-table\0"),
    ]);
    assert_eq!(reading.methods(), [Some(0), Some(1), Some(1), Some(0)]);
    assert_eq!(reading.findings, findings(FOUND, 0));
}

#[test]
fn a_caller_without_methods_gets_the_boot_cpu() {
    let reading = Reading::with_options(cpus([cpu(0), cpu(1)]), &FdtOptions { methods: &[], ..options() });
    assert_eq!((reading.ids(), reading.methods()), (vec![0], vec![None]));
    assert_eq!(reading.reasons(), [("cpu@1", Reason::UnknownMethod)]);
}

#[test]
fn row_52_disabled_cpus_may_be_started_and_failed_ones_not() {
    let with = |id, status: &[u8]| cpu(id).with("status", status);
    let reading = Reading::of_cpus([
        cpu(0),
        with(1, b"okay\0"),
        with(2, b"ok\0"),
        with(3, b"disabled\0"),
        with(4, b"fail\0"),
        with(5, b"fail-hardware\0"),
        with(6, b"reserved\0"),
        with(7, b"\0"),
        with(8, b""),
        with(9, b"okay"),
        with(10, b"disabled\0\0"),
    ]);
    assert_eq!(reading.ids(), [0, 1, 2, 3]);
    assert_eq!(reading.left_out, (4..=10).map(|id| out(id, Reason::Status)).collect::<Vec<_>>());
    assert!(!Reason::Status.is_fault());
}

#[test]
fn row_53_nr_cpus_caps_and_the_boot_cpu_is_within_the_cap() {
    let read = |boot, nr_cpus| {
        let options = FdtOptions { boot_cpu: HwId(boot), nr_cpus, ..options() };
        Reading::with_options(cpus((0..4).map(cpu)), &options)
    };
    assert_eq!(read(0, 2).ids(), [0, 1]);
    assert_eq!(read(0, 4).ids(), [0, 1, 2, 3]);
    let last = read(3, 2);
    assert_eq!(last.ids(), [3, 0]);
    assert_eq!(last.reasons(), [("cpu@1", Reason::AboveNrCpus), ("cpu@2", Reason::AboveNrCpus)]);
    assert!(!Reason::AboveNrCpus.is_fault());
    for nr_cpus in [0, 1] {
        assert_eq!(read(2, nr_cpus).ids(), [2]);
    }
}

#[test]
fn row_53_more_cpus_than_the_builds_maximum_are_clipped() {
    let many = MAX_CPUS as u32 + 88;
    for boot in [0, many - 1] {
        let options = FdtOptions { boot_cpu: HwId(u64::from(boot)), nr_cpus: usize::MAX, ..options() };
        let reading = Reading::with_options(cpus((0..many).map(cpu)), &options);
        assert_eq!(reading.ids().len(), MAX_CPUS);
        assert_eq!(reading.ids()[0], u64::from(boot));
        assert_eq!(reading.findings, findings(FOUND, 88));
        assert!(reading.left_out.iter().all(|&(_, _, reason)| reason == Reason::AboveBuildMaximum));
    }
}

#[test]
fn release_addresses_have_one_cell_or_two() {
    let at = |id, address: &[u8]| cpu(id).with("cpu-release-addr", address);
    let reading = Reading::of_cpus([
        at(0, &0x8000_fff8u32.to_be_bytes()),
        at(1, &0x1_8000_fff8u64.to_be_bytes()),
        at(2, &[0; 8]),
        at(3, b"bad"),
        cpu(4),
    ]);
    let addresses: Vec<_> = reading.topology.cpus().iter().map(|cpu| cpu.release_address).collect();
    assert_eq!(addresses, [Some(0x8000_fff8), Some(0x1_8000_fff8), Some(0), None, None]);
}

#[test]
fn row_56_numa_nodes_are_read() {
    let reading = Reading::of_cpus([cpu(0).with("numa-node-id", cell(3)), cpu(1).with("numa-node-id", b"3"), cpu(2)]);
    let nodes: Vec<_> = reading.topology.cpus().iter().map(|cpu| cpu.numa_node).collect();
    assert_eq!(nodes, [Some(3), None, None]);
}

#[test]
fn row_56_ids_with_higher_affinity_levels_are_told_apart() {
    let reading = Reading::of_cpus([cpu(0), cpu(0x100), cpu(0x1_0000), cpu(0x1_0100)]);
    assert_eq!(reading.ids(), [0, 0x100, 0x1_0000, 0x1_0100]);
    assert_eq!(reading.topology.find(HwId(0x1_0000)).unwrap().index.get(), 2);
    assert!(reading.topology.find(HwId(1)).is_none());
}

#[test]
fn only_cpus_are_cpus() {
    let untyped = cpu(1).without("device_type");
    let typed = named_cpu("core@2", cell(2));
    let reading = Reading::of_cpus([
        node("l2-cache").with("reg", cell(20)),
        cpu(0).child(node("cpu").with("reg", cell(21))),
        node("idle-states").with("entry-method", PSCI).child(cpu(22)),
        untyped,
        typed,
        node("cpus").with("reg", cell(23)),
        node("cpu-map").with("reg", cell(24)),
        node("cpux@19").with("device_type", b"cpu").with("reg", cell(25)),
    ]);
    assert_eq!((reading.ids(), reading.findings), (vec![0, 1, 2], findings(FOUND, 0)));
}

#[test]
fn reading_again_replaces_what_was_read() {
    let mut reading = Reading::of_cpus([cpu(0).with("numa-node-id", cell(1)), cpu(1), cpu(2)]);
    let read = |reading: &mut Reading, cpus, boot| {
        let blob = trees::blob(cpus);
        let options = FdtOptions { boot_cpu: HwId(boot), ..options() };
        reading.topology.read_fdt(&dtoolkit::fdt::Fdt::new(&blob).unwrap(), &options, &mut |_| ())
    };
    assert_eq!(read(&mut reading, cpus([cpu(5), cpu(6)]), 6), findings(FOUND, 0));
    assert_eq!(reading.ids(), [6, 5]);
    assert_eq!(reading.topology.cpus()[0].method, Some(MethodIndex(0)));
    assert_eq!(reading.topology.cpus()[0].numa_node, None);

    assert_eq!(read(&mut reading, node("soc"), 6), Err(TopologyError::NoCpus));
    assert_eq!((reading.ids(), reading.methods()), (vec![6], vec![None]));
}

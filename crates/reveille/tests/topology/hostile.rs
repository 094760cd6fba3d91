//! Trees that nobody would write: whatever they say, reading ends, and every CPU is somewhere.

use std::collections::BTreeSet;

use dtoolkit::fdt::Fdt;
use dtoolkit::model::DeviceTreeNode;
use proptest::collection::vec;
use proptest::prelude::*;
use reveille::topology::{FdtOptions, Reason};
use reveille::{HwId, MAX_CPUS, Topology};

use super::trees::{Build, Reading, blob, cell, cpu, cpus, named_cpu, node, options};

#[test]
fn twenty_thousand_cpus_are_read_to_the_end() {
    let leaves = (0..20_000).map(|number| node(&format!("core{number}")).with("cpu", cell(number)));
    let map = node("cpu-map").child(leaves.fold(node("cluster0"), Build::child));
    let children = (0..20_000).map(|id| cpu(id).with("phandle", cell(id)));
    let reading = Reading::of_cpus(children.chain([map]));
    assert_eq!((reading.ids().len(), reading.left_out.len()), (MAX_CPUS, 20_000 - MAX_CPUS));
}

/// Any value of a property: mostly sensible, sometimes bytes.
fn value(sensible: &'static [&'static [u8]]) -> impl Strategy<Value = Option<Vec<u8>>> {
    prop_oneof![
        6 => prop::sample::select(sensible).prop_map(|value| Some(value.to_vec())),
        1 => vec(any::<u8>(), 0..20).prop_map(Some),
        1 => Just(None),
    ]
}

/// A small id, so that ids meet; or any.
fn reg() -> impl Strategy<Value = Option<Vec<u8>>> {
    prop_oneof![
        8 => (0u32..12).prop_map(|id| Some(cell(id).to_vec())),
        1 => any::<u32>().prop_map(|id| Some(cell(id).to_vec())),
        1 => vec(any::<u8>(), 0..12).prop_map(Some),
        1 => Just(None),
    ]
}

/// What a node may have: names and values.
type Properties = [(&'static str, Option<Vec<u8>>); 6];

fn properties() -> impl Strategy<Value = Properties> {
    (
        value(&[b"cpu\0", b"cpu\0", b"memory\0"]),
        reg(),
        value(&[b"psci\0", b"spin-table\0", b"acme\0", b"acme\0psci\0"]),
        value(&[b"okay\0", b"okay\0", b"disabled\0", b"fail\0"]),
        value(&[&[0, 0, 0, 1], &[0, 0, 0, 2]]),
        value(&[&[0, 0, 0, 8], &[0, 0, 0, 0, 0, 0, 0, 8]]),
    )
        .prop_map(|(device_type, reg, method, status, phandle, release)| {
            [
                ("device_type", device_type),
                ("reg", reg),
                ("enable-method", method),
                ("status", status),
                ("phandle", phandle),
                ("cpu-release-addr", release),
            ]
        })
}

fn children(nodes: Vec<Properties>) -> Vec<DeviceTreeNode> {
    let build = |(number, properties): (usize, Properties)| {
        let present = properties.into_iter().filter_map(|(name, value)| Some((name, value?)));
        present.fold(node(&format!("cpu@{number}")), |node, (name, value)| node.with(name, value))
    };
    nodes.into_iter().enumerate().map(build).collect()
}

proptest! {
    #[test]
    fn every_cpu_is_in_the_topology_or_left_out_once(
        nodes in vec(properties(), 0..24),
        boot in 0u64..12,
        nr_cpus in prop_oneof![Just(MAX_CPUS), 0usize..8],
    ) {
        let count = nodes.len();
        let options = FdtOptions { boot_cpu: HwId(boot), nr_cpus, ..options() };
        let reading = Reading::with_options(cpus(children(nodes)), &options);
        let findings = reading.findings.unwrap();

        let ids = reading.ids();
        prop_assert_eq!(ids[0], boot);
        prop_assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
        prop_assert!(ids.len() <= nr_cpus.max(1));
        prop_assert!(reading.topology.cpus()[1..].iter().all(|cpu| cpu.method.is_some()));

        let names: BTreeSet<_> = reading.left_out.iter().map(|(name, ..)| name).collect();
        prop_assert_eq!(names.len(), reading.left_out.len());
        prop_assert_eq!(findings.left_out, reading.left_out.len());
        let described = if findings.boot_cpu_found { ids.len() } else { ids.len() - 1 };
        prop_assert_eq!(described + findings.left_out, count);
        if !findings.boot_cpu_found {
            prop_assert_eq!(ids.len(), 1);
            let expected = |reason| matches!(reason, Reason::BootCpuMissing | Reason::BadReg | Reason::BadId);
            prop_assert!(reading.left_out.iter().all(|&(_, _, reason)| expected(reason)));
        }
    }

    #[test]
    fn damaged_trees_are_read_to_the_end(
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        length in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let mut bytes = sound_tree();
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        if cut {
            bytes.truncate(length.index(bytes.len()));
        }
        if let Ok(fdt) = Fdt::new(&bytes) {
            let mut topology = Box::new(Topology::new(HwId(0)));
            let _ = topology.read_fdt(&fdt, &options(), &mut |_| ());
            prop_assert!((1..=MAX_CPUS).contains(&topology.cpus().len()));
            prop_assert_eq!(topology.cpus()[0].hw_id, HwId(0));
        }
    }
}

/// A tree in which everything that is read occurs.
fn sound_tree() -> Vec<u8> {
    let cpu = |id| cpu(id).with("phandle", cell(id + 1)).with("numa-node-id", cell(id / 2)).with("status", b"okay\0");
    let spin = named_cpu("cpu@3", cell(3))
        .with("enable-method", b"acme\0spin-table\0")
        .with("cpu-release-addr", 0xd8u64.to_be_bytes());
    let leaf = |name: &str, id: u32| node(name).with("cpu", cell(id + 1));
    let core1 = node("core1").child(leaf("thread0", 1)).child(leaf("thread1", 2));
    let map = node("cpu-map").child(node("socket0").child(node("cluster0").child(leaf("core0", 0)).child(core1)));
    blob(cpus([cpu(0), cpu(1), cpu(2), spin, node("l2-cache"), map]))
}

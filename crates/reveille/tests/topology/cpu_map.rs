//! `cpu-map`: sockets, clusters, cores and threads, and maps that contradict themselves.

use dtoolkit::fdt::Fdt;
use dtoolkit::model::DeviceTreeNode;
use reveille::topology::Placement;

use super::trees::{Build, Reading, blob, cell, cpu, cpus, node, options};

/// A CPU that the map can refer to.
fn marked(id: u32) -> DeviceTreeNode {
    cpu(id).with("phandle", cell(phandle(id)))
}

const fn phandle(id: u32) -> u32 {
    id + 0x8000
}

/// A core or thread that refers to the CPU `id`.
fn leaf(name: &str, id: u32) -> DeviceTreeNode {
    node(name).with("cpu", cell(phandle(id)))
}

fn group(name: &str, children: impl IntoIterator<Item = DeviceTreeNode>) -> DeviceTreeNode {
    children.into_iter().fold(node(name), Build::child)
}

/// Where `count` CPUs sit by the map with these children: cluster, core, thread.
fn places(count: u32, map: impl IntoIterator<Item = DeviceTreeNode>) -> Vec<Option<(u16, u16, u16)>> {
    let reading = Reading::of_cpus((0..count).map(marked).chain([group("cpu-map", map)]));
    assert_eq!(reading.ids().len(), count as usize);
    let place = |Placement { cluster, core, thread }| (cluster, core, thread);
    reading.topology.cpus().iter().map(|cpu| cpu.placement.map(place)).collect()
}

#[test]
fn row_56_clusters_and_cores() {
    let map = [
        group("cluster0", [leaf("core0", 0), leaf("core1", 1)]),
        group("cluster1", [leaf("core0", 3), leaf("core1", 2)]),
    ];
    assert_eq!(places(4, map), [Some((0, 0, 0)), Some((0, 1, 0)), Some((1, 1, 0)), Some((1, 0, 0))]);
}

#[test]
fn row_56_sockets_nested_clusters_and_threads() {
    let threads = |name: &str, first| group(name, [leaf("thread0", first), leaf("thread1", first + 1)]);
    let map = [
        group("socket0", [group("cluster0", [group("cluster0", [threads("core0", 0), threads("core1", 2)])])]),
        group("socket1", [group("cluster0", [threads("core0", 4)]), group("cluster1", [leaf("core0", 6)])]),
    ];
    let expected = [(0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1), (1, 0, 0), (1, 0, 1), (2, 0, 0)];
    assert_eq!(places(7, map), expected.map(Some));
}

#[test]
fn row_56_without_a_map_nothing_is_placed() {
    let reading = Reading::of_cpus([marked(0), marked(1)]);
    assert!(reading.topology.cpus().iter().all(|cpu| cpu.placement.is_none()));
}

#[test]
fn two_leaves_of_one_cpu_and_the_first_counts() {
    let map = [group("cluster0", [leaf("core0", 1), leaf("core1", 1)]), group("cluster1", [leaf("core0", 1)])];
    assert_eq!(places(2, map), [None, Some((0, 0, 0))]);
}

#[test]
fn phandles_of_nobody_place_nobody() {
    let odd = [&[][..], b"abc", &[0; 4], &[0xff; 4], &[0; 8]];
    let odd = odd.iter().enumerate().map(|(number, value)| node(&format!("core{number}")).with("cpu", value));
    let map = [group("cluster0", odd.chain([node("core8"), leaf("core9", 77), leaf("core10", 1)]))];
    assert_eq!(places(2, map), [None, Some((0, 7, 0))]);
}

#[test]
fn a_cpu_without_phandle_is_not_placed_by_a_leaf_without_one() {
    let map = group("cpu-map", [group("cluster0", [node("core0").with("cpu", cell(0))])]);
    let reading = Reading::of_cpus([cpu(0), cpu(1), map]);
    assert!(reading.topology.cpus().iter().all(|cpu| cpu.placement.is_none()));
}

#[test]
fn a_phandle_of_a_tree_that_was_read_before_places_nobody() {
    let map = || group("cpu-map", [group("cluster0", [leaf("core0", 0)])]);
    let mut reading = Reading::of_cpus([marked(0), map()]);
    assert!(reading.topology.cpus()[0].placement.is_some());
    let blob = blob(cpus([marked(1), map()]));
    let _ = reading.topology.read_fdt(&Fdt::new(&blob).unwrap(), &options(), &mut |_| ()).unwrap();
    assert_eq!((reading.ids(), reading.topology.cpus()[0].placement), (vec![0], None));
}

#[test]
fn two_cpus_with_one_phandle_and_the_first_is_placed() {
    let map = group("cpu-map", [group("cluster0", [leaf("core0", 0), leaf("core1", 0)])]);
    let reading = Reading::of_cpus([marked(0), cpu(1).with("phandle", cell(phandle(0))), map]);
    let placed: Vec<_> = reading.topology.cpus().iter().map(|cpu| cpu.placement.is_some()).collect();
    assert_eq!(placed, [true, false]);
}

#[test]
fn what_lies_too_deep_is_not_placed() {
    let nested = |depth| (1..depth).fold(group("cluster0", [leaf("core0", 0)]), |inner, _| group("cluster0", [inner]));
    assert_eq!(places(1, [nested(8)]), [Some((0, 0, 0))]);
    assert_eq!(places(1, [nested(9)]), [None]);
    assert_eq!(places(1, [nested(40)]), [None]);
    assert_eq!(places(2, [nested(40), group("cluster1", [leaf("core0", 1)])]), [None, Some((0, 0, 0))]);
}

#[test]
fn a_map_of_cores_alone_is_one_cluster() {
    assert_eq!(places(2, [leaf("core0", 0), leaf("core1", 1)]), [Some((0, 0, 0)), Some((0, 1, 0))]);
}

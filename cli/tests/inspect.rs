//! `reveille inspect`: what it finds in devicetrees, how it says so, and its exit codes.

use std::path::Path;
use std::process::{Command, Output};

use dtoolkit::fdt::Fdt;
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};
use reveille::HwId;
use reveille_cli::inspect::{BootCpuSource, Inspection, inspect};
use serde_json::Value;

/// Builds nodes in one expression.
trait Build: Sized {
    fn with(self, name: &str, value: impl AsRef<[u8]>) -> Self;
    fn without(self, name: &str) -> Self;
    fn child(self, child: DeviceTreeNode) -> Self;
}

impl Build for DeviceTreeNode {
    fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.remove_property(name);
        self.add_property(DeviceTreeProperty::new(name, value.as_ref().to_vec()).unwrap());
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.remove_property(name);
        self
    }

    fn child(mut self, child: DeviceTreeNode) -> Self {
        self.add_child(child);
        self
    }
}

fn node(name: &str) -> DeviceTreeNode {
    DeviceTreeNode::new(name).unwrap()
}

fn cells<const N: usize>(cells: [u32; N]) -> Vec<u8> {
    cells.map(u32::to_be_bytes).concat()
}

fn cpu(id: u32) -> DeviceTreeNode {
    let cpu = node(&format!("cpu@{id:x}")).with("device_type", "cpu\0").with("compatible", "arm,cortex-a53\0");
    cpu.with("reg", cells([id])).with("enable-method", "psci\0").with("phandle", cells([id + 1]))
}

/// A CPU in a pen.
fn spinning(id: u32, release_address: impl AsRef<[u8]>) -> DeviceTreeNode {
    cpu(id).with("enable-method", "spin-table\0").with("cpu-release-addr", release_address)
}

fn cpus(children: impl IntoIterator<Item = DeviceTreeNode>) -> DeviceTreeNode {
    let cpus = node("cpus").with("#address-cells", cells([1])).with("#size-cells", cells([0]));
    children.into_iter().fold(cpus, Build::child)
}

fn psci() -> DeviceTreeNode {
    node("psci").with("compatible", "arm,psci-1.0\0arm,psci-0.2\0").with("method", "smc\0")
}

fn tree(children: impl IntoIterator<Item = DeviceTreeNode>) -> DeviceTree {
    let mut tree = DeviceTree::new();
    tree.root = tree.root.with("#address-cells", cells([2])).with("#size-cells", cells([1])).with("model", "A board\0");
    children.into_iter().for_each(|child| tree.root.add_child(child));
    tree
}

/// A board with PSCI, and CPU 1 as it is given.
fn board(other: DeviceTreeNode) -> DeviceTree {
    tree([psci(), cpus([cpu(0), other])])
}

fn inspect_tree(tree: &DeviceTree, boot_cpu: Option<u64>) -> Inspection {
    let blob = tree.to_dtb();
    inspect("board.dtb", &Fdt::new(&blob).unwrap(), boot_cpu.map(HwId))
}

/// Checks that a tree has just these findings, each as `kind node`, and how many of its CPUs can come up.
#[track_caller]
fn finds(tree: &DeviceTree, expected: &[&str], can_come_up: usize) {
    let inspection = inspect_tree(tree, None);
    let found = inspection.findings.iter().map(|finding| format!("{} {}", finding.kind.name(), finding.node));
    assert_eq!(found.collect::<Vec<_>>(), expected, "{:#?}", inspection.findings);
    assert_eq!(inspection.can_come_up(), can_come_up);
    let all_come = inspection.cpus.iter().all(|cpu| cpu.can_come_up) && !inspection.cpus.is_empty();
    assert_eq!(inspection.has_errors(), !all_come, "an error is what keeps a CPU from coming up");
}

#[test]
fn a_good_board_has_no_findings() {
    finds(&board(cpu(1)), &[], 2);
    finds(&tree([node("firmware").child(psci()), cpus([cpu(0), cpu(1)])]), &[], 2);
    finds(&tree([cpus([cpu(0)])]), &[], 1);
}

#[test]
fn row_47_ids_that_are_none() {
    finds(&board(cpu(1).without("reg")), &["bad-reg /cpus/cpu@1"], 1);
    finds(&board(cpu(1).with("reg", cells([0, 1]))), &["bad-reg /cpus/cpu@1"], 1);
    finds(&board(cpu(1).with("reg", cells([0x8000_0001]))), &["bad-id /cpus/cpu@1"], 1);
    let three = cpus([cpu(0), cpu(1)]).with("#address-cells", cells([3]));
    finds(&tree([psci(), three]), &["address-cells /cpus"], 0);
    let inherited = cpus([cpu(0).with("reg", cells([0, 0])), cpu(1)]).without("#address-cells");
    finds(&tree([psci(), inherited]), &["bad-reg /cpus/cpu@1", "address-cells-missing /cpus"], 1);
}

#[test]
fn what_is_wrong_with_a_reg_is_said_in_numbers() {
    let inspection = inspect_tree(&board(cpu(1).with("reg", cells([0, 1]))), None);
    assert_eq!(inspection.findings[0].problem, "its reg has 8 bytes, and an id of 1 cells has 4");
}

#[test]
fn row_48_two_nodes_with_one_id() {
    let again = node("cpu@2").with("device_type", "cpu\0").with("reg", cells([1])).with("enable-method", "psci\0");
    finds(&tree([psci(), cpus([cpu(0), cpu(1), again])]), &["duplicate-id /cpus/cpu@2"], 2);
}

#[test]
fn row_49_the_boot_cpu_is_the_users_the_headers_or_the_first() {
    let good = board(cpu(1));
    let first = tree([psci(), cpus([cpu(0x100), cpu(0x101)])]);
    for (tree, given, id, by) in [
        (&good, None, 0, BootCpuSource::Header),
        (&first, None, 0x100, BootCpuSource::FirstNode),
        (&good, Some(1), 1, BootCpuSource::Given),
    ] {
        let inspection = inspect_tree(tree, given);
        assert_eq!((inspection.boot_cpu.id, inspection.boot_cpu.by), (id, by));
        assert_eq!(inspection.cpus.iter().find(|cpu| cpu.boots).unwrap().id, Some(id));
        assert!(!inspection.has_errors());
    }
    let absent = inspect_tree(&good, Some(0x8_0000));
    assert_eq!(absent.findings.len(), 1);
    assert_eq!(absent.findings[0].kind.name(), "boot-cpu-missing");
    assert_eq!((absent.can_come_up(), absent.boot_cpu.by), (0, BootCpuSource::Given));
    finds(&tree([psci(), cpus([])]), &["boot-cpu-missing /cpus"], 0);
    finds(&tree([psci()]), &["no-cpus /"], 0);
}

#[test]
fn row_50_methods_that_are_missing_or_unknown() {
    finds(&board(cpu(1).without("enable-method")), &["no-method /cpus/cpu@1"], 1);
    finds(&board(cpu(1).with("enable-method", "acme,wake\0")), &["unknown-method /cpus/cpu@1"], 1);
    finds(&board(cpu(1).with("enable-method", "acme,wake\0psci\0")), &["second-method /cpus/cpu@1"], 2);
    let bare = |id| cpu(id).without("enable-method");
    finds(
        &tree([psci(), cpus([bare(0), bare(1), cpu(2)])]),
        &["no-method /cpus/cpu@1", "boot-cpu-no-method /cpus/cpu@0"],
        2,
    );
}

#[test]
fn row_51_psci_that_cannot_be_used() {
    let with = |psci| tree([psci, cpus([cpu(0), cpu(1), cpu(2)])]);
    finds(&with(node("soc").child(psci())), &["psci-missing /soc/psci"], 1);
    finds(&with(psci().with("status", "disabled\0")), &["psci-missing /psci"], 1);
    finds(&with(node("memory@0")), &["psci-missing /"], 1);
    finds(&with(psci().without("method")), &["psci-conduit /psci"], 1);
    finds(&with(psci().with("method", "svc\0")), &["psci-conduit /psci"], 1);
    let old = psci().with("compatible", "arm,psci\0");
    finds(&with(old.clone()), &["psci-no-cpu-on /psci"], 1);
    finds(&with(old.with("cpu_on", cells([0x8400_0001]))), &["psci-no-cpu-off /psci"], 3);
}

#[test]
fn row_52_status() {
    finds(&board(cpu(1).with("status", "fail\0")), &["status /cpus/cpu@1"], 1);
    finds(&board(cpu(1).with("status", "disabled\0")), &["disabled /cpus/cpu@1"], 2);
    let failed = cpus([cpu(0).with("status", "fail\0"), cpu(1)]);
    finds(&tree([psci(), failed]), &["boot-cpu-status /cpus/cpu@0"], 2);
}

#[test]
fn rows_40_and_41_release_addresses() {
    let reserved = |cpu| {
        let mut tree = tree([cpus([self::cpu(0), cpu])]);
        tree.memory_reservations.push(dtoolkit::memreserve::MemoryReservation::new(0x1000, 0x1000));
        tree
    };
    finds(&reserved(spinning(1, cells([0, 0x1ff8]))), &[], 2);
    finds(&reserved(spinning(1, cells([0, 0x2000]))), &["release-address-not-reserved /cpus/cpu@1"], 2);
    finds(&reserved(spinning(1, cells([0, 0x1ffc]))), &["release-address-misaligned /cpus/cpu@1"], 1);
    finds(&reserved(spinning(1, cells([0, 0]))), &["release-address-zero /cpus/cpu@1"], 1);
    finds(&reserved(spinning(1, cells([0x1008]))), &["release-address-one-cell /cpus/cpu@1"], 2);
    finds(&reserved(spinning(1, [0; 6])), &["release-address-missing /cpus/cpu@1"], 1);
    let missing = spinning(1, []).without("cpu-release-addr");
    finds(&reserved(missing), &["release-address-missing /cpus/cpu@1"], 1);
}

#[test]
fn row_41_reserved_memory_counts_unless_it_may_be_used_meanwhile() {
    let pen = |region: DeviceTreeNode| {
        let reserved = node("reserved-memory").with("#address-cells", cells([2])).with("#size-cells", cells([1]));
        let region = region.with("reg", cells([0, 0x8000_0000, 0x1000]));
        tree([cpus([cpu(0), spinning(1, cells([0, 0x8000_0ff8]))]), reserved.child(region)])
    };
    let unreserved = ["release-address-not-reserved /cpus/cpu@1"];
    finds(&pen(node("pen@80000000").with("no-map", [])), &[], 2);
    finds(&pen(node("pen@80000000").with("reusable", [])), &unreserved, 2);
    finds(&pen(node("pen@80000000").with("status", "disabled\0")), &unreserved, 2);
}

#[test]
fn row_41_what_is_no_memory_need_not_be_reserved() {
    let with_memory = |start| {
        let memory = node("memory@0").with("device_type", "memory\0").with("reg", cells([0, start, 0x1000]));
        tree([memory, cpus([cpu(0), spinning(1, cells([0, 0xd8]))])])
    };
    finds(&with_memory(0x8000_0000), &[], 2);
    finds(&with_memory(0), &["release-address-not-reserved /cpus/cpu@1"], 2);
}

#[test]
fn row_56_a_cpu_map_that_contradicts_the_nodes() {
    let leaf = |name: &str, phandle| node(name).with("cpu", cells([phandle]));
    let cluster = |leaves: Vec<DeviceTreeNode>| leaves.into_iter().fold(node("cluster0"), Build::child);
    let with = |group: DeviceTreeNode| {
        let idle = node("idle-states").with("phandle", cells([99]));
        tree([psci(), cpus([cpu(0), cpu(1), idle, node("cpu-map").child(group)])])
    };
    finds(&with(cluster(vec![leaf("core0", 1), leaf("core1", 2)])), &[], 2);
    finds(&with(cluster(vec![leaf("core0", 1)])), &["cpu-map-missing /cpus/cpu@1"], 2);
    finds(
        &with(cluster(vec![leaf("core0", 1), leaf("core1", 2), leaf("core2", 2)])),
        &["cpu-map-twice /cpus/cpu@1"],
        2,
    );
    for (phandle, what) in [(99, "/cpus/idle-states, which is no CPU"), (77, "no node's phandle")] {
        let tree = with(cluster(vec![leaf("core0", 1), leaf("core1", 2), leaf("core2", phandle)]));
        finds(&tree, &["cpu-map-phandle /cpus/cpu-map/cluster0/core2"], 2);
        assert!(inspect_tree(&tree, None).findings[0].problem.contains(what));
    }
    finds(&with(cluster(vec![leaf("core0", 1), leaf("core2", 2)])), &["cpu-map-shape /cpus/cpu-map/cluster0"], 2);
    finds(&with(leaf("core0", 1)), &["cpu-map-shape /cpus/cpu-map", "cpu-map-missing /cpus/cpu@1"], 2);
    let mixed = cluster(vec![leaf("core0", 1), cluster(vec![leaf("core0", 2)])]);
    finds(&with(mixed), &["cpu-map-shape /cpus/cpu-map/cluster0"], 2);
    finds(&with(node("socket0").child(cluster(vec![leaf("core0", 1), leaf("core1", 2)]))), &[], 2);
    let threads = node("core0").child(leaf("thread0", 1)).child(leaf("thread1", 2));
    finds(&with(cluster(vec![threads.clone()])), &[], 2);
    finds(&with(cluster(vec![threads.with("cpu", cells([1]))])), &["cpu-map-shape /cpus/cpu-map/cluster0/core0"], 2);
}

#[test]
fn a_cpu_of_32_bits_cannot_come_up() {
    let old = cpu(1).with("compatible", "arm,cortex-a7\0");
    finds(&board(old), &["32-bit-cpu /cpus/cpu@1"], 1);
    finds(&board(cpu(1).with("compatible", "arm,cortex-a710\0arm,armv8\0")), &[], 2);
}

#[test]
fn names_that_mislead_people_are_noted() {
    finds(&board(cpu(1).with("reg", cells([0x101]))), &["unit-address /cpus/cpu@1"], 2);
    finds(&board(cpu(1).without("device_type")), &["no-device-type /cpus/cpu@1"], 2);
}

/// `blob` with `depth` nodes in one another at the end of the root.
fn nested(mut blob: Vec<u8>, depth: usize) -> Vec<u8> {
    let field = |blob: &[u8], at: usize| u32::from_be_bytes(blob[at..at + 4].try_into().unwrap());
    let end_of_root = (field(&blob, 8) + field(&blob, 36) - 8) as usize;
    let nodes = [b"\0\0\0\x01deep\0\0\0\0".repeat(depth), b"\0\0\0\x02".repeat(depth)].concat();
    // The size, where the strings are, the size of the structure.
    for at in [4, 12, 36] {
        let more = field(&blob, at) + u32::try_from(nodes.len()).unwrap();
        blob[at..at + 4].copy_from_slice(&more.to_be_bytes());
    }
    blob.splice(end_of_root..end_of_root, nodes);
    blob
}

#[test]
fn nodes_nested_without_end_do_not_use_up_the_stack() {
    // Firmware is looked for in all of it.
    let blob = nested(tree([cpus([cpu(0), cpu(1)])]).to_dtb(), 20_000);
    let inspection = inspect("deep.dtb", &Fdt::new(&blob).unwrap(), None);
    assert_eq!(inspection.findings[0].kind.name(), "psci-missing");
}

fn reveille(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_reveille")).arg("inspect").args(arguments).output().unwrap()
}

fn write(folder: &Path, name: &str, tree: &DeviceTree) -> String {
    let path = folder.join(name);
    std::fs::write(&path, tree.to_dtb()).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn the_exit_code_says_whether_a_cpu_cannot_come_up() {
    let folder = tempfile::tempdir().unwrap();
    let good = write(folder.path(), "good.dtb", &board(cpu(1)));
    let odd = write(folder.path(), "odd.dtb", &tree([cpus([cpu(0), spinning(1, cells([0, 8]))])]));
    let bad = write(folder.path(), "bad.dtb", &board(cpu(1).without("enable-method")));
    let source = folder.path().join("board.dts");
    std::fs::write(&source, "/dts-v1/;").unwrap();
    let source = source.to_str().unwrap();
    for (files, code) in [
        (&[good.as_str()][..], 0),
        (&[&odd], 0),
        (&[&bad], 1),
        (&[&good, &odd], 0),
        (&[&good, &bad], 1),
        (&[&good, source, &bad], 2),
        (&[source], 2),
        (&["/nonexistent.dtb"], 2),
        (&["--boot-cpu", "5", &good], 1),
        (&["--boot-cpu", "0x1", &good], 0),
        (&["--boot-cpu", "one", &good], 2),
    ] {
        let output = reveille(files);
        assert_eq!(output.status.code(), Some(code), "{files:?}: {output:?}");
    }
}

#[test]
fn one_board_is_shown_in_full() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "bad.dtb", &board(cpu(1).without("enable-method")));
    let output = reveille(&[&file]);
    let text = String::from_utf8(output.stdout).unwrap();
    for part in [
        "A board",
        "cpu@0  arm,cortex-a53  psci",
        "cpu@1  arm,cortex-a53  -",
        "cannot come up",
        "PSCI: 0.2 or later, by SMC.",
        "The boot CPU is taken to be 0x0, as the file's header says",
        "error  no-method\n  /cpus/cpu@1: it has no enable-method\n",
        "To change: Set `enable-method`",
        "1 of 2 CPUs can come up: 1 error, 0 warnings, 0 notes\n",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(output.stderr.is_empty());
}

#[test]
fn names_cannot_command_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let mut blob = board(cpu(1).without("enable-method")).to_dtb();
    let name = blob.windows(6).position(|name| name == b"cpu@1\0").unwrap();
    blob[name + 4] = 0x1b;
    let file = folder.path().join("escape.dtb");
    std::fs::write(&file, blob).unwrap();
    let file = file.to_str().unwrap();
    for files in [&[file][..], &[file, file]] {
        let output = Command::new(env!("CARGO_BIN_EXE_reveille")).arg("inspect").args(files).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("/cpus/cpu@\u{fffd}") && !text.contains('\x1b'), "{text:?}");
    }
}

#[test]
fn of_many_boards_one_that_cannot_be_read_does_not_hide_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let good = write(folder.path(), "good.dtb", &board(cpu(1)));
    let bad = write(folder.path(), "bad.dtb", &board(cpu(1).without("enable-method")));
    let output = reveille(&[&bad, "/nonexistent.dtb", &good]);
    let text = String::from_utf8(output.stdout).unwrap();
    for part in [
        "bad.dtb: 1 of 2 CPUs can come up, PSCI by SMC\n  error no-method: /cpus/cpu@1\n",
        "good.dtb: 2 of 2 CPUs can come up, PSCI by SMC\n",
        "error  no-method: 1 in 1 devicetrees\n",
        "2 devicetrees, 4 CPUs, of which 3 can come up; 1 devicetrees have errors\n",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.starts_with("reveille: cannot use /nonexistent.dtb as a devicetree: "), "{error}");
    assert_eq!(error.lines().count(), 1);
}

#[test]
fn without_a_file_the_running_machine_is_inspected_or_a_sentence_says_why_not() {
    let output = reveille(&[]);
    let error = String::from_utf8(output.stderr).unwrap();
    if output.stdout.is_empty() {
        assert_eq!(output.status.code(), Some(2));
        assert!(error.contains("/sys/firmware/fdt") && error.lines().count() == 1, "{error}");
    } else {
        assert!(error.is_empty());
    }
}

#[test]
fn the_json_keeps_to_its_contract() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/inspect.schema.json");
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let bad = spinning(1, cells([1, 8])).with("numa-node-id", cells([1]));
    let map = node("cpu-map").child(node("cluster0").child(node("core0").with("cpu", cells([1]))));
    let old = psci().with("compatible", "arm,psci\0").with("cpu_on", cells([7]));
    let board = tree([old, cpus([cpu(0), bad, cpu(2).without("reg"), cpu(3), map])]);
    let files = [write(folder.path(), "a.dtb", &board), write(folder.path(), "b.dtb", &tree([]))];
    let output = reveille(&["--json", &files[0], &files[1]]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let complaints: Vec<String> = schema.iter_errors(&json).map(|error| error.to_string()).collect();
    assert!(complaints.is_empty(), "{complaints:?}");
    let cpu = &json["inspections"][0]["cpus"][1];
    assert_eq!(cpu["release_address"], 0x1_0000_0008_u64);
    assert_eq!((&cpu["can_come_up"], &cpu["index"], &cpu["numa_node"]), (&true.into(), &1.into(), &1.into()));
    assert_eq!(json["inspections"][0]["psci"]["v0_1"], true);
    assert_eq!(json["inspections"][0]["findings"][0]["kind"], "bad-reg");
    assert_eq!(json["inspections"][1]["psci"], Value::Null);
}

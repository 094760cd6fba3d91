//! What boot loaders write, what a hypervisor makes of it, and what it refuses.

use dtoolkit::fdt::Fdt;
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};
use guest_config::{Configuration, GUEST_0, Guest, HEADER, Limits, Module, Pins, Reason};

const MIB: u64 = 1024;

const LIMITS: Limits<'static> = Limits {
    vcpus: 8,
    cpus: 4,
    default_vcpus: 4,
    memory: 1024 * MIB,
    default_memory: 512 * MIB,
    least_memory: 16 * MIB,
    spis: 64,
    ram: &[0x4000_0000..0x8000_0000, 0x1_0000_0000..0x1_1000_0000],
    memory_unit: 2 * MIB,
    memory_start: 0x4000_0000,
    guests: 4,
    header,
};

/// The header of an Image that needs 20 MiB, or of none where there is no kernel of these tests.
fn header(module: &Module) -> Option<[u8; HEADER]> {
    let mut header = [0; HEADER];
    header[16..24].copy_from_slice(&0x140_0000_u64.to_le_bytes());
    if module.address != RAMDISK.address {
        header[56..60].copy_from_slice(b"ARM\x64");
    }
    (module.size >= HEADER as u64).then_some(header)
}

const KERNEL: Module = Module { address: 0x4800_0000, size: 0x20_0000 };
const RAMDISK: Module = Module { address: 0x5000_0000, size: 0x10_0000 };

fn node(name: &str, properties: &[(&str, Vec<u8>)], children: Vec<DeviceTreeNode>) -> DeviceTreeNode {
    let mut node = DeviceTreeNode::new_unchecked(name);
    for (name, value) in properties {
        node.add_property(DeviceTreeProperty::new_unchecked(*name, value.as_slice()));
    }
    children.into_iter().for_each(|child| node.add_child(child));
    node
}

fn text(text: &str) -> Vec<u8> {
    [text.as_bytes(), &[0]].concat()
}

fn cells(cells: &[u32]) -> Vec<u8> {
    cells.iter().flat_map(|cell| cell.to_be_bytes()).collect()
}

/// A module with an address and a size of two cells each.
fn module(compatible: &str, module: Module, bootargs: Option<&str>) -> DeviceTreeNode {
    let reg = [module.address.to_be_bytes(), module.size.to_be_bytes()].concat();
    let mut properties = vec![("compatible", text(compatible)), ("reg", reg)];
    properties.extend(bootargs.map(|bootargs| ("bootargs", text(bootargs))));
    node(&format!("module@0x{:x}", module.address), &properties, vec![])
}

fn kernel() -> DeviceTreeNode {
    module("multiboot,module\0multiboot,kernel", KERNEL, Some("console=ttyAMA0"))
}

fn domain(name: &str, properties: &[(&str, Vec<u8>)], modules: Vec<DeviceTreeNode>) -> DeviceTreeNode {
    let compatible = ("compatible", text("xen,domain"));
    let all = [&[compatible], properties].concat();
    node(name, &all, modules)
}

/// The usual properties of a domain.
fn usual() -> Vec<(&'static str, Vec<u8>)> {
    vec![("cpus", cells(&[2])), ("memory", cells(&[0, 131_072]))]
}

/// Reads a tree whose root says two cells each, and whose `/chosen` does not.
fn read(chosen: DeviceTreeNode, look: impl FnOnce(Configuration<'_>)) {
    let mut tree = DeviceTree::new();
    tree.root = node("", &[("#address-cells", cells(&[2])), ("#size-cells", cells(&[2]))], vec![chosen]);
    let blob = tree.to_dtb();
    look(Configuration::read(&Fdt::new(&blob).unwrap(), &LIMITS));
}

/// Reads one domain, which is to be refused.
fn refusal(domain: DeviceTreeNode) -> String {
    let mut said = String::new();
    read(node("chosen", &[], vec![domain]), |configuration| {
        assert_eq!(configuration.guests.len(), 1);
        said = configuration.guests[0].unwrap_err().to_string();
    });
    said
}

/// Reads a guest 0, which is to be refused.
fn refusal_of_guest_0(bootargs: &str, modules: Vec<DeviceTreeNode>) -> String {
    let mut said = String::new();
    read(node("chosen", &[("xen,xen-bootargs", text(bootargs))], modules), |configuration| {
        said = configuration.guests[0].unwrap_err().to_string();
    });
    said
}

#[test]
fn what_the_guest_loader_of_qemu_writes_is_guest_0() {
    let initrd = module("multiboot,module\0multiboot,ramdisk", RAMDISK, None);
    read(node("chosen", &[("bootargs", text("loglvl=all"))], vec![kernel(), initrd]), |configuration| {
        assert_eq!(configuration.bootargs, "loglvl=all");
        let guest = Guest {
            name: GUEST_0,
            vcpus: 4,
            memory: 512 * MIB,
            kernel: KERNEL,
            ramdisk: Some(RAMDISK),
            bootargs: "console=ttyAMA0",
            vpl011: true,
            spis: None,
            pins: Pins::NONE,
        };
        assert_eq!(configuration.guests, [Ok(guest)]);
    });
}

#[test]
fn a_ramdisk_that_is_handed_over_as_to_linux_is_guest_0s_unless_a_module_is() {
    let place = [
        ("linux,initrd-start", cells(&[0, RAMDISK.address as u32])),
        ("linux,initrd-end", cells(&[(RAMDISK.address + RAMDISK.size) as u32])),
    ];
    read(node("chosen", &place, vec![kernel()]), |configuration| {
        assert_eq!(configuration.guests[0].unwrap().ramdisk, Some(RAMDISK));
    });
    let other = Module { address: RAMDISK.address + 0x10_0000, size: 1 };
    let modules = vec![kernel(), module("multiboot,module\0multiboot,ramdisk", other, None)];
    read(node("chosen", &place, modules), |configuration| {
        assert_eq!(configuration.guests[0].unwrap().ramdisk, Some(other));
    });
    let outside = [("linux,initrd-start", cells(&[0])), ("linux,initrd-end", cells(&[1]))];
    read(node("chosen", &outside, vec![kernel()]), |configuration| {
        assert!(configuration.guests[0].unwrap_err().to_string().contains("chosen"));
    });
}

#[test]
fn modules_have_the_names_of_xen_4_4_or_none_and_then_count_by_order() {
    let old = vec![
        module("xen,linux-initrd\0xen,multiboot-module", RAMDISK, None),
        module("xen,linux-zimage\0xen,multiboot-module", KERNEL, None),
    ];
    let unnamed = vec![
        module("multiboot,module", KERNEL, None),
        module("multiboot,module", RAMDISK, None),
        module("multiboot,module", Module { address: 0x6000_0000, size: 1 }, None),
    ];
    for modules in [old, unnamed] {
        read(node("chosen", &[], modules), |configuration| {
            let guest = configuration.guests[0].unwrap();
            assert_eq!((guest.kernel, guest.ramdisk), (KERNEL, Some(RAMDISK)));
        });
    }
}

#[test]
fn command_lines_go_to_whom_the_protocol_says() {
    let silent = || module("multiboot,module\0multiboot,kernel", KERNEL, None);
    // What /chosen says, whether the module says something, and what hypervisor and guest get.
    type Case = (&'static [(&'static str, &'static str)], bool, &'static str, &'static str);
    let cases: [Case; 6] = [
        (&[("bootargs", "b")], false, "", "b"),
        (&[("bootargs", "b")], true, "b", "console=ttyAMA0"),
        (&[("bootargs", "b"), ("xen,dom0-bootargs", "d")], false, "b", "d"),
        (&[("bootargs", "b"), ("xen,xen-bootargs", "x")], false, "x", "b"),
        (&[("bootargs", "b"), ("xen,xen-bootargs", "x"), ("xen,dom0-bootargs", "d")], false, "x", "d"),
        (&[("xen,dom0-bootargs", "d")], true, "", "console=ttyAMA0"),
    ];
    for (chosen, of_module, own, guest) in cases {
        let properties: Vec<_> = chosen.iter().map(|(name, value)| (*name, text(value))).collect();
        let module = if of_module { kernel() } else { silent() };
        read(node("chosen", &properties, vec![module]), |configuration| {
            assert_eq!(configuration.bootargs, own, "{chosen:?}");
            assert_eq!(configuration.guests[0].unwrap().bootargs, guest, "{chosen:?}");
        });
    }
}

#[test]
fn domains_have_what_their_nodes_say_and_cells_of_their_own() {
    let reg = cells(&[0x4a00_0000, 0xff_ffff]);
    let one_cell =
        node("module@4a000000", &[("compatible", text("multiboot,kernel\0multiboot,module")), ("reg", reg)], vec![]);
    let properties = [
        ("#address-cells", cells(&[1])),
        ("#size-cells", cells(&[1])),
        ("memory", cells(&[0x2_0000])),
        ("cpus", cells(&[1])),
        ("vpl011", vec![]),
        ("nr_spis", cells(&[3])),
    ];
    let chosen = node("chosen", &[], vec![domain("domU1", &properties, vec![one_cell])]);
    read(chosen, |configuration| {
        let guest = Guest {
            name: "domU1",
            vcpus: 1,
            memory: 128 * MIB,
            kernel: Module { address: 0x4a00_0000, size: 0xff_ffff },
            ramdisk: None,
            bootargs: "",
            vpl011: true,
            spis: Some(3),
            pins: Pins::NONE,
        };
        assert_eq!(configuration.guests, [Ok(guest)]);
    });
}

#[test]
fn a_guest_that_is_refused_takes_nothing_from_the_others() {
    let too_large = [("cpus", cells(&[1])), ("memory", cells(&[600 << 10]))];
    let chosen = node(
        "chosen",
        &[],
        vec![
            kernel(),
            domain("domU1", &too_large, vec![kernel()]),
            domain("domU2", &[("cpus", cells(&[1])), ("memory", cells(&[512 << 10]))], vec![kernel()]),
            domain("domU3", &usual(), vec![kernel()]),
        ],
    );
    read(chosen, |configuration| {
        let outcomes: Vec<_> =
            configuration.guests.iter().map(|guest| guest.map_err(|refused| refused.reason)).collect();
        assert_eq!(outcomes[0].unwrap().memory, 512 * MIB);
        assert_eq!(outcomes[1].unwrap_err(), Reason::TooMuchMemory { asked: 600 * MIB, left: 512 * MIB });
        assert_eq!(outcomes[2].unwrap().memory, 512 * MIB);
        assert_eq!(outcomes[3].unwrap_err(), Reason::TooMuchMemory { asked: 128 * MIB, left: 0 });
    });
}

#[test]
fn refusals_say_in_one_sentence_what_is_wrong() {
    let with = |property: (&'static str, Vec<u8>)| {
        let mut properties = usual();
        properties.retain(|(name, _)| *name != property.0);
        properties.push(property);
        refusal(domain("domU1", &properties, vec![kernel()]))
    };
    let without = |missing: &str| {
        let mut properties = usual();
        properties.retain(|(name, _)| *name != missing);
        refusal(domain("domU1", &properties, vec![kernel()]))
    };
    let placed = |address, size| {
        let compatible = "multiboot,kernel\0multiboot,module";
        refusal(domain("domU1", &usual(), vec![module(compatible, Module { address, size }, None)]))
    };
    let second_kernel = module("multiboot,kernel\0multiboot,module", RAMDISK, None);
    let device = module("multiboot,device-tree\0multiboot,module", RAMDISK, None);
    let cases = [
        (with(("cpus", cells(&[9]))), "domU1: it asks for 9 vCPUs, where a guest may have 1 to 8"),
        (with(("cpus", cells(&[0]))), "domU1: it asks for 0 vCPUs, where a guest may have 1 to 8"),
        (with(("cpus", vec![1])), "domU1: cpus in domU1 is not a number of one cell or two"),
        (with(("memory", vec![])), "domU1: memory in domU1 is not a number of one cell or two"),
        (with(("memory", cells(&[1]))), "domU1: it asks for 1 KiB of memory, and 16384 KiB is the least that is given"),
        (with(("memory", cells(&[1, 0]))), "domU1: it asks for 4294967296 KiB of memory, and 1048576 KiB are left"),
        (with(("nr_spis", cells(&[65]))), "domU1: it asks for 65 SPIs, where a guest may have 64"),
        (
            with(("xen,static-mem", cells(&[1]))),
            "domU1: it has memory at fixed addresses (xen,static-mem), which is not supported",
        ),
        (
            with(("memory", cells(&[131_073]))),
            "domU1: it asks for 131073 KiB of memory, which is no multiple of 2048 KiB",
        ),
        (
            with(("memory", cells(&[20 << 10]))),
            "domU1: its kernel needs 20971520 bytes, 0 its ramdisk and 2097152 its devicetree, which do not fit into 20480 KiB of memory",
        ),
        (placed(0x4800_0000, 63), "domU1: its kernel is no arm64 Image"),
        (placed(RAMDISK.address, 64), "domU1: its kernel is no arm64 Image"),
        (with(("vpl011", text("sbsa"))), "domU1: vpl011 in domU1 is not empty"),
        (
            with(("direct-map", vec![])),
            "domU1: it has addresses that are the machine's (direct-map), which is not supported",
        ),
        (
            with(("passthrough", text("enabled"))),
            "domU1: it has devices of the machine (passthrough), which is not supported",
        ),
        (
            with(("xen,passthrough", vec![])),
            "domU1: it has devices of the machine (xen,passthrough), which is not supported",
        ),
        (
            with(("domain-cpupool", cells(&[1]))),
            "domU1: it has CPUs of its own (domain-cpupool), which is not supported",
        ),
        (
            with(("xen,enhanced", vec![])),
            "domU1: it has what Xen gives guests that know of it (xen,enhanced), which is not supported",
        ),
        (without("cpus"), "domU1: its node has no cpus"),
        (without("memory"), "domU1: its node has no memory"),
        (refusal(domain("domU1", &usual(), vec![])), "domU1: no module is its kernel"),
        (
            refusal(domain("domU1", &usual(), vec![kernel(), second_kernel])),
            "domU1: more than one module is its kernel",
        ),
        (
            refusal(domain("domU1", &usual(), vec![kernel(), device])),
            "domU1: it has a device of the machine (multiboot,device-tree), which is not supported",
        ),
        (placed(0x4800_0000, 0), "domU1: the module module@0x48000000 is empty"),
        (
            placed(0x7fff_f000, 0x2000),
            "domU1: the module module@0x7ffff000 at 0x7ffff000, 0x2000 bytes, is not in the machine's memory",
        ),
        (placed(u64::MAX, 2), "domU1: reg in module@0xffffffffffffffff is not one address and one size"),
        (
            placed(0x4000_0000, 0x3000_0000),
            "domU1: its kernel and ramdisk are 805306368 bytes, which do not fit into 131072 KiB of memory",
        ),
        (
            refusal_of_guest_0("dom0_max_vcpus=many", vec![kernel()]),
            "guest0: dom0_max_vcpus=many on the hypervisor's command line is not a number",
        ),
        (
            refusal_of_guest_0("dom0_mem=max:1G", vec![kernel()]),
            "guest0: dom0_mem=max:1G on the hypervisor's command line is not a size, as 512M",
        ),
        (
            refusal_of_guest_0("", vec![module("multiboot,ramdisk\0multiboot,module", RAMDISK, None)]),
            "guest0: no module is its kernel",
        ),
    ];
    for (said, expected) in cases {
        assert_eq!(said, expected);
    }
}

#[test]
fn what_a_guest_says_it_does_without_is_not_refused() {
    let without = [usual(), vec![("xen,enhanced", text("disabled")), ("vpl011", vec![])]].concat();
    read(node("chosen", &[], vec![domain("domU1", &without, vec![kernel()])]), |configuration| {
        assert!(configuration.guests[0].unwrap().vpl011);
        assert!(!configuration.has_guest_0);
    });
}

#[test]
fn guests_beyond_the_most_that_there_can_be_are_refused_and_take_nothing() {
    let names = ["domU1", "domU2", "domU3", "domU4"];
    let domains = names.map(|name| domain(name, &usual(), vec![kernel()]));
    read(node("chosen", &[], [vec![kernel()], domains.to_vec()].concat()), |configuration| {
        assert!(configuration.has_guest_0);
        assert!(configuration.guests[..4].iter().all(Result::is_ok));
        assert_eq!(
            configuration.guests[4].unwrap_err().to_string(),
            "domU4: there are 4 guests before it, and no more can be"
        );
    });
}

#[test]
fn a_machine_that_asks_for_no_guest_has_none() {
    read(node("chosen", &[("bootargs", text("b"))], vec![]), |configuration| assert_eq!(configuration.guests, []));
    let blob = DeviceTree::new().to_dtb();
    assert_eq!(Configuration::read(&Fdt::new(&blob).unwrap(), &LIMITS), Configuration::default());
}

#[test]
fn vcpus_are_bound_as_xen_binds_them() {
    let vcpu = |id, affinity: &str| {
        let properties = [("compatible", text("xen,vcpu")), ("id", cells(&[id])), ("hard-affinity", text(affinity))];
        node(&format!("vcpu{id}"), &properties, vec![])
    };
    let bound = |vcpus| domain("domU1", &usual(), [vec![kernel()], vcpus].concat());
    read(node("chosen", &[], vec![bound(vec![vcpu(1, "3")])]), |configuration| {
        let pins = configuration.guests[0].unwrap().pins;
        assert_eq!((pins.get(0), pins.get(1), pins.get(100)), (None, Some(3), None));
    });
    assert!(refusal(bound(vec![vcpu(2, "0")])).ends_with("it binds vCPU 2 to a CPU, and has 2 vCPUs"));
    assert!(refusal(bound(vec![vcpu(0, "4")])).ends_with("its vCPU 0 is bound to CPU 4, and the machine has 4 CPUs"));
    assert!(refusal(bound(vec![vcpu(0, "0-3")])).ends_with("hard-affinity in vcpu0 is not the number of one CPU"));
    assert!(refusal(bound(vec![vcpu(0, "99999")])).ends_with("hard-affinity in vcpu0 is not the number of one CPU"));
}

#[test]
fn guest_0_is_bound_by_the_hypervisors_command_line() {
    for (line, bound) in [("dom0_vcpus_pin", true), ("dom0_vcpus_pin=no", false), ("dom0_vcpus_pinned", false)] {
        read(node("chosen", &[("xen,xen-bootargs", text(line))], vec![kernel()]), |configuration| {
            let pins = if bound { Pins::in_order(4) } else { Pins::NONE };
            assert_eq!(configuration.guests[0].unwrap().pins, pins, "{line}");
        });
    }
    let said = refusal_of_guest_0("dom0_max_vcpus=5 dom0_vcpus_pin", vec![kernel()]);
    assert!(said.ends_with("its vCPU 4 is bound to CPU 4, and the machine has 4 CPUs"), "{said}");
    assert!(refusal_of_guest_0("dom0_vcpus_pin=2", vec![kernel()]).contains("is not yes or no"));
}

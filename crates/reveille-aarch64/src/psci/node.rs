//! What the devicetree says of the firmware: the node `psci` (binding `arm/psci.yaml`).

use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::{Node, Property};
use smccc::psci::{PSCI_AFFINITY_INFO_64, PSCI_CPU_OFF, PSCI_CPU_ON_64, PSCI_VERSION};

use super::Conduit;

/// The ids of the functions that the enable method calls; `None` where the firmware has no such function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Functions {
    /// PSCI_VERSION; version 0.1 has none.
    pub version: Option<u32>,
    /// CPU_OFF.
    pub cpu_off: Option<u32>,
    /// CPU_ON.
    pub cpu_on: Option<u32>,
    /// AFFINITY_INFO.
    pub affinity_info: Option<u32>,
}

impl Functions {
    /// Those of version 0.2 and later, whose ids are fixed; ids in the devicetree are ignored.
    pub const V0_2: Self = Self {
        version: Some(PSCI_VERSION),
        cpu_off: Some(PSCI_CPU_OFF),
        cpu_on: Some(PSCI_CPU_ON_64),
        affinity_info: Some(PSCI_AFFINITY_INFO_64),
    };

    /// Those of version 0.1, as far as `node` gives them ids.
    fn v0_1(node: &FdtNode<'_>) -> Self {
        let id = |name| node.property(name)?.value_as::<u32>().ok();
        Self { version: None, cpu_off: id("cpu_off"), cpu_on: id("cpu_on"), affinity_info: None }
    }
}

/// Firmware that answers PSCI, as the devicetree or ACPI describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PsciNode {
    /// How it is called.
    pub conduit: Conduit,
    /// What it is called for.
    pub functions: Functions,
}

/// Why there is no PSCI to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PsciNodeError {
    /// No available node is compatible with PSCI.
    #[error("the devicetree has no PSCI firmware")]
    Missing,
    /// The node does not say how firmware is called.
    #[error("the psci node has no method")]
    NoMethod,
    /// It says something else than `smc` or `hvc`.
    #[error("the method of the psci node is neither smc nor hvc")]
    UnknownMethod,
}

/// Whether a `compatible` string has the ids in the tree (0.1) or in the specification.
fn has_fixed_functions(compatible: &str) -> Option<bool> {
    match compatible {
        "arm,psci" => Some(false),
        "arm,psci-0.2" | "arm,psci-1.0" => Some(true),
        _ => None,
    }
}

/// The first string of the node's `compatible` that is PSCI's decides, since the list goes from the special to the general
/// (Linux's `psci_dt_init`).
fn fixed_functions(node: &FdtNode<'_>) -> Option<bool> {
    node.compatible()?.find_map(has_fixed_functions)
}

/// By Linux's rule, which takes the old spelling `ok` too.
fn is_available(node: &FdtNode<'_>) -> bool {
    node.property("status").is_none_or(|status| matches!(status.value(), b"okay\0" | b"ok\0"))
}

/// The first child of `parent` that is available and PSCI's, and whether its functions have fixed ids. A plain loop: chains of
/// iterators over nodes take three times the text.
fn psci_below<'a>(parent: &FdtNode<'a>) -> Option<(FdtNode<'a>, bool)> {
    for node in parent.children() {
        if is_available(&node)
            && let Some(fixed) = fixed_functions(&node)
        {
            return Some((node, fixed));
        }
    }
    None
}

impl PsciNode {
    /// Looks for PSCI among the children of the root and of `/firmware`.
    ///
    /// # Errors
    /// [`PsciNodeError`]. The conduit is never guessed.
    pub fn from_fdt(fdt: &Fdt<'_>) -> Result<Self, PsciNodeError> {
        let below_firmware = || psci_below(&fdt.find_node("/firmware")?);
        let (node, fixed) = psci_below(&fdt.root()).or_else(below_firmware).ok_or(PsciNodeError::Missing)?;
        let method = node.property("method").ok_or(PsciNodeError::NoMethod)?;
        let conduit = match method.value() {
            b"smc\0" => Conduit::Smc,
            b"hvc\0" => Conduit::Hvc,
            _ => return Err(PsciNodeError::UnknownMethod),
        };
        let functions = if fixed { Functions::V0_2 } else { Functions::v0_1(&node) };
        Ok(Self { conduit, functions })
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};
    use proptest::prelude::*;

    use super::*;

    fn blob(parent: &str, properties: &[(&str, &[u8])]) -> Vec<u8> {
        let mut psci = DeviceTreeNode::new("psci").unwrap();
        for (name, value) in properties {
            psci.add_property(DeviceTreeProperty::new(*name, value.to_vec()).unwrap());
        }
        let mut tree = DeviceTree::new();
        if parent.is_empty() {
            tree.root.add_child(psci);
        } else {
            let mut node = DeviceTreeNode::new(parent).unwrap();
            node.add_child(psci);
            tree.root.add_child(node);
        }
        tree.to_dtb()
    }

    fn read(properties: &[(&str, &[u8])]) -> Result<PsciNode, PsciNodeError> {
        PsciNode::from_fdt(&Fdt::new(&blob("", properties)).unwrap())
    }

    const V1: (&str, &[u8]) = ("compatible", b"arm,psci-1.0\0arm,psci-0.2\0arm,psci\0");
    const V0_1: (&str, &[u8]) = ("compatible", b"arm,psci\0");
    const CPU_ON: (&str, &[u8]) = ("cpu_on", &[0x84, 0, 0, 1]);
    const CPU_OFF: (&str, &[u8]) = ("cpu_off", &[0x84, 0, 0, 0]);
    const NO_FUNCTIONS: Functions = Functions { version: None, cpu_off: None, cpu_on: None, affinity_info: None };

    #[test]
    fn row_8_the_conduit_is_what_the_tree_says() {
        assert_eq!(read(&[V1, ("method", b"smc\0")]).unwrap().conduit, Conduit::Smc);
        assert_eq!(read(&[V1, ("method", b"hvc\0")]).unwrap().conduit, Conduit::Hvc);
        assert_eq!(read(&[V1]), Err(PsciNodeError::NoMethod));
        for odd in [&b"SMC\0"[..], b"smc", b"", b"hvc\0smc\0"] {
            assert_eq!(read(&[V1, ("method", odd)]), Err(PsciNodeError::UnknownMethod));
        }
    }

    #[test]
    fn row_51_version_0_1_takes_ids_from_the_tree_and_later_ones_ignore_them() {
        let method = ("method", &b"smc\0"[..]);
        let on = Functions { cpu_on: Some(0x8400_0001), ..NO_FUNCTIONS };
        assert_eq!(read(&[V0_1, method, CPU_ON]).unwrap().functions, on);
        let both = Functions { cpu_off: Some(0x8400_0000), ..on };
        assert_eq!(read(&[V0_1, method, CPU_ON, CPU_OFF]).unwrap().functions, both);
        assert_eq!(read(&[V0_1, method]).unwrap().functions, NO_FUNCTIONS);
        for odd in [&[][..], &[0x84, 0, 0], &[0; 8]] {
            assert_eq!(read(&[V0_1, method, ("cpu_on", odd)]).unwrap().functions, NO_FUNCTIONS);
        }
        assert_eq!(read(&[V1, method, CPU_ON, CPU_OFF]).unwrap().functions, Functions::V0_2);
        let v0_2 = ("compatible", &b"arm,psci-0.2\0"[..]);
        assert_eq!(read(&[v0_2, method, CPU_ON]).unwrap().functions, Functions::V0_2);
    }

    #[test]
    fn row_51_of_several_compatible_strings_the_first_that_is_psci_decides() {
        let functions = |compatible| read(&[("compatible", compatible), ("method", b"smc\0")]).unwrap().functions;
        assert_eq!(functions(b"acme,firmware\0arm,psci-0.2\0arm,psci\0"), Functions::V0_2);
        assert_eq!(functions(b"arm,psci\0arm,psci-0.2\0"), NO_FUNCTIONS);
    }

    #[test]
    fn the_old_spelling_of_okay_counts() {
        for (status, available) in [(&b"okay\0"[..], true), (b"ok\0", true), (b"fail\0", false), (b"okay", false)] {
            assert_eq!(read(&[V1, ("method", b"smc\0"), ("status", status)]).is_ok(), available, "{status:?}");
        }
    }

    #[test]
    fn a_node_that_is_not_available_does_not_hide_a_later_one() {
        let psci = |name, status: &[u8], method: &[u8]| {
            let mut node = DeviceTreeNode::new(name).unwrap();
            for (name, value) in [V1, ("status", status), ("method", method)] {
                node.add_property(DeviceTreeProperty::new(name, value.to_vec()).unwrap());
            }
            node
        };
        let mut tree = DeviceTree::new();
        tree.root.add_child(psci("psci", b"disabled\0", b"hvc\0"));
        tree.root.add_child(psci("psci-el3", b"okay\0", b"smc\0"));
        let blob = tree.to_dtb();
        assert_eq!(PsciNode::from_fdt(&Fdt::new(&blob).unwrap()).unwrap().conduit, Conduit::Smc);
    }

    #[test]
    fn a_node_below_firmware_counts_and_one_that_is_disabled_does_not() {
        let below = blob("firmware", &[V1, ("method", b"smc\0")]);
        assert!(PsciNode::from_fdt(&Fdt::new(&below).unwrap()).is_ok());
        let disabled = read(&[V1, ("method", b"smc\0"), ("status", b"disabled\0")]);
        assert_eq!(disabled, Err(PsciNodeError::Missing));
        assert_eq!(read(&[("compatible", b"acme,firmware\0")]), Err(PsciNodeError::Missing));
        assert_eq!(read(&[]), Err(PsciNodeError::Missing));
    }

    proptest! {
        #[test]
        fn damaged_trees_are_read_to_the_end(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
            let mut bytes = blob("firmware", &[V0_1, ("method", b"smc\0"), CPU_ON]);
            for (place, value) in changes {
                let place = place.index(bytes.len());
                bytes[place] = value;
            }
            if let Ok(fdt) = Fdt::new(&bytes) {
                let _ = PsciNode::from_fdt(&fdt);
            }
        }
    }
}

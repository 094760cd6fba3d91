//! Which CPUs Linux 6.12 makes of a devicetree, by the rules of its arm64 code (`of_parse_and_init_cpus`, `smp_cpu_setup`,
//! `smp_prepare_cpus`, `psci_dt_init`), read from the source that dtc makes of the tree: nothing of it goes through the library.

use std::collections::BTreeSet;

use super::source::Node;

/// The affinity fields (`MPIDR_HWID_BITMASK`).
const AFFINITY: u64 = 0xff_00ff_ffff;

/// What Linux makes of the CPUs.
pub struct Cpus {
    /// The ids of those that have an enable method that Linux knows, the boot CPU first (`cpu_logical_map`, without its holes).
    pub mapped: Vec<u64>,
    /// The ids of those that are present.
    pub present: BTreeSet<u64>,
    /// How PSCI is called.
    pub conduit: Option<String>,
}

/// PSCI, as far as it matters here.
struct Psci {
    conduit: String,
    has_cpu_on: bool,
}

/// The masks, on a machine whose CPU `boot_cpu` boots.
pub fn init_cpus(root: &Node, boot_cpu: u64) -> Cpus {
    let psci = psci_dt_init(root);
    let mut cpus = Cpus {
        mapped: vec![boot_cpu],
        present: BTreeSet::from([boot_cpu]),
        conduit: psci.as_ref().map(|psci| psci.conduit.clone()),
    };
    let Some(node) = root.children.iter().find(|node| node.base_name() == "cpus") else { return cpus };
    let address_cells = [node, root].into_iter().find_map(|node| node.cells("#address-cells")?.first().copied());
    let address_cells = address_cells.unwrap_or(1) as usize;
    let nodes = node.children.iter().filter(|node| {
        let status = node.strings("status");
        let failed = status.first().is_some_and(|status| status == "fail" || status.starts_with("fail-"));
        !failed && (node.base_name() == "cpu" || node.strings("device_type").first().is_some_and(|kind| kind == "cpu"))
    });
    let mut others: Vec<(u64, &Node)> = Vec::new();
    let mut boot_cpu_is_valid = false;
    for node in nodes {
        let cells = node.cells("reg").unwrap_or_default();
        let id = cells.get(..address_cells).filter(|cells| !cells.is_empty());
        let id = id.map_or(u64::MAX, |cells| cells.iter().fold(0, |id, &cell| id << 32 | u64::from(cell)));
        if id & !AFFINITY != 0 || others.iter().any(|(other, _)| *other == id) {
            continue;
        }
        if id == boot_cpu {
            boot_cpu_is_valid = true;
        } else {
            others.push((id, node));
        }
    }
    if boot_cpu_is_valid {
        for (id, node) in others {
            match node.strings("enable-method").first().map(String::as_str) {
                Some("psci") => {
                    cpus.mapped.push(id);
                    if psci.as_ref().is_some_and(|psci| psci.has_cpu_on) {
                        cpus.present.insert(id);
                    }
                }
                Some("spin-table") => {
                    cpus.mapped.push(id);
                    let address = node.cells("cpu-release-addr").unwrap_or_default();
                    if address.len() >= 2 && address[..2] != [0, 0] {
                        cpus.present.insert(id);
                    }
                }
                _ => {}
            }
        }
    }
    cpus
}

/// The first PSCI node of the whole tree; if that is not available, there is no PSCI.
fn psci_dt_init(root: &Node) -> Option<Psci> {
    const MATCH: [&str; 3] = ["arm,psci", "arm,psci-0.2", "arm,psci-1.0"];
    let is_psci = |node: &Node| node.strings("compatible").iter().any(|name| MATCH.contains(&name.as_str()));
    let node = root.find(&is_psci)?;
    if node.strings("status").first().is_some_and(|status| status != "okay" && status != "ok") {
        return None;
    }
    let conduit = node.strings("method").into_iter().next().filter(|method| method == "smc" || method == "hvc")?;
    // The earliest of the strings that is known decides which version it is.
    let version = node.strings("compatible").into_iter().find(|name| MATCH.contains(&name.as_str()))?;
    let has_cpu_on = version != "arm,psci" || node.cells("cpu_on").is_some_and(|cells| !cells.is_empty());
    Some(Psci { conduit, has_cpu_on })
}

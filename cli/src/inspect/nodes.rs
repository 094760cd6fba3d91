//! Findings about the CPUs' nodes themselves: ids, status, names, and CPUs that run 32-bit code only.

use dtoolkit::Node;
use dtoolkit::fdt::FdtNode;
use reveille::topology::{Reason, TopologyError};

use super::board::{Board, BoardCpu, Fate};
use super::finding::{Finding, Kind};
use super::{BootCpuSource, property};

/// Looks at the nodes.
pub fn check(board: &Board<'_>, findings: &mut Vec<Finding>) {
    match board.error {
        Some(error @ TopologyError::NoCpus) => findings.push(Finding::new(Kind::NoCpus, "/", error.to_string())),
        Some(error @ TopologyError::AddressCells(_)) => {
            findings.push(Finding::new(Kind::AddressCells, "/cpus", error.to_string()));
        }
        None => check_boot_cpu(board, findings),
    }
    if let Some(cpus) = &board.cpus_node
        && property::cell(cpus, "#address-cells").is_none()
    {
        findings.push(Finding::new(Kind::AddressCellsMissing, "/cpus", "it has no #address-cells"));
    }
    for cpu in &board.cpus {
        check_cpu(board, cpu, findings);
    }
}

fn check_boot_cpu(board: &Board<'_>, findings: &mut Vec<Finding>) {
    let Some(boot_cpu) = board.cpus.iter().find(|cpu| cpu.boots()) else {
        let problem = match board.boot_cpu.by {
            BootCpuSource::Nothing => "no node has an id that can be read".to_owned(),
            _ => format!("no node has the id {:#x} of the boot CPU", board.boot_cpu.id),
        };
        findings.push(Finding::new(Kind::BootCpuMissing, "/cpus", problem));
        return;
    };
    let path = Board::path(&boot_cpu.node);
    if property::strings(&boot_cpu.node, "enable-method").is_empty() && board.cpus.len() > 1 {
        findings.push(Finding::new(Kind::BootCpuNoMethod, &path, "it has no enable-method"));
    }
    let status = property::strings(&boot_cpu.node, "status");
    if status.first().is_some_and(|status| !matches!(status.as_str(), "okay" | "ok" | "disabled")) {
        findings.push(Finding::new(Kind::BootCpuStatus, &path, format!("its status is {}", quoted(&status))));
    }
}

fn check_cpu(board: &Board<'_>, cpu: &BoardCpu<'_>, findings: &mut Vec<Finding>) {
    let path = Board::path(&cpu.node);
    let status = property::strings(&cpu.node, "status");
    if let Fate::LeftOut(reason) = cpu.fate
        && let Some(kind) = kind_of(reason)
    {
        findings.push(Finding::new(kind, &path, problem(board, cpu, reason)));
    } else if status.first().is_some_and(|status| status == "disabled") && cpu.used().is_some() && !cpu.boots() {
        findings.push(Finding::new(Kind::Disabled, &path, "its status is \"disabled\""));
    }
    if let Some(name) = thirty_two_bit(&cpu.node) {
        findings.push(Finding::new(Kind::ThirtyTwoBit, &path, format!("it is compatible with \"{name}\"")));
    }
    if property::strings(&cpu.node, "device_type").is_empty() {
        findings.push(Finding::new(Kind::NoDeviceType, &path, "it has no device_type"));
    }
    if let (Some(used), Some((_, unit_address))) = (cpu.used(), cpu.node.name().split_once('@'))
        && u64::from_str_radix(unit_address, 16) != Ok(used.hw_id.0)
    {
        findings.push(Finding::new(Kind::UnitAddress, &path, format!("its id is {}", used.hw_id)));
    }
}

/// What a finding about a left-out CPU is; `None` where one about the whole board says it.
fn kind_of(reason: Reason) -> Option<Kind> {
    match reason {
        Reason::BadReg => Some(Kind::BadReg),
        Reason::BadId => Some(Kind::BadId),
        Reason::Duplicate => Some(Kind::DuplicateId),
        Reason::Status => Some(Kind::Status),
        Reason::NoMethod => Some(Kind::NoMethod),
        Reason::UnknownMethod => Some(Kind::UnknownMethod),
        Reason::BootCpuMissing | Reason::BadEntry | Reason::NotEnabled | Reason::OnlineCapable => None,
        Reason::AboveNrCpus | Reason::AboveBuildMaximum => Some(Kind::TooManyCpus),
    }
}

/// What is the matter with a CPU that was left out, with the values that it has.
fn problem(board: &Board<'_>, cpu: &BoardCpu<'_>, reason: Reason) -> String {
    let id = cpu.id.map_or(String::new(), |id| format!("{id:#x}"));
    match reason {
        Reason::BadReg => match cpu.node.property("reg") {
            None => "it has no reg".into(),
            Some(reg) => {
                let bytes = dtoolkit::Property::value(&reg).len();
                let cells = board.address_cells.unwrap_or(1);
                format!("its reg has {bytes} bytes, and an id of {cells} cells has {}", cells * 4)
            }
        },
        Reason::BadId => format!("its id is {id}"),
        Reason::Duplicate => format!("its id {id} is that of an earlier node"),
        Reason::Status => format!("its status is {}", quoted(&property::strings(&cpu.node, "status"))),
        Reason::UnknownMethod => {
            format!("its enable-method is {}", quoted(&property::strings(&cpu.node, "enable-method")))
        }
        other => other.to_string(),
    }
}

/// Strings, as a devicetree source has them.
pub fn quoted(strings: &[String]) -> String {
    let quoted: Vec<String> = strings.iter().map(|string| format!("\"{}\"", string.escape_default())).collect();
    quoted.join(", ")
}

/// The string that says that a CPU executes 32-bit code only, if one does (binding `arm/cpus.yaml`).
pub fn thirty_two_bit(node: &FdtNode<'_>) -> Option<String> {
    const CPUS: &[&str] = &[
        "arm,cortex-a5",
        "arm,cortex-a7",
        "arm,cortex-a8",
        "arm,cortex-a9",
        "arm,cortex-a12",
        "arm,cortex-a15",
        "arm,cortex-a17",
        "arm,cortex-a32",
        "brcm,brahma-b15",
        "qcom,krait",
        "qcom,scorpion",
        "faraday,fa526",
        "intel,sa110",
        "intel,sa1100",
    ];
    const FAMILIES: &[&str] = &["arm,arm7", "arm,arm9", "arm,arm10", "arm,arm11", "marvell,pj4", "marvell,sheeva"];
    let is_one =
        |name: &String| CPUS.contains(&name.as_str()) || FAMILIES.iter().any(|family| name.starts_with(family));
    property::strings(node, "compatible").into_iter().find(is_one)
}

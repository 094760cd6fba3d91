//! Findings about how CPUs are started: the PSCI firmware, and the words of `spin-table`.

use std::cell::LazyCell;

use dtoolkit::fdt::FdtNode;
use dtoolkit::{Node, Property};
use reveille_aarch64::psci::PsciNodeError;

use super::board::{Board, BoardCpu, PSCI, SPIN_TABLE};
use super::finding::{Finding, Kind};
use super::memory::Memory;
use super::{nodes, property};

/// Looks at what starts the CPUs.
pub fn check(board: &Board<'_>, findings: &mut Vec<Finding>) {
    if board.cpus.iter().any(|cpu| !cpu.boots() && cpu.method() == Some(PSCI)) {
        check_psci(board, findings);
    }
    let memory = LazyCell::new(|| Memory::read(&board.fdt));
    for cpu in board.cpus.iter().filter(|cpu| !cpu.boots()) {
        if cpu.method() == Some(SPIN_TABLE) {
            check_release_address(cpu, &memory, findings);
        }
        let methods = property::strings(&cpu.node, "enable-method");
        if let (Some(used), Some(first)) = (cpu.method(), methods.first())
            && used != first
        {
            let problem = format!("its enable-method is {}", nodes::quoted(&methods));
            findings.push(Finding::new(Kind::SecondMethod, Board::path(&cpu.node), problem));
        }
    }
}

fn check_psci(board: &Board<'_>, findings: &mut Vec<Finding>) {
    let node = property::find(&board.fdt.root(), &is_psci);
    let path = node.as_ref().map_or("/", |(path, _)| path);
    let (kind, problem) = match board.psci {
        Err(PsciNodeError::Missing) => (Kind::PsciMissing, why_missing(node.as_ref().map(|(_, node)| node))),
        Err(error @ (PsciNodeError::NoMethod | PsciNodeError::UnknownMethod)) => (Kind::PsciConduit, error.to_string()),
        Ok(psci) if psci.functions.cpu_on.is_none() => (Kind::PsciNoCpuOn, "it has no cpu_on of one cell".to_owned()),
        Ok(psci) if psci.functions.cpu_off.is_none() => {
            (Kind::PsciNoCpuOff, "it has no cpu_off of one cell".to_owned())
        }
        Ok(_) => return,
    };
    findings.push(Finding::new(kind, path, problem));
}

fn is_psci(node: &FdtNode<'_>) -> bool {
    const PSCI: &[&str] = &["arm,psci", "arm,psci-0.2", "arm,psci-1.0"];
    property::strings(node, "compatible").iter().any(|name| PSCI.contains(&name.as_str()))
}

/// Why the library uses no PSCI node, where `node` is the first one in the tree.
fn why_missing(node: Option<&FdtNode<'_>>) -> String {
    match node {
        None => "no node is compatible with PSCI".into(),
        Some(node) if !property::is_available(node) => {
            format!("its status is {}", nodes::quoted(&property::strings(node, "status")))
        }
        Some(_) => "it is a child neither of the root nor of /firmware (Linux uses it all the same)".into(),
    }
}

fn check_release_address(cpu: &BoardCpu<'_>, memory: &Memory, findings: &mut Vec<Finding>) {
    let path = Board::path(&cpu.node);
    let mut find = |kind, problem: String| findings.push(Finding::new(kind, &path, problem));
    let bytes = cpu.node.property("cpu-release-addr").map(|address| address.value().len());
    match (cpu.used().and_then(|cpu| cpu.release_address), bytes) {
        (None, None) => find(Kind::ReleaseMissing, "it has no cpu-release-addr".into()),
        (None, Some(bytes)) => {
            find(Kind::ReleaseMissing, format!("its cpu-release-addr has {bytes} bytes, and an address has 8"));
        }
        (Some(0), _) => find(Kind::ReleaseZero, "its cpu-release-addr is 0".into()),
        (Some(address), _) if address % 8 != 0 => {
            find(Kind::ReleaseMisaligned, format!("its cpu-release-addr is {address:#x}"));
        }
        (Some(address), bytes) => {
            if memory.is_free(address) {
                find(Kind::ReleaseNotReserved, format!("its cpu-release-addr {address:#x} is not reserved"));
            }
            if bytes == Some(4) {
                find(Kind::ReleaseOneCell, "its cpu-release-addr has one cell".into());
            }
        }
    }
}

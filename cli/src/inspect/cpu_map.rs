//! Findings about `/cpus/cpu-map` (binding `cpu/cpu-topology.txt`), by the rules of Linux (`parse_dt_topology`), which
//! follows it more strictly than the library.

use dtoolkit::Node;
use dtoolkit::fdt::FdtNode;

use super::board::Board;
use super::finding::{Finding, Kind};
use super::property;

/// What the nodes of a map may be called.
const GROUPS: [&str; 4] = ["socket", "cluster", "core", "thread"];

/// Looks at the map, where there is one.
pub fn check(board: &Board<'_>, findings: &mut Vec<Finding>) {
    let Some(map) = board.cpus_node.as_ref().and_then(|cpus| cpus.child("cpu-map")) else { return };
    let mut walk = Walk { board, named: vec![0; board.cpus.len()], findings };
    walk.group(&map, "/cpus/cpu-map", property::MAX_DEPTH);
    let named = walk.named;
    for (cpu, named) in board.cpus.iter().zip(named) {
        let path = Board::path(&cpu.node);
        if named == 0 && cpu.used().is_some() {
            findings.push(Finding::new(Kind::MapMissing, path, "cpu-map does not name it"));
        } else if named > 1 {
            findings.push(Finding::new(Kind::MapTwice, path, format!("cpu-map names it {named} times")));
        }
    }
}

struct Walk<'a, 'b> {
    board: &'a Board<'b>,
    /// How often each CPU has been named.
    named: Vec<usize>,
    findings: &'a mut Vec<Finding>,
}

impl Walk<'_, '_> {
    fn find(&mut self, kind: Kind, path: &str, problem: impl Into<String>) {
        self.findings.push(Finding::new(kind, path, problem));
    }

    /// Looks at a socket, a cluster, or the map itself.
    fn group(&mut self, group: &FdtNode<'_>, path: &str, depth: usize) {
        self.check_numbers(group, path);
        for child in group.children() {
            let path = format!("{path}/{}", child.name());
            if child.name().starts_with("core") {
                self.core(&child, &path);
            } else if let Some(depth) = depth.checked_sub(1) {
                self.group(&child, &path, depth);
            }
        }
        let has = |kind: &str| group.children().any(|child| child.name().starts_with(kind));
        if group.children().next().is_none() {
            self.find(Kind::MapShape, path, "it is empty");
        } else if has("core") && !group.name().starts_with("cluster") {
            self.find(Kind::MapShape, path, "it has cores that are in no cluster");
        } else if has("core") && has("cluster") {
            self.find(Kind::MapShape, path, "it has cores beside clusters");
        }
    }

    fn core(&mut self, core: &FdtNode<'_>, path: &str) {
        self.check_numbers(core, path);
        let mut has_threads = false;
        for thread in core.children().filter(|child| child.name().starts_with("thread")) {
            has_threads = true;
            self.leaf(&thread, &format!("{path}/{}", thread.name()));
        }
        if !has_threads {
            self.leaf(core, path);
        } else if core.property("cpu").is_some() {
            self.find(Kind::MapShape, path, "it has threads, and a CPU of its own");
        }
    }

    fn leaf(&mut self, leaf: &FdtNode<'_>, path: &str) {
        let Some(phandle) = property::cell(leaf, "cpu") else {
            self.find(Kind::MapPhandle, path, "it has no `cpu` of one cell");
            return;
        };
        let is_it = |node: &FdtNode<'_>| property::cell(node, "phandle") == Some(phandle);
        if let Some(place) = self.board.cpus.iter().position(|cpu| is_it(&cpu.node)) {
            self.named[place] += 1;
        } else {
            let problem = match property::find(&self.board.fdt.root(), &is_it) {
                Some((node, _)) => format!("its `cpu` is {node}, which is no CPU"),
                None => format!("its `cpu` is {phandle:#x}, which is no node's phandle"),
            };
            self.find(Kind::MapPhandle, path, problem);
        }
    }

    /// Linux looks for socket0, socket1 and so on, and stops at the first that is not there.
    fn check_numbers(&mut self, group: &FdtNode<'_>, path: &str) {
        for kind in GROUPS {
            let numbers = group.children().filter_map(|child| child.name().strip_prefix(kind)?.parse::<usize>().ok());
            let mut numbers: Vec<usize> = numbers.collect();
            numbers.sort_unstable();
            if let Some(missing) = (0..numbers.len()).find(|&number| numbers[number] != number) {
                self.find(Kind::MapShape, path, format!("it has no {kind}{missing}, and others after it"));
            }
        }
        let is_known = |name: &str| {
            GROUPS.iter().any(|kind| name.strip_prefix(kind).is_some_and(|number| number.parse::<usize>().is_ok()))
        };
        if let Some(odd) = group.children().find(|child| !is_known(child.name())) {
            self.find(Kind::MapShape, path, format!("its child is called {}", odd.name()));
        }
    }
}

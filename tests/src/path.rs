//! The path of a followed system, function by function, and whether a boot took it.

use std::path::PathBuf;

use reveille_cli::report::{CpuReport, Phase, Report};

/// Which CPUs take a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The CPU that boots.
    Boot,
    /// Every other.
    Others,
}

/// The functions that a CPU passes, in order.
#[derive(Debug, PartialEq, Eq)]
pub struct CpuPath {
    /// Who passes them.
    pub who: Who,
    /// Their names.
    pub names: Vec<String>,
}

/// A path as `docs/paths/NAME.tree` gives it: lines `CPU 0:` and `other CPUs:`, each followed by names, one a line, indented by
/// who calls whom. `#` begins a comment.
///
/// # Errors
/// The file cannot be read, or a line is none of these.
pub fn read(name: &str) -> Result<Vec<CpuPath>, String> {
    let text = document(&format!("{name}.tree"))?;
    let mut paths: Vec<CpuPath> = Vec::new();
    for line in text.lines().map(|line| line.split('#').next().unwrap_or("").trim()).filter(|line| !line.is_empty()) {
        match (line, paths.last_mut()) {
            ("CPU 0:", _) => paths.push(CpuPath { who: Who::Boot, names: Vec::new() }),
            ("other CPUs:", _) => paths.push(CpuPath { who: Who::Others, names: Vec::new() }),
            (name, Some(path)) if !name.contains(char::is_whitespace) => path.names.push(name.to_owned()),
            _ => return Err(format!("not a line of a path: {line}")),
        }
    }
    Ok(paths)
}

/// The deviations in `docs/paths/NAME.md`: of each row of its table that has three columns, the name in the first and the
/// reason in the last.
///
/// # Errors
/// The file cannot be read.
pub fn deviations(name: &str) -> Result<Vec<(String, String)>, String> {
    let text = document(&format!("{name}.md"))?;
    let rows = text.lines().filter_map(|line| {
        let cells: Vec<&str> = line.trim().strip_prefix('|')?.strip_suffix('|')?.split('|').map(str::trim).collect();
        let [name, _, reason] = cells[..] else { return None };
        let name = name.strip_prefix('`')?.strip_suffix('`')?;
        Some((name.to_owned(), reason.to_owned()))
    });
    Ok(rows.collect())
}

fn document(name: &str) -> Result<String, String> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/paths").join(name);
    std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))
}

/// What of `path` the CPUs of `report` did not pass in order; names in `deviations` may be missing, and must be.
#[must_use]
pub fn complaints(path: &CpuPath, deviations: &[(String, String)], report: &Report) -> Vec<String> {
    let is_deviation = |name: &String| deviations.iter().any(|(deviation, _)| deviation == name);
    let cpus = report.cpus.iter().filter(|cpu| (cpu.index == 0) == (path.who == Who::Boot));
    let mut complaints = Vec::new();
    for cpu in cpus {
        let mut passed = entered(cpu).into_iter();
        for name in path.names.iter().filter(|name| !is_deviation(name)) {
            if !passed.any(|entered| entered == name) {
                complaints.push(format!("CPU {} does not pass {name} where the path has it", cpu.index));
                break;
            }
        }
        let all = entered(cpu);
        let needless = path.names.iter().filter(|name| is_deviation(name) && in_order(&path.names, name, &all));
        complaints.extend(needless.map(|name| format!("CPU {} passes {name}, which is no deviation", cpu.index)));
    }
    complaints
}

/// Whether `name` was passed after the one before it on the path, and before the one behind.
fn in_order(path: &[String], name: &str, passed: &[&str]) -> bool {
    let Some(at) = passed.iter().position(|passed| *passed == name) else { return false };
    let place = path.iter().position(|other| other == name).unwrap_or(0);
    let before = place.checked_sub(1).and_then(|n| passed.iter().position(|passed| *passed == path[n]));
    let behind = path.get(place + 1).and_then(|next| passed.iter().position(|passed| passed == next));
    before.is_none_or(|before| before < at) && behind.is_none_or(|behind| at < behind)
}

fn entered(cpu: &CpuReport) -> Vec<&str> {
    let entered = cpu.events.iter().filter(|event| event.phase != Phase::End);
    entered.map(|event| event.name.as_str()).collect()
}

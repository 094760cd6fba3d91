//! Which CPUs share a lane, and which share a label.

use reveille_trace_format::Outcome;

use super::Density;
use crate::report::{CpuReport, LeftOut};
use crate::timeline::story::is_faulty;

/// Above this many neighbours with the same fault, they share its words.
const MANY_FAULTS: usize = 4;

/// One or more CPUs that are drawn in one lane.
#[derive(Debug)]
pub struct Group<'a> {
    /// The CPUs.
    pub cpus: &'a [CpuReport],
    /// What stands left of the lane; nothing where a neighbour's label speaks for it.
    pub label: Option<String>,
    /// Of how many CPUs, this one the first, its words speak; 0 where a neighbour's words speak for it.
    pub speaks_for: usize,
    /// Whether its background is the darker of two.
    pub shaded: bool,
}

/// The lanes for CPUs.
pub fn of_cpus(cpus: &[CpuReport], density: Density) -> Vec<Group<'_>> {
    let mut groups = Vec::new();
    let mut rest = cpus;
    while let [first, ..] = rest {
        let alike = rest.iter().take_while(|cpu| cpu.outcome == first.outcome && cpu.reason == first.reason).count();
        let taken = match first.outcome {
            Outcome::NotAsked => alike,
            _ if is_faulty(first) && alike > MANY_FAULTS && density != Density::Detailed => {
                for position in 0..alike {
                    let speaks_for = if position == 0 { alike } else { 0 };
                    groups.push(Group { speaks_for, ..group(&rest[position..=position], density) });
                }
                rest = &rest[alike..];
                continue;
            }
            _ => 1,
        };
        let (own, others) = rest.split_at(taken);
        groups.push(group(own, density));
        rest = others;
    }
    label(&mut groups, density);
    groups
}

fn group(cpus: &[CpuReport], density: Density) -> Group<'_> {
    let shaded = (cpus[0].index / density.group()) % 2 == 1;
    Group { cpus, label: None, speaks_for: cpus.len(), shaded }
}

/// Gives a label to every lane that has room for one, and one to each group of those that have not.
fn label(groups: &mut [Group<'_>], density: Density) {
    let size = density.group();
    let numbers: Vec<u32> = groups.iter().map(|group| group.cpus[0].index).collect();
    for (position, group) in groups.iter_mut().enumerate() {
        let cpu = &group.cpus[0];
        let last = group.cpus.len().max(group.speaks_for);
        let begins = position == 0 || numbers[position - 1] / size != cpu.index / size;
        group.label = if last > 1 {
            Some(format!("CPUs {}–{}", cpu.index, cpu.index.saturating_add(last as u32 - 1)))
        } else if size == 1 || has_words(group) || cpu.index == 0 {
            Some(format!("CPU {}", cpu.index))
        } else if begins {
            Some(format!("{}–{}", cpu.index, cpu.index / size * size + (size - 1)))
        } else {
            None
        };
    }
}

/// Whether there is something to say about the CPUs of a lane.
pub fn has_words(group: &Group<'_>) -> bool {
    let cpu = &group.cpus[0];
    group.speaks_for > 0 && (cpu.outcome != Outcome::Online || cpu.reason.is_some() || cpu.lost_events > 0)
}

/// What was left out for one reason.
#[derive(Debug)]
pub struct LeftOutGroup<'a> {
    /// Their names, as far as they are few.
    pub names: String,
    /// Why.
    pub reason: &'a str,
    /// Whether the machine's description is at fault.
    pub fault: bool,
}

/// The lanes for what was left out: one for each reason.
pub fn of_left_out(left_out: &[LeftOut]) -> Vec<LeftOutGroup<'_>> {
    let mut groups: Vec<Vec<&LeftOut>> = Vec::new();
    for one in left_out {
        let same = |group: &&mut Vec<&LeftOut>| group[0].reason == one.reason && group[0].fault == one.fault;
        match groups.iter_mut().find(same) {
            Some(group) => group.push(one),
            None => groups.push(vec![one]),
        }
    }
    let names = |group: &[&LeftOut]| match group {
        [first, .., last] if group.len() > 4 => format!("{} … {} ({} CPUs)", first.node, last.node, group.len()),
        few => few.iter().map(|one| name(one)).collect::<Vec<_>>().join(", "),
    };
    groups
        .iter()
        .map(|group| LeftOutGroup { names: names(group), reason: &group[0].reason, fault: group[0].fault })
        .collect()
}

/// The name of a CPU that was left out, with its id where it has one.
pub fn name(left_out: &LeftOut) -> String {
    let id = left_out.hw_id.map_or(String::new(), |id| format!(" ({id:#x})"));
    format!("{}{id}", left_out.node)
}

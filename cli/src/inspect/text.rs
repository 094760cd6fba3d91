//! Inspections in words: one in full, many as a line each with what is wrong, and what that means once at the end.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::finding::{Finding, Kind, Severity};
use super::{BootCpuSource, CpuNode, Inspection};
use crate::style::{self, paint};

/// The inspections, for a terminal `width` columns wide.
#[must_use]
pub fn draw(inspections: &[Inspection], width: usize) -> String {
    match inspections {
        [] => String::new(),
        [one] => draw_one(one, width),
        many => draw_many(many, width),
    }
}

fn draw_one(inspection: &Inspection, width: usize) -> String {
    let mut text = String::new();
    let names = inspection.model.iter().chain(&inspection.compatible).map(|name| name.escape_default().to_string());
    let names: Vec<String> = names.collect();
    let _ = writeln!(text, "{}  {}\n", paint(style::HEADING, &inspection.file), names.join(", "));
    text.push_str(&table(inspection));
    let _ = writeln!(text, "\n{}\n{}", boot_cpu(inspection), psci(inspection));
    for group in groups(&inspection.findings) {
        let kind = group[0].kind;
        let _ = writeln!(text, "\n{}", heading(kind));
        for finding in group {
            text.push_str(&wrap(&plain(&format!("{}: {}", finding.node, finding.problem)), 2, width));
        }
        text.push_str(&explanation(kind, width));
    }
    let _ = writeln!(text, "\n{}: {}", verdict(inspection), counts(&inspection.findings));
    text
}

/// The findings of one kind together; kinds in their order.
fn groups(findings: &[Finding]) -> Vec<Vec<&Finding>> {
    let mut groups: BTreeMap<Kind, Vec<&Finding>> = BTreeMap::new();
    for finding in findings {
        groups.entry(finding.kind).or_default().push(finding);
    }
    groups.into_values().collect()
}

fn table(inspection: &Inspection) -> String {
    let head = ["CPU", "id", "node", "compatible", "method", "release address", "cluster/core/thread", ""];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(inspection.cpus.iter().map(row));
    let mut widths = [0; 8];
    for row in &rows {
        for (width, field) in widths.iter_mut().zip(row) {
            *width = (*width).max(field.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let fields: Vec<String> = row.iter().zip(widths).map(|(field, width)| format!("{field:<width$}")).collect();
        let line = fields.join("  ");
        let line = line.trim_end();
        let bad = row[7].starts_with("cannot");
        let _ = writeln!(text, "{}", if bad { paint(style::BAD, line) } else { line.to_owned() });
    }
    text
}

fn row(cpu: &CpuNode) -> [String; 8] {
    let nothing = || "-".to_owned();
    let words = |words: &[String]| match words {
        [] => nothing(),
        words => words.join(",").escape_default().to_string(),
    };
    let fate = match (cpu.boots, cpu.can_come_up) {
        (true, _) => "boots",
        (false, true) => "can come up",
        (false, false) => "cannot come up",
    };
    [
        cpu.index.map_or_else(nothing, |index| index.to_string()),
        cpu.id.map_or_else(nothing, |id| format!("{id:#x}")),
        plain(&cpu.node),
        words(cpu.compatible.get(..1).unwrap_or_default()),
        words(&cpu.enable_method),
        cpu.release_address.map_or_else(nothing, |address| format!("{address:#x}")),
        cpu.placement.map_or_else(nothing, |place| format!("{}/{}/{}", place.cluster, place.core, place.thread)),
        fate.to_owned(),
    ]
}

fn boot_cpu(inspection: &Inspection) -> String {
    let id = inspection.boot_cpu.id;
    let hint = "(--boot-cpu ID, if it is another)";
    match inspection.boot_cpu.by {
        BootCpuSource::Given => format!("The boot CPU is {id:#x}, as you say."),
        BootCpuSource::Header => format!("The boot CPU is taken to be {id:#x}, as the file's header says {hint}."),
        BootCpuSource::FirstNode => format!("The boot CPU is taken to be {id:#x}, the first in the tree {hint}."),
        BootCpuSource::Nothing => "The boot CPU is unknown (--boot-cpu ID).".into(),
    }
}

fn psci(inspection: &Inspection) -> String {
    let Some(psci) = inspection.psci else { return "PSCI: no firmware that can be used.".into() };
    let id = |id: Option<u32>| id.map_or_else(|| "none".into(), |id| format!("{id:#x}"));
    let version = if psci.v0_1 {
        format!("0.1 (CPU_ON {}, CPU_OFF {})", id(psci.cpu_on), id(psci.cpu_off))
    } else {
        "0.2 or later".into()
    };
    format!("PSCI: {version}, by {}.", psci.conduit.to_uppercase())
}

fn severity_style(severity: Severity) -> anstyle::Style {
    match severity {
        Severity::Error => style::BAD,
        Severity::Warning => style::ODD,
        Severity::Note => style::FAINT,
    }
}

fn heading(kind: Kind) -> String {
    let severity = kind.severity();
    format!("{}  {}", paint(severity_style(severity), severity.name()), paint(style::HEADING, kind.name()))
}

fn explanation(kind: Kind, width: usize) -> String {
    wrap(kind.meaning(), 4, width) + &wrap(&format!("To change: {}", kind.change()), 4, width)
}

fn verdict(inspection: &Inspection) -> String {
    let (up, all) = (inspection.can_come_up(), inspection.cpus.len());
    let good = up == all && !inspection.has_errors();
    paint(if good { style::GOOD } else { style::BAD }, format!("{up} of {all} CPUs can come up"))
}

fn counts(findings: &[Finding]) -> String {
    let count = |severity| findings.iter().filter(|finding| finding.severity() == severity).count();
    let some = [Severity::Error, Severity::Warning, Severity::Note].map(|severity| match count(severity) {
        1 => format!("1 {}", severity.name()),
        count => format!("{count} {}s", severity.name()),
    });
    some.join(", ")
}

fn draw_many(inspections: &[Inspection], width: usize) -> String {
    let mut text = String::new();
    for inspection in inspections {
        let firmware =
            inspection.psci.map_or(String::new(), |psci| format!(", PSCI by {}", psci.conduit.to_uppercase()));
        let _ = writeln!(text, "{}: {}{firmware}", inspection.file, verdict(inspection));
        for group in groups(&inspection.findings) {
            let kind = group[0].kind;
            if kind.severity() != Severity::Note {
                let nodes: Vec<String> = group.iter().map(|finding| plain(&finding.node)).collect();
                let severity = paint(severity_style(kind.severity()), kind.severity().name());
                text.push_str(&wrap(&format!("{severity} {}: {}", kind.name(), nodes.join(", ")), 2, width));
            }
        }
    }
    text + &totals(inspections, width)
}

/// What was found in all of them together, and what it means.
fn totals(inspections: &[Inspection], width: usize) -> String {
    let mut text = String::new();
    for &kind in Kind::ALL {
        let of_kind =
            |inspection: &Inspection| inspection.findings.iter().filter(|finding| finding.kind == kind).count();
        let findings: usize = inspections.iter().map(of_kind).sum();
        if findings > 0 {
            let boards = inspections.iter().filter(|inspection| of_kind(inspection) > 0).count();
            let _ = writeln!(text, "\n{}: {findings} in {boards} devicetrees", heading(kind));
            text.push_str(&explanation(kind, width));
        }
    }
    let cpus: usize = inspections.iter().map(|inspection| inspection.cpus.len()).sum();
    let up: usize = inspections.iter().map(Inspection::can_come_up).sum();
    let boards = inspections.iter().filter(|inspection| inspection.has_errors()).count();
    let _ = writeln!(
        text,
        "\n{} devicetrees, {cpus} CPUs, of which {up} can come up; {boards} devicetrees have errors",
        inspections.len()
    );
    text
}

/// Text from a devicetree, without what a terminal would obey.
fn plain(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

/// `words` in lines of at most `width` columns, each after `indent` spaces.
pub(crate) fn wrap(words: &str, indent: usize, width: usize) -> String {
    let mut text = String::new();
    let mut column = 0;
    for word in words.split(' ') {
        let length = anstream::adapter::strip_str(word).to_string().chars().count();
        if column == 0 {
            let _ = write!(text, "{:indent$}{word}", "");
            column = indent + length;
        } else if column + 1 + length > width {
            let _ = write!(text, "\n{:indent$}{word}", "");
            column = indent + length;
        } else {
            let _ = write!(text, " {word}");
            column += 1 + length;
        }
    }
    text + "\n"
}

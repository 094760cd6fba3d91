//! Draws the call tree of each CPU with its times, side by side, as kernel engineers draw it.
//!
//! `span` nests a CPU's events, `columns` sets the trees beside each other. Siblings that are alike are drawn once, and so
//! are CPUs that went the same way, where there are many of them.

use std::collections::HashMap;

use reveille_trace_format::{KICK, ONLINE, Outcome};

use crate::report::{CpuReport, Report};
use crate::span::{self, MANY_SIBLINGS, Span};
use crate::style;
use crate::summary::milliseconds;
use columns::{Block, Row};

mod columns;

/// Above this many CPUs, those that went the same way are drawn once.
const MANY_CPUS: usize = 8;

/// The trees of all CPUs, in at most `width` columns where a single tree fits in these.
#[must_use]
pub fn draw(report: &Report, width: usize) -> String {
    let mut blocks: Vec<Block> = Vec::new();
    let mut notes = Vec::new();
    for group in groups(&report.cpus) {
        let first = group[0];
        blocks.push(block(first));
        if group.len() > 1 {
            notes.push(note(first, &group[1..]));
        }
    }
    let mut text = columns::draw(&blocks, width);
    for note in notes {
        text.push_str(&format!("\n{}\n", style::paint(style::FAINT, note)));
    }
    text
}

/// The CPUs, those that went the same way together if there are many.
fn groups(cpus: &[CpuReport]) -> Vec<Vec<&CpuReport>> {
    if cpus.len() <= MANY_CPUS {
        return cpus.iter().map(|cpu| vec![cpu]).collect();
    }
    let mut groups: Vec<Vec<&CpuReport>> = Vec::new();
    let mut known = HashMap::new();
    for cpu in cpus {
        let spans = span::nest(&cpu.events);
        let group = *known.entry((std::mem::discriminant(&cpu.outcome), span::shape(&spans))).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[group].push(cpu);
    }
    groups
}

/// What stands below the trees for CPUs that went the way of `first`.
fn note(first: &CpuReport, others: &[&CpuReport]) -> String {
    let indexes: Vec<u32> = others.iter().map(|cpu| cpu.index).collect();
    let plural = if indexes.len() == 1 { "" } else { "s" };
    let mut note = format!("CPU{plural} {} as CPU {}", ranges(&indexes), first.index);
    let online = || others.iter().filter_map(|cpu| cpu.online_ns());
    if let (Some(earliest), Some(latest)) = (online().min(), online().max()) {
        note.push_str(&format!(", online from {} to {} ms", milliseconds(earliest), milliseconds(latest)));
    }
    note
}

/// Ascending numbers as ranges: `2-5, 7`.
pub(crate) fn ranges(indexes: &[u32]) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for &index in indexes {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(index) => *last = index,
            _ => ranges.push((index, index)),
        }
    }
    let text = |(first, last)| if first == last { format!("{first}") } else { format!("{first}-{last}") };
    ranges.into_iter().map(text).collect::<Vec<_>>().join(", ")
}

fn block(cpu: &CpuReport) -> Block {
    let mut heading = format!("CPU {}", cpu.index);
    if cpu.lost_events > 0 {
        heading.push_str(&format!(" ({} events lost)", cpu.lost_events));
    }
    let mut rows = Vec::new();
    push_rows(&span::nest(&cpu.events), None, &mut rows);
    let died = !matches!(cpu.outcome, Outcome::Online | Outcome::NotAsked);
    match rows.last_mut() {
        Some(row) if died => {
            row.label.push_str(" ← last seen");
            row.style = style::BAD;
        }
        Some(_) => {}
        None => {
            rows.push(Row { guide: String::new(), label: "(no events)".into(), time: None, style: style::FAINT });
        }
    }
    Block { heading, rows }
}

/// Adds the rows of siblings. `guide` leads from their parent, which roots have not.
fn push_rows(spans: &[Span], guide: Option<&str>, rows: &mut Vec<Row>) {
    let entries = entries(spans);
    for (position, entry) in entries.iter().enumerate() {
        let last = position + 1 == entries.len();
        let own_guide = guide.map_or(String::new(), |guide| format!("{guide}{}", if last { "└ " } else { "├ " }));
        match entry {
            Entry::Span(span) => {
                let style = match span.name {
                    KICK => style::ODD,
                    ONLINE => style::GOOD,
                    _ => anstyle::Style::new(),
                };
                let target = span.target.map_or(String::new(), |target| format!(" → CPU {target}"));
                let label = format!("{}{target}", span.name);
                rows.push(Row { guide: own_guide, label, time: Some(span.ns), style });
                let below = guide.map_or(String::new(), |guide| format!("{guide}{}", if last { "  " } else { "│ " }));
                push_rows(&span.children, Some(&below), rows);
            }
            Entry::More { count, last_ns } => {
                let label = format!("… {count} more like it, until");
                rows.push(Row { guide: own_guide, label, time: Some(*last_ns), style: style::FAINT });
            }
        }
    }
}

/// What is drawn of a list of siblings.
enum Entry<'a> {
    Span(&'a Span<'a>),
    /// So many like the one before, the last of which began at that time.
    More {
        count: usize,
        last_ns: u64,
    },
}

fn entries<'a>(spans: &'a [Span<'a>]) -> Vec<Entry<'a>> {
    let mut alike: HashMap<u64, (usize, u64)> = HashMap::new();
    for span in spans {
        let (count, last_ns) = alike.entry(span.shape).or_default();
        *count += 1;
        *last_ns = span.ns;
    }
    let mut entries = Vec::new();
    for span in spans {
        let Some(&(count, last_ns)) = alike.get(&span.shape) else { continue };
        entries.push(Entry::Span(span));
        if count > MANY_SIBLINGS {
            entries.push(Entry::More { count: count - 1, last_ns });
            alike.remove(&span.shape);
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn plain(report: &Report, width: usize) -> String {
        anstream::adapter::strip_str(&draw(report, width)).to_string()
    }

    #[test]
    fn two_cpus_stand_side_by_side() {
        let expected = "\
CPU 0                            CPU 1
start_kernel        0.000 ms     secondary_entry      0.101 ms
├ boot_cpu_init     0.021 ms     ├ secondary_startup  0.101 ms
└ smp_init          0.050 ms     └ online             0.101 ms
  └ cpu_up → CPU 1  0.051 ms
    └ kick → CPU 1  0.052 ms
";
        assert_eq!(plain(&sample::two_cpus(), 100), expected);
    }

    #[test]
    fn trees_that_do_not_fit_stand_below_each_other() {
        let text = plain(&sample::cpus(4), 64);
        assert!(text.lines().all(|line| line.chars().count() <= 64), "{text}");
        let headings: Vec<&str> = text.lines().filter(|line| line.starts_with("CPU ")).collect();
        assert_eq!(headings.len(), 2, "{text}");
        assert!(headings[1].starts_with("CPU 2") && headings[1].ends_with("CPU 3"), "{text}");
        assert_eq!(text.matches("cpu_up").count(), 3);
    }

    #[test]
    fn sixty_four_cpus_are_still_readable() {
        let expected = "\
CPU 0                                      CPU 1
start_kernel                  0.000 ms     secondary_entry      0.101 ms
├ boot_cpu_init               0.021 ms     ├ secondary_startup  0.101 ms
└ smp_init                    0.050 ms     └ online             0.101 ms
  ├ cpu_up → CPU 1            0.051 ms
  │ └ kick → CPU 1            0.052 ms
  └ … 62 more like it, until  0.113 ms

CPUs 2-63 as CPU 1, online from 0.102 to 0.163 ms
";
        let text = plain(&sample::cpus(64), 100);
        assert_eq!(text, expected);
    }

    #[test]
    fn a_cpu_that_went_another_way_is_drawn_by_itself() {
        let mut report = sample::cpus(16);
        report.cpus[5].outcome = Outcome::Stuck;
        report.cpus[5].events.truncate(2);
        report.cpus[9].outcome = Outcome::TimedOut;
        report.cpus[9].events.clear();
        let text = plain(&report, 200);
        assert!(text.contains("secondary_startup ← last seen"), "{text}");
        assert!(text.contains("(no events)"), "{text}");
        assert!(text.contains("CPUs 2-4, 6-8, 10-15 as CPU 1"), "{text}");
    }

    #[test]
    fn siblings_of_another_shape_are_drawn_among_many() {
        let mut report = sample::cpus(64);
        let kick = report.cpus[0].events.iter().position(|event| event.name == KICK && event.target == Some(30));
        report.cpus[0].events.remove(kick.unwrap());
        let text = plain(&report, 100);
        assert!(text.contains("… 61 more like it") && text.contains("cpu_up → CPU 30"), "{text}");
    }

    #[test]
    fn ranges_are_short() {
        assert_eq!(ranges(&[2, 3, 4, 7, 9, 10]), "2-4, 7, 9-10");
        assert_eq!(ranges(&[]), "");
    }
}

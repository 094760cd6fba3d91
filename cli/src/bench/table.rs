//! The result of a bench as a table, in Markdown, which terminals and documents show alike.

use std::collections::HashSet;
use std::fmt::Write;

use super::spans::Side;
use super::{Bench, Row};

/// The table, and below it where instructions go if that was asked for.
#[must_use]
pub fn draw(bench: &Bench) -> String {
    let mut text = String::new();
    let header =
        ["CPUs", "", "instructions a CPU", "time, lower quartile", "(min, median, upper)", "over online floor"];
    let rows: Vec<[String; 6]> = bench.rows.iter().map(cells).collect();
    push_table(&mut text, &header, &rows);
    // A String takes everything.
    let _ = writeln!(text, "\n{} runs of each, in turns, on {}", bench.runs, bench.qemu);
    let mut notes: Vec<String> =
        bench.rows.iter().filter_map(|row| Some(format!("{}: {}", row.subject, row.note.as_ref()?))).collect();
    let mut seen = HashSet::new();
    notes.retain(|note| seen.insert(note.clone()));
    for note in notes.iter().chain(&bench.not_measured) {
        let _ = writeln!(text, "{note}");
    }
    if !bench.spans.is_empty() {
        text.push('\n');
        let rows: Vec<[String; 3]> = bench
            .spans
            .iter()
            .map(|share| {
                let side = match share.side {
                    Side::Control => "control CPU",
                    Side::New => "new CPU",
                };
                [side.to_owned(), format!("`{}`", share.name), format!("{:.0}", share.instructions_per_cpu)]
            })
            .collect();
        push_table(&mut text, &["side", "function, without what it calls", "instructions a CPU"], &rows);
    }
    text
}

fn cells(row: &Row) -> [String; 6] {
    let time = &row.time;
    [
        row.cpus.to_string(),
        row.subject.clone(),
        row.instructions_per_cpu.map_or("-".to_owned(), |count| format!("{count:.0}")),
        milliseconds(time.lower_quartile),
        format!("{}, {}, {}", milliseconds(time.minimum), milliseconds(time.median), milliseconds(time.upper_quartile)),
        format!("{:.2}", row.over_online_floor),
    ]
}

fn milliseconds(nanoseconds: f64) -> String {
    format!("{:.2} ms", nanoseconds / 1e6)
}

fn push_table<const N: usize>(text: &mut String, header: &[&str; N], rows: &[[String; N]]) {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([header[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let mut line = |cells: [&str; N]| {
        for (cell, width) in cells.iter().zip(widths) {
            let _ = write!(text, "| {cell:width$} ");
        }
        text.push_str("|\n");
    };
    line(*header);
    let rules: [String; N] = widths.map(|width| "-".repeat(width));
    line(std::array::from_fn(|column| rules[column].as_str()));
    for row in rows {
        line(std::array::from_fn(|column| row[column].as_str()));
    }
}

#[cfg(test)]
mod tests {
    use super::super::statistics::Spread;
    use super::*;

    #[test]
    fn columns_line_up() {
        let row = |cpus, subject: &str, count| Row {
            cpus,
            subject: subject.into(),
            instructions_per_cpu: count,
            time: Spread::of(&[1_000_000, 2_000_000]),
            over_online_floor: 1.0,
            note: None,
        };
        let rows = vec![row(4, "kernel", Some(3043.3)), row(512, "a long name", None)];
        let text = draw(&Bench { qemu: "QEMU 7".into(), runs: 2, rows, not_measured: Vec::new(), spans: Vec::new() });
        let table: Vec<&str> = text.lines().take(4).collect();
        assert!(table.iter().all(|line| line.chars().count() == table[0].chars().count()), "{text}");
        assert!(table[2].contains("| 3043 ") && table[3].contains("| - "), "{text}");
        assert!(text.ends_with("2 runs of each, in turns, on QEMU 7\n"), "{text}");
    }
}

//! The result of a bench as a table, in Markdown, which terminals and documents show alike.

use std::collections::HashSet;
use std::fmt::Write;

use super::spans::Side;
use super::{Bench, Row};
use crate::inspect::text::wrap;

/// What the figures are, which no row says.
const PHASE: &str = "Measured is the phase from the first CPU that is started to the last that is online and through its steps: \
                     in instructions, of all CPUs together, for each CPU that is brought up; and in time, compared with that of \
                     the online floor.";

/// The table, and below it what its rows are, and where instructions go if that was asked for. Sentences take `width` columns.
#[must_use]
pub fn draw(bench: &Bench, width: usize) -> String {
    let mut text = String::new();
    let header =
        ["CPUs", "", "instructions a CPU", "time, lower quartile", "(min, median, upper)", "over online floor"];
    let rows: Vec<[String; 6]> = bench.rows.iter().map(cells).collect();
    push_table(&mut text, &header, &rows);
    let runs = if bench.runs == 1 { "One run".to_owned() } else { format!("{} runs", bench.runs) };
    let ran = format!("{runs} of each, in turns, on {}. {PHASE}", bench.qemu);
    text.push_str(&format!("\n{}\n", wrap(&ran, 0, width)));
    let mut seen = HashSet::new();
    for row in bench.rows.iter().filter(|row| seen.insert((&row.subject, &row.note))) {
        text.push_str(&wrap(&format!("- {}: {}.", row.subject, row.note), 0, width));
    }
    for what in &bench.not_measured {
        text.push_str(&wrap(&format!("- {what}."), 0, width));
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
    fn columns_line_up_and_every_subject_is_explained_once() {
        let row = |cpus, subject: &str, count| Row {
            cpus,
            subject: subject.into(),
            instructions_per_cpu: count,
            time: Spread::of(&[1_000_000, 2_000_000]),
            over_online_floor: 1.0,
            note: format!("a {subject}"),
        };
        let rows = vec![row(4, "kernel", Some(3043.3)), row(512, "long name", None), row(512, "kernel", None)];
        let not_measured = vec!["xen is not measured with 512 CPUs".into()];
        let text = draw(&Bench { qemu: "QEMU 7".into(), runs: 2, rows, not_measured, spans: Vec::new() }, 60);
        let table: Vec<&str> = text.lines().take(5).collect();
        assert!(table.iter().all(|line| line.chars().count() == table[0].chars().count()), "{text}");
        assert!(table[2].contains("| 3043 ") && table[3].contains("| - "), "{text}");
        let (sentences, notes) =
            text.split_once("\n2 runs of each, in turns, on QEMU 7. ").unwrap().1.split_once("- ").unwrap();
        assert!(sentences.lines().all(|line| line.chars().count() <= 60), "{text}");
        assert_eq!(notes, "kernel: a kernel.\n- long name: a long name.\n- xen is not measured with 512 CPUs.\n");
    }
}

//! The result of a bench as a table, in Markdown, which terminals and documents show alike.

use std::collections::HashSet;
use std::fmt::Write;

use super::spans::Side;
use super::{Bench, Row};
use crate::inspect::text::wrap;

/// What the figures are, which no row says.
const PHASE: &str = "Measured is the phase from the first CPU that is started to the last that is online and through its steps: \
                     in instructions, of all CPUs together, for each CPU that is brought up; and in time";
const COMPARED: &str = ", compared with that of the online floor";

/// The table, and below it what its rows are, and where instructions go if that was asked for. Sentences take `width` columns.
#[must_use]
pub fn draw(bench: &Bench, width: usize) -> String {
    let mut text = String::new();
    let mut header = vec!["CPUs", "", "instructions a CPU", "time, lower quartile", "(min, median, upper)"];
    let has_floor = bench.rows.iter().any(|row| row.over_online_floor.is_some());
    if has_floor {
        header.push("over online floor");
    }
    push_table(&mut text, &header, &bench.rows.iter().map(|row| cells(row, has_floor)).collect::<Vec<_>>());
    let runs = if bench.runs == 1 { "One run".to_owned() } else { format!("{} runs", bench.runs) };
    let compared = if has_floor { COMPARED } else { "" };
    let ran = format!("{runs} of each, in turns, on {} ({}). {PHASE}{compared}.", bench.qemu, bench.machine);
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
        let rows = bench.spans.iter().map(|share| {
            let side = match share.side {
                Side::Control => "control CPU",
                Side::New => "new CPU",
            };
            vec![side.to_owned(), format!("`{}`", share.name), format!("{:.0}", share.instructions_per_cpu)]
        });
        let header = ["side", "function, without what it calls", "instructions a CPU"];
        push_table(&mut text, &header, &rows.collect::<Vec<_>>());
    }
    text
}

fn cells(row: &Row, has_floor: bool) -> Vec<String> {
    let time = &row.time;
    let mut cells = vec![
        row.cpus.to_string(),
        row.differs.map_or(row.subject.clone(), |differs| format!("{} ({differs})", row.subject)),
        row.instructions_per_cpu.map_or("-".to_owned(), |count| format!("{count:.0}")),
        milliseconds(time.lower_quartile),
        format!("{}, {}, {}", milliseconds(time.minimum), milliseconds(time.median), milliseconds(time.upper_quartile)),
    ];
    if has_floor {
        cells.push(row.over_online_floor.map_or("-".to_owned(), |over| format!("{over:.2}")));
    }
    cells
}

pub(super) fn milliseconds(nanoseconds: f64) -> String {
    format!("{:.2} ms", nanoseconds / 1e6)
}

/// Adds a table in Markdown, its columns lined up.
pub(crate) fn push_table(text: &mut String, header: &[&str], rows: &[Vec<String>]) {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([header[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        for (cell, &width) in cells.zip(&widths) {
            let _ = write!(text, "| {cell:width$} ");
        }
        text.push_str("|\n");
    };
    line(&mut header.iter().copied());
    let rules: Vec<String> = widths.iter().map(|&width| "-".repeat(width)).collect();
    line(&mut rules.iter().map(String::as_str));
    for row in rows {
        line(&mut row.iter().map(String::as_str));
    }
}

#[cfg(test)]
mod tests {
    use super::super::statistics::Spread;
    use super::*;

    fn row(cpus: u32, subject: &str, count: Option<f64>) -> Row {
        Row {
            cpus,
            subject: subject.into(),
            differs: None,
            instructions_per_cpu: count,
            time: Spread::of(&[1_000_000, 2_000_000]),
            over_online_floor: Some(1.0),
            note: format!("a {subject}"),
        }
    }

    fn bench(rows: Vec<Row>, not_measured: &str) -> Bench {
        let not_measured = vec![not_measured.into()];
        Bench { machine: "virt", qemu: "QEMU 7".into(), runs: 2, rows, not_measured, spans: Vec::new() }
    }

    #[test]
    fn columns_line_up_and_every_subject_is_explained_once() {
        let rows = vec![row(4, "kernel", Some(3043.3)), row(512, "long name", None), row(512, "kernel", None)];
        let text = draw(&bench(rows, "xen is not measured with 512 CPUs"), 60);
        let table: Vec<&str> = text.lines().take(5).collect();
        assert!(table.iter().all(|line| line.chars().count() == table[0].chars().count()), "{text}");
        assert!(table[2].contains("| 3043 ") && table[3].contains("| - "), "{text}");
        let (sentences, notes) =
            text.split_once("\n2 runs of each, in turns, on QEMU 7 (virt). ").unwrap().1.split_once("- ").unwrap();
        assert!(sentences.lines().all(|line| line.chars().count() <= 60), "{text}");
        assert_eq!(notes, "kernel: a kernel.\n- long name: a long name.\n- xen is not measured with 512 CPUs.\n");
    }

    #[test]
    fn without_a_floor_nothing_is_compared_with_one_and_what_differs_is_said_beside_the_figure() {
        let ours = Row { over_online_floor: None, ..row(2, "kernel", Some(18_504.0)) };
        let theirs = Row { differs: Some("another CPU"), instructions_per_cpu: None, ..ours.clone() };
        let text =
            draw(&bench(vec![ours, Row { subject: "linux".into(), ..theirs }], "the floors are not measured"), 200);
        assert!(text.lines().all(|line| !line.contains("online floor")), "{text}");
        assert!(text.lines().nth(3).unwrap().starts_with("| 2    | linux (another CPU) | -  "), "{text}");
        assert!(text.ends_with("- the floors are not measured.\n"), "{text}");
    }
}

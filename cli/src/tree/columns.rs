//! Sets the trees of CPUs beside each other, as many as fit.

use anstyle::Style;

use crate::style::{self, paint};
use crate::summary::milliseconds;

/// The space between two trees.
const GAP: usize = 5;

/// One CPU's tree.
#[derive(Debug)]
pub struct Block {
    pub heading: String,
    pub rows: Vec<Row>,
}

/// One line of a tree.
#[derive(Debug)]
pub struct Row {
    /// The lines that lead to it.
    pub guide: String,
    pub label: String,
    /// Nanoseconds.
    pub time: Option<u64>,
    pub style: Style,
}

/// A block with its width measured.
struct Column<'a> {
    block: &'a Block,
    label_width: usize,
    time_width: usize,
}

impl<'a> Column<'a> {
    fn new(block: &'a Block) -> Self {
        let label_width = block.rows.iter().map(|row| length(&row.guide) + length(&row.label)).max().unwrap_or(0);
        let time_width = block.rows.iter().filter_map(|row| row.time).map(|ns| time(ns).len()).max().unwrap_or(0);
        Self { block, label_width: label_width.max(length(&block.heading)), time_width }
    }

    fn width(&self) -> usize {
        self.label_width + if self.time_width > 0 { 2 + self.time_width } else { 0 }
    }

    /// The line `number`, painted, and how much space it takes.
    fn line(&self, number: usize) -> (String, usize) {
        let Some(row) = number.checked_sub(1) else {
            return (paint(style::HEADING, &self.block.heading), length(&self.block.heading));
        };
        let Some(row) = self.block.rows.get(row) else { return (String::new(), 0) };
        let mut line = format!("{}{}", paint(style::FAINT, &row.guide), paint(row.style, &row.label));
        let mut taken = length(&row.guide) + length(&row.label);
        if let Some(ns) = row.time {
            let time = format!("{:>1$}", time(ns), self.label_width - taken + 2 + self.time_width);
            line.push_str(&time);
            taken += time.len();
        }
        (line, taken)
    }
}

/// Draws `blocks` in lines of at most `width` characters, except for a block that is wider by itself.
#[must_use]
pub fn draw(blocks: &[Block], width: usize) -> String {
    let columns: Vec<Column<'_>> = blocks.iter().map(Column::new).collect();
    let mut bands = Vec::new();
    let mut rest = columns.as_slice();
    while !rest.is_empty() {
        let (band, others) = rest.split_at(how_many_fit(rest, width));
        bands.push(draw_band(band));
        rest = others;
    }
    bands.join("\n")
}

fn how_many_fit(columns: &[Column<'_>], width: usize) -> usize {
    let mut taken = 0;
    let fitting = columns.iter().take_while(|column| {
        taken += column.width();
        let fits = taken <= width;
        taken += GAP;
        fits
    });
    fitting.count().max(1)
}

fn draw_band(columns: &[Column<'_>]) -> String {
    let height = columns.iter().map(|column| column.block.rows.len() + 1).max().unwrap_or(0);
    let mut text = String::new();
    for number in 0..height {
        let mut space = 0;
        for column in columns {
            let (line, taken) = column.line(number);
            if taken > 0 {
                text.push_str(&" ".repeat(space));
                text.push_str(&line);
                space = 0;
            }
            space += column.width() - taken + GAP;
        }
        text.push('\n');
    }
    text
}

fn time(ns: u64) -> String {
    format!("{} ms", milliseconds(ns))
}

fn length(text: &str) -> usize {
    text.chars().count()
}

//! Draws the bring-up in time, as SVG: a lane for each CPU with its spans, the kicks between them, and what went wrong in its place.
//! What a boot loader did with the CPUs before stands first. Where firmware of ours runs below, its calls and entries stand in the lanes as well, so that systems that trace nothing have some.
//!
//! Of a stack with guests every stage has a column, and what it did with its CPUs stands there.
//!
//! `story` reads times from a report, `scale` maps them to places, `layout` puts everything in its place, `text` measures words, and
//! `drawing` makes SVG of it all. Whoever sees only the picture of a faulty boot can say which CPU is at fault, and why.

use crate::report::Report;

mod drawing;
mod layout;
mod scale;
pub(crate) mod story;
mod text;

/// The picture of a boot: an SVG document, for light and dark surroundings.
#[must_use]
pub fn draw(report: &Report) -> String {
    drawing::draw(&layout::Layout::new(report), &alternative_text(report))
}

/// What the picture shows, for those who do not see it.
fn alternative_text(report: &Report) -> String {
    format!(
        "Timeline of a boot of {} on {}: {} of {} CPUs online",
        report.image, report.machine, report.online_count, report.asked_count
    )
}

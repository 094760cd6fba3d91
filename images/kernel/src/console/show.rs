//! Shows the steps of hotplug, and the trace of the boot.

use alloc::format;
use alloc::string::String;
use core::fmt::Write;

use reveille::CpuIndex;
use reveille::hotplug::Section;
use reveille::trace::Kind;
use reveille_runtime::console::command::Took;
use reveille_runtime::{clock, trace};

use crate::hotplug::hotplug;
use crate::names::text;

/// All states in the order of the way up, with the section and the name of the step that leads to each.
pub fn steps() -> String {
    let steps = hotplug().steps();
    let mut shown = String::from("state  section   step\n    0            offline\n");
    for (state, section, name) in steps.states() {
        let section = match section {
            Some(Section::Prepare) => "PREPARE",
            Some(Section::Starting) => "STARTING",
            Some(Section::Online) => "ONLINE",
            None => "",
        };
        let held = if steps.can_hold(state) { "" } else { " (no CPU can be held here)" };
        // A String takes everything.
        let _ = writeln!(shown, "{:>5}  {section:8}  {name}{held}", state.0);
    }
    shown
}

/// What was traced on a CPU in the boot.
pub fn trace(cpu: CpuIndex) -> String {
    let Some(ring) = trace::ring(cpu) else { return format!("CPU {cpu} has no trace: it was never started") };
    let mut shown = String::new();
    for event in ring.events() {
        let kind = match event.kind {
            Kind::Begin => "begin",
            Kind::End => "end",
            Kind::Instant => "at",
        };
        let time = format!("{}", Took(clock::instant_of(event.time).0));
        let _ = write!(shown, "{time:>14}  {kind:5}  {}", text(event.name));
        let _ = match event.value {
            other if cpu.is_boot() && other != 0 => writeln!(shown, " CPU {other}"),
            _ => writeln!(shown),
        };
    }
    let _ = write!(shown, "the trace ended with the boot; {} older events were lost", ring.lost());
    shown
}

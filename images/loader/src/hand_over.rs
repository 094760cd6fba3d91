//! The hand-over: every other CPU leaves, to where the payload can take it, and this one enters the payload. What CPUs do to leave is the
//! library's ([`reveille::handover`], [`reveille_aarch64::handover`]).

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::convert::Infallible;
use core::fmt::Write;
use core::time::Duration;

use reveille::handover::{Departure, Exit, Handover, Leaver, NotGone, SwitchOff};
use reveille::{CallError, Cpu, CpuIndex, FirmwareState, Instant};
use reveille_aarch64::cache::clean_and_invalidate;
use reveille_aarch64::handover::{NextStage, ReleasePen, enter};
use reveille_runtime::arch::{interrupts, timer};
use reveille_runtime::cpus::{SMP, topology};
use reveille_runtime::plan::plan;
use reveille_runtime::{clock, devicetree, println, thread, trace};
use spin::Once;

use crate::lk_main::Loader;
use crate::names::name;
use crate::next_devicetree::{self, Cpus};
use crate::options::Manner;
use crate::payload::Payload;
use crate::payload::program::Program;
use crate::report::Report;
use crate::secondary;

/// How long a CPU may take that has been refused elsewhere to get into the pen.
const PEN_PATIENCE: Duration = Duration::from_millis(100);

static HANDOVER: Handover = Handover::new();
static WAY_OUT: Once<WayOut> = Once::new();

/// Where CPUs go.
struct WayOut {
    manner: Manner,
    /// Where those wait that firmware does not have.
    pen: ReleasePen,
}

impl WayOut {
    /// Calls `use_it` with the exit of this manner.
    fn with_exit<T>(&self, use_it: impl FnOnce(&dyn Exit) -> T) -> T {
        let use_it = |exit: &dyn Exit| {
            #[cfg(feature = "faults")]
            let exit = &crate::fault::FaultyExit(exit);
            use_it(exit)
        };
        match self.manner {
            Manner::Off => use_it(&SwitchOff(plan())),
            Manner::SpinTable => use_it(&self.pen),
        }
    }
}

/// The idle thread of a CPU that was asked to leave: leaves.
pub fn leave(cpu: CpuIndex) -> ! {
    if let Some(way_out) = WAY_OUT.get() {
        let cpu = &topology().cpus()[cpu.get()];
        trace::begin(name::leave, 0);
        if way_out.with_exit(|exit| HANDOVER.leave(&SMP, cpu, exit)) == NotGone::Refused {
            // Where it harms nobody, if not where it should be.
            way_out.pen.leave(cpu);
        }
    }
    interrupts::sleep_for_ever()
}

/// The control CPU's side.
struct Control;

impl Leaver for Control {
    fn now(&self) -> Instant {
        clock::now()
    }

    fn relax(&self) {
        thread::sleep_until(clock::ticks_after(Duration::from_micros(50)));
    }

    fn ask(&self, cpu: &Cpu) -> Result<(), CallError> {
        #[cfg(feature = "faults")]
        crate::fault::before_leaving(cpu.index);
        match thread::spawn_bound("leave", cpu.index, secondary::quiesce) {
            Ok(_) => Ok(()),
            Err(_) => Err(CallError { call: "thread_create", code: 0, meaning: "no thread can be started there" }),
        }
    }
}

/// Hands the CPUs over to `payload`, whose kernel is `program`. Returns only where that cannot be.
///
/// # Errors
/// The CPUs that stay, by their names, or what else is in the way.
pub fn hand_over(
    loader: &Loader,
    payload: &Arc<Payload>,
    program: &Program,
    report: &mut Report,
) -> Result<Infallible, String> {
    report.tell_cpus();
    let (devicetree, detail) = {
        let _span = trace::span(name::hand_over);
        let departures = send_away(loader)?;
        let stay = who_stays(&departures);
        if !stay.is_empty() && !loader.options.without {
            return Err(format!("the CPUs cannot be handed over: {stay}"));
        }
        (write_devicetree(loader, payload, &departures)?, describe(&departures, &stay))
    };
    report.proof("hand-over", true, detail);
    report.end(true);
    start(loader, payload, program, devicetree)
}

/// Has every other CPU leave: what became of each.
fn send_away(loader: &Loader) -> Result<Vec<Departure>, &'static str> {
    let count = topology().cpus().len();
    let has_psci = plan().methods.iter().any(|method| method.name() == "psci");
    let manner = loader.options.manner.unwrap_or(if has_psci { Manner::Off } else { Manner::SpinTable });
    let place = loader.layout.take(ReleasePen::size(count), ReleasePen::ALIGNMENT, 0)?;
    // SAFETY: memory that was taken for this alone, and that the payload is told to leave alone. Every CPU came in by the loader's start,
    // which keeps the way back to the level at which all entered.
    let pen = unsafe { ReleasePen::new(place.start, count, loader.level) };
    let way_out = WAY_OUT.call_once(|| WayOut { manner, pen });
    println!("Handing {} CPUs over: {}", count, manner.name());
    let mut departures = vec![Departure::Gone; count];
    let timeout = loader.options.leave;
    way_out.with_exit(|exit| HANDOVER.hand_over(&SMP, &plan(), exit, &Control, timeout, &mut departures));
    Ok(departures)
}

fn who_stays(departures: &[Departure]) -> String {
    let mut text = String::new();
    for (cpu, departure) in topology().cpus().iter().zip(departures).filter(|(_, departure)| !departure.is_gone()) {
        let separator = if text.is_empty() { "" } else { "; " };
        // A String takes everything.
        let _ = write!(text, "{separator}CPU {} ({}) {departure}", cpu.index, cpu.hw_id);
    }
    text
}

fn describe(departures: &[Departure], stay: &str) -> String {
    let gone = departures.iter().skip(1).filter(|departure| departure.is_gone()).count();
    let manner = WAY_OUT.get().map_or("", |way_out| way_out.manner.name());
    if stay.is_empty() { format!("{gone} CPUs {manner}") } else { format!("{gone} CPUs {manner}, without: {stay}") }
}

/// Whether a CPU that is not gone may still be in the loader's memory. One that was refused goes to the pen at once.
fn executes_the_loader(way_out: &WayOut, departure: &Departure, cpu: &Cpu) -> bool {
    let deadline = clock::ticks_after(PEN_PATIENCE);
    while matches!(departure, Departure::Refused(_)) && timer::ticks() < deadline {
        if way_out.pen.state(cpu) == FirmwareState::Off {
            return false;
        }
        Control.relax();
    }
    !departure.is_gone()
}

/// Writes the payload's devicetree into memory of its own: where.
fn write_devicetree(loader: &Loader, payload: &Payload, departures: &[Departure]) -> Result<usize, String> {
    let way_out = WAY_OUT.get().ok_or("nobody has left")?;
    let pen = (way_out.manner == Manner::SpinTable).then_some(&way_out.pen);
    let mut reserved = Vec::new();
    if pen.is_some() || departures.iter().any(|departure| matches!(departure, Departure::Refused(_))) {
        reserved.push(way_out.pen.memory());
    }
    if departures.iter().zip(topology().cpus()).any(|(departure, cpu)| executes_the_loader(way_out, departure, cpu)) {
        reserved.push(loader.layout.own());
    }
    let tree = next_devicetree::build(loader, payload, &Cpus { departures, pen, reserved: &reserved })?;
    let place = loader.layout.take(tree.len(), reveille_devices::arm64_image::UNIT, 0)?;
    let target: *mut u8 = core::ptr::with_exposed_provenance_mut(place.start);
    // SAFETY: memory that was taken for this alone.
    unsafe {
        target.copy_from_nonoverlapping(tree.as_ptr(), tree.len());
        clean_and_invalidate(place.clone());
    }
    // SAFETY: it was written there just now, whole, and nobody changes it.
    next_devicetree::tell_reserved(&unsafe { devicetree::at(place.start) }?);
    Ok(place.start)
}

/// Enters `program`: nothing of the loader is in a cache any more, and nothing interrupts.
fn start(loader: &Loader, payload: &Payload, program: &Program, devicetree: usize) -> ! {
    let _masked = interrupts::mask();
    secondary::silence();
    let next = NextStage { entry: program.entry as u64, argument: devicetree as u64, level: loader.level };
    let own = loader.layout.own();
    // SAFETY: all of this is mapped, and what is written afterwards is registers'. The other CPUs have left, or what they use stays
    // theirs. Every CPU came in by the loader's start. The payload was checked.
    unsafe {
        for written in payload.parts.iter().map(|part| &part.place).chain(&program.segments) {
            clean_and_invalidate(written.clone());
        }
        enter(&next, own)
    }
}

//! The commands of all consoles that concern CPUs: the list of them, where one is, and requests to take one up or down.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use core::fmt::{self, Write};

use reveille::hotplug::{HotplugError, StepFailure};
use reveille::{Cpu, CpuIndex};

use super::command::Took;
use crate::cpus::{SMP, topology};
use crate::hotplug::hotplug;
use crate::lock::IrqLock;
use crate::per_cpu::smp_processor_id;
use crate::{clock, interrupt_controller};

/// What went wrong last with each CPU.
static ERRORS: IrqLock<BTreeMap<CpuIndex, String>> = IrqLock::new(BTreeMap::new());

/// Begins the list of errors with what there is to say about each CPU since the boot, by its index.
pub fn note_reasons(reasons: &[Option<String>]) {
    let cpus = topology().cpus().iter().zip(reasons);
    let errors = cpus.filter_map(|(cpu, reason)| Some((cpu.index, reason.clone()?))).collect();
    *ERRORS.lock() = errors;
}

/// The hotplug state of a CPU, by name and number.
pub struct Place(pub CpuIndex);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = hotplug().state(self.0);
        write!(f, "{} (state {state})", hotplug().steps().name(state))
    }
}

/// All CPUs.
#[must_use]
pub fn list() -> String {
    let mut text = String::from("CPU  hardware id  possible  present  online  active  state\n");
    for cpu in topology().cpus() {
        let line = line(cpu);
        text.push_str(line.trim_end());
        text.push('\n');
    }
    // A String takes everything.
    let _ = write!(text, "the console runs on CPU {}", smp_processor_id());
    for (number, cpu) in interrupt_controller::shared() {
        let _ = write!(text, ", interrupt {number} goes to CPU {cpu}");
    }
    text
}

fn line(cpu: &Cpu) -> String {
    let masks = &SMP.masks;
    let [possible, present, online, active] = [&masks.possible, &masks.present, &masks.online, &masks.active]
        .map(|mask| if mask.contains(cpu.index) { "yes" } else { "-" });
    let error = ERRORS.lock().get(&cpu.index).map_or(String::new(), |error| format!(", last error: {error}"));
    let (index, hw_id, place) = (cpu.index.get(), cpu.hw_id.to_string(), Place(cpu.index));
    format!("{index:>3}  {hw_id:11}  {possible:8}  {present:7}  {online:6}  {active:6}  {place}{error}")
}

/// Where a CPU is.
#[must_use]
pub fn state(cpu: CpuIndex) -> String {
    format!("CPU {cpu} is at {}", Place(cpu))
}

/// Takes a CPU up or down by `request`, which says what it passed over, and keeps what went wrong.
#[must_use]
pub fn request(cpu: CpuIndex, request: impl FnOnce() -> Result<Option<StepFailure>, HotplugError>) -> String {
    let start = clock::now();
    let result = request();
    let took = Took::since(start);
    note(cpu, &result);
    let place = Place(cpu);
    match result {
        Ok(None) => format!("CPU {cpu} is at {place} after {took}"),
        Ok(Some(passed_over)) => format!("CPU {cpu} is at {place} after {took}, though {passed_over}"),
        Err(error @ HotplugError::AlreadyThere(_)) => format!("CPU {cpu}: {error} ({took})"),
        Err(error) => format!("CPU {cpu}: {error}; it is at {place} after {took}"),
    }
}

/// Keeps what went wrong with a CPU until something goes well.
pub fn note<T>(cpu: CpuIndex, result: &Result<T, HotplugError>) {
    match result {
        Ok(_) => _ = ERRORS.lock().remove(&cpu),
        Err(HotplugError::AlreadyThere(_)) => {}
        Err(error) => _ = ERRORS.lock().insert(cpu, error.to_string()),
    }
}

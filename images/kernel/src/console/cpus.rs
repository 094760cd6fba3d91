//! The commands that take CPUs up and down, and the list of them.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use core::fmt::{self, Write};

use reveille::hotplug::{Frozen, HotplugError, HotplugState, StepFailure};
use reveille::{Cpu, CpuIndex, CpuMask};
use reveille_runtime::console::command::Took;
use reveille_runtime::cpus::{SMP, topology};
use reveille_runtime::lock::IrqLock;
use reveille_runtime::per_cpu::smp_processor_id;
use reveille_runtime::{clock, interrupt_controller};

use crate::hotplug::{self, hotplug};

/// What went wrong last with each CPU.
static ERRORS: IrqLock<BTreeMap<CpuIndex, String>> = IrqLock::new(BTreeMap::new());

static FROZEN: IrqLock<Option<Frozen>> = IrqLock::new(None);

/// Begins the list of errors with what there is to say about each CPU since the boot, by its index.
pub fn note_reasons(reasons: &[Option<String>]) {
    let cpus = topology().cpus().iter().zip(reasons);
    let errors = cpus.filter_map(|(cpu, reason)| Some((cpu.index, reason.clone()?))).collect();
    *ERRORS.lock() = errors;
}

/// The hotplug state of a CPU, by name and number.
struct Place(CpuIndex);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = hotplug().state(self.0);
        write!(f, "{} (state {state})", hotplug().steps().name(state))
    }
}

/// Which CPUs these are, if any.
struct Cpus<'a>(&'a CpuMask);

impl fmt::Display for Cpus<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { f.write_str("no CPU") } else { write!(f, "CPU {}", self.0) }
    }
}

/// All CPUs.
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

/// Brings a CPU up.
pub fn on(cpu: CpuIndex) -> String {
    request(cpu, || hotplug::cpu_up(cpu).result.map(|()| None))
}

/// Takes a CPU down.
pub fn off(cpu: CpuIndex) -> String {
    request(cpu, || hotplug::cpu_down(cpu).result)
}

/// Where a CPU is.
pub fn state(cpu: CpuIndex) -> String {
    format!("CPU {cpu} is at {}", Place(cpu))
}

/// Takes a CPU up or down to a state.
pub fn set_state(cpu: CpuIndex, state: HotplugState) -> String {
    request(cpu, || hotplug::set_state(cpu, state).result)
}

fn request(cpu: CpuIndex, request: impl FnOnce() -> Result<Option<StepFailure>, HotplugError>) -> String {
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
fn note<T>(cpu: CpuIndex, result: &Result<T, HotplugError>) {
    match result {
        Ok(_) => _ = ERRORS.lock().remove(&cpu),
        Err(HotplugError::AlreadyThere(_)) => {}
        Err(error) => _ = ERRORS.lock().insert(cpu, error.to_string()),
    }
}

/// Takes all CPUs down but the boot CPU.
pub fn freeze() -> String {
    let start = clock::now();
    match hotplug::freeze() {
        Ok(frozen) => {
            let text = format!("{} is frozen after {}", Cpus(frozen.cpus()), Took::since(start));
            *FROZEN.lock() = Some(frozen);
            text
        }
        Err(error) => error.to_string(),
    }
}

/// Brings the frozen CPUs back.
pub fn thaw() -> String {
    let Some(frozen) = FROZEN.lock().take() else { return String::from("no CPU is frozen") };
    let start = clock::now();
    let mut text = String::new();
    let thawed = hotplug::thaw(&frozen, &mut |cpu, result| {
        note(cpu, &result);
        let _ = match result {
            Ok(()) => writeln!(text, "CPU {cpu} is at {}", Place(cpu)),
            Err(error) => writeln!(text, "CPU {cpu}: {error}; it is at {}", Place(cpu)),
        };
    });
    match thawed {
        Ok(()) => _ = write!(text, "{} is thawed after {}", Cpus(frozen.cpus()), Took::since(start)),
        Err(error) => {
            text = error.to_string();
            *FROZEN.lock() = Some(frozen);
        }
    }
    text
}

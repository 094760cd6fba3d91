//! The commands that take CPUs up and down.

use alloc::format;
use alloc::string::{String, ToString};
use core::fmt::{self, Write};

use reveille::hotplug::{Frozen, HotplugState};
use reveille::{CpuIndex, CpuMask};
use reveille_runtime::clock;
use reveille_runtime::console::command::Took;
use reveille_runtime::console::cpus::{Place, note, request};
use reveille_runtime::lock::IrqLock;

use crate::hotplug;

static FROZEN: IrqLock<Option<Frozen>> = IrqLock::new(None);

/// Which CPUs these are, if any.
struct Cpus<'a>(&'a CpuMask);

impl fmt::Display for Cpus<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { f.write_str("no CPU") } else { write!(f, "CPU {}", self.0) }
    }
}

/// Brings a CPU up.
pub fn on(cpu: CpuIndex) -> String {
    request(cpu, || hotplug::cpu_up(cpu).result.map(|()| None))
}

/// Takes a CPU down.
pub fn off(cpu: CpuIndex) -> String {
    request(cpu, || hotplug::cpu_down(cpu).result)
}

/// Takes a CPU up or down to a state.
pub fn set_state(cpu: CpuIndex, state: HotplugState) -> String {
    request(cpu, || hotplug::set_state(cpu, state).result)
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

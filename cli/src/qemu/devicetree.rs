//! The devicetree that QEMU makes for a machine.

use std::path::Path;
use std::time::Duration;

use super::{Ending, machine_arguments, run};
use crate::boot::BootOptions;
use crate::error::Error;

/// How long QEMU may take, also where the host is busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// Has `qemu` write the devicetree of the machine of `options` to `file`.
///
/// # Errors
/// [`Error::QemuStart`], [`Error::Interrupted`], [`Error::NoDevicetree`].
pub fn dump_devicetree(qemu: &Path, options: &BootOptions, file: &Path) -> Result<(), Error> {
    let mut arguments = machine_arguments(options);
    // The value of the first one, `-machine`. A comma in a property's value is written twice.
    arguments[1] += &format!(",dumpdtb={}", file.display().to_string().replace(',', ",,"));
    arguments.extend(["-display", "none", "-nic", "none"].map(str::to_owned));
    let finished = run(qemu, &arguments, PATIENCE, |_| ())?;
    if finished.ending == Ending::Exited(Some(0)) && file.exists() {
        return Ok(());
    }
    let reason = match finished.ending {
        Ending::TimedOut => format!("it takes longer than {} s", PATIENCE.as_secs()),
        Ending::Exited(_) => finished.messages.trim().to_owned(),
    };
    Err(Error::NoDevicetree { reason })
}

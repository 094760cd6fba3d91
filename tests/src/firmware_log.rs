//! What firmware of ours is asked for, and what it writes to the machine's second serial port.

use std::fs;

use reveille_cli::boot::BootOptions;
use reveille_trace_format::{Record, decode};
use tempfile::NamedTempFile;

/// The arguments with which QEMU hands these options to the firmware.
#[must_use]
pub fn asked_for(options: &str) -> [String; 2] {
    // A comma in a property's value is written twice.
    ["-fw_cfg".into(), format!("name=opt/reveille/firmware,string={}", options.replace(',', ",,"))]
}

/// A file for the log of a run.
pub struct FirmwareLog(NamedTempFile);

impl FirmwareLog {
    /// An empty one.
    ///
    /// # Errors
    /// The host has no room.
    pub fn new() -> Result<Self, String> {
        NamedTempFile::new().map(Self).map_err(|error| error.to_string())
    }

    /// `options`, with the log kept here.
    #[must_use]
    pub fn kept(&self, mut options: BootOptions) -> BootOptions {
        options.qemu_arguments.extend(["-serial".into(), format!("file:{}", self.0.path().display())]);
        options
    }

    /// The records of the run that is over.
    ///
    /// # Errors
    /// The log cannot be read, or has something in it that is no record.
    pub fn read(&self) -> Result<Vec<Record<String>>, String> {
        let text = fs::read_to_string(self.0.path()).map_err(|error| error.to_string())?;
        text.lines().map(|line| decode(line).ok_or_else(|| format!("no record: {line:?}"))).collect()
    }
}

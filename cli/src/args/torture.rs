//! The arguments of `reveille torture`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::seconds;
use crate::error::Error;
use crate::pattern::Pattern;
use crate::stack::System;
use crate::torture::TortureOptions;

/// What is tortured, and how.
#[derive(Debug, Args)]
pub struct TortureArguments {
    /// The path of an arm64 Image, or linux, linux=IMAGE, xen, xen=IMAGE (Debian's are fetched), or kernel
    #[arg(value_name = "PATH|linux|xen|kernel")]
    pub system: System,
    /// Its initrd [default: for linux and xen one that says which CPUs are online, and switches the machine off]
    #[arg(long, value_name = "FILE")]
    pub initrd: Option<PathBuf>,
    /// Text to add to its command line
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub append: Option<String>,
    /// Text to add to its command line to have it take CPUs off and on [default: what is known of linux and kernel]
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub hotplug: Option<String>,
    /// What it prints when it is up, which ends the boot [default: it switches the machine off]
    #[arg(long, value_name = "REGEX")]
    pub ready: Option<Pattern>,
    /// How many CPUs the machine has
    #[arg(long, default_value_t = 4, value_name = "N")]
    pub cpus: u32,
    /// End each boot after this time [default: 60, and more with many CPUs]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,
    /// Try this scenario only, beside all-well (may be repeated)
    #[arg(long, value_name = "NAME")]
    pub scenario: Vec<String>,
    /// Write each boot's timeline (SVG), calls, console and report to this folder
    #[arg(long, value_name = "DIR")]
    pub timeline: Option<PathBuf>,
    /// Print the result as JSON, with the calls of each boot
    #[arg(long)]
    pub json: bool,
}

impl TortureArguments {
    /// What they ask for.
    ///
    /// # Errors
    /// Those of [`TortureOptions::check`].
    pub fn options(&self) -> Result<TortureOptions, Error> {
        let options = TortureOptions {
            system: self.system.clone(),
            cpus: self.cpus,
            initrd: self.initrd.clone(),
            append: self.append.clone(),
            hotplug: self.hotplug.clone(),
            ready: self.ready.clone(),
            timeout: self.timeout,
            scenarios: self.scenario.clone(),
            folder: self.timeline.clone(),
        };
        options.check()?;
        Ok(options)
    }
}

//! What the tests on QEMU share: [`Stand`], which boots, [`conversation`], which talks to what runs, [`devicetree`], which makes odd devicetrees, [`misbehaving`], which has
//! CPUs misbehave, [`path`], which holds what was traced against the path of the system that is followed, [`pens`], in which
//! CPUs wait, [`payload`], which is what the boot loader starts, and [`stub`], which boots an image where it lies.

pub mod conversation;
pub mod devicetree;
pub mod misbehaving;
pub mod path;
pub mod payload;
pub mod pens;
pub mod stub;

use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use reveille_cli::boot::{self, BootOptions, BootRun};
use reveille_cli::console::Silent;
use reveille_cli::image::{self, BuiltImage};
use reveille_cli::machine::{MACHINES, Machine};
use reveille_cli::report::Report;
use reveille_cli::setup::{self, Host};
use reveille_cli::stack::{Stack, System};
use reveille_cli::verdict::Verdict;

use crate::stub::Stub;

/// How long a kernel waits for CPUs in a test: a busy host must not decide what a test says.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The host and the image for a machine and those like it, ready to boot.
pub struct Stand {
    machine: &'static Machine,
    host: Host,
    image: BuiltImage,
    faulty: OnceLock<BuiltImage>,
    under_firmware: OnceLock<BuiltImage>,
    faulty_under_firmware: OnceLock<BuiltImage>,
    psci_rows: OnceLock<BuiltImage>,
    malta: OnceLock<Box<Stand>>,
    loader: OnceLock<BuiltImage>,
    faulty_loader: OnceLock<BuiltImage>,
}

impl Stand {
    /// Installs what is missing for the machine that is booted where none is named, and builds the kernel. Progress goes to standard
    /// error.
    ///
    /// # Errors
    /// What is missing and could not be installed, or does not build.
    pub fn ready() -> Result<Self, String> {
        Self::of(&MACHINES[0])
    }

    fn of(machine: &'static Machine) -> Result<Self, String> {
        let host = setup::ensure(machine.architecture()).map_err(|error| error.to_string())?;
        let image = image::build_for(&host, machine, &Stack::default(), &[]).map_err(|error| error.to_string())?;
        Ok(Self {
            machine,
            host,
            image,
            faulty: OnceLock::new(),
            under_firmware: OnceLock::new(),
            faulty_under_firmware: OnceLock::new(),
            psci_rows: OnceLock::new(),
            malta: OnceLock::new(),
            loader: OnceLock::new(),
            faulty_loader: OnceLock::new(),
        })
    }

    /// The same for `malta`: installed and built when it is first asked for.
    ///
    /// # Errors
    /// What is missing and could not be installed, or does not build.
    pub fn malta(&self) -> Result<&Self, String> {
        if let Some(stand) = self.malta.get() {
            return Ok(stand);
        }
        let stand = Self::of(Machine::find("malta").map_err(|error| error.to_string())?)?;
        Ok(self.malta.get_or_init(|| Box::new(stand)))
    }

    /// `text` as a kernel says it here: CFE cannot be asked where a CPU is.
    #[must_use]
    pub fn told(&self, text: &str) -> String {
        if self.machine.firmware.is_none() {
            return text.to_owned();
        }
        ["ON", "OFF"].iter().fold(text.to_owned(), |text, state| {
            text.replace(&format!("firmware says {state}"), "firmware cannot be asked")
        })
    }

    /// What is booted here where nothing else is named: `cpus` CPUs of the machine, with [`PATIENCE`].
    #[must_use]
    pub fn cpus(&self, count: u32) -> BootOptions {
        BootOptions { machine: self.machine, ..cpus(count) }
    }

    /// Boots the kernel.
    ///
    /// # Errors
    /// The machine could not be started.
    pub fn boot(&self, options: &BootOptions) -> Result<Booted, String> {
        let is_built = options.stack.has_loader() || options.stack.has_hypervisor();
        if options.stack.system().is_foreign() || is_built {
            return self.boot_image(&self.built(&options.stack, &[])?, options);
        }
        let image = if options.stack.has_firmware() { self.image_under_firmware()? } else { &self.image };
        self.boot_image(image, options)
    }

    /// Boots another image.
    ///
    /// # Errors
    /// The machine could not be started.
    pub fn boot_image(&self, image: &BuiltImage, options: &BootOptions) -> Result<Booted, String> {
        let patient = BootOptions { timeout: Some(patience(options)), ..options.clone() };
        let run = boot::run(&self.host, image, &patient, &mut Silent).map_err(|error| error.to_string())?;
        Ok(Booted(run))
    }

    /// Boots the kernel where it does not lie by itself: `loader` jumps to it at `base`.
    ///
    /// # Errors
    /// The machine could not be started.
    pub fn boot_at(&self, base: u64, loader: Stub, options: BootOptions) -> Result<Booted, String> {
        self.boot_image_at(&self.image, base, loader, options)
    }

    /// The same with another image.
    ///
    /// # Errors
    /// The machine could not be started.
    pub fn boot_image_at(
        &self,
        image: &BuiltImage,
        base: u64,
        loader: Stub,
        mut options: BootOptions,
    ) -> Result<Booted, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let flat = loader.jump(base, folder.path())?;
        options.qemu_arguments.extend(loaded(&image.flat, base));
        self.boot_image(&BuiltImage { flat, ..image.clone() }, &options)
    }

    /// The kernel's image.
    #[must_use]
    pub fn image(&self) -> &BuiltImage {
        &self.image
    }

    /// The kernel whose CPUs misbehave if its command line says so. Built when it is first asked for.
    ///
    /// # Errors
    /// It does not build.
    pub fn faulty_image(&self) -> Result<&BuiltImage, String> {
        if let Some(image) = self.faulty.get() {
            return Ok(image);
        }
        let image = image::build_for(&self.host, self.machine, &Stack::default(), &["faults"])
            .map_err(|error| error.to_string())?;
        Ok(self.faulty.get_or_init(|| image))
    }

    /// The same with the firmware that boots it.
    ///
    /// # Errors
    /// It does not build.
    pub fn faulty_image_under_firmware(&self) -> Result<&BuiltImage, String> {
        self.build_under_firmware(&self.faulty_under_firmware, &["faults"])
    }

    /// What calls a PSCI provider as a strict reviewer would, and the firmware that can boot it. Built when it is first asked for.
    ///
    /// # Errors
    /// It does not build.
    pub fn psci_rows(&self) -> Result<&BuiltImage, String> {
        if let Some(image) = self.psci_rows.get() {
            return Ok(image);
        }
        let build = |kind| image::build(&self.host, kind, &[]).map_err(|error| error.to_string());
        let firmware = Some(build(&image::FIRMWARE)?.flat);
        let image = BuiltImage { firmware, ..build(&image::PSCI_ROWS)? };
        Ok(self.psci_rows.get_or_init(|| image))
    }

    /// The kernel, and the firmware that boots it. Built when it is first asked for.
    fn image_under_firmware(&self) -> Result<&BuiltImage, String> {
        self.build_under_firmware(&self.under_firmware, &[])
    }

    fn build_under_firmware<'a>(
        &self,
        built: &'a OnceLock<BuiltImage>,
        features: &[&str],
    ) -> Result<&'a BuiltImage, String> {
        if let Some(image) = built.get() {
            return Ok(image);
        }
        let image = self.built(&Stack::firmware(System::Kernel), features)?;
        Ok(built.get_or_init(|| image))
    }

    /// The hypervisor, with the image that calls PSCI row by row as what its guest 0 runs. Built anew each time.
    ///
    /// # Errors
    /// It does not build.
    pub fn psci_rows_as_guest(&self) -> Result<BuiltImage, String> {
        let build = |kind| image::build(&self.host, kind, &[]).map_err(|error| error.to_string());
        let guest = Some(build(&image::PSCI_ROWS)?.flat);
        Ok(BuiltImage { guest, ..build(&image::HYPERVISOR)? })
    }

    /// The hypervisor, with the guest that means harm, or looks on, as what its guest 0 runs; other guests can run the same file. Built anew
    /// each time.
    ///
    /// # Errors
    /// It does not build.
    pub fn hostile_guest(&self) -> Result<BuiltImage, String> {
        let build = |kind| image::build(&self.host, kind, &[]).map_err(|error| error.to_string());
        let guest = Some(build(&image::HOSTILE_GUEST)?.flat);
        Ok(BuiltImage { guest, ..build(&image::HYPERVISOR)? })
    }

    /// The images of a stack. Built anew each time.
    ///
    /// # Errors
    /// They do not build.
    pub fn built(&self, stack: &Stack, features: &[&str]) -> Result<BuiltImage, String> {
        image::build_for(&self.host, self.machine, stack, features).map_err(|error| error.to_string())
    }

    /// The boot loader. Built when it is first asked for.
    ///
    /// # Errors
    /// It does not build.
    pub fn loader(&self) -> Result<&BuiltImage, String> {
        self.build_loader(&self.loader, &[])
    }

    /// The boot loader whose CPUs cannot leave if its command line says so. Built when it is first asked for.
    ///
    /// # Errors
    /// It does not build.
    pub fn faulty_loader(&self) -> Result<&BuiltImage, String> {
        self.build_loader(&self.faulty_loader, &["faults"])
    }

    fn build_loader<'a>(&self, built: &'a OnceLock<BuiltImage>, features: &[&str]) -> Result<&'a BuiltImage, String> {
        if let Some(image) = built.get() {
            return Ok(image);
        }
        let image = image::build(&self.host, &image::LOADER, features).map_err(|error| error.to_string())?;
        Ok(built.get_or_init(|| image))
    }

    /// The host, with what boots need.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The QEMU that boots.
    #[must_use]
    pub fn qemu(&self) -> &Path {
        &self.host.qemu
    }
}

/// The arguments with which QEMU puts `file` at `address`.
#[must_use]
pub fn loaded(file: &Path, address: u64) -> [String; 2] {
    ["-device".into(), format!("loader,file={},addr={address:#x},force-raw=on", file.display())]
}

/// How long a boot may take that says nothing of it: many times what a person waits for, since a busy host must fail no test.
fn patience(options: &BootOptions) -> Duration {
    const TIMES: u32 = 5;
    options.timeout.unwrap_or_else(|| options.limit() * TIMES)
}

/// Options for a boot of `virt` with `cpus` CPUs and [`PATIENCE`].
#[must_use]
pub fn cpus(cpus: u32) -> BootOptions {
    BootOptions { cpus, deadline: Some(PATIENCE), ..BootOptions::default() }
}

/// Options for a boot of QEMU's Raspberry Pi 3B with [`PATIENCE`], and `append` on the kernel's command line.
///
/// # Errors
/// The command does not know it.
pub fn raspi3b(append: &str) -> Result<BootOptions, String> {
    let machine = Machine::find("raspi3b").map_err(|error| error.to_string())?;
    Ok(BootOptions { machine, append: Some(append.into()), ..cpus(4) })
}

/// A boot that came to its end. Every complaint about it shows its console.
pub struct Booted(pub BootRun);

impl Booted {
    /// The report, of an image that has begun.
    ///
    /// # Errors
    /// It has not.
    pub fn report(&self) -> Result<&Report, String> {
        self.0.report.as_ref().ok_or_else(|| self.complaint("the image has reported nothing"))
    }

    /// `complaint`, and what there is to see.
    #[must_use]
    pub fn complaint(&self, complaint: &str) -> String {
        let console: Vec<&str> = self.0.console.lines().collect();
        format!(
            "{complaint}\nverdict: {:?}\ncommand: {}\nQEMU: {}\nconsole:\n{}",
            self.0.verdict,
            self.0.command_line,
            self.0.qemu_messages,
            console.join("\n")
        )
    }

    /// Complains unless `condition` holds.
    ///
    /// # Errors
    /// The complaint.
    pub fn expect(&self, condition: bool, complaint: &str) -> Result<(), String> {
        if condition { Ok(()) } else { Err(self.complaint(complaint)) }
    }

    /// Complains unless all went well and `online` CPUs are online, in all masks up to `active`.
    ///
    /// # Errors
    /// The complaint.
    pub fn expect_all_online(&self, online: u32) -> Result<&Report, String> {
        self.expect(self.0.verdict == Verdict::AllOnline, "not all went well")?;
        let report = self.report()?;
        let all: Vec<u32> = (0..online).collect();
        self.expect(report.online_count == online, "another number of CPUs should be online")?;
        self.expect(report.masks.online == all && report.masks.active == all, "the masks should name them")?;
        self.expect(report.proofs.len() >= 3, "three proofs should have run")?;
        Ok(report)
    }

    /// The verdict's problems, of a run that ended with not all CPUs online.
    ///
    /// # Errors
    /// It ended otherwise.
    pub fn problems(&self) -> Result<&[String], String> {
        match &self.0.verdict {
            Verdict::NotAllOnline(problems) => Ok(problems),
            _ => Err(self.complaint("some CPU should have failed to come up")),
        }
    }
}

//! Builds the images that machines boot: runs cargo in the images' own workspace, then makes the file that a boot loader takes.
//!
//! [`toolchain`](crate::toolchain) says with what; [`flatten`] turns the ELF file into an arm64 Image, or into the content of a ROM.

use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::fetch::{self, FetchError};
use crate::foreign::initrd;
use crate::machine::{self, Architecture, Machine};
use crate::setup::{Host, lock};
use crate::stack::{Stack, System};
use crate::toolchain::{Linker, StandardLibrary, clean_environment};

pub mod flatten;

/// The least room that a build takes, in bytes.
const LEAST_ROOM: usize = 32 << 20;

/// A kind of image, and where it comes from.
#[derive(Debug, PartialEq, Eq)]
pub struct ImageKind {
    /// Its package in the images' workspace, and the name of its binary.
    pub package: &'static str,
    /// The instruction set that it is built for.
    pub architecture: &'static Architecture,
    /// The file that a boot loader takes.
    pub container: Container,
}

/// The form in which a boot loader takes an image, beside the ELF file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// The arm64 Image: flat, with a header of 64 bytes.
    Arm64Image,
    /// The content of an arm64 machine's flash, from address 0 on.
    Arm64Flash,
    /// The content of a MIPS machine's boot ROM, as QEMU wants it.
    MipsRom,
    /// The ELF file itself, for MIPS.
    MipsElf,
}

impl Container {
    /// What the names of such files end with.
    fn extension(self) -> &'static str {
        match self {
            Self::Arm64Image => "Image",
            Self::Arm64Flash | Self::MipsRom => "bin",
            Self::MipsElf => "elf",
        }
    }

    /// Makes such a file from an ELF file.
    fn pack(self, elf: &[u8]) -> Result<Vec<u8>, flatten::FlattenError> {
        match self {
            Self::Arm64Image => flatten::arm64_image(elf),
            Self::Arm64Flash => flatten::arm64_flash(elf),
            Self::MipsRom => flatten::mips_rom(elf),
            Self::MipsElf => flatten::mips_elf(elf),
        }
    }
}

/// Which of an image's files is booted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ImageFormat {
    /// The flat file with the header; QEMU follows the boot protocol.
    Image,
    /// The ELF file; QEMU enters it with nothing in its registers.
    Elf,
}

/// The reference kernel on arm64.
pub static KERNEL: ImageKind =
    ImageKind { package: "reveille-kernel", architecture: &machine::ARM64, container: Container::Arm64Image };

/// The reference kernel on MIPS.
pub static MIPS_KERNEL: ImageKind =
    ImageKind { package: "reveille-kernel", architecture: &machine::MIPS, container: Container::MipsElf };

/// The boot ROM that starts the kernel on MIPS, and its CPUs.
pub static CFE_ROM: ImageKind =
    ImageKind { package: "reveille-cfe-rom", architecture: &machine::MIPS, container: Container::MipsRom };

/// The firmware that starts arm64 images, and answers them.
pub static FIRMWARE: ImageKind =
    ImageKind { package: "reveille-firmware", architecture: &machine::ARM64, container: Container::Arm64Flash };

/// The boot loader, which checks its payload on all CPUs and hands them over to it.
pub static LOADER: ImageKind =
    ImageKind { package: "reveille-loader", architecture: &machine::ARM64, container: Container::Arm64Image };

/// The hypervisor, which runs guests.
pub static HYPERVISOR: ImageKind =
    ImageKind { package: "reveille-hypervisor", architecture: &machine::ARM64, container: Container::Arm64Image };

/// What the bench measures the kernel against.
pub static YARDSTICK: ImageKind =
    ImageKind { package: "reveille-yardstick", architecture: &machine::ARM64, container: Container::Arm64Image };

/// What notes the counter before Linux, and as its init.
pub static STOPWATCH: ImageKind =
    ImageKind { package: "reveille-stopwatch", architecture: &machine::ARM64, container: Container::Arm64Image };

/// What calls a provider of PSCI as a strict reviewer would.
pub static PSCI_ROWS: ImageKind =
    ImageKind { package: "reveille-psci-rows", architecture: &machine::ARM64, container: Container::Arm64Image };

/// A guest that means harm, and the witness beside it.
pub static HOSTILE_GUEST: ImageKind =
    ImageKind { package: "reveille-hostile-guest", architecture: &machine::ARM64, container: Container::Arm64Image };

/// An image that is ready to boot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuiltImage {
    /// With symbols.
    pub elf: PathBuf,
    /// What a boot loader takes.
    pub flat: PathBuf,
    /// The firmware that boots it, in the form that QEMU takes, on a machine that has some.
    pub firmware: Option<PathBuf>,
    /// The initrd that it is given where nobody gives another.
    pub initrd: Option<PathBuf>,
    /// What a hypervisor boots: an Image, which is given the initrd.
    pub guest: Option<PathBuf>,
    /// The boot loader that starts it, as an Image, in a stack that has one.
    pub loader: Option<PathBuf>,
    /// The boot loader with which a hypervisor's guest 0 begins, as an Image, in a stack that has one; [`Self::guest`] is its payload.
    pub guest_loader: Option<PathBuf>,
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The images' workspace is not where it should be.
    #[error("no images to build in {} (set REVEILLE_ROOT to the source tree)", .0.display())]
    NoSources(PathBuf),
    /// It is not ours, and cannot be had.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// Cargo did not build it.
    #[error("building {package} failed: {reason}")]
    Build {
        /// The package.
        package: &'static str,
        /// What became of cargo.
        reason: String,
    },
    /// The ELF file is not one that can be booted.
    #[error("{} cannot be made bootable: {source}", path.display())]
    Flatten {
        /// The ELF file.
        path: PathBuf,
        /// Why.
        source: flatten::FlattenError,
    },
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the host says.
        source: io::Error,
    },
}

/// The source tree: `REVEILLE_ROOT`, or where this command was built.
#[must_use]
pub fn root() -> PathBuf {
    std::env::var_os("REVEILLE_ROOT").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_owned(),
        PathBuf::from,
    )
}

/// Where images are built: beside what cargo builds from the source tree, which is where the user wants it.
fn target_directory(root: &Path, users: Option<OsString>) -> PathBuf {
    let folder = users.filter(|folder| !folder.is_empty()).map_or_else(|| root.join("target"), PathBuf::from);
    std::path::absolute(&folder).unwrap_or(folder).join("images")
}

/// Has at hand what `machine` boots: the last stage of `stack`, with these cargo features if it is its kernel, and the firmware that
/// boots it where that is ours, or where `stack` asks for it, as for a boot loader.
///
/// # Errors
/// [`ImageError`].
pub fn build_for(host: &Host, machine: &Machine, stack: &Stack, features: &[&str]) -> Result<BuiltImage, ImageError> {
    let always = machine.firmware.as_ref().map(|firmware| firmware.image);
    let on_request = machine.secure_firmware.as_ref().filter(|_| stack.has_firmware()).map(|firmware| firmware.image);
    let firmware = always.or(on_request).map(|firmware| build(host, firmware, &[])).transpose()?;
    let system = match stack.system() {
        System::Kernel => build(host, machine.image, features)?,
        foreign => self::foreign(foreign)?,
    };
    let image = if stack.has_hypervisor() {
        BuiltImage { guest: Some(system.flat), initrd: system.initrd, ..build(host, &HYPERVISOR, &[])? }
    } else {
        system
    };
    let has_one = stack.has_loader() || stack.has_guest_loader();
    let built = has_one.then(|| build(host, &LOADER, &[])).transpose()?.map(|loader| loader.flat);
    let loader = built.clone().filter(|_| stack.has_loader());
    let guest_loader = built.filter(|_| stack.has_guest_loader());
    Ok(BuiltImage { firmware: firmware.map(|firmware| firmware.flat), loader, guest_loader, ..image })
}

/// Has at hand what runs last, by itself.
///
/// # Errors
/// [`ImageError`].
pub fn of_system(host: &Host, machine: &Machine, system: &System) -> Result<BuiltImage, ImageError> {
    build_for(host, machine, &system.clone().into(), &[])
}

/// Has what is not ours at hand: fetched, or where someone gave it.
fn foreign(system: &System) -> Result<BuiltImage, ImageError> {
    let given = system.given().map(Path::to_owned);
    let (flat, guest) = match system {
        System::Linux(_) => (given.map_or_else(fetch::debian_linux, Ok)?, None),
        System::Xen(_) => (given.map_or_else(fetch::debian_xen, Ok)?, Some(fetch::debian_linux()?)),
        System::Kernel | System::Image(_) => (given.unwrap_or_default(), None),
    };
    let initrd = match system {
        System::Linux(_) | System::Xen(_) => {
            let busybox = fetch::debian_busybox()?;
            let bytes = initrd::make(&fs::read(&busybox).map_err(file_error(&busybox))?);
            let folder = target_directory(&root(), std::env::var_os("CARGO_TARGET_DIR")).join("built");
            create_directory(&folder)?;
            let initrd = folder.join("initrd.cpio");
            replace(&initrd, &bytes)?;
            Some(initrd)
        }
        System::Kernel | System::Image(_) => None,
    };
    Ok(BuiltImage { elf: flat.clone(), flat, initrd, guest, ..BuiltImage::default() })
}

/// Builds `kind` alone with these cargo features, and shows cargo's progress on the standard error stream.
///
/// Builds that run at the same time wait for each other. An image with other features has other files.
///
/// # Errors
/// [`ImageError`].
pub fn build(host: &Host, kind: &'static ImageKind, features: &[&str]) -> Result<BuiltImage, ImageError> {
    let root = root();
    let sources = root.join("images");
    if !sources.join("Cargo.toml").is_file() {
        return Err(ImageError::NoSources(sources));
    }
    let target_directory = target_directory(&root, std::env::var_os("CARGO_TARGET_DIR"));
    create_directory(&target_directory)?;
    let lock_file = target_directory.join("build.lock");
    let _lock = lock::take(&lock_file, "another build of the images").map_err(file_error(&lock_file))?;
    let executable = run_cargo(host, kind, features, &sources, &target_directory)?;

    let mut directory = target_directory.join("built").join(kind.architecture.target);
    if !features.is_empty() {
        directory.push(features.join("+"));
    }
    create_directory(&directory)?;
    let elf_bytes = fs::read(&executable).map_err(file_error(&executable))?;
    let flat_bytes =
        kind.container.pack(&elf_bytes).map_err(|source| ImageError::Flatten { path: executable, source })?;
    let elf = directory.join(kind.package);
    let flat = elf.with_extension(kind.container.extension());
    replace(&elf, &elf_bytes)?;
    replace(&flat, &flat_bytes)?;
    Ok(BuiltImage { elf, flat, ..BuiltImage::default() })
}

/// Runs cargo and returns the file that it linked.
fn run_cargo(
    host: &Host,
    kind: &'static ImageKind,
    features: &[&str],
    sources: &Path,
    target_directory: &Path,
) -> Result<PathBuf, ImageError> {
    let failed = |reason: String| ImageError::Build { package: kind.package, reason };
    let mut command = cargo_command(host, kind, features);
    command.current_dir(sources).arg("--target-dir").arg(target_directory);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut cargo = command.spawn().map_err(|error| failed(format!("cargo does not start: {error}")))?;
    let messages =
        cargo.stdout.take().into_iter().flat_map(|stdout| BufReader::new(stdout).lines().map_while(Result::ok));
    let executable = messages.filter_map(|message| linked_file(&message, kind.package)).last();
    let status = cargo.wait().map_err(|error| failed(error.to_string()))?;
    if !status.success() {
        let folder = target_directory.display();
        return Err(failed(match find_room(target_directory) {
            Ok(()) => format!("cargo ended with {status}"),
            Err(error) => format!("{folder} does not take {} MB: {error}", LEAST_ROOM >> 20),
        }));
    }
    executable.ok_or_else(|| failed("cargo linked nothing of that name".into()))
}

/// Whether a folder takes as much as a build needs at least: compilers that run out of room remove what they wrote.
fn find_room(folder: &Path) -> io::Result<()> {
    let probe = folder.join("room.probe");
    let written = fs::write(&probe, vec![1; LEAST_ROOM]);
    let _ = fs::remove_file(&probe);
    written
}

fn cargo_command(host: &Host, kind: &ImageKind, features: &[&str]) -> Command {
    let mut command = cargo_build(host, kind.architecture);
    command.args(["--message-format=json-render-diagnostics", "--package", kind.package]);
    if !features.is_empty() {
        command.arg("--features").arg(features.join(","));
    }
    command
}

/// `cargo build --release` for bare metal, with whichever toolchain the host has for it, and nothing of an outer cargo's
/// environment.
#[must_use]
pub fn cargo_build(host: &Host, architecture: &Architecture) -> Command {
    let toolchain = &host.toolchain;
    let mut command = Command::new(&toolchain.cargo);
    clean_environment(&mut command, toolchain.rustc.is_none());
    if let Some(rustc) = &toolchain.rustc {
        command.env("RUSTC", rustc);
    }
    command.args(["build", "--release", "--target", architecture.target]);
    if toolchain.standard_library == StandardLibrary::FromSource {
        // Stable compilers build `core` when they are told that they bootstrap themselves.
        command.env("RUSTC_BOOTSTRAP", "1");
        // What future compilers think of `core` is not for the user to mend.
        command.env("CARGO_FUTURE_INCOMPAT_REPORT_FREQUENCY", "never");
        command.args(["-Zbuild-std=core,alloc,compiler_builtins", "-Zbuild-std-features=compiler-builtins-mem"]);
    }
    if let Linker::Program(program) = &host.linker {
        let name = architecture.target.to_uppercase().replace(['-', '.'], "_");
        command.env(format!("CARGO_TARGET_{name}_LINKER"), program);
    }
    command
}

/// The executable in one of cargo's messages, if it is that of `package`.
fn linked_file(message: &str, package: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    (message["target"]["name"] == package).then_some(())?;
    message["executable"].as_str().map(PathBuf::from)
}

fn create_directory(path: &Path) -> Result<(), ImageError> {
    fs::create_dir_all(path).map_err(file_error(path))
}

/// Writes `path` in one step, so that a QEMU which starts meanwhile never reads half of it.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), ImageError> {
    if fs::read(path).is_ok_and(|present| present == bytes) {
        return Ok(());
    }
    let half = path.with_extension("half");
    let replaced = fs::write(&half, bytes).and_then(|()| fs::rename(&half, path));
    if replaced.is_err() {
        // Where there is no room, half a file takes some.
        let _ = fs::remove_file(&half);
    }
    replaced.map_err(file_error(path))
}

fn file_error(path: &Path) -> impl FnOnce(io::Error) -> ImageError + use<'_> {
    move |source| ImageError::File { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toolchain::Toolchain;

    fn host(standard_library: StandardLibrary, rustc: Option<&str>, linker: Linker) -> Host {
        Host {
            qemu: "qemu-system-aarch64".into(),
            toolchain: Toolchain {
                cargo: "cargo".into(),
                rustc: rustc.map(PathBuf::from),
                release: "1.96.0".into(),
                sysroot: "/usr".into(),
                standard_library,
            },
            linker,
        }
    }

    fn arguments(command: &Command) -> Vec<String> {
        command.get_args().map(|argument| argument.to_string_lossy().into_owned()).collect()
    }

    fn variable(command: &Command, name: &str) -> Option<String> {
        let (_, value) = command.get_envs().find(|(key, _)| *key == name)?;
        Some(value?.to_string_lossy().into_owned())
    }

    #[test]
    fn an_installed_target_is_built_the_plain_way() {
        let command = cargo_command(&host(StandardLibrary::Installed, None, Linker::Bundled), &KERNEL, &[]);
        assert!(!arguments(&command).iter().any(|argument| argument.starts_with("-Z")));
        assert_eq!(variable(&command, "RUSTC_BOOTSTRAP"), None);
        assert_eq!(variable(&command, "CARGO_TARGET_AARCH64_UNKNOWN_NONE_SOFTFLOAT_LINKER"), None);
    }

    #[test]
    fn without_the_target_core_is_built_from_source() {
        let linker = Linker::Program("/usr/bin/ld.lld".into());
        let host = host(StandardLibrary::FromSource, Some("/usr/bin/rustc"), linker);
        let command = cargo_command(&host, &KERNEL, &["dead-cpu", "slow"]);
        let arguments = arguments(&command);
        assert!(arguments.contains(&"-Zbuild-std=core,alloc,compiler_builtins".into()));
        assert!(arguments.windows(2).any(|pair| pair == ["--features", "dead-cpu,slow"]));
        assert_eq!(variable(&command, "RUSTC").as_deref(), Some("/usr/bin/rustc"));
        assert_eq!(variable(&command, "RUSTC_BOOTSTRAP").as_deref(), Some("1"));
        let linker = variable(&command, "CARGO_TARGET_AARCH64_UNKNOWN_NONE_SOFTFLOAT_LINKER");
        assert_eq!(linker.as_deref(), Some("/usr/bin/ld.lld"));
    }

    #[test]
    fn a_file_that_cannot_be_replaced_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kernel");
        fs::create_dir(&path).unwrap();
        assert!(replace(&path, b"image").is_err());
        let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
        assert_eq!(names, ["kernel"]);
    }

    #[test]
    fn images_are_built_where_cargo_builds() {
        let root = Path::new("/source");
        assert_eq!(target_directory(root, None), Path::new("/source/target/images"));
        assert_eq!(target_directory(root, Some("".into())), Path::new("/source/target/images"));
        assert_eq!(target_directory(root, Some("/elsewhere".into())), Path::new("/elsewhere/images"));
        // Cargo for the images runs in another folder.
        assert!(target_directory(root, Some("relative".into())).is_absolute());
    }

    #[test]
    fn room_is_found_where_there_is_some_and_not_where_there_is_none() {
        let folder = tempfile::tempdir().unwrap();
        find_room(folder.path()).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(find_room(&folder.path().join("nowhere")).is_err());
    }

    #[test]
    fn the_linked_file_is_found_among_cargos_messages() {
        let message =
            r#"{"reason":"compiler-artifact","target":{"name":"reveille-kernel"},"executable":"/t/reveille-kernel"}"#;
        assert_eq!(linked_file(message, "reveille-kernel"), Some("/t/reveille-kernel".into()));
        assert_eq!(linked_file(message, "other"), None);
        assert_eq!(linked_file("warning: text", "reveille-kernel"), None);
        let library = r#"{"reason":"compiler-artifact","target":{"name":"reveille-kernel"},"executable":null}"#;
        assert_eq!(linked_file(library, "reveille-kernel"), None);
    }
}

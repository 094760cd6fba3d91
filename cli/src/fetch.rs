//! Fetches foreign software to boot beside our own, from Debian's packages, through a package manager state of its own: the host's
//! packages and architectures stay as they are. What was fetched is cached and checked by its SHA-256 before it is used again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

/// Software in a package of Debian's.
struct Foreign {
    /// For people.
    name: &'static str,
    /// Which packages it may be in: an expression that apt takes. The one with the highest numbers in its name is fetched.
    packages: &'static str,
    /// The folder of the package in which it is one file.
    folder: &'static str,
    /// How the file's name begins.
    file: &'static str,
    /// The file in the cache that names what was fetched, and its digest.
    record: &'static str,
}

/// Debian's kernel for virtual machines, which is the smallest.
const LINUX: Foreign = Foreign {
    name: "Debian's arm64 Linux",
    packages: "^linux-image-[0-9.]+.*-cloud-arm64-unsigned$",
    folder: "boot",
    file: "vmlinuz",
    record: "linux.sha256",
};
/// U-Boot for QEMU's `virt`.
const U_BOOT: Foreign = Foreign {
    name: "Debian's U-Boot",
    packages: "^u-boot-qemu$",
    folder: "usr/lib/u-boot/qemu_arm64",
    file: "u-boot.bin",
    record: "u-boot.sha256",
};

/// Why something could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The host has no apt.
    #[error(
        "fetching Debian's packages needs apt-get and dpkg-deb (instead of Linux an image can be given: --peer linux=IMAGE)"
    )]
    NoApt,
    /// A step failed.
    #[error("fetching from Debian failed: {step}: {reason}")]
    Step {
        /// Which.
        step: &'static str,
        /// What it said.
        reason: String,
    },
}

fn failed(step: &'static str) -> impl Fn(io::Error) -> FetchError {
    move |error| FetchError::Step { step, reason: error.to_string() }
}

/// Debian's arm64 Linux, as an Image: from the cache, or fetched (about 30 MB).
///
/// # Errors
/// [`FetchError`].
pub fn debian_linux() -> Result<PathBuf, FetchError> {
    fetch(&LINUX)
}

/// Debian's U-Boot for QEMU's `virt`, to be passed as `-bios`: from the cache, or fetched (about 2 MB).
///
/// # Errors
/// [`FetchError`].
pub fn debian_u_boot() -> Result<PathBuf, FetchError> {
    fetch(&U_BOOT)
}

fn fetch(foreign: &Foreign) -> Result<PathBuf, FetchError> {
    let cache = cache().map_err(failed("making the cache"))?;
    if let Some(image) = cached(&cache, foreign.record) {
        return Ok(image);
    }
    eprintln!("fetching {} into {}", foreign.name, cache.display());
    let apt = Apt::new(&cache)?;
    apt.run("updating the list of packages", "apt-get", &["update"])?;
    let found = apt.run("looking for the package", "apt-cache", &["search", "--names-only", foreign.packages])?;
    let package =
        newest(&found).ok_or(FetchError::Step { step: "looking for the package", reason: "there is none".into() })?;
    apt.run("downloading the package", "apt-get", &["download", package])?;
    let unpacked = cache.join("unpacked");
    let archive = only_file(&cache, |name| name.starts_with(package) && name.ends_with(".deb"))?;
    let unpack = Command::new("dpkg-deb").arg("-x").arg(&archive).arg(&unpacked).output();
    check("unpacking the package", &unpack.map_err(failed("unpacking the package"))?)?;
    let image = only_file(&unpacked.join(foreign.folder), |name| name.starts_with(foreign.file))?;
    let kept = cache.join(format!("{package}.Image"));
    fs::rename(&image, &kept).map_err(failed("keeping the image"))?;
    fs::remove_file(&archive).map_err(failed("tidying up"))?;
    fs::remove_dir_all(&unpacked).map_err(failed("tidying up"))?;
    let digest = digest(&kept).map_err(failed("reading the image"))?;
    fs::write(cache.join(foreign.record), format!("{digest}  {package}.Image\n"))
        .map_err(failed("keeping the digest"))?;
    Ok(kept)
}

/// The folder for what was fetched: the user's cache, or a temporary one where that cannot be written.
fn cache() -> io::Result<PathBuf> {
    let home = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    let folders = home.into_iter().chain([std::env::temp_dir()]).map(|folder| folder.join("reveille"));
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for folder in folders {
        match fs::create_dir_all(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The image in the cache, if it is whole.
fn cached(cache: &Path, record: &str) -> Option<PathBuf> {
    let record = fs::read_to_string(cache.join(record)).ok()?;
    let (expected, name) = record.trim_end().split_once("  ")?;
    let image = cache.join(name);
    (digest(&image).ok()? == expected).then_some(image)
}

fn digest(file: &Path) -> io::Result<String> {
    let digest = Sha256::digest(fs::read(file)?);
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The package with the highest version in its name, of lines `NAME - DESCRIPTION`.
fn newest(found: &str) -> Option<&str> {
    let names = found.lines().filter_map(|line| line.split_whitespace().next());
    names.max_by_key(|name| -> Vec<u32> {
        name.split(|character: char| !character.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
    })
}

fn only_file(folder: &Path, wanted: impl Fn(&str) -> bool) -> Result<PathBuf, FetchError> {
    let step = "looking into the package";
    let files = fs::read_dir(folder).map_err(failed(step))?.filter_map(Result::ok);
    let mut files = files.filter(|file| wanted(&file.file_name().to_string_lossy())).map(|file| file.path());
    files.next().ok_or(FetchError::Step { step, reason: format!("{} has no such file", folder.display()) })
}

fn check(step: &'static str, output: &std::process::Output) -> Result<String, FetchError> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let messages = String::from_utf8_lossy(&output.stderr);
    let reason = messages.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it did not say why").to_owned();
    Err(FetchError::Step { step, reason })
}

/// apt for arm64, with all its state in the cache.
struct Apt {
    cache: PathBuf,
    options: Vec<String>,
}

impl Apt {
    fn new(cache: &Path) -> Result<Self, FetchError> {
        if crate::toolchain::on_path("apt-get").is_none() || crate::toolchain::on_path("dpkg-deb").is_none() {
            return Err(FetchError::NoApt);
        }
        let state = cache.join("apt");
        for folder in ["lists/partial", "archives/partial"] {
            fs::create_dir_all(state.join(folder)).map_err(failed("making apt's state"))?;
        }
        let status = state.join("status");
        fs::write(&status, "").map_err(failed("making apt's state"))?;
        let option = |name: &str, value: &Path| format!("{name}={}", value.display());
        let options = vec![
            option("Dir::State", &state),
            option("Dir::State::status", &status),
            option("Dir::State::lists", &state.join("lists")),
            option("Dir::Cache", &state),
            "APT::Architecture=arm64".to_owned(),
            "APT::Architectures=arm64".to_owned(),
            // The folder belongs to whoever runs this.
            "APT::Sandbox::User=root".to_owned(),
        ];
        Ok(Self { cache: cache.to_owned(), options })
    }

    fn run(&self, step: &'static str, program: &str, arguments: &[&str]) -> Result<String, FetchError> {
        let mut command = Command::new(program);
        command.current_dir(&self.cache).stdin(std::process::Stdio::null());
        for option in &self.options {
            command.args(["-o", option]);
        }
        check(step, &command.args(arguments).output().map_err(failed(step))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_package_is_the_one_with_the_highest_numbers() {
        let found = "linux-image-6.1.0-9-cloud-arm64-unsigned - Linux\nlinux-image-6.1.0-37-cloud-arm64-unsigned - Linux\n\
                     linux-image-5.10.0-99-cloud-arm64-unsigned - Linux\n";
        assert_eq!(newest(found), Some("linux-image-6.1.0-37-cloud-arm64-unsigned"));
        assert_eq!(newest(""), None);
    }

    #[test]
    fn a_cached_image_that_was_changed_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("x.Image");
        fs::write(&image, "kernel").unwrap();
        fs::write(folder.path().join(LINUX.record), format!("{}  x.Image\n", digest(&image).unwrap())).unwrap();
        assert_eq!(cached(folder.path(), LINUX.record), Some(image.clone()));
        fs::write(&image, "kernal").unwrap();
        assert_eq!(cached(folder.path(), LINUX.record), None);
    }
}

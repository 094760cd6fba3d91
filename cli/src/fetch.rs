//! Fetches foreign software to boot beside our own, from Debian's packages, through a package manager state of its own: the host's
//! packages and architectures stay as they are. [`cache`] keeps what was fetched, and checks its SHA-256 before it is used again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::setup::{apt, tell};
use crate::toolchain::on_path;
use cache::Cache;

pub mod cache;

/// Software in a package of Debian's.
struct Foreign {
    /// For people.
    name: &'static str,
    /// About how much there is to download.
    size: &'static str,
    /// The architecture that its package is for, as Debian calls it.
    architecture: &'static str,
    /// Which packages it may be in: an expression that apt takes. The one with the highest numbers in its name is fetched.
    packages: &'static str,
    /// The folder of the package that it is in.
    folder: &'static str,
    /// What of that folder.
    part: Part,
    /// The file in the cache that names what was fetched, and its digest.
    record: &'static str,
    /// What to do where it cannot be fetched, if there is anything.
    instead: Option<&'static str>,
}

/// What is kept of a folder of a package.
enum Part {
    /// The file of this name, which is no image.
    Program(&'static str),
    /// The file whose name begins like this, and the shortest where several do: a configuration may lie beside the image.
    File(&'static str),
    /// All of it, as a tar archive.
    Archive,
}

/// Debian's kernel for virtual machines, which is the smallest.
const LINUX: Foreign = Foreign {
    name: "Debian's arm64 Linux",
    size: "30 MB",
    architecture: "arm64",
    packages: "^linux-image-[0-9.]+.*-cloud-arm64-unsigned$",
    folder: "boot",
    part: Part::File("vmlinuz"),
    record: "linux.sha256",
    instead: Some("--peer linux=IMAGE takes another image"),
};
/// Debian's kernel for QEMU's `malta`.
const MIPS_LINUX: Foreign = Foreign {
    name: "Debian's MIPS Linux",
    size: "45 MB",
    architecture: "mipsel",
    packages: "^linux-image-[0-9.]+.*-4kc-malta$",
    folder: "boot",
    part: Part::File("vmlinuz"),
    record: "linux-mips.sha256",
    instead: Some("--peer linux=IMAGE takes another image"),
};
/// U-Boot for QEMU's `virt`.
const U_BOOT: Foreign = Foreign {
    name: "Debian's U-Boot",
    size: "2 MB",
    architecture: "arm64",
    packages: "^u-boot-qemu$",
    folder: "usr/lib/u-boot/qemu_arm64",
    part: Part::File("u-boot.bin"),
    record: "u-boot.sha256",
    instead: None,
};

/// The devicetrees of every board that Debian's kernel for all of them supports.
const DEVICETREES: Foreign = Foreign {
    name: "Debian's arm64 devicetrees",
    size: "93 MB",
    architecture: "arm64",
    packages: "^linux-image-[0-9.]+([+]deb[0-9]+)?(-[0-9]+)?-arm64-unsigned$",
    folder: "usr/lib",
    part: Part::Archive,
    record: "devicetrees.sha256",
    instead: None,
};
/// Debian's Xen, the newest of what it has.
const XEN: Foreign = Foreign {
    name: "Debian's arm64 Xen",
    size: "0.3 MB",
    architecture: "arm64",
    packages: "^xen-hypervisor-[0-9.]+-arm64$",
    folder: "boot",
    part: Part::File("xen"),
    record: "xen.sha256",
    instead: Some("--peer xen=IMAGE takes another image"),
};

/// Programs for Linux, in one file that needs no other.
const BUSYBOX: Foreign = Foreign {
    name: "Debian's arm64 busybox",
    architecture: "arm64",
    size: "0.8 MB",
    packages: "^busybox-static$",
    folder: "bin",
    part: Part::Program("busybox"),
    record: "busybox.sha256",
    instead: None,
};

/// Why something could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// There is no folder to keep it in.
    #[error("{name} cannot be kept: {source} (XDG_CACHE_HOME can name another folder)")]
    NoCache {
        /// What was to be fetched.
        name: &'static str,
        /// What the host says.
        source: io::Error,
    },
    /// A step failed.
    #[error("fetching {name} failed while {step}: {reason}")]
    Step {
        /// What was to be fetched.
        name: &'static str,
        /// Which step.
        step: &'static str,
        /// Why.
        reason: String,
    },
}

/// A step that failed, before it is known for what.
struct Failure {
    step: &'static str,
    reason: String,
}

fn failed(step: &'static str) -> impl Fn(io::Error) -> Failure {
    move |error| Failure { step, reason: apt::reason(&error.to_string()) }
}

/// Debian's arm64 Linux, as an Image: from the cache, or fetched.
///
/// # Errors
/// [`FetchError`].
pub fn debian_linux() -> Result<PathBuf, FetchError> {
    fetch(&LINUX, &cache::folders(), download)
}

/// Debian's Linux for `malta`, as an ELF file: from the cache, or fetched.
///
/// # Errors
/// [`FetchError`].
pub fn debian_mips_linux() -> Result<PathBuf, FetchError> {
    fetch(&MIPS_LINUX, &cache::folders(), download)
}

/// Debian's U-Boot for QEMU's `virt`, to be passed as `-bios`: from the cache, or fetched.
///
/// # Errors
/// [`FetchError`].
pub fn debian_u_boot() -> Result<PathBuf, FetchError> {
    fetch(&U_BOOT, &cache::folders(), download)
}

/// The devicetrees of every board that Debian's Linux supports, as a tar archive: from the cache, or fetched.
///
/// # Errors
/// [`FetchError`].
pub fn debian_devicetrees() -> Result<PathBuf, FetchError> {
    fetch(&DEVICETREES, &cache::folders(), download)
}

/// Debian's arm64 Xen, as an Image: from the cache, or fetched.
///
/// # Errors
/// [`FetchError`].
pub fn debian_xen() -> Result<PathBuf, FetchError> {
    fetch(&XEN, &cache::folders(), download)
}

/// Debian's busybox for arm64, a static program: from the cache, or fetched.
///
/// # Errors
/// [`FetchError`].
pub fn debian_busybox() -> Result<PathBuf, FetchError> {
    fetch(&BUSYBOX, &cache::folders(), download)
}

/// A file in the work folder, and the name under which it is to be kept.
struct Downloaded {
    file: PathBuf,
    name: String,
}

fn fetch(
    foreign: &Foreign,
    folders: &[PathBuf],
    download: impl FnOnce(&Foreign, &Cache) -> Result<Downloaded, Failure>,
) -> Result<PathBuf, FetchError> {
    let name = foreign.name;
    let cached = || folders.iter().find_map(|folder| cache::cached(folder, foreign.record));
    if let Some(image) = cached() {
        return Ok(image);
    }
    let cache = Cache::open(folders).map_err(|source| FetchError::NoCache { name, source })?;
    // Another process may have fetched it while this one waited.
    if let Some(image) = cached() {
        return Ok(image);
    }
    tell(&format!("fetching {name} ({}) into {}", foreign.size, cache.folder().display()));
    let kept = download(foreign, &cache).and_then(|downloaded| {
        cache.keep(&downloaded.file, &downloaded.name, foreign.record).map_err(failed("keeping the image"))
    });
    kept.map_err(|Failure { step, reason }| FetchError::Step { name, step, reason })
}

/// Fetches the newest package and unpacks it.
fn download(foreign: &Foreign, cache: &Cache) -> Result<Downloaded, Failure> {
    let apt = PrivateApt::new(foreign, cache, on_path)?;
    let lists = apt.run("updating the lists of packages", "apt-get", &["update"])?;
    let step = "looking for the package";
    let found = apt.run(step, "apt-cache", &["search", "--names-only", foreign.packages])?.printed;
    // apt is content with lists that it could not fetch.
    let package = newest(&found).ok_or_else(|| match lists.complaints.as_str() {
        "" => Failure { step, reason: "there is none".into() },
        complaints => Failure { step: "updating the lists of packages", reason: apt::reason(complaints) },
    })?;
    apt.run("downloading the package", "apt-get", &["download", package])?;
    let archive = shortest_name(cache.work(), |name| name.ends_with(".deb"))?;
    let unpacked = cache.work().join("unpacked");
    let mut unpack = Command::new("dpkg-deb");
    check("unpacking the package", unpack.arg("-x").arg(&archive).arg(&unpacked))?;
    let folder = unpacked.join(foreign.folder);
    match foreign.part {
        Part::File(begin) => {
            let file = shortest_name(&folder, |name| name.starts_with(begin))?;
            Ok(Downloaded { file, name: format!("{package}.Image") })
        }
        Part::Program(name) => {
            let file = shortest_name(&folder, |file| file == name)?;
            Ok(Downloaded { file, name: package.to_owned() })
        }
        Part::Archive => {
            let file = cache.work().join("archive.tar");
            check("packing the files", Command::new("tar").arg("-cf").arg(&file).arg("-C").arg(&folder).arg("."))?;
            Ok(Downloaded { file, name: format!("{package}.tar") })
        }
    }
}

/// The package with the highest version in its name, of lines `NAME - DESCRIPTION`.
fn newest(found: &str) -> Option<&str> {
    let names = found.lines().filter_map(|line| line.split_whitespace().next());
    names.max_by_key(|name| -> Vec<u32> {
        name.split(|character: char| !character.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
    })
}

fn shortest_name(folder: &Path, wanted: impl Fn(&str) -> bool) -> Result<PathBuf, Failure> {
    let step = "looking into the package";
    let files = fs::read_dir(folder).map_err(failed(step))?.filter_map(Result::ok);
    let files = files.filter(|file| wanted(&file.file_name().to_string_lossy())).map(|file| file.path());
    files
        .min_by_key(|file| file.as_os_str().len())
        .ok_or_else(|| Failure { step, reason: format!("{} has no such file", folder.display()) })
}

/// What a program said that ended well.
struct Said {
    printed: String,
    complaints: String,
}

fn check(step: &'static str, command: &mut Command) -> Result<Said, Failure> {
    let output = command.env("LC_ALL", "C").stdin(Stdio::null()).output().map_err(failed(step))?;
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() {
        return Ok(Said { printed: String::from_utf8_lossy(&output.stdout).into_owned(), complaints });
    }
    Err(Failure { step, reason: apt::reason(&complaints) })
}

/// apt for one architecture, with all its state in the cache.
struct PrivateApt {
    work: PathBuf,
    options: Vec<String>,
}

impl PrivateApt {
    /// `find` looks for a program.
    fn new(foreign: &Foreign, cache: &Cache, find: impl Fn(&str) -> Option<PathBuf>) -> Result<Self, Failure> {
        if let Some(missing) = ["apt-get", "dpkg-deb"].into_iter().find(|program| find(program).is_none()) {
            let instead = foreign.instead.map(|instead| format!(" ({instead})")).unwrap_or_default();
            return Err(Failure { step: "looking for apt", reason: format!("there is no {missing}{instead}") });
        }
        let state = cache.folder().join("apt");
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
            format!("APT::Architecture={}", foreign.architecture),
            format!("APT::Architectures={}", foreign.architecture),
            // The lists of the other architectures stay.
            "APT::Get::List-Cleanup=false".to_owned(),
            // The folder belongs to whoever runs this.
            "APT::Sandbox::User=root".to_owned(),
        ];
        Ok(Self { work: cache.work().to_owned(), options })
    }

    fn run(&self, step: &'static str, program: &str, arguments: &[&str]) -> Result<Said, Failure> {
        let mut command = Command::new(program);
        command.current_dir(&self.work).args(apt::OPTIONS).args(self.options.iter().flat_map(|option| ["-o", option]));
        check(step, command.args(arguments))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    fn whole(_: &Foreign, cache: &Cache) -> Result<Downloaded, Failure> {
        let file = cache.work().join("vmlinuz");
        fs::write(&file, "kernel").unwrap();
        Ok(Downloaded { file, name: "linux.Image".into() })
    }

    fn cut(_: &Foreign, cache: &Cache) -> Result<Downloaded, Failure> {
        fs::write(cache.work().join("linux.deb"), "half").unwrap();
        Err(Failure { step: "downloading the package", reason: "the network is gone".into() })
    }

    #[test]
    fn the_newest_package_is_the_one_with_the_highest_numbers() {
        let found = "linux-image-6.1.0-9-cloud-arm64-unsigned - Linux\nlinux-image-6.1.0-37-cloud-arm64-unsigned - Linux\n\
                     linux-image-5.10.0-99-cloud-arm64-unsigned - Linux\n";
        assert_eq!(newest(found), Some("linux-image-6.1.0-37-cloud-arm64-unsigned"));
        assert_eq!(newest(""), None);
    }

    #[test]
    fn without_apt_there_is_advice_for_what_can_be_given_by_hand() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(&[folder.path().join("reveille")]).unwrap();
        let reason = |foreign, present: &[&str]| {
            let find = |program: &str| present.contains(&program).then(|| PathBuf::from(program));
            PrivateApt::new(foreign, &cache, find).err().map(|failure| failure.reason)
        };
        let advice = |peer| Some(format!("there is no apt-get (--peer {peer}=IMAGE takes another image)"));
        assert_eq!(reason(&LINUX, &[]), advice("linux"));
        assert_eq!(reason(&XEN, &["dpkg-deb"]), advice("xen"));
        assert_eq!(reason(&DEVICETREES, &["apt-get"]).as_deref(), Some("there is no dpkg-deb"));
        assert_eq!(reason(&DEVICETREES, &["apt-get", "dpkg-deb"]), None);
    }

    #[test]
    fn a_configuration_beside_the_image_is_not_taken_for_it() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["xen-4.17-arm64.config", "xen-4.17-arm64", "xen-4.17-arm64.efi", "a"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let file = |begin: &str| shortest_name(folder.path(), |name| name.starts_with(begin));
        assert!(file("xen").is_ok_and(|file| file.ends_with("xen-4.17-arm64")));
        assert!(file("vmlinuz").is_err());
    }

    #[test]
    fn after_a_download_that_was_cut_off_the_next_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let folders = [folder.path().join("reveille")];
        let error = fetch(&LINUX, &folders, cut).unwrap_err().to_string();
        assert_eq!(error, "fetching Debian's arm64 Linux failed while downloading the package: the network is gone");
        assert!(!folders[0].join("work").exists());
        let image = fetch(&LINUX, &folders, whole).unwrap();
        assert_eq!(fs::read(image).unwrap(), b"kernel");
    }

    #[test]
    fn two_at_once_download_once() {
        let folder = tempfile::tempdir().unwrap();
        let folders = [folder.path().join("reveille")];
        let downloads = AtomicUsize::new(0);
        let slow = |foreign: &Foreign, cache: &Cache| {
            downloads.fetch_add(1, Ordering::SeqCst);
            thread::sleep(std::time::Duration::from_millis(100));
            whole(foreign, cache)
        };
        thread::scope(|scope| {
            let both = [0, 1].map(|_| scope.spawn(|| fetch(&LINUX, &folders, slow).unwrap()));
            for image in both {
                assert_eq!(fs::read(image.join().unwrap()).unwrap(), b"kernel");
            }
        });
        assert_eq!(downloads.into_inner(), 1);
    }

    #[test]
    fn a_cache_that_can_only_be_read_is_enough_for_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let folders = [folder.path().join("reveille")];
        fetch(&LINUX, &folders, whole).unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let folders = [file.join("reveille"), folders[0].clone()];
        fetch(&LINUX, &folders, |_, _| panic!("it is there")).unwrap();
    }

    #[test]
    fn without_a_folder_to_keep_it_in_nothing_is_downloaded() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = fetch(&LINUX, &[file.join("reveille")], |_, _| panic!("where to?")).unwrap_err().to_string();
        assert!(error.contains("file/reveille") && error.contains("XDG_CACHE_HOME"), "{error}");
    }
}

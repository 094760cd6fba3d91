//! Finds the Rust toolchain and the linker that build images, and the environment that a nested cargo must not inherit.
//!
//! Either a toolchain has the target's standard library installed (rustup: `rustup target add`), or it has the sources to build
//! it from (Debian's `rust-web-src`, rustup's `rust-src`). Targets of Rust's third tier are always built from source.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The oldest Rust that builds the images: the workspace's `rust-version`.
const OLDEST_RELEASE: (u32, u32) = (1, 90);

/// Where the target's `core` comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StandardLibrary {
    /// Installed beside the toolchain.
    Installed,
    /// Built with the image.
    FromSource,
}

/// A Rust toolchain that can build images for a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toolchain {
    /// Its cargo.
    pub cargo: PathBuf,
    /// Its compiler, where it is not the one that its cargo chooses by itself.
    pub rustc: Option<PathBuf>,
    /// Its version, as it says it.
    pub release: String,
    /// Where its files are.
    pub sysroot: PathBuf,
    /// Where `core` comes from.
    pub standard_library: StandardLibrary,
}

/// What links images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Linker {
    /// The one that the toolchain brings along and uses by itself.
    Bundled,
    /// Another program: `ld.lld`, or another toolchain's `rust-lld`.
    Program(PathBuf),
}

/// A compiler that was asked who it is.
struct Compiler {
    release: String,
    host: String,
    sysroot: PathBuf,
}

/// Finds a toolchain that can build for `target`; one with the standard library installed is preferred.
#[must_use]
pub fn find(target: &str) -> Option<Toolchain> {
    let mut found: Vec<Toolchain> =
        candidates().into_iter().filter_map(|candidate| usable(candidate, target)).collect();
    found.sort_by_key(|toolchain| toolchain.standard_library == StandardLibrary::FromSource);
    found.into_iter().next()
}

/// The pairs of cargo and compiler that may be there: what the user calls `cargo` (rustup's, mostly) and the distribution's.
fn candidates() -> [(PathBuf, Option<PathBuf>); 2] {
    [("cargo".into(), None), ("/usr/bin/cargo".into(), Some("/usr/bin/rustc".into()))]
}

fn usable((cargo, rustc): (PathBuf, Option<PathBuf>), target: &str) -> Option<Toolchain> {
    let compiler = ask(rustc.as_deref())?;
    output(Command::new(&cargo).arg("--version"))?;
    if release_number(&compiler.release)? < OLDEST_RELEASE {
        return None;
    }
    let rustlib = compiler.sysroot.join("lib/rustlib");
    let standard_library = if rustlib.join(target).join("lib").is_dir() {
        StandardLibrary::Installed
    } else if rustlib.join("src/rust/library/core/Cargo.toml").is_file() {
        StandardLibrary::FromSource
    } else {
        return None;
    };
    Some(Toolchain { cargo, rustc, release: compiler.release, sysroot: compiler.sysroot, standard_library })
}

/// Asks a compiler, or what the user calls `rustc`, who it is.
fn ask(rustc: Option<&Path>) -> Option<Compiler> {
    let command = || {
        let mut command = Command::new(rustc.unwrap_or(Path::new("rustc")));
        clean_environment(&mut command, rustc.is_none());
        command
    };
    let about = output(command().arg("-vV"))?;
    let field =
        |name: &str| about.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned());
    Some(Compiler {
        release: field("release:")?,
        host: field("host:")?,
        sysroot: output(command().args(["--print", "sysroot"]))?.trim().into(),
    })
}

/// The two first numbers of a version.
fn release_number(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(['.', '-']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Finds a linker for images that `toolchain` builds. Without a toolchain, whether one is there at all.
#[must_use]
pub fn find_linker(toolchain: Option<&Toolchain>) -> Option<Linker> {
    let own = toolchain.and_then(|toolchain| ask(toolchain.rustc.as_deref()));
    if own.is_some_and(|compiler| bundled_linker(&compiler).is_file()) {
        return Some(Linker::Bundled);
    }
    if let Some(program) = on_path("ld.lld") {
        return Some(Linker::Program(program));
    }
    let other = bundled_linker(&ask(None)?);
    other.is_file().then_some(Linker::Program(other))
}

fn bundled_linker(compiler: &Compiler) -> PathBuf {
    compiler.sysroot.join("lib/rustlib").join(&compiler.host).join("bin/rust-lld")
}

/// The program `name` on the search path.
#[must_use]
pub fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(|program| program.is_file())
}

/// What `command` prints, if it succeeds.
pub fn output(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Takes from `command` what an outer cargo put into the environment for its own build. The user's choice of a rustup toolchain
/// stays if `keep_rustup_toolchain`.
pub fn clean_environment(command: &mut Command, keep_rustup_toolchain: bool) {
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| leaks(name) && !(keep_rustup_toolchain && name == "RUSTUP_TOOLCHAIN")) {
            command.env_remove(&name);
        }
    }
    // Set by `cargo run` and `cargo test` to their own toolchain's libraries, which another compiler must not load.
    if std::env::var_os("CARGO").is_some() {
        command.env_remove("LD_LIBRARY_PATH").env_remove("DYLD_FALLBACK_LIBRARY_PATH");
    }
}

/// Whether a variable belongs to the outer build. Where cargo keeps and fetches packages is the user's business, and stays.
fn leaks(name: &str) -> bool {
    const OUTER: &[&str] = &["CARGO", "__CARGO", "RUSTC", "RUSTFLAGS", "RUSTDOC", "RUST_RECURSION", "RUSTUP_TOOLCHAIN"];
    const USERS: &[&str] = &["CARGO_HOME", "CARGO_NET", "CARGO_HTTP", "CARGO_REGISTR", "CARGO_SOURCE", "CARGO_TERM"];
    OUTER.iter().any(|prefix| name.starts_with(prefix)) && !USERS.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_outer_cargo_sets_does_not_leak() {
        for name in [
            "CARGO",
            "CARGO_MANIFEST_DIR",
            "CARGO_TARGET_DIR",
            "CARGO_BUILD_TARGET",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_PKG_NAME",
            "RUSTC",
            "RUSTC_WRAPPER",
            "RUSTFLAGS",
            "RUSTUP_TOOLCHAIN",
        ] {
            assert!(leaks(name), "{name}");
        }
        for name in
            ["CARGO_HOME", "CARGO_NET_OFFLINE", "CARGO_HTTP_PROXY", "PATH", "HOME", "RUSTUP_HOME", "RUST_BACKTRACE"]
        {
            assert!(!leaks(name), "{name}");
        }
    }

    #[test]
    fn releases_are_compared_by_number() {
        assert_eq!(release_number("1.96.0"), Some((1, 96)));
        assert_eq!(release_number("1.97.0-nightly"), Some((1, 97)));
        assert!(release_number("1.100.0") > Some(OLDEST_RELEASE));
        assert!(release_number("1.63.0") < Some(OLDEST_RELEASE));
        assert_eq!(release_number("unknown"), None);
    }
}

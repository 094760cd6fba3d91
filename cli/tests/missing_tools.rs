//! What the command does on a host that lacks QEMU: with made-up programs on the search path, and nothing else there.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

/// A host whose search path is one directory.
struct FakeHost {
    directory: tempfile::TempDir,
}

impl FakeHost {
    /// With an `id` that says who runs the command.
    fn new(user: u32) -> Self {
        let host = Self { directory: tempfile::tempdir().unwrap() };
        for program in ["env", "cat", "chmod"] {
            let real = ["/usr/bin", "/bin"].map(|directory| Path::new(directory).join(program));
            symlink(real.iter().find(|path| path.exists()).unwrap(), host.path().join(program)).unwrap();
        }
        host.script("id", &format!("echo {user}"));
        host
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn script(&self, name: &str, body: &str) {
        let path = self.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// An apt-get that knows every package, writes down what it does, and brings a QEMU along.
    fn with_apt(self) -> Self {
        let directory = self.path().display();
        let body = format!(
            "case \"$*\" in *--print-uris*) echo 'Need to get 9 MB of archives.'; exit 0 ;; esac\n\
             echo \"$*\" >> {directory}/log\n\
             case \"$*\" in *' install '*) echo '#!/bin/sh' > {directory}/qemu-system-aarch64\n\
             chmod +x {directory}/qemu-system-aarch64 ;; esac"
        );
        self.script("apt-get", &body);
        self
    }

    /// With what boots on arm64 need, and nothing for other architectures.
    fn with_arm64(self) -> Self {
        self.script("qemu-system-aarch64", "echo QEMU emulator version 7.2.0");
        self.script("ld.lld", "echo LLD 19.0.0");
        self.script("cargo", "echo cargo 1.96.0");
        let sysroot = self.path().display();
        let answers =
            format!("case \"$*\" in -vV) echo 'release: 1.96.0'; echo 'host: x' ;; *) echo {sysroot} ;; esac");
        self.script("rustc", &answers);
        fs::create_dir_all(self.path().join("lib/rustlib/aarch64-unknown-none-softfloat/lib")).unwrap();
        self
    }

    fn run(&self, arguments: &[&str], setup: &str) -> (Output, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_reveille"));
        command.args(arguments).env("PATH", self.path()).env("REVEILLE_SETUP", setup).env("REVEILLE_ROOT", self.path());
        let output = command.output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        (output, error)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path().join("log")).unwrap_or_default()
    }
}

#[test]
fn never_installs_nothing_and_shows_the_command() {
    let host = FakeHost::new(0).with_apt();
    let (output, error) = host.run(&["boot"], "never");
    assert_eq!(output.status.code(), Some(3), "{error}");
    assert!(error.contains("REVEILLE_SETUP is never"), "{error}");
    assert!(error.contains("apt-get install --no-install-recommends qemu-system-arm"), "{error}");
    assert_eq!(host.log(), "");
}

#[test]
fn auto_says_what_and_how_much_and_installs_it_as_root() {
    let host = FakeHost::new(0).with_apt();
    let (_, error) = host.run(&["boot"], "auto");
    assert!(error.contains("installing the packages qemu-system-arm"), "{error}");
    assert!(error.contains("9 MB to fetch"), "{error}");
    let log = host.log();
    assert!(log.contains("--no-remove install qemu-system-arm"), "{log}");
    assert!(log.contains("-y"), "{log}");
}

#[test]
fn only_what_the_asked_machine_needs_is_installed() {
    let host = FakeHost::new(0).with_apt().with_arm64();
    let (_, error) = host.run(&["boot"], "auto");
    assert_eq!(host.log(), "", "{error}");
    let (_, error) = host.run(&["boot", "--machine", "malta"], "auto");
    assert!(error.contains("this host lacks qemu-system-mipsel"), "{error}");
    assert!(error.contains("installing the packages qemu-system-mips") && error.contains("9 MB to fetch"), "{error}");
    assert!(host.log().contains("--no-remove install qemu-system-mips"), "{}", host.log());
}

#[test]
fn the_doctor_wants_of_other_architectures_only_what_is_asked_for() {
    let host = FakeHost::new(0).with_apt().with_arm64();
    for (arguments, code) in
        [(&["doctor"][..], 0), (&["doctor", "--machine", "virt"], 0), (&["doctor", "--machine", "malta"], 3)]
    {
        let (output, error) = host.run(arguments, "never");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.contains("missing"), arguments != ["doctor", "--machine", "virt"], "{text}");
        assert_eq!(text.contains("qemu-system-mips"), arguments != ["doctor", "--machine", "virt"], "{text}");
    }
}

#[test]
fn without_privilege_the_command_is_shown() {
    let host = FakeHost::new(1000).with_apt();
    let (output, error) = host.run(&["boot"], "auto");
    assert_eq!(output.status.code(), Some(3), "{error}");
    assert!(error.contains("sudo apt-get install"), "{error}");
    assert_eq!(host.log(), "");
}

#[test]
fn ask_without_a_terminal_installs_nothing() {
    let host = FakeHost::new(0).with_apt();
    let (output, error) = host.run(&["boot"], "ask");
    assert_eq!(output.status.code(), Some(3), "{error}");
    assert_eq!(host.log(), "");
}

#[test]
fn an_installation_that_fails_is_tried_again_with_fresh_lists_and_then_named() {
    let host = FakeHost::new(0);
    let directory = host.path().display().to_string();
    host.script(
        "apt-get",
        &format!("case \"$*\" in *--print-uris*) exit 0 ;; esac; echo \"$*\" >> {directory}/log; exit 100"),
    );
    let (output, error) = host.run(&["boot"], "auto");
    assert_eq!(output.status.code(), Some(3), "{error}");
    assert!(error.contains("setting this host up failed"), "{error}");
    assert!(host.log().contains("update"), "{}", host.log());
}

#[test]
fn the_doctor_names_what_is_missing_and_changes_nothing() {
    let host = FakeHost::new(0).with_apt();
    let (output, error) = host.run(&["doctor"], "auto");
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(3), "{error}");
    assert!(text.lines().any(|line| line.starts_with("QEMU") && line.contains("missing")), "{text}");
    assert!(text.contains("qemu-system-arm"), "{text}");
    assert_eq!(host.log(), "");
}

#[test]
fn a_wish_that_makes_no_sense_is_wrong_use() {
    let (output, error) = FakeHost::new(0).run(&["boot"], "maybe");
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("'maybe'"), "{error}");
}

#[test]
fn a_network_that_is_gone_is_named_and_a_second_run_completes() {
    let host = FakeHost::new(0);
    host.script("apt-get", "echo \"E: Failed to fetch http://x/y.deb  Connection failed\" >&2; exit 100");
    for _ in 0..2 {
        let (output, error) = host.run(&["boot"], "auto");
        assert_eq!(output.status.code(), Some(3), "{error}");
        let last = error.lines().last().unwrap();
        assert!(last.contains("packages cannot be downloaded; run this again when the network is there"), "{error}");
    }
    let host = host.with_apt();
    let (_, error) = host.run(&["boot"], "auto");
    assert!(!error.contains("setting this host up failed"), "{error}");
    assert!(host.path().join("qemu-system-aarch64").exists(), "{error}");
}

#[test]
fn a_full_disk_is_named_and_not_tried_again() {
    let host = FakeHost::new(0);
    let directory = host.path().display().to_string();
    host.script(
        "apt-get",
        &format!(
            "case \"$*\" in *--print-uris*) exit 0 ;; esac; echo \"$*\" >> {directory}/log\n\
             echo \"E: You don't have enough free space in /var/cache/apt/archives/.\" >&2; exit 100"
        ),
    );
    let (output, error) = host.run(&["boot"], "auto");
    assert_eq!(output.status.code(), Some(3), "{error}");
    assert!(error.contains("the disk is full; make room and run this again"), "{error}");
    assert_eq!(host.log().lines().count(), 1, "{}", host.log());
}

#[test]
fn an_interrupted_installation_is_finished_first() {
    let host = FakeHost::new(0);
    let directory = host.path().display().to_string();
    host.script("dpkg", &format!("echo \"dpkg $*\" >> {directory}/log; : > {directory}/finished"));
    host.script(
        "apt-get",
        &format!(
            "case \"$*\" in *--print-uris*|*update*) exit 0 ;; esac; echo \"apt-get $*\" >> {directory}/log\n\
             [ -e {directory}/finished ] && exit 0\n\
             echo \"E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem.\" >&2\n\
             exit 100"
        ),
    );
    host.run(&["boot"], "auto");
    let log = host.log();
    let lines: Vec<_> = log.lines().collect();
    assert!(matches!(lines[..], [_, "dpkg --configure -a", _]), "{log}");
    assert!(lines[2].contains("--fix-broken install"), "{log}");
}

#[test]
fn a_qemu_that_does_not_start_is_missing() {
    let host = FakeHost::new(0).with_apt();
    host.script("qemu-system-aarch64", "echo 'error while loading shared libraries' >&2; exit 127");
    let (output, error) = host.run(&["boot"], "never");
    assert_eq!(output.status.code(), Some(3), "{error}");
    assert!(error.contains("qemu-system-aarch64"), "{error}");
}

#[test]
fn an_interrupt_ends_the_set_up_and_nothing_is_tried_again() {
    let host = FakeHost::new(0);
    let directory = host.path().display();
    // As from a terminal: the command is interrupted, and apt with it.
    let body = format!(
        "case \"$*\" in *--print-uris*) exit 0 ;; esac\necho \"$*\" >> {directory}/log\nkill -INT $PPID; exit 100"
    );
    host.script("apt-get", &body);
    let (output, error) = host.run(&["boot"], "auto");
    assert_eq!(output.status.code(), Some(130), "{error}");
    assert!(error.ends_with("interrupted\n") && !error.contains("again"), "{error}");
    assert_eq!(host.log().lines().count(), 1, "{}", host.log());
}

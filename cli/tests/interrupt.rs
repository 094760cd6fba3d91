//! An interrupted boot takes its QEMU with it.
#![cfg(unix)]

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use reveille_cli::console::Line;
use reveille_cli::error::Error;
use reveille_cli::{interrupt, qemu};

static STARTED: AtomicBool = AtomicBool::new(false);

#[test]
fn an_interrupt_ends_the_run_and_the_child() {
    interrupt::catch();
    let interrupter = std::thread::spawn(|| {
        while !STARTED.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let status = Command::new("kill").args(["-INT", &std::process::id().to_string()]).status();
        assert!(status.unwrap().success());
    });
    let start = Instant::now();
    let mut child = String::new();
    let arguments = ["-c".to_owned(), "echo $$; exec sleep 60".to_owned()];
    let result = qemu::run("/bin/sh".as_ref(), &arguments, Duration::from_secs(50), |line| {
        if let Line::Text(text) = line {
            child = text;
            STARTED.store(true, Ordering::Relaxed);
        }
    });
    interrupter.join().unwrap();
    assert!(matches!(result, Err(Error::Interrupted)), "{result:?}");
    assert!(start.elapsed() < Duration::from_secs(30));
    let alive = Command::new("kill").args(["-0", &child]).output().unwrap().status.success();
    assert!(!alive, "the child {child} is still there");
}

/// A shell has its background jobs ignore interrupts from the terminal, and `nohup` hangups. Termination still works.
#[test]
fn termination_ends_the_child_where_other_signals_are_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let (qemu, started) = (folder.path().join("qemu-system-aarch64"), folder.path().join("started"));
    let text = format!("#!/bin/sh\necho $$ > {0}.half; mv {0}.half {0}; exec sleep 60\n", started.display());
    std::fs::write(&qemu, text).unwrap();
    std::fs::set_permissions(&qemu, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    // This test program is the one that waits for the child: the other test in it, with signals ignored.
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "trap '' INT HUP; exec \"$@\"", "sh"]).arg(std::env::current_exe().unwrap());
    let mut outer = command.args(["--ignored", "--exact", "waits_for_a_child"]).env("CHILD", &qemu).spawn().unwrap();
    let start = Instant::now();
    while !started.exists() {
        assert!(start.elapsed() < Duration::from_secs(30), "the child never started");
        std::thread::sleep(Duration::from_millis(5));
    }
    let child = std::fs::read_to_string(&started).unwrap().trim().to_owned();
    assert!(Command::new("kill").args(["-TERM", &outer.id().to_string()]).status().unwrap().success());
    assert!(outer.wait().unwrap().success(), "it should have noticed the termination");
    let alive = Command::new("kill").args(["-0", &child]).output().unwrap().status.success();
    assert!(!alive, "the child {child} is still there");
}

/// What the test above starts.
#[test]
#[ignore = "started by the test above"]
fn waits_for_a_child() {
    let Some(child) = std::env::var_os("CHILD") else { return };
    interrupt::catch();
    let result = qemu::run(child.as_ref(), &[], Duration::from_secs(50), |_| {});
    assert!(matches!(result, Err(Error::Interrupted)), "{result:?}");
}

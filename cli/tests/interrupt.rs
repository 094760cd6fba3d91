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

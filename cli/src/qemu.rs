//! Runs QEMU: one run of it with a time limit; [`arguments`] is what it is told, [`dump_devicetree`] what its machine has.

mod arguments;
mod devicetree;

use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use arguments::{
    Files, ONE_THREAD, arguments, guest_loader_command_line, hypervisor_command_line, kernel_command_line,
    machine_arguments,
};
pub use devicetree::dump_devicetree;

use crate::console::{Line, Splitter};
use crate::error::Error;
use crate::interrupt;
use crate::keyboard::{Keyboard, Typist};

/// How often a run looks up from its console, to see whether it was interrupted.
const GLANCE: Duration = Duration::from_millis(50);
/// How often it does while the machine waits for something to be typed.
const PROMPTED_GLANCE: Duration = Duration::from_millis(10);
/// How much of QEMU's own messages is kept.
const KEPT_MESSAGES: usize = 64 << 10;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// QEMU ended by itself with this exit code; without one a signal ended it.
    Exited(Option<i32>),
    /// It was ended when its time was over.
    TimedOut,
}

/// What a run leaves behind.
#[derive(Clone, Debug)]
pub struct Finished {
    /// How it ended.
    pub ending: Ending,
    /// QEMU's own messages.
    pub messages: String,
}

/// Ends and reaps QEMU, however this process leaves the run.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if it has ended and been reaped.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs `program`, for `limit` at most, and hands on its console's lines as they come.
///
/// # Errors
/// [`Error::QemuStart`], [`Error::Interrupted`].
pub fn run(
    program: &Path,
    arguments: &[String],
    limit: Duration,
    mut line: impl FnMut(Line),
) -> Result<Finished, Error> {
    run_with(program, arguments, limit, None, |next| {
        line(next);
        ControlFlow::Continue(())
    })
}

/// The same, for programs that need not end by themselves: when `line` breaks off, the program is ended, without an exit code.
///
/// # Errors
/// Those of [`run`].
pub fn run_until(
    program: &Path,
    arguments: &[String],
    limit: Duration,
    line: impl FnMut(Line) -> ControlFlow<()>,
) -> Result<Finished, Error> {
    run_with(program, arguments, limit, None, line)
}

/// The same; what comes from `keyboard` is typed at the console when the machine prompts for it.
///
/// # Errors
/// Those of [`run`].
pub fn converse(
    program: &Path,
    arguments: &[String],
    limit: Duration,
    keyboard: Keyboard,
    mut line: impl FnMut(Line),
) -> Result<Finished, Error> {
    run_with(program, arguments, limit, Some(keyboard), |next| {
        line(next);
        ControlFlow::Continue(())
    })
}

fn run_with(
    program: &Path,
    arguments: &[String],
    limit: Duration,
    keyboard: Option<Keyboard>,
    mut line: impl FnMut(Line) -> ControlFlow<()>,
) -> Result<Finished, Error> {
    let start_error = |source| Error::QemuStart { program: program.display().to_string(), source };
    let mut command = Command::new(program);
    let stdin = if keyboard.is_some() { Stdio::piped() } else { Stdio::null() };
    command.args(arguments).stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
    let end = Instant::now() + limit;
    let mut running = Running(command.spawn().map_err(start_error)?);
    let (Some(stdout), Some(stderr)) = (running.0.stdout.take(), running.0.stderr.take()) else {
        return Err(start_error(io::ErrorKind::BrokenPipe.into()));
    };
    let mut typist = keyboard.zip(running.0.stdin.take()).map(|(keyboard, stdin)| Typist::new(keyboard, stdin));
    let (sender, receiver) = sync_channel(256);
    let reader = std::thread::spawn(move || read_lines(stdout, &sender));
    let messages = std::thread::spawn(move || read_messages(stderr));

    let heard = take_lines(&receiver, end, typist.as_mut(), &mut line)?;
    let ending = match heard {
        Heard::All => match wait_until(&mut running.0, end).map_err(start_error)? {
            Some(status) => Ending::Exited(status.code()),
            None => Ending::TimedOut,
        },
        Heard::Enough => Ending::Exited(None),
        Heard::TooLong => Ending::TimedOut,
    };
    drop(running);
    // What it said before it was ended. A reader to whom nobody listens stops.
    if heard != Heard::Enough {
        receiver.iter().for_each(|next| {
            let _ = line(next);
        });
    }
    drop(receiver);
    join(reader);
    // From a terminal, the interrupt ends QEMU as well, which then is no ending of its own.
    if interrupt::requested() {
        return Err(Error::Interrupted);
    }
    Ok(Finished { ending, messages: join(messages) })
}

/// Why no more lines are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    /// The console is closed.
    All,
    /// Who listens needs no more.
    Enough,
    /// The time is over.
    TooLong,
}

/// Hands on lines until the console is closed, nobody wants more, or the time is over.
fn take_lines(
    receiver: &Receiver<Line>,
    end: Instant,
    mut typist: Option<&mut Typist>,
    line: &mut impl FnMut(Line) -> ControlFlow<()>,
) -> Result<Heard, Error> {
    loop {
        if interrupt::requested() {
            return Err(Error::Interrupted);
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Heard::TooLong);
        }
        let mut glance = GLANCE;
        if let Some(typist) = typist.as_mut().filter(|typist| typist.is_awaited()) {
            typist.type_next();
            glance = PROMPTED_GLANCE;
        }
        match receiver.recv_timeout(left.min(glance)) {
            Ok(next) if typist.as_mut().is_none_or(|typist| typist.hear(&next)) => {
                if line(next).is_break() {
                    return Ok(Heard::Enough);
                }
            }
            Ok(_) => {}
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(Heard::All),
        }
    }
}

/// Waits for a child that has closed its console. `None` if the time is over before it ends.
fn wait_until(child: &mut Child, end: Instant) -> io::Result<Option<ExitStatus>> {
    loop {
        let status = child.try_wait()?;
        if status.is_some() || Instant::now() >= end {
            return Ok(status);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn read_lines(mut stdout: impl Read, sender: &SyncSender<Line>) {
    let mut splitter = Splitter::default();
    let mut bytes = [0; 16 << 10];
    while let Ok(count @ 1..) = stdout.read(&mut bytes) {
        for line in splitter.push(&bytes[..count]) {
            if sender.send(line).is_err() {
                return;
            }
        }
    }
    for line in splitter.finish() {
        let _ = sender.send(line);
    }
}

fn read_messages(mut stderr: impl Read) -> String {
    let mut kept = Vec::new();
    let mut bytes = [0; 4 << 10];
    while let Ok(count @ 1..) = stderr.read(&mut bytes) {
        kept.extend(&bytes[..count.min(KEPT_MESSAGES.saturating_sub(kept.len()))]);
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// The thread's result; its panic, if it had one, goes on here.
fn join<T>(thread: JoinHandle<T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> (Finished, Vec<Line>) {
        let mut lines = Vec::new();
        let arguments = ["-c".to_owned(), script.to_owned()];
        let finished = run(Path::new("/bin/sh"), &arguments, limit, |line| lines.push(line)).unwrap();
        (finished, lines)
    }

    #[test]
    fn a_run_keeps_its_lines_messages_and_exit_code() {
        let (finished, lines) = shell("echo one; echo oops >&2; printf two; exit 101", Duration::from_secs(20));
        assert_eq!(finished.ending, Ending::Exited(Some(101)));
        assert_eq!(finished.messages, "oops\n");
        assert_eq!(lines, [Line::Text("one".into()), Line::Text("two".into())]);
    }

    #[test]
    fn a_run_ends_at_its_limit_with_what_it_said() {
        let start = Instant::now();
        let (finished, lines) = shell("echo waiting; exec sleep 60", Duration::from_millis(500));
        assert_eq!(finished.ending, Ending::TimedOut);
        assert_eq!(lines, [Line::Text("waiting".into())]);
        assert!(start.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_conversation_types_a_line_for_each_prompt_and_exit_at_the_end() {
        let script =
            "while printf 'reveille> ' && read -r line && echo $line; do [ \"$line\" != exit ] || exit 3; done";
        let mut lines = Vec::new();
        let arguments = ["-c".to_owned(), script.to_owned()];
        let keyboard = Keyboard::of(&b"one\n\ttwo  words\nhalf"[..]);
        let finished =
            converse(Path::new("/bin/sh"), &arguments, Duration::from_secs(20), keyboard, |line| lines.push(line));
        assert_eq!(finished.unwrap().ending, Ending::Exited(Some(3)));
        let texts = ["one", "two words", "half", "exit"].map(|text| Line::Text(text.into()));
        let expected: Vec<Line> = texts.into_iter().flat_map(|text| [Line::Prompt, text]).collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_run_is_ended_when_enough_was_heard() {
        let mut lines = Vec::new();
        let arguments = ["-c".to_owned(), "echo one; echo two; exec sleep 60".to_owned()];
        let start = Instant::now();
        let finished = run_until(Path::new("/bin/sh"), &arguments, Duration::from_secs(50), |line| {
            lines.push(line);
            ControlFlow::Break(())
        });
        assert_eq!(finished.unwrap().ending, Ending::Exited(None));
        assert_eq!(lines, [Line::Text("one".into())]);
        assert!(start.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_run_that_closes_its_console_and_stays_ends_at_its_limit() {
        let (finished, _) = shell("exec >&- 2>&-; exec sleep 60", Duration::from_millis(500));
        assert_eq!(finished.ending, Ending::TimedOut);
    }

    #[test]
    fn a_run_that_a_signal_ends_has_no_exit_code() {
        let (finished, _) = shell("kill -9 $$", Duration::from_secs(20));
        assert_eq!(finished.ending, Ending::Exited(None));
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = run(Path::new("/no/such/qemu"), &[], Duration::from_secs(1), |_| {}).unwrap_err();
        assert!(error.to_string().contains("/no/such/qemu"), "{error}");
    }
}

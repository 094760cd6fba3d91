//! Whether the payload is what it should be: each chunk of it is checked against its digest, by a thread on every CPU.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;

use payload_digests::Digests;
use reveille::CpuIndex;
use reveille_runtime::cpus::SMP;
use reveille_runtime::lock::IrqLock;
use reveille_runtime::thread::{self, Thread};
use reveille_runtime::{clock, println, trace};

use crate::lk_main::Loader;
use crate::names::name;
use crate::payload::Payload;
use crate::report::Report;

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// The work that the threads share.
struct Work {
    payload: Arc<Payload>,
    /// The parts' places and chunks, all in one row.
    chunks: Vec<(usize, usize)>,
    /// The first that nobody has begun.
    next: AtomicUsize,
    /// How many were found to be right.
    right: AtomicUsize,
    wrong: IrqLock<Vec<String>>,
}

impl Work {
    /// The whole payload, if it has digests for all its parts and for nothing else.
    fn new(payload: &Arc<Payload>) -> Result<Self, String> {
        if payload.digests.is_empty() {
            return Err("the payload has no digests (a file digests beside its kernel)".into());
        }
        let digests = Digests::parse(&payload.digests).map_err(|error| format!("the digests: {error}"))?;
        let mut chunks = Vec::new();
        for (place, part) in payload.parts.iter().enumerate() {
            let expected = digests.part(part.name).ok_or_else(|| format!("{} has no digests", part.name))?;
            expected.check_size(part.place.len()).map_err(|error| format!("{}: {error}", part.name))?;
            chunks.extend((0..expected.chunks()).map(|chunk| (place, chunk)));
        }
        let missing = digests.parts().find(|part| payload.place(part.name).is_none());
        match missing {
            Some(part) => Err(format!("{} has digests and is not there", part.name)),
            None => Ok(Self {
                payload: Arc::clone(payload),
                chunks,
                next: AtomicUsize::new(0),
                right: AtomicUsize::new(0),
                wrong: IrqLock::new(Vec::new()),
            }),
        }
    }

    /// Takes one chunk after the other, until there is none.
    fn do_some(&self) {
        let _span = trace::span(name::check_chunks);
        // It was read before.
        let Ok(digests) = Digests::parse(&self.payload.digests) else { return };
        while let Some(&(place, chunk)) = self.chunks.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            let part = &self.payload.parts[place];
            let Some(expected) = digests.part(part.name) else { return };
            match expected.check(chunk, part.bytes()) {
                Ok(()) => _ = self.right.fetch_add(1, Ordering::Relaxed),
                Err(error) => self.wrong.lock().push(format!("{}: {error}", part.name)),
            }
        }
    }
}

/// Checks `payload` on all CPUs that are there.
///
/// # Errors
/// What is not right, by the name of its part and the number of its chunk.
pub fn check(loader: &Loader, payload: &Arc<Payload>, report: &mut Report) -> Result<(), String> {
    let _span = trace::span(name::check_payload);
    let work = Arc::new(Work::new(payload)?);
    let begun = clock::now();
    let deadline = clock::ticks_after(PATIENCE);
    let checkers: Vec<CpuIndex> =
        SMP.masks.active.snapshot().iter().take(loader.options.checkers.unwrap_or(usize::MAX).max(1)).collect();
    let mut threads: Vec<Arc<Thread>> = Vec::new();
    for &cpu in &checkers {
        let own = Arc::clone(&work);
        match thread::spawn("checker", cpu, move || own.do_some()) {
            Ok(thread) => threads.push(thread),
            Err(reason) => println!("CPU {cpu} checks nothing: {reason}"),
        }
    }
    let in_time = threads.iter().all(|thread| thread.join(deadline).is_ok());
    let microseconds = clock::now().nanos_since(begun) / 1_000;
    let wrong = core::mem::take(&mut *work.wrong.lock());
    let (right, all) = (work.right.load(Ordering::Relaxed), work.chunks.len());
    if !wrong.is_empty() {
        return Err(wrong.join(", "));
    }
    if !in_time || right != all {
        return Err(format!("only {right} of {all} chunks were checked"));
    }
    let bytes: usize = payload.parts.iter().map(|part| part.place.len()).sum();
    let detail = format!("{all} chunks, {bytes} bytes, by {} CPUs in {microseconds} us", threads.len());
    report.proof("payload", true, detail);
    Ok(())
}

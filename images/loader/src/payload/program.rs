//! A checked kernel, where it runs: an Image is there already, the segments of an ELF file are put there (`boot_payload::elf` says where).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use boot_payload::elf::{self, Segment, Taken};
use reveille_runtime::{println, trace};

use super::{Form, Payload};
use crate::lk_main::Loader;
use crate::names::name;

/// A kernel that can be entered.
pub struct Program {
    /// The address at which it is entered.
    pub entry: usize,
    /// What was written for it, beside the parts of the payload.
    pub segments: Vec<Range<usize>>,
}

/// Makes the kernel of `payload`, which was checked, ready to be entered.
///
/// # Errors
/// It is an ELF file that cannot be loaded.
pub fn prepare(loader: &Loader, payload: &Payload) -> Result<Program, String> {
    let kernel = &payload.parts[0];
    if payload.form != Form::Elf {
        return Ok(Program { entry: kernel.place.start, segments: Vec::new() });
    }
    let _span = trace::span(name::load_segments);
    let refused = |reason: elf::Refused| format!("the kernel cannot be loaded: {reason}");
    let file = elf::Program::read(kernel.bytes()).map_err(refused)?;
    let ram: Vec<Range<u64>> = loader.layout.ram().iter().map(wide).collect();
    let program = file.place(&ram, &taken(loader, payload)).map_err(refused)?;
    let segments = program.segments().iter().map(|segment| load(loader, kernel.bytes(), segment));
    let segments = segments.collect::<Result<Vec<_>, _>>()?;
    let moved = if program == file { "" } else { ", not where it is linked" };
    println!("kernel in {} segments, entered at {:#x}{moved}", segments.len(), program.entry());
    Ok(Program { entry: program.entry() as usize, segments })
}

fn wide(range: &Range<usize>) -> Range<u64> {
    range.start as u64..range.end as u64
}

/// What is somebody's, by the names of those who have it.
fn taken(loader: &Loader, payload: &Payload) -> Vec<Taken> {
    let devicetree = loader.fdt.data().as_ptr_range();
    let devicetree = devicetree.start.addr()..devicetree.end.addr();
    let (own, others) = (loader.layout.own(), loader.layout.taken());
    let parts = payload.parts.iter().map(|part| (owner(part.name), &part.place));
    let known = [("the devicetree", &devicetree)].into_iter().chain(parts).chain([("the loader", &own)]);
    let others = others.as_slice().iter().map(|other| ("memory that is reserved", other));
    known.chain(others).map(|(owner, memory)| Taken { owner, memory: wide(memory) }).collect()
}

/// Who has the memory of the part `name`.
fn owner(name: &str) -> &'static str {
    match name {
        "initrd" => "the initrd",
        "module" => "the module",
        _ => "its own file",
    }
}

/// Puts a segment of `file` where it goes: where that is.
fn load(loader: &Loader, file: &[u8], segment: &Segment) -> Result<Range<usize>, &'static str> {
    let place = segment.memory.start as usize..segment.memory.end as usize;
    loader.layout.take_at(place.clone())?;
    let content = &file[segment.content.clone()];
    let target: *mut u8 = core::ptr::with_exposed_provenance_mut(place.start);
    // SAFETY: memory that was taken for this alone, and so apart from the file; a segment has no more content than memory.
    unsafe {
        target.copy_from_nonoverlapping(content.as_ptr(), content.len());
        target.add(content.len()).write_bytes(0, place.len() - content.len());
    }
    Ok(place)
}

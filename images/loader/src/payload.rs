//! What is to be started: a kernel (an arm64 Image or an ELF file), an initrd, a module (a hypervisor's first guest), each in memory of its
//! own. [`source`] is where they come from, and [`program`] makes what is checked ready to be entered.

pub mod program;
mod source;

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use reveille_devices::arm64_image::{Header, UNIT};
use reveille_runtime::{println, trace};
use source::{File, Source};

use crate::lk_main::Loader;
use crate::names::name;

const PAGE: usize = 4096;
const ELF_MAGIC: &[u8] = b"\x7fELF";

/// A part of the payload, in memory.
pub struct Part {
    pub name: &'static str,
    /// Where it is.
    pub place: Range<usize>,
}

impl Part {
    /// What it is.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: memory that was taken for this part alone, and that nobody writes any more.
        unsafe { core::slice::from_raw_parts(core::ptr::with_exposed_provenance(self.place.start), self.place.len()) }
    }
}

/// What a kernel may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// An arm64 Image, which runs where it lies.
    Image(Header),
    /// An ELF file, whose segments are put elsewhere.
    Elf,
}

impl Form {
    /// What a file is that begins so.
    fn of(beginning: &[u8]) -> Result<Self, &'static str> {
        match Header::parse(beginning) {
            Some(header) => Ok(Self::Image(header)),
            None if beginning.starts_with(ELF_MAGIC) => Ok(Self::Elf),
            None => Err("the kernel is neither an arm64 Image nor an ELF file"),
        }
    }
}

/// What is to be started.
pub struct Payload {
    /// Everything that has digests. The first part is the kernel.
    pub parts: Vec<Part>,
    /// What its kernel is.
    pub form: Form,
    /// Its command line, without a zero at its end.
    pub command_line: String,
    /// That of its module.
    pub module_command_line: String,
    /// The text of the digests.
    pub digests: String,
}

impl Payload {
    /// Where the part `name` is, if there is one.
    pub fn place(&self, name: &str) -> Option<Range<usize>> {
        self.parts.iter().find(|part| part.name == name).map(|part| part.place.clone())
    }
}

/// Puts everything into its place.
///
/// # Errors
/// There is nothing to start, or it does not fit.
pub fn load(loader: &Loader) -> Result<Payload, String> {
    let _span = trace::span(name::load_payload);
    let mut source = Source::find(loader)?;
    let file = source.file("kernel").ok_or("there is no kernel")?;
    let form = Form::of(&source.beginning(file, Header::SIZE))?;
    let size = file.place_size();
    let place = match form {
        Form::Image(header) => loader.layout.take(header.image_size.max(size), UNIT, header.text_offset),
        Form::Elf => take_aside(loader, file),
    };
    let mut parts = alloc::vec![source.place("kernel", file, place?)?];
    for name in ["initrd", "module"] {
        if let Some(file) = source.file(name) {
            let place = match form {
                Form::Image(_) => loader.layout.take(file.place_size().next_multiple_of(PAGE), UNIT, 0),
                Form::Elf => take_aside(loader, file),
            };
            parts.push(source.place(name, file, place?)?);
        }
    }
    for part in &parts {
        println!("{} at {:#x}, {} bytes", part.name, part.place.start, part.place.len());
    }
    Ok(Payload {
        parts,
        form,
        command_line: source.text("cmdline")?.trim_end().into(),
        module_command_line: source.text("module-cmdline")?.trim_end().into(),
        digests: source.text("digests")?,
    })
}

/// Takes memory for `file` at the end of what there is: an ELF file asks for memory of its own, most of the time near the start.
fn take_aside(loader: &Loader, file: File) -> Result<Range<usize>, &'static str> {
    loader.layout.take_highest(file.place_size().next_multiple_of(PAGE), UNIT)
}

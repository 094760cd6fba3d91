//! What is to be started: an arm64 Image, an initrd, a module (a hypervisor's first guest), taken from the files of QEMU's fw_cfg below
//! `opt/reveille/`, each into memory of its own.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use reveille_devices::arm64_image::{Header, UNIT};
use reveille_devices::fw_cfg::{File, FwCfg};
use reveille_runtime::arch::memory_map;
use reveille_runtime::{println, trace};

use crate::lk_main::Loader;
use crate::names::name;

const FOLDER: &str = "opt/reveille/";
const PAGE: usize = 4096;

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

/// What is to be started.
pub struct Payload {
    /// Everything that has digests. The first part is the kernel.
    pub parts: Vec<Part>,
    /// The address at which it is entered.
    pub entry: usize,
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

/// The files.
struct Files(FwCfg);

impl Files {
    fn find(&mut self, name: &str) -> Option<File> {
        self.0.find_file(&alloc::format!("{FOLDER}{name}"))
    }

    fn text(&mut self, name: &str) -> Result<String, String> {
        let Some(file) = self.find(name) else { return Ok(String::new()) };
        let mut bytes = self.0.read_beginning(file, usize::MAX);
        while bytes.last() == Some(&0) {
            bytes.pop();
        }
        String::from_utf8(bytes).map_err(|_| alloc::format!("{FOLDER}{name} is no text"))
    }

    /// Has `file` put at the start of `place`, which has the room that a transfer takes.
    fn place(&mut self, name: &'static str, file: File, place: Range<usize>) -> Result<Part, &'static str> {
        // SAFETY: memory that was taken for this alone, aligned, and mapped to itself, which is how the device sees it.
        unsafe { self.0.place_file(file, place.clone()) }?;
        Ok(Part { name, place: place.start..place.start + file.size })
    }
}

/// Puts everything into its place.
///
/// # Errors
/// There is nothing to start, or it does not fit.
pub fn load(loader: &Loader) -> Result<Payload, String> {
    let _span = trace::span(name::load_payload);
    let registers = FwCfg::find(&loader.fdt)?;
    let registers = memory_map::map_device(registers.start, registers.len())?;
    // SAFETY: mapped as a device just now, and nobody else uses it.
    let mut files = Files(unsafe { FwCfg::new(registers) });
    let file = files.find("kernel").ok_or("QEMU has no file opt/reveille/kernel")?;
    let header = Header::parse(&files.0.read_beginning(file, Header::SIZE)).ok_or("the kernel is no arm64 Image")?;
    let size = header.image_size.max(FwCfg::place_size(file.size));
    let kernel = loader.layout.take(size, UNIT, header.text_offset)?;
    let mut parts = alloc::vec![files.place("kernel", file, kernel.clone())?];
    for name in ["initrd", "module"] {
        if let Some(file) = files.find(name) {
            let place = loader.layout.take(FwCfg::place_size(file.size).next_multiple_of(PAGE), UNIT, 0)?;
            parts.push(files.place(name, file, place)?);
        }
    }
    for part in &parts {
        println!("{} at {:#x}, {} bytes", part.name, part.place.start, part.place.len());
    }
    Ok(Payload {
        parts,
        entry: kernel.start,
        command_line: files.text("cmdline")?,
        module_command_line: files.text("module-cmdline")?,
        digests: files.text("digests")?,
    })
}

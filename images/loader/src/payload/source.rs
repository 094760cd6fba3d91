//! Where the files of the payload are before they are put into their places: in QEMU's fw_cfg, below `opt/reveille/`; or, where there are
//! none, in the initrd that the loader was given, a cpio archive.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use boot_payload::archive::Archive;
use reveille_devices::devicetree::chosen_address;
use reveille_devices::fw_cfg::{self, FwCfg};
use reveille_runtime::arch::memory_map;

use super::Part;
use crate::lk_main::Loader;

const FOLDER: &str = "opt/reveille/";

/// Where files are.
pub enum Source {
    FwCfg(FwCfg),
    Memory(Archive<'static>),
}

/// A file there.
#[derive(Clone, Copy)]
pub enum File {
    FwCfg(fw_cfg::File),
    Memory(&'static [u8]),
}

impl File {
    /// The memory that it takes while it is put there, in bytes.
    pub fn place_size(&self) -> usize {
        match self {
            Self::FwCfg(file) => FwCfg::place_size(file.size),
            Self::Memory(content) => content.len(),
        }
    }
}

impl Source {
    /// The source that has a kernel.
    ///
    /// # Errors
    /// There is none.
    pub fn find(loader: &Loader) -> Result<Self, String> {
        let fw_cfg = open_fw_cfg(loader)?.map(Self::FwCfg);
        let with_kernel = fw_cfg.and_then(|mut files| files.file("kernel").map(|_| files));
        if let Some(source) = with_kernel {
            return Ok(source);
        }
        let Some(initrd) = initrd(loader)? else {
            return Err(format!("there is nothing to start: no file {FOLDER}kernel in fw_cfg, and no initrd"));
        };
        let archive = Archive::parse(initrd).map_err(|error| format!("the loader's initrd: {error}"))?;
        let mut files = Self::Memory(archive);
        files.file("kernel").map(|_| files).ok_or_else(|| "the loader's initrd has no file kernel".into())
    }

    /// The file `name`, if it is there.
    pub fn file(&mut self, name: &str) -> Option<File> {
        match self {
            Self::FwCfg(files) => files.find_file(&format!("{FOLDER}{name}")).map(File::FwCfg),
            Self::Memory(files) => files.file(name).map(|file| File::Memory(file.content)),
        }
    }

    /// The first `limit` bytes of `file`, or all of it if it has fewer.
    pub fn beginning(&mut self, file: File, limit: usize) -> Vec<u8> {
        match (self, file) {
            (Self::FwCfg(files), File::FwCfg(file)) => files.read_beginning(file, limit),
            (_, File::Memory(content)) => content[..content.len().min(limit)].into(),
            (Self::Memory(_), File::FwCfg(_)) => Vec::new(),
        }
    }

    /// What the file `name` says, without what ends it; nothing if it is not there.
    ///
    /// # Errors
    /// It is no text.
    pub fn text(&mut self, name: &str) -> Result<String, String> {
        let Some(file) = self.file(name) else { return Ok(String::new()) };
        let mut bytes = self.beginning(file, usize::MAX);
        while bytes.last() == Some(&0) {
            bytes.pop();
        }
        String::from_utf8(bytes).map_err(|_| format!("{name} is no text"))
    }

    /// Has `file` put at the start of `place`, which has [`File::place_size`] bytes.
    ///
    /// # Errors
    /// The device refuses.
    pub fn place(&mut self, name: &'static str, file: File, place: Range<usize>) -> Result<Part, &'static str> {
        let size = match (self, file) {
            (Self::FwCfg(files), File::FwCfg(file)) => {
                // SAFETY: memory that was taken for this alone, aligned, and mapped to itself, which is how the device sees it.
                unsafe { files.place_file(file, place.clone()) }?;
                file.size
            }
            (_, File::Memory(content)) if content.len() <= place.len() => {
                let target: *mut u8 = core::ptr::with_exposed_provenance_mut(place.start);
                // SAFETY: memory that was taken for this alone, and so apart from the archive.
                unsafe { target.copy_from_nonoverlapping(content.as_ptr(), content.len()) };
                content.len()
            }
            _ => return Err("a file is larger than its place"),
        };
        Ok(Part { name, place: place.start..place.start + size })
    }
}

/// The machine's fw_cfg, if it has one.
fn open_fw_cfg(loader: &Loader) -> Result<Option<FwCfg>, &'static str> {
    let Ok(registers) = FwCfg::find(&loader.fdt) else { return Ok(None) };
    let registers = memory_map::map_device(registers.start, registers.len())?;
    // SAFETY: mapped as a device just now, and nobody else uses it.
    Ok(Some(unsafe { FwCfg::new(registers) }))
}

/// The initrd that the loader was given, if there is one.
fn initrd(loader: &Loader) -> Result<Option<&'static [u8]>, &'static str> {
    let chosen = |name| chosen_address(&loader.fdt, name);
    let (Some(start), Some(end)) = (chosen("linux,initrd-start"), chosen("linux,initrd-end")) else { return Ok(None) };
    let is_memory = loader.layout.ram().iter().any(|region| region.start <= start && start < end && end <= region.end);
    if !is_memory {
        return Err("the loader's initrd is not in memory");
    }
    // SAFETY: memory, all of which is mapped to itself; it was reserved before there was a heap, so that nobody writes it.
    Ok(Some(unsafe { core::slice::from_raw_parts(core::ptr::with_exposed_provenance(start), end - start) }))
}

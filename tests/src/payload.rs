//! What the boot loader starts: its parts, with their digests, as files of fw_cfg or as one archive.

use std::path::{Path, PathBuf};

use reveille_cli::newc;
use tempfile::TempDir;

/// The size of a chunk, in bytes. The kernel has some.
pub const CHUNK: usize = 64 << 10;

/// A payload. Its files live as long as it does.
pub struct Payload {
    folder: TempDir,
    parts: Vec<(String, Vec<u8>)>,
    texts: Vec<(String, String)>,
}

impl Payload {
    /// The file `kernel`, which is given `command_line`.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn new(kernel: &Path, command_line: &str) -> Result<Self, String> {
        Self::of(read(kernel)?, command_line)
    }

    /// The same with a kernel that is no file yet.
    ///
    /// # Errors
    /// There is no room for files.
    pub fn of(kernel: Vec<u8>, command_line: &str) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let texts = vec![("cmdline".to_owned(), command_line.to_owned())];
        Ok(Self { folder, parts: vec![("kernel".to_owned(), kernel)], texts })
    }

    /// With the file `path` as its part `name`, which is given `command_line`.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn with_part(mut self, name: &str, path: &Path, command_line: &str) -> Result<Self, String> {
        self.parts.push((name.to_owned(), read(path)?));
        self.texts.push((format!("{name}-cmdline"), command_line.to_owned()));
        Ok(self)
    }

    /// QEMU's arguments, with files of fw_cfg. `change` may change the parts, of which the digests know nothing.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn arguments(&self, change: impl FnOnce(&mut [(String, Vec<u8>)])) -> Result<Vec<String>, String> {
        let mut arguments = Vec::new();
        for (name, content) in self.files(change) {
            let path = self.write(&name, &content)?;
            arguments.extend(["-fw_cfg".into(), format!("name=opt/reveille/{name},file={}", path.display())]);
        }
        Ok(arguments)
    }

    /// The same with one archive as the loader's initrd.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn in_memory(&self, change: impl FnOnce(&mut [(String, Vec<u8>)])) -> Result<Vec<String>, String> {
        Ok(vec!["-initrd".into(), self.archive(change)?.display().to_string()])
    }

    /// The same as one archive.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn archive(&self, change: impl FnOnce(&mut [(String, Vec<u8>)])) -> Result<PathBuf, String> {
        let files = self.files(change);
        let entries: Vec<_> = files.iter().map(|(name, content)| (&**name, newc::FILE, &**content)).collect();
        self.write("payload.cpio", &newc::archive(&entries))
    }

    /// All files that have a content.
    fn files(&self, change: impl FnOnce(&mut [(String, Vec<u8>)])) -> Vec<(String, Vec<u8>)> {
        let named: Vec<(&str, &[u8])> = self.parts.iter().map(|(name, content)| (&**name, &**content)).collect();
        let digests = payload_digests::write(CHUNK, &named);
        let mut parts = self.parts.clone();
        change(&mut parts);
        let texts = self.texts.iter().map(|(name, text)| (name.clone(), text.clone().into_bytes()));
        let files = parts.into_iter().chain(texts).chain([("digests".to_owned(), digests.into_bytes())]);
        files.filter(|(_, content)| !content.is_empty()).collect()
    }

    fn write(&self, name: &str, content: &[u8]) -> Result<PathBuf, String> {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(path)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// The ELF file `file`, which is position-independent, as if it were linked at the physical address `address`, and nowhere else.
///
/// # Errors
/// It has no segment to load.
pub fn linked_at(file: &[u8], address: u64) -> Result<Vec<u8>, String> {
    const TYPE: usize = 16;
    const ET_EXEC: u16 = 2;
    const PHYSICAL_ADDRESS: usize = 24;
    let field = |place: usize| file.get(place..)?.first_chunk().map(|&bytes| u64::from_le_bytes(bytes));
    let half = |place: usize| field(place).map(|field| field as usize & 0xffff);
    let ((first, size), count) = field(32).zip(half(54)).zip(half(56)).ok_or("no ELF file")?;
    let first = first as usize;
    let places: Vec<usize> = (0..count).map(|number| first + number * size + PHYSICAL_ADDRESS).collect();
    let base = places.iter().filter_map(|&place| field(place)).min().ok_or("nothing to load")?;
    let mut linked = file.to_vec();
    linked[TYPE..TYPE + 2].copy_from_slice(&ET_EXEC.to_le_bytes());
    for place in places {
        let moved = field(place).ok_or("half a header")? - base + address;
        linked[place..place + 8].copy_from_slice(&moved.to_le_bytes());
    }
    Ok(linked)
}

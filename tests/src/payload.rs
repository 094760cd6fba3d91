//! What the boot loader starts: its parts, with their digests, as files of fw_cfg.

use std::path::{Path, PathBuf};

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
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let payload = Self { folder, parts: Vec::new(), texts: Vec::new() };
        payload.with_part("kernel", kernel, command_line)
    }

    /// With the file `path` as its part `name`, which is given `command_line`.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn with_part(mut self, name: &str, path: &Path, command_line: &str) -> Result<Self, String> {
        let content = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        self.parts.push((name.to_owned(), content));
        let text = if name == "kernel" { "cmdline".to_owned() } else { format!("{name}-cmdline") };
        self.texts.push((text, command_line.to_owned()));
        Ok(self)
    }

    /// QEMU's arguments. `change` may change the parts, of which the digests know nothing.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn arguments(&self, change: impl FnOnce(&mut [(String, Vec<u8>)])) -> Result<Vec<String>, String> {
        let named: Vec<(&str, &[u8])> = self.parts.iter().map(|(name, content)| (&**name, &**content)).collect();
        let digests = payload_digests::write(CHUNK, &named);
        let mut parts = self.parts.clone();
        change(&mut parts);
        let texts = self.texts.iter().map(|(name, text)| (name.clone(), text.clone().into_bytes()));
        let files = parts.into_iter().chain(texts).chain([("digests".to_owned(), digests.into_bytes())]);
        let mut arguments = Vec::new();
        for (name, content) in files.filter(|(_, content)| !content.is_empty()) {
            let path: PathBuf = self.folder.path().join(&name);
            std::fs::write(&path, content).map_err(|error| format!("{}: {error}", path.display()))?;
            arguments.extend(["-fw_cfg".into(), format!("name=opt/reveille/{name},file={}", path.display())]);
        }
        Ok(arguments)
    }
}

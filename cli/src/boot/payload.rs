//! What a boot loader of ours is to start: the files of its payload, with their digests.

use std::fs;
use std::path::{Path, PathBuf};

use super::BootOptions;
use crate::error::Error;
use crate::foreign::launch;
use crate::image::{BuiltImage, ImageError, ImageFormat};
use crate::policy::Policy;
use crate::{newc, qemu};

/// The size of the chunks that the loader checks, in bytes: small enough that every CPU has some.
const CHUNK: usize = 64 << 10;

/// A payload.
pub(crate) struct Payload<'a> {
    /// The files that have digests, by the names by which the loader knows them.
    parts: Vec<(&'static str, &'a Path)>,
    /// What it is told beside them.
    texts: Vec<(&'static str, String)>,
}

impl<'a> Payload<'a> {
    /// That of the loader with which the stack begins, behind firmware or by itself.
    pub(crate) fn of_stack(options: &'a BootOptions, image: &'a BuiltImage) -> Self {
        let kernel = if options.format == Some(ImageFormat::Elf) { &image.elf } else { &image.flat };
        let module = image.guest.as_deref();
        let mut texts = vec![("cmdline", qemu::kernel_command_line(options))];
        if module.is_some() {
            let words = guest_command_line(options);
            // A guest without words of its own would be given those of the hypervisor.
            let words = if words.is_empty() { format!("reveille.policy={}", Policy::default()) } else { words };
            texts.push(("module-cmdline", words));
        }
        Self { parts: parts(Some(kernel), initrd(options, image), module), texts }
    }

    /// That of the loader with which guest 0 begins.
    pub(crate) fn of_guest(options: &'a BootOptions, image: &'a BuiltImage) -> Self {
        let parts = parts(image.guest.as_deref(), initrd(options, image), None);
        Self { parts, texts: vec![("cmdline", guest_command_line(options))] }
    }

    /// All files, with the names by which the loader knows them. What is none yet is written to `folder`.
    ///
    /// # Errors
    /// A file cannot be read or written.
    pub(super) fn files(&self, folder: &Path) -> Result<Vec<(&'static str, PathBuf)>, Error> {
        let mut files: Vec<(&'static str, PathBuf)> =
            self.parts.iter().map(|(name, path)| (*name, path.to_path_buf())).collect();
        for (name, text) in self.texts(&self.contents()?) {
            let path = folder.join(name);
            fs::write(&path, text).map_err(|source| failed(&path, source))?;
            files.push((name, path));
        }
        Ok(files)
    }

    /// The same as one archive in `folder`, for memory.
    ///
    /// # Errors
    /// A file cannot be read or written.
    pub(crate) fn archive(&self, folder: &Path) -> Result<PathBuf, Error> {
        let contents = self.contents()?;
        let texts = self.texts(&contents);
        let texts = texts.iter().map(|(name, text)| (*name, text.as_bytes()));
        let parts = self.parts.iter().zip(&contents).map(|((name, _), content)| (*name, &**content));
        let entries: Vec<(&str, u32, &[u8])> =
            parts.chain(texts).map(|(name, content)| (name, newc::FILE, content)).collect();
        let path = folder.join("payload.cpio");
        fs::write(&path, newc::archive(&entries)).map_err(|source| failed(&path, source))?;
        Ok(path)
    }

    fn contents(&self) -> Result<Vec<Vec<u8>>, Error> {
        self.parts.iter().map(|(_, path)| fs::read(path).map_err(|source| failed(path, source))).collect()
    }

    /// The texts that say something, the digests of `contents` among them.
    fn texts(&self, contents: &[Vec<u8>]) -> Vec<(&'static str, String)> {
        let named: Vec<(&str, &[u8])> =
            self.parts.iter().zip(contents).map(|((name, _), content)| (*name, &**content)).collect();
        let digests = ("digests", payload_digests::write(CHUNK, &named));
        [digests].into_iter().chain(self.texts.iter().cloned()).filter(|(_, text)| !text.is_empty()).collect()
    }
}

fn parts<'a>(
    kernel: Option<&'a Path>,
    initrd: Option<&'a Path>,
    module: Option<&'a Path>,
) -> Vec<(&'static str, &'a Path)> {
    let parts = [("kernel", kernel), ("initrd", initrd), ("module", module)];
    parts.into_iter().filter_map(|(name, path)| Some((name, path?))).collect()
}

fn initrd<'a>(options: &'a BootOptions, image: &'a BuiltImage) -> Option<&'a Path> {
    options.initrd.as_deref().or(image.initrd.as_deref())
}

fn guest_command_line(options: &BootOptions) -> String {
    launch::guest_command_line(options.stack.system(), options.append.as_deref())
}

fn failed(path: &Path, source: std::io::Error) -> Error {
    Error::Image(ImageError::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use boot_payload::archive::Archive;

    use super::*;

    #[test]
    fn an_archive_has_what_fw_cfg_would_have() {
        let folder = tempfile::tempdir().unwrap();
        let flat = folder.path().join("kernel.Image");
        fs::write(&flat, b"image").unwrap();
        let initrd = folder.path().join("some.cpio");
        fs::write(&initrd, b"ramdisk").unwrap();
        let image = BuiltImage { flat, initrd: Some(initrd), ..BuiltImage::default() };
        let options = BootOptions { stack: "loader,kernel".parse().unwrap(), ..BootOptions::default() };
        let payload = Payload::of_stack(&options, &image);
        let files = payload.files(folder.path()).unwrap();
        let bytes = fs::read(payload.archive(folder.path()).unwrap()).unwrap();
        let archive = Archive::parse(&bytes).unwrap();
        let names: Vec<&str> = archive.files().map(|file| file.name).collect();
        assert_eq!(names, ["kernel", "initrd", "digests", "cmdline"]);
        for (name, path) in files {
            assert_eq!(archive.file(name).unwrap().content, fs::read(path).unwrap(), "{name}");
        }
    }
}

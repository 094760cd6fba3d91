//! What a boot loader of ours is to start: the files of its payload, with their digests.

use std::fs;
use std::path::{Path, PathBuf};

use super::BootOptions;
use crate::error::Error;
use crate::foreign::launch;
use crate::image::{BuiltImage, ImageError, ImageFormat};
use crate::qemu;

/// The size of the chunks that the loader checks, in bytes: small enough that every CPU has some.
const CHUNK: usize = 64 << 10;

/// Writes what is not a file yet to `folder`: all files, with the names by which the loader knows them.
///
/// # Errors
/// A file cannot be read or written.
pub(super) fn write(
    options: &BootOptions,
    image: &BuiltImage,
    folder: &Path,
) -> Result<Vec<(&'static str, PathBuf)>, Error> {
    let failed = |path: &Path, source| Error::Image(ImageError::File { path: path.to_owned(), source });
    let initrd = options.initrd.as_ref().or(image.initrd.as_ref());
    let kernel = if options.format == Some(ImageFormat::Elf) { &image.elf } else { &image.flat };
    let parts = [("kernel", Some(kernel)), ("initrd", initrd), ("module", image.guest.as_ref())];
    let mut files: Vec<(&'static str, PathBuf)> =
        parts.into_iter().filter_map(|(name, path)| Some((name, path?.clone()))).collect();
    let contents = files.iter().map(|(_, path)| fs::read(path).map_err(|source| failed(path, source)));
    let contents = contents.collect::<Result<Vec<Vec<u8>>, Error>>()?;
    let named: Vec<(&str, &[u8])> =
        files.iter().zip(&contents).map(|((name, _), content)| (*name, &**content)).collect();
    let mut texts =
        vec![("digests", payload_digests::write(CHUNK, &named)), ("cmdline", qemu::kernel_command_line(options))];
    if image.guest.is_some() {
        texts.push(("module-cmdline", launch::guest_command_line(options.stack.system(), options.append.as_deref())));
    }
    for (name, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|source| failed(&path, source))?;
        files.push((name, path));
    }
    Ok(files)
}

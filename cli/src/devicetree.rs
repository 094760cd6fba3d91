//! Checks a devicetree that someone wants a machine to boot with, before QEMU is started with it.

use std::path::Path;

use dtoolkit::{Node, Property};
use reveille::topology::open_fdt;

use crate::error::Error;
use crate::input;

/// The first four bytes of a flattened devicetree.
const MAGIC: [u8; 4] = 0xd00d_feed_u32.to_be_bytes();

/// The most that a flattened devicetree has, in bytes: those of boards have less than one MiB.
const MOST: u64 = 64 << 20;

/// What is in the file at `path`, which is to be a flattened devicetree.
///
/// # Errors
/// [`Error::Devicetree`].
pub fn read(path: &Path) -> Result<Vec<u8>, Error> {
    input::read(path, MOST).map_err(|error| Error::Devicetree { path: path.to_owned(), problem: error.to_string() })
}

/// Checks that `path` is a flattened devicetree.
///
/// # Errors
/// [`Error::Devicetree`].
pub fn check(path: &Path) -> Result<(), Error> {
    let problem = |problem| Error::Devicetree { path: path.to_owned(), problem };
    check_bytes(&read(path)?).map_err(problem)
}

/// Whether the devicetree at `path` has CPUs that wait in pens. One that cannot be read has none: [`check`] says so.
#[must_use]
pub fn has_pens(path: &Path) -> bool {
    let Ok(bytes) = read(path) else { return false };
    let Ok(fdt) = open_fdt(&bytes) else { return false };
    let methods = fdt.find_node("/cpus").into_iter().flat_map(|cpus| cpus.children());
    let mut methods = methods.filter_map(|cpu| cpu.property("enable-method").map(|method| method.value().to_owned()));
    methods.any(|method| method.split(|&byte| byte == 0).any(|name| name == b"spin-table"))
}

fn check_bytes(bytes: &[u8]) -> Result<(), String> {
    if !bytes.starts_with(&MAGIC) {
        return Err("it does not begin with the magic number 0xd00dfeed (is it a .dts source?)".into());
    }
    let total_size = bytes.get(4..8).and_then(|size| size.try_into().ok()).map_or(0, u32::from_be_bytes);
    if bytes.len() < total_size as usize {
        return Err(format!("it says {total_size} bytes and has {}", bytes.len()));
    }
    open_fdt(bytes).map(drop).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use dtoolkit::model::DeviceTree;

    use super::*;

    #[test]
    fn a_devicetree_passes() {
        assert_eq!(check_bytes(&DeviceTree::new().to_dtb()), Ok(()));
    }

    #[test]
    fn what_is_no_devicetree_is_refused_with_a_reason() {
        let good = DeviceTree::new().to_dtb();
        let mut without_structure = good.clone();
        without_structure[8..12].fill(0xff);
        for bad in [&[][..], b"/dts-v1/;", &MAGIC, &good[..good.len() - 1], &without_structure] {
            assert!(check_bytes(bad).is_err(), "{bad:?}");
        }
    }
}

//! How a CPU is named: [`CpuIndex`] (what software counts) and [`HwId`] (what hardware answers to).

use core::fmt;

/// The largest number of CPUs that this build can handle, as `CONFIG_NR_CPUS` is Linux's.
///
/// 512, unless the environment variable `REVEILLE_MAX_CPUS` was set when the crate was built (1 to
/// 65,536; a kernel sets it in the `[env]` table of its `.cargo/config.toml`). A machine with more CPUs boots with this many
/// and reports the rest as [`Reason::AboveBuildMaximum`](crate::topology::Reason::AboveBuildMaximum).
pub const MAX_CPUS: usize = match option_env!("REVEILLE_MAX_CPUS") {
    Some(text) => parse_max_cpus(text),
    None => 512,
};

const fn parse_max_cpus(text: &str) -> usize {
    match usize::from_str_radix(text, 10) {
        Ok(count) if count >= 1 && count <= 65_536 => count,
        _ => panic!("REVEILLE_MAX_CPUS must be a number from 1 to 65536"),
    }
}

/// A CPU's logical number: 0 is the CPU that booted, the others follow in the devicetree's order.
///
/// Always below [`MAX_CPUS`]. It is *not* what the hardware calls the CPU: that is [`HwId`], and the two are
/// different types because passing the one for the other starts the wrong CPU or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CpuIndex(u16);

impl CpuIndex {
    /// The CPU that booted the machine.
    pub const BOOT: Self = Self(0);

    /// The index `index`, or `None` where it is not below [`MAX_CPUS`].
    #[must_use]
    pub const fn new(index: usize) -> Option<Self> {
        if index < MAX_CPUS { Some(Self(index as u16)) } else { None }
    }

    /// The number itself, for indexing tables of [`MAX_CPUS`] entries.
    #[must_use]
    pub const fn get(self) -> usize {
        self.0 as usize
    }

    /// Whether this is the CPU that booted the machine.
    #[must_use]
    pub const fn is_boot(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for CpuIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// What the hardware calls a CPU: the affinity fields of MPIDR_EL1 on arm64, the CFE number on MIPS.
///
/// Ids are sparse: QEMU's `virt` machine gives its seventeenth CPU the id 0x100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HwId(pub u64);

impl fmt::Display for HwId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_below_the_maximum() {
        assert_eq!(CpuIndex::new(0), Some(CpuIndex::BOOT));
        assert_eq!(CpuIndex::new(MAX_CPUS - 1).map(CpuIndex::get), Some(MAX_CPUS - 1));
        assert_eq!(CpuIndex::new(MAX_CPUS), None);
        assert_eq!(CpuIndex::new(usize::MAX), None);
    }
}

//! The devicetree that a guest is given: what its machine is.

use alloc::vec::Vec;
use core::fmt::Write;
use core::ops::Range;

use alloc::string::String;
use thiserror::Error;
use vm_fdt::FdtWriter;

/// The devicetree could not be written: a text in it has a zero byte, or it is larger than a devicetree can be.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("the devicetree of a guest cannot be written: {0}")]
pub struct DevicetreeError(String);

impl From<vm_fdt::Error> for DevicetreeError {
    fn from(error: vm_fdt::Error) -> Self {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = write!(text, "{error}");
        Self(text)
    }
}

/// A PL011 that a guest is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pl011 {
    /// Where its 4 KiB of registers are.
    pub address: u64,
    /// Its interrupt, an INTID of an SPI (32 and up). It is level-sensitive.
    pub intid: u32,
}

/// What a guest's machine consists of. Addresses are the guest's (intermediate physical).
#[derive(Clone, Debug)]
pub struct GuestMachine<'a> {
    /// Its memory.
    pub memory: &'a [Range<u64>],
    /// The affinity fields of MPIDR_EL1 of each vCPU.
    pub mpidrs: &'a [u64],
    /// The distributor of its GICv3.
    pub distributor: Range<u64>,
    /// The redistributors, 128 KiB for each vCPU in order.
    pub redistributors: Range<u64>,
    /// Its console, if it has one.
    pub pl011: Option<Pl011>,
    /// Where the 4 KiB of registers of its real-time clock are, a PL031 without an interrupt, if it has one.
    pub pl031: Option<u64>,
    /// Its kernel's command line.
    pub bootargs: &'a str,
    /// Where its initial ramdisk is.
    pub ramdisk: Option<Range<u64>>,
}

const GIC: u32 = 1;
const CLOCK: u32 = 2;

/// The first cells of an interrupt: its type, by which it is counted.
const SPI: u32 = 0;
const PPI: u32 = 1;
const FIRST_SPI: u32 = 32;
const LEVEL_HIGH: u32 = 4;

/// The generic timer's PPIs, counted from INTID 16: secure, non-secure, virtual, hypervisor's.
const TIMERS: [u32; 4] = [13, 14, 11, 10];

/// The frequency that Arm's devices are said to run with. No guest can tell.
const CLOCK_FREQUENCY: u32 = 24_000_000;
/// The size of the registers of one of those, in bytes.
const PRIMECELL_SIZE: u64 = 0x1000;

type Written = Result<(), vm_fdt::Error>;

impl GuestMachine<'_> {
    /// The devicetree, as a blob.
    ///
    /// # Errors
    ///
    /// [`DevicetreeError`].
    pub fn devicetree(&self) -> Result<Vec<u8>, DevicetreeError> {
        let mut fdt = FdtWriter::new()?;
        node(&mut fdt, "", |fdt| {
            fdt.property_string("compatible", "linux,dummy-virt")?;
            fdt.property_string("model", "reveille-guest")?;
            fdt.property_u32("#address-cells", 2)?;
            fdt.property_u32("#size-cells", 2)?;
            fdt.property_u32("interrupt-parent", GIC)?;
            self.chosen(fdt)?;
            for memory in self.memory {
                node(fdt, &at("memory", memory.start), |fdt| {
                    fdt.property_string("device_type", "memory")?;
                    reg(fdt, &[memory])
                })?;
            }
            self.cpus(fdt)?;
            psci(fdt)?;
            self.interrupt_controller(fdt)?;
            timer(fdt)?;
            if self.pl011.is_some() || self.pl031.is_some() {
                clock(fdt)?;
            }
            self.pl011.map_or(Ok(()), |pl011| pl011.write(fdt))?;
            self.pl031.map_or(Ok(()), |address| pl031(fdt, address))
        })?;
        Ok(fdt.finish()?)
    }

    fn chosen(&self, fdt: &mut FdtWriter) -> Written {
        node(fdt, "chosen", |fdt| {
            fdt.property_string("bootargs", self.bootargs)?;
            if let Some(ramdisk) = &self.ramdisk {
                fdt.property_u64("linux,initrd-start", ramdisk.start)?;
                fdt.property_u64("linux,initrd-end", ramdisk.end)?;
            }
            match self.pl011 {
                Some(pl011) => fdt.property_string("stdout-path", &["/", &at("pl011", pl011.address)].concat()),
                None => Ok(()),
            }
        })
    }

    fn cpus(&self, fdt: &mut FdtWriter) -> Written {
        node(fdt, "cpus", |fdt| {
            fdt.property_u32("#address-cells", 2)?;
            fdt.property_u32("#size-cells", 0)?;
            for mpidr in self.mpidrs {
                node(fdt, &at("cpu", *mpidr), |fdt| {
                    fdt.property_string("device_type", "cpu")?;
                    fdt.property_string("compatible", "arm,armv8")?;
                    fdt.property_u64("reg", *mpidr)?;
                    fdt.property_string("enable-method", "psci")
                })?;
            }
            Ok(())
        })
    }

    fn interrupt_controller(&self, fdt: &mut FdtWriter) -> Written {
        node(fdt, &at("interrupt-controller", self.distributor.start), |fdt| {
            fdt.property_string("compatible", "arm,gic-v3")?;
            fdt.property_null("interrupt-controller")?;
            fdt.property_u32("#interrupt-cells", 3)?;
            fdt.property_u32("#address-cells", 0)?;
            reg(fdt, &[&self.distributor, &self.redistributors])?;
            fdt.property_phandle(GIC)
        })
    }
}

impl Pl011 {
    fn write(self, fdt: &mut FdtWriter) -> Written {
        node(fdt, &at("pl011", self.address), |fdt| {
            strings(fdt, "compatible", &["arm,pl011", "arm,primecell"])?;
            reg(fdt, &[&(self.address..self.address + PRIMECELL_SIZE)])?;
            fdt.property_array_u32("interrupts", &[SPI, self.intid.saturating_sub(FIRST_SPI), LEVEL_HIGH])?;
            strings(fdt, "clock-names", &["uartclk", "apb_pclk"])?;
            fdt.property_array_u32("clocks", &[CLOCK, CLOCK])
        })
    }
}

fn clock(fdt: &mut FdtWriter) -> Written {
    node(fdt, "apb-pclk", |fdt| {
        fdt.property_string("compatible", "fixed-clock")?;
        fdt.property_u32("#clock-cells", 0)?;
        fdt.property_u32("clock-frequency", CLOCK_FREQUENCY)?;
        fdt.property_phandle(CLOCK)
    })
}

fn pl031(fdt: &mut FdtWriter, address: u64) -> Written {
    node(fdt, &at("pl031", address), |fdt| {
        strings(fdt, "compatible", &["arm,pl031", "arm,primecell"])?;
        reg(fdt, &[&(address..address.saturating_add(PRIMECELL_SIZE))])?;
        fdt.property_string("clock-names", "apb_pclk")?;
        fdt.property_u32("clocks", CLOCK)
    })
}

fn psci(fdt: &mut FdtWriter) -> Written {
    node(fdt, "psci", |fdt| {
        strings(fdt, "compatible", &["arm,psci-1.0", "arm,psci-0.2"])?;
        fdt.property_string("method", "hvc")
    })
}

fn timer(fdt: &mut FdtWriter) -> Written {
    node(fdt, "timer", |fdt| {
        fdt.property_string("compatible", "arm,armv8-timer")?;
        let mut interrupts = Vec::new();
        TIMERS.iter().for_each(|timer| interrupts.extend([PPI, *timer, LEVEL_HIGH]));
        fdt.property_array_u32("interrupts", &interrupts)?;
        fdt.property_null("always-on")
    })
}

fn node(fdt: &mut FdtWriter, name: &str, content: impl FnOnce(&mut FdtWriter) -> Written) -> Written {
    let node = fdt.begin_node(name)?;
    content(fdt)?;
    fdt.end_node(node)
}

fn reg(fdt: &mut FdtWriter, ranges: &[&Range<u64>]) -> Written {
    let mut cells = Vec::new();
    ranges.iter().for_each(|range| cells.extend([range.start, range.end.saturating_sub(range.start)]));
    fdt.property_array_u64("reg", &cells)
}

fn strings(fdt: &mut FdtWriter, name: &str, strings: &[&str]) -> Written {
    fdt.property_string_list(name, strings.iter().map(|string| String::from(*string)).collect())
}

/// The name of a node at an address.
fn at(name: &str, address: u64) -> String {
    let mut text = String::from(name);
    // Writing to a string does not fail.
    let _ = write!(text, "@{address:x}");
    text
}

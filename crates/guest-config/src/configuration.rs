//! The guests that a devicetree asks for, held against what there is.

use alloc::vec::Vec;
use core::ops::Range;

use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::{Node, Property};

use crate::command_line;
use crate::layout::{HEADER, Layout};
use crate::module::{Cells, Kind, Module, is_compatible, kind, place, take_number, text};
use crate::pins::{self, Pins};
use crate::refused::{Reason, Refused};

/// The name of the guest whose modules are in `/chosen` itself.
pub const GUEST_0: &str = "guest0";

/// What guests can have.
#[derive(Clone, Copy, Debug)]
pub struct Limits<'a> {
    /// The most vCPUs a guest can have.
    pub vcpus: usize,
    /// How many vCPUs guest 0 has where nothing is said.
    pub default_vcpus: usize,
    /// How much memory there is for all guests together, in KiB.
    pub memory: u64,
    /// How much memory guest 0 has where nothing is said, in KiB: less, if less is left.
    pub default_memory: u64,
    /// The least memory that a guest is given, in KiB.
    pub least_memory: u64,
    /// How many CPUs the machine has.
    pub cpus: usize,
    /// What the size of a guest's memory is a multiple of, in KiB.
    pub memory_unit: u64,
    /// Where the memory of a guest begins, as the guest has it.
    pub memory_start: u64,
    /// The most guests that there can be.
    pub guests: usize,
    /// The most SPIs a guest can have.
    pub spis: u32,
    /// The memory of the machine, in which modules lie.
    pub ram: &'a [Range<u64>],
    /// Reads the beginning of a module, which lies in that memory. `None` if the module is shorter.
    pub header: fn(&Module) -> Option<[u8; HEADER]>,
}

/// A guest that can be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guest<'a> {
    /// Its node's name, or [`GUEST_0`].
    pub name: &'a str,
    /// How many vCPUs it has.
    pub vcpus: usize,
    /// How much memory, in KiB.
    pub memory: u64,
    /// Its kernel.
    pub kernel: Module,
    /// Its initial ramdisk.
    pub ramdisk: Option<Module>,
    /// Its kernel's command line.
    pub bootargs: &'a str,
    /// Whether it asks for an emulated PL011. Guest 0 has a console in any case.
    pub vpl011: bool,
    /// How many SPIs it asks for.
    pub spis: Option<u32>,
    /// Which of its vCPUs are bound to CPUs.
    pub pins: Pins,
}

/// What a devicetree asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configuration<'a> {
    /// The hypervisor's own command line.
    pub bootargs: &'a str,
    /// The guests in the order of their nodes, guest 0 first.
    pub guests: Vec<Result<Guest<'a>, Refused<'a>>>,
    /// Whether the first of them is guest 0. If not, they are counted from 1.
    pub has_guest_0: bool,
}

/// The modules of one guest.
#[derive(Default)]
struct Modules<'a> {
    kernel: Option<FdtNode<'a>>,
    ramdisk: Option<FdtNode<'a>>,
}

impl<'a> Configuration<'a> {
    /// Reads the devicetree of the machine. Guests are given memory in the order in which they are found; one that is refused gets
    /// none, and the others are served all the same.
    #[must_use]
    pub fn read(fdt: &Fdt<'a>, limits: &Limits<'_>) -> Self {
        let root = fdt.root();
        let Some(chosen) = root.children().find(|node| node.name() == "chosen") else {
            return Self::default();
        };
        let cells = Cells::DEFAULT.of(&root).of(&chosen);
        let mut left = *limits;
        let bootargs = own_bootargs(&chosen);
        let mut guests = Vec::new();
        let mut serve = |name, read: &dyn Fn(&Limits<'_>) -> Option<Result<Guest<'a>, Reason<'a>>>| {
            let Some(mut guest) = read(&left) else {
                return;
            };
            if guests.len() == left.guests {
                guest = Err(Reason::TooManyGuests { most: left.guests });
            }
            left.memory -= guest.as_ref().map_or(0, |guest| guest.memory);
            guests.push(guest.map_err(|reason| Refused { name, reason }));
        };
        serve(GUEST_0, &|left| guest_0(&chosen, cells, bootargs, left));
        let has_guest_0 = Modules::are_in(&chosen);
        for node in chosen.children().filter(|node| is_compatible(node, "xen,domain")) {
            serve(node.name(), &|left| Some(domain(&node, cells.of(&node), left)));
        }
        Self { bootargs, guests, has_guest_0 }
    }
}

/// The command line of the hypervisor itself.
///
/// `bootargs` is its own where guest 0 has another, or where boot loaders that know of no hypervisor wrote it for Linux: then guest 0's.
fn own_bootargs<'a>(chosen: &FdtNode<'a>) -> &'a str {
    let said = |name| text(chosen, name).ok().flatten();
    let guest_has_its_own = chosen.property("xen,dom0-bootargs").is_some()
        || chosen.children().any(|node| {
            matches!(kind(&node), Some(Kind::Kernel | Kind::Unsaid)) && node.property("bootargs").is_some()
        });
    said("xen,xen-bootargs").or_else(|| said("bootargs").filter(|_| guest_has_its_own)).unwrap_or_default()
}

/// Guest 0, if there is one.
fn guest_0<'a>(
    chosen: &FdtNode<'a>,
    cells: Cells,
    own_bootargs: &'a str,
    limits: &Limits<'_>,
) -> Option<Result<Guest<'a>, Reason<'a>>> {
    if !Modules::are_in(chosen) {
        return None;
    }
    let modules = Modules::find(chosen, true);
    let guest = || {
        let modules = modules?;
        let kernel = modules.kernel.ok_or(Reason::NoKernel)?;
        let asked = command_line::vcpus(own_bootargs)?;
        let vcpus = vcpus(asked.unwrap_or(limits.default_vcpus as u64), limits)?;
        let asked = command_line::memory(own_bootargs)?;
        let usual = limits.default_memory.min(limits.memory);
        let memory = memory(asked.unwrap_or(usual - usual % limits.memory_unit.max(1)), limits)?;
        let bootargs = match text(&kernel, "bootargs")? {
            Some(bootargs) => bootargs,
            None => guest_0_bootargs(chosen)?,
        };
        let pins = if command_line::pins(own_bootargs)? { Pins::in_order(vcpus) } else { Pins::NONE };
        let pins = pins::check(pins, limits.cpus)?;
        let guest = Wanted { name: GUEST_0, vcpus, memory, bootargs, vpl011: true, spis: None, pins };
        guest.with(&modules, linux_initrd(chosen)?, cells, limits)
    };
    Some(guest())
}

/// Guest 0's command line, where its kernel's module has none.
fn guest_0_bootargs<'a>(chosen: &FdtNode<'a>) -> Result<&'a str, Reason<'a>> {
    let own = text(chosen, "xen,dom0-bootargs")?;
    Ok(own.or(text(chosen, "bootargs")?).unwrap_or_default())
}

/// The ramdisk that a boot loader handed over which knows of no modules: `linux,initrd-start` and `linux,initrd-end`.
fn linux_initrd<'a>(chosen: &FdtNode<'a>) -> Result<Option<(&'a str, Module)>, Reason<'a>> {
    let (start, end) = (number(chosen, "linux,initrd-start")?, number(chosen, "linux,initrd-end")?);
    let place = start.zip(end).and_then(|(start, end)| Some((start, end.checked_sub(start)?)));
    let module = place.filter(|&(_, size)| size > 0).map(|(address, size)| Module { address, size });
    Ok(module.map(|module| (chosen.name(), module)))
}

/// What a guest's node may ask for, as Xen's protocol has it, and what that is: none has it here.
const UNSUPPORTED: [(&str, &str); 6] = [
    ("xen,static-mem", "memory at fixed addresses (xen,static-mem)"),
    ("direct-map", "addresses that are the machine's (direct-map)"),
    ("passthrough", "devices of the machine (passthrough)"),
    ("xen,passthrough", "devices of the machine (xen,passthrough)"),
    ("domain-cpupool", "CPUs of its own (domain-cpupool)"),
    ("llc-colors", "a part of the cache of its own (llc-colors)"),
];

/// Whether a property is there, and has no value.
fn is_empty(node: &FdtNode<'_>, property: &str) -> bool {
    node.property(property).is_some_and(|property| property.value().is_empty())
}

/// A guest that has a node.
fn domain<'a>(node: &FdtNode<'a>, cells: Cells, limits: &Limits<'_>) -> Result<Guest<'a>, Reason<'a>> {
    let unsupported = UNSUPPORTED.iter().find(|(property, _)| node.property(property).is_some());
    if let Some((_, what)) = unsupported {
        return Err(Reason::Unsupported(what));
    }
    if text(node, "xen,enhanced").ok().flatten().is_some_and(|text| text != "disabled")
        || is_empty(node, "xen,enhanced")
    {
        return Err(Reason::Unsupported("what Xen gives guests that know of it (xen,enhanced)"));
    }
    if node.children().any(|child| is_compatible(&child, "xen,domain-shared-memory-v1")) {
        return Err(Reason::Unsupported("memory that it shares with others (xen,domain-shared-memory-v1)"));
    }
    let vcpus = vcpus(number(node, "cpus")?.ok_or(Reason::Missing("cpus"))?, limits)?;
    let memory = memory(number(node, "memory")?.ok_or(Reason::Missing("memory"))?, limits)?;
    let spis = spis(node, limits)?;
    let vpl011 = node.property("vpl011").is_some();
    if vpl011 && !is_empty(node, "vpl011") {
        return Err(Reason::Malformed { node: node.name(), property: "vpl011", expected: "empty" });
    }
    let modules = Modules::find(node, false)?;
    let bootargs = match &modules.kernel {
        Some(kernel) => text(kernel, "bootargs")?.unwrap_or_default(),
        None => return Err(Reason::NoKernel),
    };
    let pins = pins::check(pins::read(node, vcpus)?, limits.cpus)?;
    Wanted { name: node.name(), vcpus, memory, bootargs, vpl011, spis, pins }.with(&modules, None, cells, limits)
}

/// A property that is one number, of one cell or two.
pub(crate) fn number<'a>(node: &FdtNode<'a>, property: &'static str) -> Result<Option<u64>, Reason<'a>> {
    let Some(found) = node.property(property) else {
        return Ok(None);
    };
    let bytes = found.value();
    match take_number(bytes, bytes.len() as u32 / 4) {
        Some((number, [])) => Ok(Some(number)),
        _ => Err(Reason::Malformed { node: node.name(), property, expected: "a number of one cell or two" }),
    }
}

fn vcpus(asked: u64, limits: &Limits<'_>) -> Result<usize, Reason<'static>> {
    let most = limits.vcpus;
    usize::try_from(asked).ok().filter(|vcpus| (1..=most).contains(vcpus)).ok_or(Reason::Vcpus { asked, most })
}

fn memory(asked: u64, limits: &Limits<'_>) -> Result<u64, Reason<'static>> {
    let (least, left) = (limits.least_memory, limits.memory);
    match asked {
        _ if asked > left => Err(Reason::TooMuchMemory { asked, left }),
        _ if asked < least => Err(Reason::TooLittleMemory { asked, least }),
        _ if !asked.is_multiple_of(limits.memory_unit.max(1)) => {
            Err(Reason::UnevenMemory { asked, unit: limits.memory_unit })
        }
        _ => Ok(asked),
    }
}

fn spis<'a>(node: &FdtNode<'a>, limits: &Limits<'_>) -> Result<Option<u32>, Reason<'a>> {
    let Some(asked) = number(node, "nr_spis")? else {
        return Ok(None);
    };
    let asked = u32::try_from(asked).unwrap_or(u32::MAX);
    if asked > limits.spis { Err(Reason::Spis { asked, most: limits.spis }) } else { Ok(Some(asked)) }
}

impl<'a> Modules<'a> {
    /// Whether a node has any.
    fn are_in(node: &FdtNode<'a>) -> bool {
        !matches!(Self::find(node, true), Ok(Self { kernel: None, ramdisk: None }))
    }

    /// Those among a node's children. Those of `/chosen` need not say what they are: the first is the kernel, the second the ramdisk.
    fn find(node: &FdtNode<'a>, by_order: bool) -> Result<Self, Reason<'a>> {
        let mut modules = Self::default();
        let mut unsaid = [Kind::Kernel, Kind::Ramdisk].into_iter().filter(|_| by_order);
        for child in node.children() {
            let kind = match kind(&child) {
                Some(Kind::Unsaid) => unsaid.next(),
                kind => kind,
            };
            let (slot, what) = match kind {
                Some(Kind::Kernel) => (&mut modules.kernel, "kernel"),
                Some(Kind::Ramdisk) => (&mut modules.ramdisk, "ramdisk"),
                Some(Kind::Devicetree) => {
                    return Err(Reason::Unsupported("a device of the machine (multiboot,device-tree)"));
                }
                Some(Kind::Policy | Kind::Unsaid) | None => continue,
            };
            if slot.replace(child).is_some() {
                return Err(Reason::Several(what));
            }
        }
        Ok(modules)
    }
}

/// What a guest asks for, before its modules were looked at.
struct Wanted<'a> {
    name: &'a str,
    vcpus: usize,
    memory: u64,
    bootargs: &'a str,
    vpl011: bool,
    spis: Option<u32>,
    pins: Pins,
}

impl<'a> Wanted<'a> {
    /// The guest, with its modules. `initrd` is its ramdisk where no module is, and the node that says so.
    fn with(
        self,
        modules: &Modules<'a>,
        initrd: Option<(&'a str, Module)>,
        cells: Cells,
        limits: &Limits<'_>,
    ) -> Result<Guest<'a>, Reason<'a>> {
        let in_memory = |(node, module): (&'a str, Module)| {
            let (start, end) = (module.range().start, module.range().end);
            let is_inside = limits.ram.iter().any(|ram| ram.start <= start && end <= ram.end);
            if is_inside { Ok(module) } else { Err(Reason::ModuleOutsideMemory { node, module }) }
        };
        let placed = |node: &FdtNode<'a>| Ok((node.name(), place(node, cells)?));
        let kernel = in_memory(placed(modules.kernel.as_ref().ok_or(Reason::NoKernel)?)?)?;
        let ramdisk = modules.ramdisk.as_ref().map(placed).transpose()?.or(initrd).map(in_memory).transpose()?;
        let both = kernel.size.saturating_add(ramdisk.map_or(0, |ramdisk| ramdisk.size));
        if both.div_ceil(1024) > self.memory {
            return Err(Reason::ModulesDoNotFit { modules: both, memory: self.memory });
        }
        let header = (limits.header)(&kernel).ok_or(Reason::NoImage)?;
        let memory = limits.memory_start..limits.memory_start.saturating_add(self.memory << 10);
        Layout::new(&memory, &header, &kernel, ramdisk.as_ref())?;
        let Self { name, vcpus, memory, bootargs, vpl011, spis, pins } = self;
        Ok(Guest { name, vcpus, memory, kernel, ramdisk, bootargs, vpl011, spis, pins })
    }
}

//! What a boot loader put into memory for a guest: the nodes of modules.

use core::fmt;
use core::ops::Range;

use dtoolkit::fdt::FdtNode;
use dtoolkit::{Node, Property};

use crate::refused::Reason;

/// Where something lies in the machine's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Module {
    /// Its physical address.
    pub address: u64,
    /// Its size in bytes: at least one, and it ends below 2^64.
    pub size: u64,
}

impl Module {
    /// Its addresses.
    #[must_use]
    pub const fn range(&self) -> Range<u64> {
        self.address..self.address.saturating_add(self.size)
    }
}

impl fmt::Display for Module {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:#x}, {:#x} bytes,", self.address, self.size)
    }
}

/// How many cells an address and a size have in `reg`.
#[derive(Clone, Copy)]
pub(crate) struct Cells {
    address: u32,
    size: u32,
}

impl Cells {
    /// Where nothing is said, as the specification has it.
    pub const DEFAULT: Self = Self { address: 2, size: 1 };

    /// What a node says for its children, or else what was said above it.
    pub fn of(self, node: &FdtNode<'_>) -> Self {
        let cell = |name| node.property(name).and_then(|property| <[u8; 4]>::try_from(property.value()).ok());
        Self {
            address: cell("#address-cells").map_or(self.address, u32::from_be_bytes),
            size: cell("#size-cells").map_or(self.size, u32::from_be_bytes),
        }
    }
}

/// What a module is to its guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Kernel,
    Ramdisk,
    /// A device to be passed through.
    Devicetree,
    /// A policy of Xen's, which concerns no guest.
    Policy,
    /// The node does not say.
    Unsaid,
}

const KINDS: [(&str, Kind); 6] = [
    ("multiboot,kernel", Kind::Kernel),
    ("xen,linux-zimage", Kind::Kernel),
    ("multiboot,ramdisk", Kind::Ramdisk),
    ("xen,linux-initrd", Kind::Ramdisk),
    ("multiboot,device-tree", Kind::Devicetree),
    ("xen,xsm-policy", Kind::Policy),
];

/// Whether one of a node's `compatible` strings is this.
pub(crate) fn is_compatible(node: &FdtNode<'_>, wanted: &str) -> bool {
    let compatible = node.property("compatible");
    compatible.is_some_and(|list| list.value().split(|byte| *byte == 0).any(|one| one == wanted.as_bytes()))
}

/// What kind of module a node is, if it is one.
pub(crate) fn kind(node: &FdtNode<'_>) -> Option<Kind> {
    let is_module = is_compatible(node, "multiboot,module") || is_compatible(node, "xen,multiboot-module");
    let said = KINDS.into_iter().find(|(name, _)| is_compatible(node, name)).map(|(_, kind)| kind);
    is_module.then_some(said.unwrap_or(Kind::Unsaid))
}

/// The text of a property, if there is such a property. One that is no text is refused.
pub(crate) fn text<'a>(node: &FdtNode<'a>, property: &'static str) -> Result<Option<&'a str>, Reason<'a>> {
    let Some(found) = node.property(property) else {
        return Ok(None);
    };
    let malformed = Reason::Malformed { node: node.name(), property, expected: "a text that ends in a zero byte" };
    let text: Option<&'a str> = found.value_as().ok();
    text.filter(|text| !text.contains('\0')).map(Some).ok_or(malformed)
}

/// Where a module is.
pub(crate) fn place<'a>(node: &FdtNode<'a>, cells: Cells) -> Result<Module, Reason<'a>> {
    let reg = node.property("reg").ok_or(Reason::Missing("reg in a module"))?;
    let malformed = Reason::Malformed { node: node.name(), property: "reg", expected: "one address and one size" };
    let (address, rest) = take_number(reg.value(), cells.address).ok_or(malformed)?;
    let (size, rest) = take_number(rest, cells.size).ok_or(malformed)?;
    if !rest.is_empty() || address.checked_add(size).is_none() {
        return Err(malformed);
    }
    if size == 0 {
        return Err(Reason::EmptyModule(node.name()));
    }
    Ok(Module { address, size })
}

/// A number of one cell or two, from the front.
pub(crate) fn take_number(bytes: &[u8], cells: u32) -> Option<(u64, &[u8])> {
    match cells {
        1 => bytes.split_first_chunk().map(|(number, rest)| (u32::from_be_bytes(*number).into(), rest)),
        2 => bytes.split_first_chunk().map(|(number, rest)| (u64::from_be_bytes(*number), rest)),
        _ => None,
    }
}

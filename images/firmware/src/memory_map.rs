//! What EL3 sees: every address mapped to itself, by tables that are constants, so that a CPU can use them from its first
//! instructions on.
//!
//! ```text
//! 0x00_0000_0000  flash: the firmware                                         code, read-only
//! 0x00_0800_0000  devices: GIC, UART, fw_cfg, GPIO                             secure
//! 0x00_0e00_0000  secure memory: data                                          secure
//! 0x00_0e80_0000  a stack for each CPU, above a page that is not mapped        secure
//! 0x00_4000_0000  memory: devicetree, then the next stage and its initrd       non-secure
//! 0x40_0000_0000  redistributors of the CPUs above 122                         secure
//! ```

use core::ptr::NonNull;

use reveille::MAX_CPUS;

const GIBIBYTE: usize = 1 << 30;
const BLOCK: usize = 2 << 20;
const PAGE: usize = 4 << 10;

/// The memory that is the next stage's: what can be of it.
pub const RAM: core::ops::Range<usize> = GIBIBYTE..256 * GIBIBYTE;
/// The stacks of the CPUs at EL3.
pub const STACKS: core::ops::Range<usize> = 0x0e80_0000..0x0f00_0000;
/// The room of each: a stack that runs out of it reaches the page at its beginning, which is not there.
pub const STACK_SIZE: usize = 4 * PAGE;
const _: () = assert!(STACKS.start + MAX_CPUS * STACK_SIZE == STACKS.end);
/// The second region of redistributors.
const MORE_REDISTRIBUTORS: usize = 256 * GIBIBYTE;

/// MAIR_EL3: attribute 0 is normal write-back memory, attribute 1 is Device-nGnRE.
pub const MAIR: u64 = 0x04ff;
/// TCR_EL3: 39 bits of virtual and 40 of physical addresses, pages of 4 KiB, walks cacheable and inner shareable.
pub const TCR: u64 = 1 << 31 | 1 << 23 | 2 << 16 | 3 << 12 | 1 << 10 | 1 << 8 | 25;
/// SCTLR_EL3: what reads as 1 in ARMv8.0, MMU, caches, stack alignment.
pub const SCTLR: u64 = 0x30c5_0830 | 1 | 1 << 2 | 1 << 3 | 1 << 12;

const STACKS_BLOCKS: usize = (STACKS.end - STACKS.start) / BLOCK;
const TABLE: usize = 3;
const MEMORY: usize = 1 | 1 << 6 | 3 << 8 | 1 << 10;
/// What tells a page from a block.
const AS_PAGE: usize = 1 << 1;
const NON_SECURE: usize = 1 << 5;
const READ_ONLY: usize = 1 << 7;
const NEVER_EXECUTED: usize = 1 << 54;
const DEVICE: usize = 1 | 1 << 2 | 1 << 6 | 1 << 10 | NEVER_EXECUTED;

/// A translation table. An entry is a pointer, since an address of our own is only known to the linker.
#[repr(C, align(4096))]
pub struct TranslationTable([*const u8; 512]);

// SAFETY: nobody writes it, and nobody but the MMU reads it.
unsafe impl Sync for TranslationTable {}

/// The GiB of flash, devices and secure memory, in blocks of 2 MiB.
static LEVEL_2: TranslationTable = {
    let mut table = [core::ptr::null(); 512];
    table[0] = entry(0, MEMORY | READ_ONLY);
    let mut block = 0x0800_0000;
    while block < 0x0e00_0000 {
        table[block / BLOCK] = entry(block, DEVICE);
        block += BLOCK;
    }
    while block < STACKS.start {
        table[block / BLOCK] = entry(block, MEMORY | NEVER_EXECUTED);
        block += BLOCK;
    }
    while block < STACKS.end {
        let pages = &raw const LEVEL_3[(block - STACKS.start) / BLOCK];
        table[block / BLOCK] = pages.cast::<u8>().wrapping_add(TABLE);
        block += BLOCK;
    }
    TranslationTable(table)
};

/// The stacks, in pages.
static LEVEL_3: [TranslationTable; STACKS_BLOCKS] = {
    let mut tables = [const { TranslationTable([core::ptr::null(); 512]) }; STACKS_BLOCKS];
    let mut page = STACKS.start;
    while page < STACKS.end {
        if !page.is_multiple_of(STACK_SIZE) {
            let (table, place) = ((page - STACKS.start) / BLOCK, page % BLOCK / PAGE);
            tables[table].0[place] = entry(page, MEMORY | AS_PAGE | NEVER_EXECUTED);
        }
        page += PAGE;
    }
    tables
};

/// All 512 GiB.
pub static LEVEL_1: TranslationTable = {
    let mut table = [core::ptr::null(); 512];
    table[0] = (&raw const LEVEL_2).cast::<u8>().wrapping_add(TABLE);
    let mut block = RAM.start;
    while block < RAM.end {
        table[block / GIBIBYTE] = entry(block, MEMORY | NON_SECURE | NEVER_EXECUTED);
        block += GIBIBYTE;
    }
    table[MORE_REDISTRIBUTORS / GIBIBYTE] = entry(MORE_REDISTRIBUTORS, DEVICE);
    TranslationTable(table)
};

const fn entry(address: usize, attributes: usize) -> *const u8 {
    core::ptr::without_provenance(address | attributes)
}

/// Where the registers of a device are, which must be among those that are mapped.
///
/// # Errors
/// They are not.
pub fn device<T>(registers: &core::ops::Range<usize>) -> Result<NonNull<T>, &'static str> {
    let is_mapped = |mapped: core::ops::Range<usize>| mapped.contains(&registers.start) && registers.end <= mapped.end;
    let mapped = is_mapped(0x0800_0000..0x0e00_0000) || is_mapped(MORE_REDISTRIBUTORS..MORE_REDISTRIBUTORS + GIBIBYTE);
    if !mapped || registers.len() < size_of::<T>() {
        return Err("a device's registers are not where this firmware expects devices");
    }
    NonNull::new(core::ptr::with_exposed_provenance_mut(registers.start)).ok_or("a device has its registers at 0")
}

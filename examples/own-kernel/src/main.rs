//! A kernel of somebody else's: it starts with aarch64-rt, prints by semihosting, and brings its CPUs up with Reveille.
//! `glue.rs` is all that it needs for that; this file is what the kernel has anyway.

#![no_std]
#![no_main]

mod glue;

use core::panic::PanicInfo;

use aarch64_paging::descriptor::El1Attributes;
use aarch64_rt::{ExceptionHandlers, InitialPagetable, entry, exception_handlers, initial_pagetable};

/// Attribute 0 is device memory, attribute 1 write-back memory.
const MAIR: u64 = 0xff04;
const DEVICE: El1Attributes = El1Attributes::VALID
    .union(El1Attributes::ATTRIBUTE_INDEX_0)
    .union(El1Attributes::ACCESSED)
    .union(El1Attributes::UXN);
const MEMORY: El1Attributes = El1Attributes::VALID
    .union(El1Attributes::ATTRIBUTE_INDEX_1)
    .union(El1Attributes::INNER_SHAREABLE)
    .union(El1Attributes::ACCESSED)
    .union(El1Attributes::NON_GLOBAL);

initial_pagetable!(
    {
        let mut table = [0; 512];
        table[0] = DEVICE.bits();
        table[1] = MEMORY.bits() | 0x4000_0000;
        InitialPagetable(table)
    },
    MAIR
);

exception_handlers!(Exceptions);
struct Exceptions;
impl ExceptionHandlers for Exceptions {}

entry!(main);
fn main(_x0: u64, _x1: u64, _x2: u64, _x3: u64) -> ! {
    semihosting::process::exit(i32::from(!glue::bring_up_cpus()))
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    semihosting::println!("{info}");
    semihosting::process::exit(101)
}

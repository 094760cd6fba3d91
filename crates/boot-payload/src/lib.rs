//! What a boot loader decides about its payload before it starts it: [`elf`] says where the segments of an ELF file go in memory. Nothing
//! is written here, and any bytes come to an answer or to a refusal that has a sentence.

#![no_std]
#![forbid(unsafe_code)]

pub mod elf;

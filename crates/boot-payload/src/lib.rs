//! What a boot loader decides about its payload before it starts it: [`archive`] finds the payload's files where they lie in memory in one
//! piece, and [`elf`] says where the segments of an ELF file go. Nothing is written here, and any bytes come to an answer or to a
//! refusal that has a sentence.

#![no_std]
#![forbid(unsafe_code)]

pub mod archive;
pub mod elf;

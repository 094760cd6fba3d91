//! Systems that are not ours, as the last stage of a stack: they say nothing by records, so what became of their CPUs is told by the
//! firmware below them, or by the boot loader before them, and by the text of their consoles.
//!
//! [`image`] checks what someone wants to boot, [`launch`] says how QEMU is told to, [`initrd`] makes what runs on Linux; [`text`] reads
//! the console, and [`judge`] makes a report of it all, or [`behind_loader`] where there is a boot loader alone.

pub mod behind_loader;
pub mod image;
pub mod initrd;
pub mod judge;
pub mod launch;
pub mod text;

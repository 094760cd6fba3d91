//! The interrupt controller as a guest's driver and a hypervisor use it.

mod delivery;
mod guest;
mod registers;
mod sgi;

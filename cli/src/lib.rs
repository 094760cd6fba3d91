//! The host side of Reveille: what the command `reveille` is made of.
//!
//! A boot goes through these modules in order: [`args`] reads the command line, [`setup`] sees to it that the host has what a
//! boot needs, [`image`] builds the image, [`qemu`] runs it, [`console`] takes its output apart into text and records
//! ([`keyboard`] types into it), [`report`] assembles the records, [`verdict`] judges the run, and [`summary`], [`tree`],
//! [`timeline`] and [`perfetto`] show it. [`diff`] compares two runs, [`torture`] makes many on firmware that
//! misbehaves, and [`inspect`] boots nothing: it checks devicetrees.
//! [`boot`] ties them together for other programs, such as the system tests; [`exit`] decides the exit
//! code.

#![forbid(unsafe_code)]

pub mod args;
pub mod bench;
pub mod boot;
pub mod command;
pub mod console;
pub mod devicetree;
pub mod diff;
pub mod enable_method;
pub mod environment;
pub mod error;
pub mod exit;
pub mod fault;
pub mod fetch;
pub mod foreign;
pub mod guests;
pub mod hand_over;
pub mod image;
pub mod input;
pub mod inspect;
pub mod interrupt;
pub mod keyboard;
pub mod live;
pub mod machine;
pub mod newc;
pub mod output;
pub mod pattern;
pub mod payload_place;
pub mod perfetto;
pub mod policy;
pub mod qemu;
pub mod report;
pub mod setup;
pub mod simulation;
pub(crate) mod span;
pub mod stack;
pub mod style;
pub mod summary;
pub mod timeline;
pub mod toolchain;
pub mod torture;
pub mod tree;
pub mod verdict;

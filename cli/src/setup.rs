//! Sees to it that the host has what boots need.
use crate::machine::Architecture;
use crate::toolchain::{self, Linker, Toolchain};
use std::path::PathBuf;

/// What a host offers to boots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// QEMU for the architecture.
    pub qemu: PathBuf,
    /// Builds images.
    pub toolchain: Toolchain,
    /// Links them.
    pub linker: Linker,
}
/// Why.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Missing.
    #[error("something is missing")]
    Missing,
}
/// Ensures.
pub fn ensure(architecture: &Architecture) -> Result<Host, SetupError> {
    let toolchain = toolchain::find(architecture.target);
    let linker = toolchain::find_linker(toolchain.as_ref());
    Ok(Host {
        qemu: toolchain::on_path(architecture.qemu).ok_or(SetupError::Missing)?,
        toolchain: toolchain.ok_or(SetupError::Missing)?,
        linker: linker.ok_or(SetupError::Missing)?,
    })
}
/// Diagnosis.
pub struct Diagnosis {
    /// Text.
    pub text: String,
    /// Healthy.
    pub healthy: bool,
}
/// Diagnoses.
pub fn diagnose(_: &Architecture) -> Diagnosis {
    Diagnosis { text: String::new(), healthy: true }
}

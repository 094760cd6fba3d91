//! The PSCI enable method (Arm DEN0022).

//! The host side of Reveille.

//! The server's answers to every function, and to everything that is wrong with a request.

mod board;
mod cpu;
mod device;
mod environment;
mod firmware;
mod random;
mod requests;

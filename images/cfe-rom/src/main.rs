//! A boot ROM for QEMU's malta: it offers Broadcom's Common Firmware Environment to the one program that it starts.
//!
//! Every CPU comes out of reset in `head.S`, gets its caches into order (`caches.S`) and goes on to `cpus.S`: CPU 0 to [`rom_main`],
//! the others to their start records (`start_record.rs`), where they park. What CFE answers is decided by `cfe-server`; here is
//! what it needs of the hardware (`board.rs`), and the way in and out of a call (`cfe_call` in `cpus.S`, [`answer`]).

#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod board;
mod caches;
mod coherence;
mod console;
mod cp0;
mod environment;
mod exception;
mod exit;
mod memory;
mod program;
mod start_record;

use core::arch::global_asm;
use core::mem::offset_of;
use core::panic::PanicInfo;

use cfe_server::{CpuState, Server};
use spin::Mutex;

use crate::board::Malta;
use crate::coherence::Coherence;
use crate::console::println;
use crate::exception::ExceptionFrame;
use crate::start_record::StartRecord;

/// Status.BEV: exceptions go to the ROM's vectors. All else 0: kernel mode, interrupts off, ERL off.
const STATUS_BEV: u32 = 1 << 22;

/// Config.K0: cached and written back, without and with coherence.
const CCA_WRITE_BACK: u32 = 3;
const CCA_COHERENT: u32 = 5;

global_asm!(
    include_str!("head.S"),
    STATUS_BEV = const STATUS_BEV,
    CCA_WRITE_BACK = const CCA_WRITE_BACK,
    CCA_COHERENT = const CCA_COHERENT,
    GCR_BASE = const coherence::GCR_BASE,
    GCR_CL_COHERENCE = const coherence::GCR_CL_COHERENCE,
    COHERENCE_DOMAIN_ALL = const coherence::COHERENCE_DOMAIN_ALL,
    SEAL = const cfe_abi::SEAL,
    EXCEPTION_FRAME_SIZE = const size_of::<ExceptionFrame>(),
    FRAME_SP = const offset_of!(ExceptionFrame, sp),
    FRAME_RA = const offset_of!(ExceptionFrame, ra),
    FRAME_STATUS = const offset_of!(ExceptionFrame, status),
    FRAME_CAUSE = const offset_of!(ExceptionFrame, cause),
    FRAME_EPC = const offset_of!(ExceptionFrame, epc),
    FRAME_ERROR_EPC = const offset_of!(ExceptionFrame, error_epc),
    FRAME_BAD_VADDR = const offset_of!(ExceptionFrame, bad_vaddr),
);
global_asm!(include_str!("caches.S"), KSEG0 = const memory::KSEG0);
global_asm!(
    include_str!("cpus.S"),
    KSEG1 = const memory::KSEG1,
    SEAL = const cfe_abi::SEAL,
    MAX_CPUS = const start_record::MAX_CPUS,
    RECORD_SHIFT = const start_record::RECORD_SHIFT,
    RECORDS_SIZE = const size_of::<StartRecord>() * start_record::MAX_CPUS,
    RECORD_PC = const offset_of!(StartRecord, pc),
    RECORD_SP = const offset_of!(StartRecord, sp),
    RECORD_GP = const offset_of!(StartRecord, gp),
    RECORD_A1 = const offset_of!(StartRecord, a1),
    RECORD_STATE = const offset_of!(StartRecord, state),
    STATE_PARKED = const start_record::STATE_PARKED,
    STATE_STARTED = const start_record::STATE_STARTED,
);

unsafe extern "C" {
    /// Goes to a program's first instruction as CFE does (`cpus.S`).
    fn enter_program(entry: u32) -> !;
}

/// The server, from when the program is entered. Who calls it holds `cfe_call`'s lock, so this one is always free.
static SERVER: Mutex<Option<Server<Malta>>> = Mutex::new(None);

/// CPU 0, from `first_cpu`: finds what there is, parks the other CPUs, and starts the program.
#[unsafe(no_mangle)]
extern "C" fn rom_main(has_coherence: bool) -> ! {
    println!();
    println!("Reveille CFE {} for MALTA (32bit,LE)", env!("CARGO_PKG_VERSION"));
    let memory = memory::size();
    // SAFETY: reset has found the block, and this is CPU 0.
    let coherence = has_coherence.then(|| unsafe { Coherence::take() });
    let mut server = Server::new(Malta::new(coherence, memory));

    environment::read_given(server.environment_mut(), memory);
    if server.environment().get(environment::EXIT) == Some(environment::EXIT_SEMIHOSTING) {
        exit::use_semihosting();
    }
    let cpus = coherence.map_or(1, Coherence::cpus);
    let parked = coherence.map_or(0, Coherence::park_all);
    for cpu in 1..cpus {
        let state = if start_record::is_parked(cpu) { CpuState::Parked } else { CpuState::GivenUp };
        let set = server.set_secondary(cpu as u32, state);
        assert!(set.is_ok(), "the server keeps as many CPUs as there can be");
    }
    environment::add_known(server.environment_mut(), cp0::processor_name(), cpus, memory);
    println!("CPU type {}, {cpus} CPU(s), {parked} parked", cp0::processor_name());
    println!("Total memory: {memory:#x} bytes ({}MB)", memory >> 20);

    let entry = program::load(memory).unwrap_or_else(|error| {
        println!("CFE: no program to start: {error}");
        exit::end_run(exit::STATUS_ROM)
    });
    *SERVER.lock() = Some(server);
    println!("Starting program at {entry:#010x}");
    // SAFETY: a program was loaded there, and the ROM expects nothing of it.
    unsafe { enter_program(entry) }
}

/// Answers a call, from `cfe_call`: `request` is an address in the caller's memory.
#[unsafe(no_mangle)]
extern "C" fn answer(_handle: u32, request: u32) -> i32 {
    let mut server = SERVER.lock();
    let server = server.as_mut().expect("a program was entered");
    server.board_mut().count_time();
    server.dispatch_at(cp0::cpu_number(), request) as i32
}

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    println!();
    println!("CFE: panic on CPU {}: {info}", cp0::cpu_number());
    exit::end_run(exit::STATUS_ROM)
}

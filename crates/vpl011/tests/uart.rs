//! The UART as drivers use it, and under any sequence of accesses.

use std::collections::VecDeque;

use proptest::collection;
use proptest::prelude::*;
use vpl011::{Full, INPUT_QUEUE, Vpl011};

const DATA: u64 = 0x00;
const FLAGS: u64 = 0x18;
const LINE_CONTROL: u64 = 0x2c;
const CONTROL: u64 = 0x30;
const FIFO_LEVELS: u64 = 0x34;
const MASK: u64 = 0x38;
const RAW: u64 = 0x3c;
const MASKED: u64 = 0x40;
const CLEAR: u64 = 0x44;

const RECEIVED: u64 = 1 << 4;
const TRANSMITTED: u64 = 1 << 5;
const TIMEOUT: u64 = 1 << 6;

const EMPTY: u64 = 1 << 4;
const FULL: u64 = 1 << 6;

/// With FIFOs, and the interrupts that Linux asks for.
fn started() -> Vpl011 {
    let mut uart = Vpl011::new();
    uart.write(LINE_CONTROL, 0x70);
    uart.write(CONTROL, 0x301);
    uart.write(MASK, RECEIVED | TIMEOUT);
    uart
}

fn receive(uart: &mut Vpl011, count: usize) {
    (0..count).for_each(|byte| uart.receive(byte as u8).unwrap());
}

#[test]
fn linux_recognises_it_by_its_ids() {
    let mut uart = Vpl011::new();
    // As the AMBA bus reads them: eight bits of each word.
    let mut id = |first: u64| (0..4).fold(0, |id, byte| id | (uart.read(first + 4 * byte) & 0xff) << (8 * byte));
    assert_eq!(id(0xff0), 0xb105_f00d);
    assert_eq!(id(0xfe0) & 0x000f_ffff, 0x0004_1011);
}

#[test]
fn an_early_console_writes_without_any_set_up() {
    let mut uart = Vpl011::new();
    assert_eq!(uart.read(FLAGS) & (1 << 5 | 1 << 3), 0, "neither full nor busy");
    assert_eq!(uart.write(DATA, b'a'.into()), Some(b'a'));
    assert_eq!(uart.read(FLAGS) & 1 << 7, 1 << 7);
}

#[test]
fn what_was_sent_raises_the_transmit_interrupt_until_it_is_cleared() {
    let mut uart = started();
    assert_eq!(uart.write(DATA, b'a'.into()), Some(b'a'));
    assert!(!uart.interrupt());
    uart.write(MASK, TRANSMITTED);
    assert!(uart.interrupt());
    assert_eq!((uart.read(RAW), uart.read(MASKED)), (TRANSMITTED, TRANSMITTED));
    uart.write(CLEAR, TRANSMITTED);
    assert!(!uart.interrupt());
    uart.write(DATA, b'b'.into());
    assert!(uart.interrupt());
}

#[test]
fn the_fifo_interrupts_at_its_level_and_for_anything_that_waits() {
    for (select, level) in [(0, 2), (1, 4), (2, 8), (3, 12), (4, 14), (7, 14)] {
        let mut uart = started();
        uart.write(FIFO_LEVELS, select << 3);
        receive(&mut uart, level - 1);
        assert_eq!(uart.read(RAW), TIMEOUT, "level {level}");
        receive(&mut uart, 1);
        assert_eq!(uart.read(RAW), TIMEOUT | RECEIVED, "level {level}");
        uart.read(DATA);
        assert_eq!(uart.read(RAW), TIMEOUT, "level {level}");
    }
}

#[test]
fn without_fifos_each_byte_interrupts() {
    let mut uart = Vpl011::new();
    uart.write(MASK, RECEIVED);
    receive(&mut uart, 2);
    for byte in 0..2 {
        assert!(uart.interrupt());
        assert_eq!(uart.read(FLAGS) & (EMPTY | FULL), FULL);
        assert_eq!(uart.read(DATA), byte);
    }
    assert!(!uart.interrupt());
    assert_eq!(uart.read(FLAGS) & (EMPTY | FULL), EMPTY);
}

#[test]
fn an_interrupt_that_was_cleared_comes_again_with_the_next_byte() {
    let mut uart = started();
    receive(&mut uart, 1);
    uart.write(CLEAR, 0x7ff);
    assert!(!uart.interrupt());
    receive(&mut uart, 1);
    assert!(uart.interrupt());
}

#[test]
fn bytes_beyond_the_fifo_move_up_and_none_is_lost() {
    let mut uart = started();
    receive(&mut uart, INPUT_QUEUE);
    assert_eq!(uart.receive(0), Err(Full));
    // A driver that clears its interrupts before it reads, a FIFO at a time.
    let mut read = Vec::new();
    while uart.interrupt() {
        uart.write(CLEAR, 0x7ff);
        for _ in 0..16 {
            if uart.read(FLAGS) & EMPTY == 0 {
                read.push(uart.read(DATA) as u8);
            }
        }
    }
    assert_eq!(read, (0..INPUT_QUEUE).map(|byte| byte as u8).collect::<Vec<_>>());
}

#[test]
fn in_loopback_what_is_sent_is_received_and_nobody_else_sees_it() {
    let mut uart = started();
    uart.write(CONTROL, 0x381);
    assert_eq!(uart.write(DATA, b'l'.into()), None);
    assert_eq!(uart.read(DATA), b'l'.into());
}

#[test]
fn narrow_accesses_reach_the_bytes_of_a_register_and_only_the_first_is_written() {
    let mut uart = Vpl011::new();
    uart.write(CONTROL, 0x1234);
    assert_eq!((uart.read(CONTROL) & 0xff, uart.read(CONTROL + 1) & 0xff), (0x34, 0x12));
    uart.write(CONTROL + 1, 0xff);
    assert_eq!(uart.read(CONTROL), 0x1234);
}

/// What a guest or a keyboard does.
#[derive(Clone, Copy, Debug)]
enum Step {
    Read(u64),
    Write(u64, u64),
    Receive(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let offset =
        || prop_oneof![6 => (0..0x14_u64).prop_map(|register| 4 * register), 1 => 0..0x2000_u64, 1 => any::<u64>()];
    prop_oneof![
        2 => Just(Step::Read(DATA)),
        1 => offset().prop_map(Step::Read),
        2 => (offset(), any::<u64>()).prop_map(|(offset, value)| Step::Write(offset, value)),
        3 => any::<u8>().prop_map(Step::Receive),
    ]
}

proptest! {
    #[test]
    fn whatever_a_guest_does_its_input_arrives_in_order_and_interrupts_follow_it(
        steps in collection::vec(step(), 0..400)
    ) {
        let mut uart = Vpl011::new();
        let mut model = VecDeque::new();
        for step in steps {
            match step {
                Step::Receive(byte) => {
                    let taken = uart.receive(byte).is_ok();
                    prop_assert_eq!(taken, model.len() < INPUT_QUEUE);
                    if taken {
                        model.push_back(byte);
                    }
                }
                Step::Read(offset) => {
                    let read = uart.read(offset);
                    if offset & !3 == DATA {
                        let byte = u64::from(model.pop_front().unwrap_or(0));
                        prop_assert_eq!(read, byte >> (8 * (offset & 3)));
                    }
                }
                Step::Write(offset, value) => {
                    let loopback = uart.read(CONTROL) & 1 << 7 != 0;
                    let sent = uart.write(offset, value);
                    match (offset, loopback) {
                        (DATA, false) => prop_assert_eq!(sent, Some(value as u8)),
                        (DATA, true) if model.len() < INPUT_QUEUE => model.push_back(value as u8),
                        _ => prop_assert_eq!(sent, None),
                    }
                }
            }
            prop_assert_eq!(uart.read(FLAGS) & EMPTY != 0, model.is_empty());
            prop_assert_eq!(uart.interrupt(), uart.read(MASKED) != 0);
            prop_assert_eq!(uart.read(MASKED), uart.read(RAW) & uart.read(MASK));
            if model.is_empty() {
                prop_assert_eq!(uart.read(RAW) & (RECEIVED | TIMEOUT), 0);
            }
        }
    }
}

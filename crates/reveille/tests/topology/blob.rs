//! [`reveille::topology::open_fdt`]: it opens what boards have, and nothing that reading would stumble over.

use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::{Node, Property};
use proptest::collection::vec;
use proptest::prelude::*;
use reveille::topology::{FdtError, open_fdt};

use super::trees::{blob, cpu, cpus};

const BOARD: &[u8] = include_bytes!("board.dtb");
const LONG: &str = "allwinner,rather-long-name-of-a-vendor's-property";

/// A devicetree of these parts of a structure, with [`LONG`] for its strings.
fn tree(structure: &[&[u8]]) -> Vec<u8> {
    let structure = structure.concat();
    let strings = [LONG.as_bytes(), b"\0"].concat();
    let (begin, length) = (56, structure.len() as u32);
    let size = begin + length + strings.len() as u32;
    let header =
        [0xd00d_feed, size, begin, begin + length, 40, 17, 16, 0, strings.len() as u32, length].map(u32::to_be_bytes);
    [header.as_flattened(), &[0; 16], &structure, &strings].concat()
}

const BEGIN: &[u8] = b"\0\0\0\x01";
const BEGIN_ROOT: &[u8] = b"\0\0\0\x01\0\0\0\0";
const END_NODE: &[u8] = b"\0\0\0\x02";
/// A property with the name at the start of the strings, and one byte of value.
const PROPERTY: &[u8] = b"\0\0\0\x03\0\0\0\x01\0\0\0\0x\0\0\0";
const NOP: &[u8] = b"\0\0\0\x04";
const END: &[u8] = b"\0\0\0\x09";

/// Reads all that there is, and counts it.
fn read_all(node: &FdtNode<'_>) -> usize {
    let properties = node.properties().map(|property| property.name().len() + property.value().len());
    let children = node.children().map(|child| read_all(&child));
    node.name().len() + properties.sum::<usize>() + children.sum::<usize>()
}

fn refusal(data: &[u8]) -> Option<FdtError> {
    open_fdt(data).err()
}

#[test]
fn long_names_are_read_as_linux_reads_them() {
    let name = b"a-node-with-a-name-that-is-too-long-for-the-specification\0\0\0";
    let tree = tree(&[BEGIN_ROOT, NOP, PROPERTY, BEGIN, name, PROPERTY, END_NODE, NOP, END_NODE, END]);
    assert!(Fdt::new(&tree).is_err());
    let fdt = open_fdt(&tree).unwrap();
    let child = fdt.root().children().next().unwrap();
    assert_eq!(child.name().len(), 57);
    assert_eq!(child.property(LONG).unwrap().value(), b"x");
    assert_eq!(read_all(&fdt.root()), 57 + 2 * (LONG.len() + 1));
}

#[test]
fn what_follows_the_tree_is_ignored() {
    let padded = [BOARD, &[0xff; 100]].concat();
    assert_eq!(open_fdt(&padded).unwrap().data(), BOARD);
    let written = blob(cpus([cpu(0)]));
    assert_eq!(open_fdt(&written).unwrap().data(), Fdt::new(&written).unwrap().data());
}

#[test]
fn what_is_no_devicetree_is_refused_with_a_reason() {
    assert_eq!(refusal(b"/dts-v1/;"), Some(FdtError::Magic));
    assert_eq!(refusal(&[]), Some(FdtError::Magic));
    let cut = &BOARD[..BOARD.len() - 1];
    assert_eq!(refusal(cut), Some(FdtError::Size { said: BOARD.len(), present: cut.len() }));
    let mut old = BOARD.to_vec();
    old[20..24].copy_from_slice(&3_u32.to_be_bytes());
    assert_eq!(refusal(&old), Some(FdtError::Version(3)));
    for length in 0..BOARD.len() {
        assert!(open_fdt(&BOARD[..length]).is_err(), "{length}");
    }
}

#[test]
fn a_structure_that_reading_would_stumble_over_is_refused() {
    let good: &[&[u8]] = &[BEGIN_ROOT, PROPERTY, BEGIN_ROOT, END_NODE, END_NODE, END];
    assert!(open_fdt(&tree(good)).is_ok());
    let bad: [&[&[u8]]; 9] = [
        &[],
        &[END],
        &[BEGIN_ROOT, END_NODE],
        &[BEGIN_ROOT, END],
        &[PROPERTY, BEGIN_ROOT, END_NODE, END],
        &[BEGIN_ROOT, BEGIN_ROOT, END_NODE, PROPERTY, END_NODE, END],
        &[BEGIN_ROOT, END_NODE, BEGIN_ROOT, END_NODE, END],
        &[BEGIN_ROOT, b"\0\0\0\x03\0\0\x01\0\0\0\0\0", END_NODE, END],
        &[BEGIN_ROOT, b"\0\0\0\x03\0\0\0\0\0\0\x01\0", END_NODE, END],
    ];
    for structure in bad {
        let refused = refusal(&tree(structure));
        assert!(matches!(refused, Some(FdtError::Damaged(_))), "{structure:?}: {refused:?}");
    }
    let not_text = [BEGIN, b"\xff\0\0\0"].concat();
    assert!(open_fdt(&tree(&[&not_text, END_NODE, END])).is_err());
}

proptest! {
    #[test]
    fn damaged_trees_that_open_are_read_to_the_end(changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = BOARD.to_vec();
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        let strict = Fdt::new(&bytes).is_ok();
        let open = open_fdt(&bytes);
        prop_assert!(open.is_ok() || !strict);
        if let Ok(fdt) = open {
            read_all(&fdt.root());
            fdt.memory_reservations().for_each(drop);
        }
    }
}

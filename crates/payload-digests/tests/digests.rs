//! Digests are read as they are written, and tell every change.

use payload_digests::{Digests, Mismatch, ParseError, write};
use proptest::prelude::*;

#[test]
fn the_text_is_as_documented() {
    let text = write(1 << 20, &[("initrd", b"abc")]);
    let expected = "digests 1 chunk 1048576\npart initrd 3\n\
                    ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n";
    assert_eq!(text, expected);
}

#[test]
fn a_part_without_content_has_no_chunks() {
    let text = write(4, &[("kernel", b""), ("initrd", b"12345")]);
    let digests = Digests::parse(&text).unwrap();
    assert_eq!(digests.part("kernel").unwrap().chunks(), 0);
    assert_eq!(digests.part("kernel").unwrap().check(0, b""), Err(Mismatch::Chunk(0)));
    assert_eq!(digests.part("initrd").unwrap().chunks(), 2);
    assert!(digests.part("dom0").is_none());
}

#[test]
fn what_is_cut_short_or_changed_in_form_is_refused() {
    let text = write(4, &[("kernel", b"12345"), ("initrd", b"1")]);
    let lines: Vec<&str> = text.lines().collect();
    for cut in [1, 2, 3] {
        let short = lines[..lines.len() - cut].join("\n");
        let result = Digests::parse(&short).map(|digests| digests.parts().count());
        assert!(matches!(result, Err(ParseError::TooShort) | Ok(1)), "{cut}: {result:?}");
    }
    let doubled = format!("{text}{}\n", lines[2]);
    assert_eq!(Digests::parse(&doubled).err(), Some(ParseError::Line(lines.len() + 1)));
    assert_eq!(Digests::parse("").err(), Some(ParseError::Header));
    assert_eq!(Digests::parse("digests 1 chunk 0\n").err(), Some(ParseError::Header));
    assert_eq!(Digests::parse(&text.replace("part initrd", "piece initrd")).err(), Some(ParseError::Line(5)));
}

#[test]
fn another_size_is_told_before_any_digest() {
    let text = write(4, &[("kernel", b"12345")]);
    let part = Digests::parse(&text).unwrap().part("kernel").unwrap();
    assert_eq!(part.check(0, b"1234"), Err(Mismatch::Size(4, 5)));
    assert_eq!(part.check_size(6).unwrap_err().to_string(), "it has 6 bytes, and should have 5");
}

proptest! {
    #[test]
    fn every_changed_byte_is_found_in_its_chunk(
        content in proptest::collection::vec(any::<u8>(), 1..200), chunk in 1..64_usize, place: prop::sample::Index,
        bit in 0..8_u8,
    ) {
        let text = write(chunk, &[("initrd", b"x"), ("kernel", &content)]);
        let part = Digests::parse(&text).unwrap().part("kernel").unwrap();
        prop_assert!((0..part.chunks()).all(|n| part.check(n, &content).is_ok()));
        let mut changed = content.clone();
        let place = place.index(changed.len());
        changed[place] ^= 1_u8 << bit;
        let wrong: Vec<usize> = (0..part.chunks()).filter(|&n| part.check(n, &changed).is_err()).collect();
        prop_assert_eq!(wrong, [place / chunk]);
    }

    #[test]
    fn nothing_that_is_read_panics(text in "(digests 1 chunk [0-9]{1,3}\n)?(part k [0-9]{1,3}\n|[0-9a-f]{63,65}\n|.{0,9}\n){0,6}") {
        if let Ok(digests) = Digests::parse(&text) {
            for part in digests.parts() {
                let _ = part.check(part.chunks(), &vec![0; part.size]);
                let _ = part.check(0, &vec![0; part.size]);
            }
        }
    }
}

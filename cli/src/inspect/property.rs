//! Properties as numbers and strings, however odd their bytes are, and nodes by what they have.

use dtoolkit::fdt::FdtNode;
use dtoolkit::{Node, Property};

/// The cells of a property; `None` where there is no such property or it has half a cell.
pub fn cells(node: &FdtNode<'_>, name: &str) -> Option<Vec<u32>> {
    let property = node.property(name)?;
    let (cells, rest) = property.value().as_chunks::<4>();
    rest.is_empty().then(|| cells.iter().copied().map(u32::from_be_bytes).collect())
}

/// A property of one cell.
pub fn cell(node: &FdtNode<'_>, name: &str) -> Option<u32> {
    match cells(node, name)?[..] {
        [cell] => Some(cell),
        _ => None,
    }
}

/// Cells as one number; of more than two the last two count.
pub fn number(cells: &[u32]) -> u64 {
    cells.iter().fold(0, |number, &cell| number << 32 | u64::from(cell))
}

/// The strings of a property, without its last zero.
pub fn strings(node: &FdtNode<'_>, name: &str) -> Vec<String> {
    let Some(property) = node.property(name) else { return Vec::new() };
    let value = property.value();
    let value = value.strip_suffix(b"\0").unwrap_or(value);
    value.split(|&byte| byte == 0).map(|string| String::from_utf8_lossy(string).into_owned()).collect()
}

/// How deep nodes may nest before what lies deeper is not looked at: no board comes near, and a hostile tree must not use up the
/// stack.
pub const MAX_DEPTH: usize = 64;

/// The path of the first node below `node` that `is_it`, and the node.
pub fn find<'a>(node: &FdtNode<'a>, is_it: &dyn Fn(&FdtNode<'a>) -> bool) -> Option<(String, FdtNode<'a>)> {
    find_below(node, "", is_it, MAX_DEPTH)
}

fn find_below<'a>(
    node: &FdtNode<'a>,
    path: &str,
    is_it: &dyn Fn(&FdtNode<'a>) -> bool,
    depth: usize,
) -> Option<(String, FdtNode<'a>)> {
    let depth = depth.checked_sub(1)?;
    node.children().find_map(|child| {
        let path = format!("{path}/{}", child.name());
        if is_it(&child) { Some((path, child)) } else { find_below(&child, &path, is_it, depth) }
    })
}

/// Whether the `status` of a node lets it be used; `ok` is the old spelling.
pub fn is_available(node: &FdtNode<'_>) -> bool {
    strings(node, "status").first().is_none_or(|status| matches!(status.as_str(), "okay" | "ok"))
}

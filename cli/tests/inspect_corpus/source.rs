//! Devicetree sources, as dtc writes them when it decompiles: one node or property a line.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

/// A node.
#[derive(Default)]
pub struct Node {
    name: String,
    properties: HashMap<String, Vec<u8>>,
    pub children: Vec<Node>,
}

impl Node {
    /// Its name without the unit address.
    pub fn base_name(&self) -> &str {
        self.name.split('@').next().unwrap_or_default()
    }

    /// A property as cells.
    pub fn cells(&self, name: &str) -> Option<Vec<u32>> {
        let (cells, rest) = self.properties.get(name)?.as_chunks::<4>();
        rest.is_empty().then(|| cells.iter().map(|cell| u32::from_be_bytes(*cell)).collect())
    }

    /// A property as strings.
    pub fn strings(&self, name: &str) -> Vec<String> {
        let Some(value) = self.properties.get(name) else { return Vec::new() };
        let value = value.strip_suffix(b"\0").unwrap_or(value);
        value.split(|&byte| byte == 0).map(|string| String::from_utf8_lossy(string).into_owned()).collect()
    }

    /// The first node for which `wanted` holds, parents before children.
    pub fn find(&self, wanted: &dyn Fn(&Node) -> bool) -> Option<&Node> {
        if wanted(self) { Some(self) } else { self.children.iter().find_map(|child| child.find(wanted)) }
    }
}

/// The root of a compiled devicetree.
pub fn decompile(file: &Path) -> Node {
    let output = Command::new("dtc").args(["-q", "-I", "dtb", "-O", "dts"]).arg(file).output().unwrap();
    assert!(output.status.success(), "dtc on {}", file.display());
    let mut open = vec![Node::default()];
    for line in String::from_utf8_lossy(&output.stdout).lines().map(str::trim) {
        if let Some(name) = line.strip_suffix(" {") {
            open.push(Node { name: name.to_owned(), ..Node::default() });
        } else if line == "};" {
            let node = open.pop().unwrap();
            open.last_mut().unwrap().children.push(node);
        } else if let Some(property) = line.strip_suffix(';').filter(|line| !line.starts_with('/')) {
            let (name, text) = property.split_once(" = ").unwrap_or((property, ""));
            open.last_mut().unwrap().properties.insert(name.to_owned(), value(text));
        }
    }
    open.pop().unwrap().children.pop().unwrap()
}

/// The bytes of a value: strings, `<cells>` and `[bytes]`, in a list.
fn value(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(kind) = rest.chars().next() {
        rest = &rest[kind.len_utf8()..];
        match kind {
            '"' => rest = string(rest, &mut bytes),
            '<' => {
                let (cells, after) = rest.split_once('>').unwrap();
                let cell = |cell: &str| u32::from_str_radix(cell.strip_prefix("0x").unwrap(), 16).unwrap();
                bytes.extend(cells.split_whitespace().flat_map(|text| cell(text).to_be_bytes()));
                rest = after;
            }
            '[' => {
                let (list, after) = rest.split_once(']').unwrap();
                bytes.extend(list.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()));
                rest = after;
            }
            _ => {}
        }
    }
    bytes
}

/// Takes the rest of a string from `text`, and returns what follows it.
fn string<'a>(text: &'a str, bytes: &mut Vec<u8>) -> &'a str {
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => {
                bytes.push(0);
                return &text[at + 1..];
            }
            '\\' => match characters.next() {
                Some((_, '0')) => bytes.push(0),
                Some((_, other)) => bytes.extend(other.to_string().bytes()),
                None => break,
            },
            other => bytes.extend(other.to_string().bytes()),
        }
    }
    ""
}

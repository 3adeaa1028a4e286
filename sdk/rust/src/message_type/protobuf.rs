//! The files of a descriptor set that a message needs.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use prost::Message as _;
use prost_types::{DescriptorProto, FileDescriptorProto};

use super::MessageTypeError;

/// A `FileDescriptorSet` whose files stay as they came: decoding and encoding them would lose
/// options that only their writer knows.
#[derive(Clone, PartialEq, prost::Message)]
struct RawDescriptorSet {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    file: Vec<Bytes>,
}

struct File {
    raw: Bytes,
    parsed: FileDescriptorProto,
}

/// A serialized `FileDescriptorSet` of the file that declares `message` and of all that it
/// imports, each behind its own imports, in the order in which they are imported.
pub(super) fn needed_files(message: &str, descriptors: &[u8]) -> Result<Bytes, MessageTypeError> {
    let not_a_set =
        |error: prost::DecodeError| MessageTypeError::NotADescriptorSet(error.to_string());
    let set = RawDescriptorSet::decode(descriptors).map_err(not_a_set)?;
    let mut files = Vec::with_capacity(set.file.len());
    for raw in set.file {
        let parsed = FileDescriptorProto::decode(raw.clone()).map_err(not_a_set)?;
        files.push(File { raw, parsed });
    }
    let message = message.trim_start_matches('.');
    let root = files
        .iter()
        .position(|file| declares(&file.parsed, message))
        .ok_or_else(|| MessageTypeError::NoSuchMessage(message.to_owned()))?;
    let needed = in_order(&files, root)?;
    let file = needed.into_iter().map(|at| files[at].raw.clone()).collect();
    Ok(RawDescriptorSet { file }.encode_to_vec().into())
}

/// The places of `root` and of all that it imports, imports first.
fn in_order(files: &[File], root: usize) -> Result<Vec<usize>, MessageTypeError> {
    let by_name: HashMap<&str, usize> =
        files.iter().enumerate().map(|(at, file)| (file.parsed.name(), at)).collect();
    let (mut order, mut met) = (Vec::new(), HashSet::from([root]));
    // Without recursion, as imports come from strangers: a file, and how many of its imports are
    // done.
    let mut open = vec![(root, 0)];
    while let Some((at, done)) = open.last_mut() {
        let file = &files[*at].parsed;
        let Some(import) = file.dependency.get(*done) else {
            order.push(*at);
            open.pop();
            continue;
        };
        *done += 1;
        let missing = || MessageTypeError::MissingImport {
            missing: import.clone(),
            importer: file.name().to_owned(),
        };
        let next = *by_name.get(import.as_str()).ok_or_else(missing)?;
        if met.insert(next) {
            open.push((next, 0));
        }
    }
    Ok(order)
}

fn declares(file: &FileDescriptorProto, message: &str) -> bool {
    let within = match file.package() {
        "" => Some(message),
        package => message.strip_prefix(package).and_then(|rest| rest.strip_prefix('.')),
    };
    let Some(within) = within else { return false };
    let mut level: &[DescriptorProto] = &file.message_type;
    let mut names = within.split('.').peekable();
    while let Some(name) = names.next() {
        let Some(found) = level.iter().find(|declared| declared.name() == name) else {
            return false;
        };
        if names.peek().is_none() {
            return true;
        }
        level = &found.nested_type;
    }
    false
}

#[cfg(test)]
mod tests {
    use prost_types::FileDescriptorSet;

    use super::*;

    fn file(name: &str, package: &str, messages: &[&str], imports: &[&str]) -> FileDescriptorProto {
        let declared = |name: &&str| DescriptorProto {
            name: Some((*name).to_owned()),
            nested_type: vec![DescriptorProto {
                name: Some("Inner".to_owned()),
                ..DescriptorProto::default()
            }],
            ..DescriptorProto::default()
        };
        FileDescriptorProto {
            name: Some(name.to_owned()),
            package: Some(package.to_owned()).filter(|package| !package.is_empty()),
            message_type: messages.iter().map(declared).collect(),
            dependency: imports.iter().map(|import| (*import).to_owned()).collect(),
            ..FileDescriptorProto::default()
        }
    }

    fn set(files: Vec<FileDescriptorProto>) -> Vec<u8> {
        FileDescriptorSet { file: files }.encode_to_vec()
    }

    fn names(descriptors: &[u8]) -> Vec<String> {
        let set = FileDescriptorSet::decode(descriptors).unwrap();
        set.file.iter().map(|file| file.name().to_owned()).collect()
    }

    #[test]
    fn only_what_is_needed_comes_and_imports_come_first() {
        let descriptors = set(vec![
            file("top.proto", "a.b", &["Top"], &["left.proto", "right.proto"]),
            file("other.proto", "a.b", &["Other"], &[]),
            file("right.proto", "a", &["Right"], &["base.proto"]),
            file("left.proto", "", &["Left"], &["base.proto"]),
            file("base.proto", "a.b", &["Base"], &[]),
        ]);
        let needed = needed_files("a.b.Top", &descriptors).unwrap();
        assert_eq!(names(&needed), ["base.proto", "left.proto", "right.proto", "top.proto"]);
        assert_eq!(
            names(&needed_files("Left", &descriptors).unwrap()),
            ["base.proto", "left.proto"]
        );
        assert_eq!(names(&needed_files(".a.b.Base.Inner", &descriptors).unwrap()), ["base.proto"]);
        assert_eq!(needed_files("a.b.Top", &needed).unwrap(), needed);
    }

    #[test]
    fn options_that_nobody_here_knows_are_kept() {
        let mut raw = file("a.proto", "a", &["A"], &[]).encode_to_vec();
        // Field 99, a varint.
        raw.extend_from_slice(&[0x98, 0x06, 0x07]);
        let descriptors = RawDescriptorSet { file: vec![raw.into()] }.encode_to_vec();
        assert_eq!(needed_files("a.A", &descriptors).unwrap(), descriptors);
    }

    #[test]
    fn imports_in_a_circle_end() {
        let descriptors = set(vec![
            file("a.proto", "", &["A"], &["b.proto"]),
            file("b.proto", "", &["B"], &["a.proto"]),
        ]);
        assert_eq!(names(&needed_files("A", &descriptors).unwrap()), ["b.proto", "a.proto"]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let descriptors = set(vec![file("a.proto", "p", &["A"], &["gone.proto"])]);
        let error = needed_files("p.A", &descriptors).unwrap_err().to_string();
        assert!(error.contains("gone.proto") && error.contains("--include_imports"), "{error}");
        for absent in ["p.B", "A", "p", "", "p.A.Outer", "p.A.Inner.More"] {
            let error = needed_files(absent, &descriptors).unwrap_err();
            assert_eq!(error, MessageTypeError::NoSuchMessage(absent.to_owned()));
        }
        let error = needed_files("p.A", b"\xff\xff").unwrap_err();
        assert!(matches!(error, MessageTypeError::NotADescriptorSet(_)), "{error}");
    }
}

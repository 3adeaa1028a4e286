//! The header beside the code, and what callers may get wrong.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::ptr;

use remote_data_loader_backend::{ChannelError, MessageTypeError, Nanos, TimeRange, WriteError};

use crate::status::Failure;
use crate::*;

const HEADER: &str = include_str!("../include/remote_data_loader_backend.h");
const SOURCES: &[&str] = &[
    include_str!("body.rs"),
    include_str!("channels.rs"),
    include_str!("manifest.rs"),
    include_str!("memory.rs"),
    include_str!("request.rs"),
    include_str!("source.rs"),
    include_str!("status.rs"),
    include_str!("types.rs"),
];

/// One space between words, none inside parentheses.
fn squeezed(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    text.replace("( ", "(").replace(", )", ")").replace(",)", ")").replace(" )", ")")
}

/// The header without comments and directives.
fn declarations() -> String {
    let mut plain = String::new();
    for piece in HEADER.split("/*") {
        plain.push_str(piece.split_once("*/").map_or(piece, |(_, rest)| rest));
    }
    let lines = plain.lines().filter(|line| !line.starts_with('#'));
    lines.collect::<Vec<_>>().join("\n")
}

/// `rdl_body_options` as Rust names it.
fn camel(name: &str) -> String {
    let words = name.trim_start_matches("rdl_").split('_');
    let words = words.map(|word| word[..1].to_uppercase() + &word[1..]);
    match words.collect::<String>().as_str() {
        "MessageSchema" => "MessageSchemaView".to_owned(),
        other => other.to_owned(),
    }
}

/// A C declaration (`const rdl_str *name`) as a Rust type.
fn rust_type(declared: &str) -> String {
    let name_at = declared.rfind([' ', '*']).map_or(0, |at| at + 1);
    let stars = declared.matches('*').count();
    let constant = declared.contains("const ");
    let word = declared[..name_at].replace('*', "").replace("const ", "");
    let mut kind = match word.trim() {
        "void" if stars > 0 => "c_void".to_owned(),
        "void" => "()".to_owned(),
        // A list of parameters that is `void`.
        "" => return String::new(),
        "char" => "c_char".to_owned(),
        "size_t" => "usize".to_owned(),
        "bool" => "bool".to_owned(),
        "uint8_t" => "u8".to_owned(),
        "uint16_t" => "u16".to_owned(),
        "uint32_t" => "u32".to_owned(),
        "uint64_t" => "u64".to_owned(),
        "int32_t" => "i32".to_owned(),
        other => camel(other),
    };
    for star in 0..stars {
        let pointer = if constant && star == 0 { "*const" } else { "*mut" };
        kind = format!("{pointer} {kind}");
    }
    kind
}

/// Every function of the ABI: its parameters and its result, as Rust types.
fn functions_of_header() -> BTreeMap<String, String> {
    let text = squeezed(&declarations());
    let found = text.split(';').filter_map(|declared| {
        let declared = declared.rsplit(['{', '}']).next()?.trim();
        let (head, parameters) = declared.strip_suffix(')')?.split_once('(')?;
        let name = head.rsplit([' ', '*']).next()?;
        let parameters = parameters.split(',').map(|one| rust_type(one.trim()));
        let parameters: Vec<String> = parameters.filter(|one| !one.is_empty()).collect();
        Some((name.to_owned(), format!("({}) -> {}", parameters.join(", "), rust_type(head))))
    });
    found.filter(|(name, _)| name.starts_with("rdl_")).collect()
}

fn functions_of_code() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for source in SOURCES {
        for exported in source.split("#[unsafe(no_mangle)]").skip(1) {
            let exported = squeezed(exported.split_once(" {\n").unwrap().0);
            let (name, rest) = exported.split_once("fn ").unwrap().1.split_once('(').unwrap();
            let (parameters, result) = rest.split_once(')').unwrap();
            let result = result.trim().strip_prefix("-> ").unwrap_or("()");
            let parameters: Vec<&str> = parameters
                .split(',')
                .filter_map(|one| Some(one.split_once(':')?.1.trim()))
                .collect();
            found.insert(name.to_owned(), format!("({}) -> {result}", parameters.join(", ")));
        }
    }
    found
}

/// The fields of every struct, as Rust types.
fn structs_of_header() -> BTreeMap<String, Vec<(String, String)>> {
    let text = squeezed(&declarations());
    let found = text.split("typedef struct rdl_").skip(1).filter_map(|declared| {
        let (name, rest) = declared.split_once(" {")?;
        let fields = rest.split_once('}')?.0;
        // A handle is declared without fields.
        (!name.contains(';')).then_some(())?;
        let field = |one: &str| {
            let name = one.rsplit([' ', '*']).next().unwrap();
            (name.to_owned(), rust_type(one))
        };
        let fields = fields.split(';').map(str::trim).filter(|one| !one.is_empty()).map(field);
        Some((camel(name), fields.collect()))
    });
    found.collect()
}

fn structs_of_code() -> BTreeMap<String, Vec<(String, String)>> {
    let mut found = BTreeMap::new();
    for source in SOURCES {
        for declared in source.split("#[repr(C)]").skip(1) {
            let (before, rest) = declared.split_once(" {\n").unwrap();
            let name = before.rsplit(' ').next().unwrap();
            let lines = rest.split_once("\n}").unwrap().0.lines().map(str::trim);
            let fields = lines.filter(|line| !line.starts_with("//")).map(|line| {
                let line = line.trim_end_matches(',');
                let line = line.trim_start_matches("pub(crate) ").trim_start_matches("pub ");
                let (name, kind) = line.split_once(": ").unwrap();
                (name.to_owned(), kind.to_owned())
            });
            found.insert(name.to_owned(), fields.collect());
        }
    }
    found
}

#[test]
fn the_header_declares_what_there_is() {
    let (declared, there) = (functions_of_header(), functions_of_code());
    assert!(there.len() > 40, "{there:#?}");
    assert_eq!(declared, there);
    let (declared, there) = (structs_of_header(), structs_of_code());
    assert!(there.len() > 10, "{there:#?}");
    assert_eq!(declared, there);
}

#[test]
fn the_header_knows_every_status() {
    let text = declarations();
    let mut known = 0;
    for line in text.lines().filter_map(|line| line.trim().strip_prefix("RDL_")) {
        let Some((name, code)) = line.split_once(" = ") else { continue };
        if name.starts_with("COMPRESSION_") {
            continue;
        }
        let code: Status = code.trim_end_matches(',').parse().unwrap();
        // SAFETY: a static text with a NUL at its end.
        let named = unsafe { CStr::from_ptr(rdl_status_name(code)) }.to_str().unwrap();
        assert_eq!(named, name.to_lowercase().replace('_', "-"));
        known += 1;
    }
    assert_eq!(known, 16);
}

fn last_error() -> String {
    // SAFETY: a text with a NUL at its end, which is read before anything else fails.
    unsafe { CStr::from_ptr(rdl_last_error()) }.to_str().unwrap().to_owned()
}

#[test]
fn a_panic_becomes_a_status() {
    let status = guard(|| panic!("the roof is {}", "gone"));
    assert_eq!(status, INTERNAL);
    assert!(last_error().ends_with("the roof is gone"), "{}", last_error());
    assert_eq!(answer(7, || panic!("again")), 7);
}

#[test]
fn what_cannot_be_is_refused() {
    let mut id = 0;
    let mut channels = ptr::null_mut();
    let mut kind = ptr::null_mut();
    let wrong = Str { data: ptr::null(), len: 3 };
    let endless = Str { data: c"".as_ptr(), len: usize::MAX };
    let latin = Str::of_bytes(b"Stra\xdfe");
    // SAFETY: what is there can be read, and what is not is refused before it is looked at.
    unsafe {
        assert_eq!(rdl_channels_new(ptr::null_mut()), INVALID_ARGUMENT);
        assert_eq!(rdl_channels_new(&raw mut channels), OK);
        assert_eq!(rdl_type_schemaless_json(&raw mut kind), OK);
        let mut add = |topic| rdl_channels_add(channels, topic, kind, ptr::null(), 0, &raw mut id);
        assert_eq!(add(wrong), INVALID_ARGUMENT);
        assert_eq!(last_error(), "the topic is NULL, but 3 long");
        assert_eq!(add(endless), INVALID_ARGUMENT);
        assert_eq!(add(latin), INVALID_ARGUMENT);
        assert!(last_error().contains("not UTF-8"), "{}", last_error());
        assert_eq!(rdl_channels_count(channels), 0);
        assert_eq!(add(Str::of("/a\0b")), OK);
        let pairs = [Pair { key: Str::of("k"), value: Str::of("v") }; 2];
        let status =
            rdl_channels_add(channels, Str::of("/a"), kind, pairs.as_ptr(), 2, &raw mut id);
        assert_eq!(status, INVALID_ARGUMENT);
        assert!(last_error().ends_with("the key \"k\" twice"), "{}", last_error());
        rdl_type_free(kind);
        rdl_channels_free(channels);
        rdl_channels_free(ptr::null_mut());
    }
}

#[test]
fn a_body_that_met_a_mistake_is_not_used_again() {
    let mut channels = ptr::null_mut();
    let mut body: *mut Body = ptr::null_mut();
    let mut piece = Buffer::NONE;
    // SAFETY: both are made here, used on this thread and freed once.
    unsafe {
        assert_eq!(rdl_channels_new(&raw mut channels), OK);
        assert_eq!(rdl_body_new(channels, ptr::null(), &raw mut body), OK);
        assert!(rdl_body_is_ready(body));
        assert_eq!((*body).stumble(), INTERNAL);
        assert_eq!(rdl_body_finish(body), INTERNAL);
        assert_eq!(rdl_body_take(body, &raw mut piece), INTERNAL);
        assert!(!rdl_body_is_ready(body) && !rdl_body_is_finished(body));
        rdl_body_free(body);
        rdl_channels_free(channels);
    }
}

#[test]
fn handles_go_from_thread_to_thread() {
    fn moved<T: Send>() {}
    fn shared<T: Send + Sync>() {}
    shared::<Type>();
    shared::<Channels>();
    shared::<Bearer>();
    shared::<Reply>();
    // A source shows what it owns itself, and a buffer what these bytes own.
    shared::<remote_data_loader_backend::StreamedSource>();
    shared::<bytes::Bytes>();
    moved::<Body>();
}

#[test]
fn refusals_have_the_names_of_the_core() {
    let (topic, what) = (String::new(), String::new());
    let (time, times) = (Nanos(1), TimeRange::ALL);
    let writing = [
        WriteError::OutOfOrder { topic: topic.clone(), log_time: time, last: time },
        WriteError::OutsideTimes { topic: topic.clone(), log_time: time, times },
        WriteError::UnknownChannel(1),
        WriteError::TooLarge { what, bytes: 2, limit_bytes: 1 },
        WriteError::Encoding { topic: topic.clone(), why: String::new() },
        WriteError::Compression(String::new()),
        WriteError::Ended(""),
    ];
    let declaring = [
        ChannelError::TooLong { what: "", topic: topic.clone(), bytes: 2, limit_bytes: 1 },
        ChannelError::TooMany,
    ];
    let describing = [
        MessageTypeError::NotADescriptorSet(String::new()),
        MessageTypeError::NoSuchMessage(String::new()),
        MessageTypeError::MissingImport { missing: topic.clone(), importer: topic },
    ];
    let named = writing
        .into_iter()
        .map(|error| (error.name(), Failure::from(error)))
        .chain(declaring.into_iter().map(|error| (error.name(), Failure::from(error))))
        .chain(describing.into_iter().map(|error| (error.name(), Failure::from(error))));
    for (name, failure) in named {
        // SAFETY: names are texts of the library.
        let found = unsafe { CStr::from_ptr(rdl_status_name(failure.status)) };
        assert_eq!(found.to_str().unwrap(), name);
    }
}

//! Message types.

use remote_data_loader_backend::{MessageSchema, MessageType};

use crate::memory::{Bytes, Str, free, put, put_boxed, shared};
use crate::status::{Failure, Status, guard};

/// `rdl_type`: how the messages of a topic are encoded, and what describes them.
pub struct Type(pub(crate) MessageType);

/// `rdl_message_schema`: a schema in full. Borrowed.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct MessageSchemaView {
    pub(crate) name: Str,
    pub(crate) encoding: Str,
    pub(crate) data: Bytes,
}

/// Messages of any encoding with any schema, or without one.
///
/// # Safety
///
/// What is borrowed can be read, and `out` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdl_type_new(
    encoding: Str,
    schema: *const MessageSchemaView,
    out: *mut *mut Type,
) -> Status {
    let make = || {
        // SAFETY: the caller vouches for what is borrowed.
        let encoding = unsafe { encoding.text("the encoding")? };
        if schema.is_null() {
            return Ok(Type(MessageType::new(encoding, None)));
        }
        // SAFETY: as above.
        let schema = unsafe { shared("the schema", schema)? };
        // SAFETY: as above.
        let data = unsafe { schema.data.get("the schema")? };
        let schema = MessageSchema {
            // SAFETY: as above.
            name: unsafe { schema.name.text("the schema's name")? }.to_owned(),
            // SAFETY: as above.
            encoding: unsafe { schema.encoding.text("the schema's encoding")? }.to_owned(),
            data: data.to_vec().into(),
        };
        Ok(Type(MessageType::new(encoding, Some(schema))))
    };
    // SAFETY: the caller vouches for `out`.
    guard(|| unsafe { put_boxed(out, make) })
}

/// JSON without a schema.
///
/// # Safety
///
/// `out` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdl_type_schemaless_json(out: *mut *mut Type) -> Status {
    // SAFETY: the caller vouches for `out`.
    guard(|| unsafe { put_boxed(out, || Ok(Type(MessageType::schemaless_json()))) })
}

/// A type that is made of a name and a text.
///
/// # Safety
///
/// As `rdl_type_new`.
unsafe fn described(
    name: Str,
    definition: Str,
    out: *mut *mut Type,
    make: impl FnOnce(&str, &str) -> MessageType,
) -> Status {
    let make = || -> Result<Type, Failure> {
        // SAFETY: the caller vouches for what is borrowed.
        let name = unsafe { name.text("the schema's name")? };
        // SAFETY: as above.
        let definition = unsafe { definition.text("the schema")? };
        Ok(Type(make(name, definition)))
    };
    // SAFETY: the caller vouches for `out`.
    guard(|| unsafe { put_boxed(out, make) })
}

/// JSON that a JSON Schema describes.
///
/// # Safety
///
/// As `rdl_type_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdl_type_json_schema(
    name: Str,
    schema: Str,
    out: *mut *mut Type,
) -> Status {
    // SAFETY: the caller vouches for the same.
    unsafe { described(name, schema, out, |name, schema| MessageType::json_schema(name, schema)) }
}

/// CDR as ROS 2 writes it, described by `.msg` files.
///
/// # Safety
///
/// As `rdl_type_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdl_type_ros2msg(
    name: Str,
    definition: Str,
    out: *mut *mut Type,
) -> Status {
    // SAFETY: the caller vouches for the same.
    unsafe { described(name, definition, out, |name, text| MessageType::ros2msg(name, text)) }
}

/// CDR described by OMG IDL.
///
/// # Safety
///
/// As `rdl_type_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdl_type_ros2idl(
    name: Str,
    definition: Str,
    out: *mut *mut Type,
) -> Status {
    // SAFETY: the caller vouches for the same.
    unsafe { described(name, definition, out, |name, text| MessageType::ros2idl(name, text)) }
}

/// Messages of ROS 1.
///
/// # Safety
///
/// As `rdl_type_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdl_type_ros1msg(
    name: Str,
    definition: Str,
    out: *mut *mut Type,
) -> Status {
    // SAFETY: the caller vouches for the same.
    unsafe { described(name, definition, out, |name, text| MessageType::ros1msg(name, text)) }
}

/// Protobuf, from a serialized `FileDescriptorSet`.
///
/// # Safety
///
/// As `rdl_type_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdl_type_protobuf(
    message: Str,
    descriptors: Bytes,
    out: *mut *mut Type,
) -> Status {
    let make = || {
        // SAFETY: the caller vouches for what is borrowed.
        let message = unsafe { message.text("the message's name")? };
        // SAFETY: as above.
        let descriptors = unsafe { descriptors.get("the descriptor set")? };
        Ok(Type(MessageType::protobuf(message, descriptors)?))
    };
    // SAFETY: the caller vouches for `out`.
    guard(|| unsafe { put_boxed(out, make) })
}

/// FlatBuffers, from a binary schema.
///
/// # Safety
///
/// As `rdl_type_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdl_type_flatbuffer(
    name: Str,
    schema: Bytes,
    out: *mut *mut Type,
) -> Status {
    let make = || {
        // SAFETY: the caller vouches for what is borrowed.
        let name = unsafe { name.text("the schema's name")? };
        // SAFETY: as above.
        let schema = unsafe { schema.get("the schema")? };
        Ok(Type(MessageType::flatbuffer(name, schema.to_vec())))
    };
    // SAFETY: the caller vouches for `out`.
    guard(|| unsafe { put_boxed(out, make) })
}

/// How messages are encoded.
///
/// # Safety
///
/// `kind` is null or a type, and `out` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdl_type_encoding(kind: *const Type, out: *mut Str) -> Status {
    // SAFETY: the caller vouches for both.
    guard(|| unsafe { put(out, || Ok(Str::of(&shared("the type", kind)?.0.encoding))) })
}

/// The schema; all absent where there is none.
///
/// # Safety
///
/// `kind` is null or a type, and `out` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdl_type_schema(kind: *const Type, out: *mut MessageSchemaView) -> Status {
    let view = || {
        // SAFETY: the caller vouches for the type.
        let schema = unsafe { shared("the type", kind)? }.0.schema.as_ref();
        let none = Bytes { data: std::ptr::null(), len: 0 };
        let none = MessageSchemaView { name: Str::ABSENT, encoding: Str::ABSENT, data: none };
        Ok(schema.map_or(none, |schema| MessageSchemaView {
            name: Str::of(&schema.name),
            encoding: Str::of(&schema.encoding),
            data: Bytes::of(&schema.data),
        }))
    };
    // SAFETY: the caller vouches for `out`.
    guard(|| unsafe { put(out, view) })
}

/// Frees a type.
///
/// # Safety
///
/// `kind` is null, or a type that is used nowhere and never again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdl_type_free(kind: *mut Type) {
    // SAFETY: the caller vouches for it.
    unsafe { free(kind) };
}

/**
 * @file remote_data_loader_backend.h
 * @brief Pieces to write a data backend for the remote data loader, in C.
 *
 * A data backend is an HTTP service of your own, over your own store. Its *manifest endpoint*
 * answers with JSON: the sources of a recording. A *streamed* source is a URL of its *data
 * endpoint*, which answers with MCAP made on demand, in ascending log time. These functions make
 * both, and know nothing of your HTTP server. C++ has remote_data_loader_backend.hpp.
 *
 * **Errors.** Functions return an ::rdl_status; 0 is success. rdl_last_error() has the message of
 * the last failure *on the calling thread*. After a failure what `out` points to is as it was. NULL
 * and sizes that cannot be are errors (::RDL_INVALID_ARGUMENT), and nothing here ever unwinds into
 * its caller. Where no memory is left the process aborts.
 *
 * **Who owns what.** What is passed in is only looked at during the call: ::rdl_str, ::rdl_bytes
 * and the structs of them borrow. Handles (`rdl_type`, `rdl_channels`, `rdl_source`, `rdl_body`,
 * `rdl_bearer`, `rdl_reply`) belong to whoever made them, and are freed once with the `_free` of
 * their kind; NULL may be freed. What a getter shows of a handle lives as long as the handle. An
 * ::rdl_buffer belongs to whoever got it, outlives the handle it came from, and is freed with
 * rdl_buffer_free().
 *
 * **Threads.** No two threads may use one handle at the same time, unless all of them only call
 * functions that take it as `const`. Different handles have nothing to do with each other. A
 * handle or buffer may be used and freed on another thread than the one that made it.
 *
 * **Times** are nanoseconds since the Unix epoch. **Texts** are UTF-8 with a length, and need no
 * NUL at their end.
 */
#ifndef REMOTE_DATA_LOADER_BACKEND_H
#define REMOTE_DATA_LOADER_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Errors ---------------------------------------------------------------------------------- */

/** How a function went: one of the codes below. A code never gets another meaning. */
typedef int32_t rdl_status;

enum {
  /** It was done. */
  RDL_OK = 0,
  /** `out-of-order`: a message is earlier than the one before it. Sort before writing. */
  RDL_OUT_OF_ORDER = 1,
  /** `outside-times`: a message lies outside rdl_body_options::start and `end`. */
  RDL_OUTSIDE_TIMES = 2,
  /** `unknown-channel`: the body's channel set does not have this channel. */
  RDL_UNKNOWN_CHANNEL = 3,
  /** `too-large`: longer than rdl_body_options::max_message_bytes. */
  RDL_TOO_LARGE = 4,
  /** `encoding`: a message could not be encoded, as rdl_body_encoding_failed() said. */
  RDL_ENCODING = 5,
  /** `compression`: a chunk could not be compressed. */
  RDL_COMPRESSION = 6,
  /** `ended`: the body was finished, or failed before. */
  RDL_ENDED = 7,
  /** `too-long`: a name or an encoding over 64 KiB, a schema or metadata over 12 MiB. */
  RDL_TOO_LONG = 16,
  /** `too-many`: a set has 65,535 channels or schemas. */
  RDL_TOO_MANY = 17,
  /** `not-a-descriptor-set`: the bytes are no serialized `FileDescriptorSet`. */
  RDL_NOT_A_DESCRIPTOR_SET = 18,
  /** `no-such-message`: the descriptor set does not declare the message. */
  RDL_NO_SUCH_MESSAGE = 19,
  /** `missing-import`: the descriptor set lacks a file that another one imports. */
  RDL_MISSING_IMPORT = 20,
  /** `no-bearer`: the request has no bearer token, or more than one. Answer 401. */
  RDL_NO_BEARER = 32,
  /** `invalid-argument`: a pointer, a size, a text or a number cannot be. */
  RDL_INVALID_ARGUMENT = 64,
  /** `internal`: a mistake in the library, which it caught. Please report it. */
  RDL_INTERNAL = 65
};

/** The name of a status, such as `out-of-order`: the same in every language of the kit. Static. */
const char *rdl_status_name(rdl_status status);

/**
 * The message of the last failure on this thread, in English, with a NUL at its end; empty before
 * the first one. Valid until the next failure on this thread, or its end.
 */
const char *rdl_last_error(void);

/** The version of the library, such as `0.1.0`. Static. */
const char *rdl_version(void);

/* ---- Bytes and texts ------------------------------------------------------------------------- */

/** A text in UTF-8, borrowed. Where one may be absent, `data` NULL means that it is. */
typedef struct rdl_str {
  const char *data;
  /** In bytes. */
  size_t len;
} rdl_str;

/** Bytes, borrowed. */
typedef struct rdl_bytes {
  const uint8_t *data;
  /** In bytes. */
  size_t len;
} rdl_bytes;

/** An entry of a map of texts, borrowed. A map has a key once. */
typedef struct rdl_pair {
  rdl_str key;
  rdl_str value;
} rdl_pair;

/** Bytes that whoever got them owns, and frees with rdl_buffer_free(). */
typedef struct rdl_buffer {
  /** NULL in an empty buffer. */
  const uint8_t *data;
  /** In bytes. */
  size_t len;
  /** Of the library alone. */
  void *owner;
} rdl_buffer;

/** The text of a C string; of NULL, no text. */
static inline rdl_str rdl_text(const char *text) {
  rdl_str str = {text, text == NULL ? 0 : strlen(text)};
  return str;
}

/** Frees what a buffer holds, and empties it: a second call does nothing. */
void rdl_buffer_free(rdl_buffer *buffer);

/* ---- Message types --------------------------------------------------------------------------- */

/** How the messages of a topic are encoded, and what describes them. Never changes. */
typedef struct rdl_type rdl_type;

/** A schema in full, borrowed. */
typedef struct rdl_message_schema {
  /** Such as `sensor_msgs/msg/Imu`. */
  rdl_str name;
  /** How `data` is written: `ros2msg`, `jsonschema`, `protobuf`, ... */
  rdl_str encoding;
  rdl_bytes data;
} rdl_message_schema;

/** Messages of any encoding. @param schema NULL: none. */
rdl_status rdl_type_new(rdl_str encoding, const rdl_message_schema *schema, rdl_type **out);

/** JSON without a schema (`json`). */
rdl_status rdl_type_schemaless_json(rdl_type **out);

/** JSON, described by the text of a JSON Schema (`json`, `jsonschema`). */
rdl_status rdl_type_json_schema(rdl_str name, rdl_str schema, rdl_type **out);

/**
 * CDR as ROS 2 writes it (`cdr`, `ros2msg`).
 * @param name such as `sensor_msgs/msg/Imu`.
 * @param definition the text of its `.msg` file, followed by those that it uses, each under a line
 *        of 80 `=` and one of `MSG: package/Name`.
 */
rdl_status rdl_type_ros2msg(rdl_str name, rdl_str definition, rdl_type **out);

/** CDR described by OMG IDL (`cdr`, `ros2idl`). */
rdl_status rdl_type_ros2idl(rdl_str name, rdl_str definition, rdl_type **out);

/** Messages of ROS 1 (`ros1`, `ros1msg`). @param definition what `gendeps --cat` prints. */
rdl_status rdl_type_ros1msg(rdl_str name, rdl_str definition, rdl_type **out);

/**
 * Protobuf (`protobuf`, `protobuf`).
 * @param message its full name, `package.Message`.
 * @param descriptors a serialized `FileDescriptorSet`, as
 *        `protoc --include_imports --descriptor_set_out` writes it; the schema has what the message
 *        needs of it.
 * @return ::RDL_NOT_A_DESCRIPTOR_SET, ::RDL_NO_SUCH_MESSAGE, ::RDL_MISSING_IMPORT.
 */
rdl_status rdl_type_protobuf(rdl_str message, rdl_bytes descriptors, rdl_type **out);

/** FlatBuffers. @param schema the binary schema, as `flatc --schema -b` writes it. */
rdl_status rdl_type_flatbuffer(rdl_str name, rdl_bytes schema, rdl_type **out);

/** How messages are encoded. `out` lives as long as `kind`. */
rdl_status rdl_type_encoding(const rdl_type *kind, rdl_str *out);

/** The schema; its name is absent where there is none. `out` lives as long as `kind`. */
rdl_status rdl_type_schema(const rdl_type *kind, rdl_message_schema *out);

/** Frees a type; channel sets keep what they need of it. */
void rdl_type_free(rdl_type *kind);

/* ---- Channels -------------------------------------------------------------------------------- */

/** The channels of a source: declared once, for its manifest and for its data. */
typedef struct rdl_channels rdl_channels;

/** No channels. */
rdl_status rdl_channels_new(rdl_channels **out);

/**
 * Declares a topic. Declared again, it is the same channel.
 * @param metadata of the MCAP channel, such as ROS 2's `offered_qos_profiles`; `metadata_count`
 *        may be 0.
 * @param out its id, never 0, which follows from what the channel is.
 * @return ::RDL_TOO_LONG, ::RDL_TOO_MANY; the set is as it was then.
 */
rdl_status rdl_channels_add(rdl_channels *channels, rdl_str topic, const rdl_type *kind,
                            const rdl_pair *metadata, size_t metadata_count, uint16_t *out);

/** The first channel that was declared for a topic; 0 where there is none. */
rdl_status rdl_channels_find(const rdl_channels *channels, rdl_str topic, uint16_t *out);

/** How many channels there are; 0 of NULL. */
size_t rdl_channels_count(const rdl_channels *channels);

/** Frees a channel set; bodies and sources keep what they need of it. */
void rdl_channels_free(rdl_channels *channels);

/* ---- The manifest ---------------------------------------------------------------------------- */

/** A topic as a manifest declares it, borrowed. */
typedef struct rdl_topic {
  rdl_str name;
  rdl_str message_encoding;
  /** Of a schema of the same source; 0: it has none. */
  uint16_t schema_id;
} rdl_topic;

/** A schema as a manifest declares it, borrowed. */
typedef struct rdl_schema {
  /** Unique in its source; 1 or more. */
  uint16_t id;
  rdl_str name;
  rdl_str encoding;
  /** The schema in standard base64. */
  rdl_str data;
} rdl_schema;

/** A source that is read once, in order; borrowed. */
typedef struct rdl_streamed_source {
  /** Of the data endpoint: absolute, or relative to the manifest endpoint. */
  rdl_str url;
  /** What the data is cached under: rdl_source_id(). May be absent: then it is the URL. */
  rdl_str id;
  const rdl_topic *topics;
  size_t topic_count;
  const rdl_schema *schemas;
  size_t schema_count;
  /** RFC 3339. */
  rdl_str start_time;
  rdl_str end_time;
} rdl_streamed_source;

/** An entry of a manifest, borrowed: one of both. */
typedef struct rdl_manifest_source {
  /** NULL: the source is static. */
  const rdl_streamed_source *streamed;
  /** Of an MCAP file on a server that supports range requests. */
  rdl_str static_url;
} rdl_manifest_source;

/** A streamed source that owns what it shows. Never changes. */
typedef struct rdl_source rdl_source;

/**
 * A streamed source with all channels of a set.
 * @param start the earliest time of its messages; NULL: not known.
 * @param end the latest time, inside; NULL: not known.
 * @param id may be absent.
 */
rdl_status rdl_channels_source(const rdl_channels *channels, rdl_str url, const uint64_t *start,
                               const uint64_t *end, rdl_str id, rdl_source **out);

/** What a source says; lives as long as the source. */
rdl_status rdl_source_view(const rdl_source *source, rdl_streamed_source *out);

void rdl_source_free(rdl_source *source);

/** A manifest as compact JSON. @param name the title that viewers show; may be absent. */
rdl_status rdl_manifest_json(rdl_str name, const rdl_manifest_source *sources, size_t source_count,
                             rdl_buffer *out);

rdl_status rdl_streamed_source_json(const rdl_streamed_source *source, rdl_buffer *out);
rdl_status rdl_static_source_json(rdl_str url, rdl_buffer *out);
rdl_status rdl_topic_json(const rdl_topic *topic, rdl_buffer *out);
rdl_status rdl_schema_json(const rdl_schema *schema, rdl_buffer *out);

/** From one time to another, both inside, in nanoseconds since the Unix epoch. */
typedef struct rdl_time_range {
  uint64_t start;
  uint64_t end;
} rdl_time_range;

/**
 * The first of the slices of `start` to `end`; the others are the first ones of what is behind it.
 * All but the first begin at multiples of the width.
 * @code
 * rdl_time_range slice;
 * for (bool more = rdl_time_slice(start, end, width, &slice); more;
 *      more = slice.end < end && rdl_time_slice(slice.end + 1, end, width, &slice)) { ... }
 * @endcode
 * @param width_nanos 0: one slice of everything.
 * @return false where `end` is before `start`.
 */
bool rdl_time_slice(uint64_t start, uint64_t end, uint64_t width_nanos, rdl_time_range *out);

/**
 * Joins parts into the id of a source; different parts always give different ids. An id names
 * everything that the data depends on: the recording, the slice of time, and a version that you
 * count up when your code makes other data of the same store.
 */
rdl_status rdl_source_id(const rdl_str *parts, size_t part_count, rdl_buffer *out);

/* ---- The body of a streamed source ----------------------------------------------------------- */

/**
 * A body that is being written: MCAP in ascending log time, made a chunk at a time. The same calls
 * give the same bytes. Once something was refused it cannot be finished: abort the connection, so
 * that nobody takes what was sent for all there is.
 */
typedef struct rdl_body rdl_body;

enum { RDL_COMPRESSION_NONE = 0, RDL_COMPRESSION_LZ4 = 1, RDL_COMPRESSION_ZSTD = 2 };

/** rdl_body_options::chunk_duration_nanos of chunks that may last as long as they do. */
#define RDL_NO_DURATION UINT64_MAX

/** How a body is written. Fill it with rdl_body_options_init(), then change what you like. */
typedef struct rdl_body_options {
  /** `sizeof(rdl_body_options)`, as rdl_body_options_init() says. */
  size_t size;
  /** RDL_COMPRESSION_...; lz4. */
  int32_t compression;
  /** A chunk closes at this size, uncompressed; 1 MiB. The loader keeps 256 KiB to 8 MiB as is. */
  uint64_t chunk_bytes;
  /** A chunk closes before a message that is this much later than its first; no limit. */
  uint64_t chunk_duration_nanos;
  /** What the manifest declares; messages outside are refused. All times. */
  uint64_t start;
  /** Inside. */
  uint64_t end;
  /** Longer messages are refused; 64 MiB, as the loader takes. */
  uint64_t max_message_bytes;
  /** In the header of the MCAP: `ros2`, `ros1`, or empty. */
  rdl_str profile;
} rdl_body_options;

/** An attachment, borrowed. */
typedef struct rdl_attachment {
  rdl_str name;
  rdl_str media_type;
  uint64_t log_time;
  uint64_t create_time;
  rdl_bytes data;
} rdl_attachment;

/** Fills options with what they are if nothing is said. */
rdl_status rdl_body_options_init(rdl_body_options *out);

/** Begins a body of these channels. @param options NULL: as rdl_body_options_init() says. */
rdl_status rdl_body_new(const rdl_channels *channels, const rdl_body_options *options,
                        rdl_body **out);

/**
 * Adds a message, which is copied into the open chunk.
 * @param data `len` bytes in the encoding of the channel.
 * @return ::RDL_OUT_OF_ORDER, ::RDL_OUTSIDE_TIMES, ::RDL_UNKNOWN_CHANNEL, ::RDL_TOO_LARGE,
 *         ::RDL_COMPRESSION, ::RDL_ENDED; the body has failed then.
 */
rdl_status rdl_body_write(rdl_body *body, uint16_t channel, uint64_t log_time,
                          uint64_t publish_time, uint32_t sequence, const uint8_t *data,
                          size_t len);

/** Fails the body because a message cannot be encoded. @return ::RDL_ENCODING with `why`. */
rdl_status rdl_body_encoding_failed(rdl_body *body, uint16_t channel, rdl_str why);

/** Writes a metadata record behind the messages so far. @return as rdl_body_write(). */
rdl_status rdl_body_metadata(rdl_body *body, rdl_str name, const rdl_pair *pairs,
                             size_t pair_count);

/** Writes an attachment behind the messages so far. @return as rdl_body_write(). */
rdl_status rdl_body_attachment(rdl_body *body, const rdl_attachment *attachment);

/** Closes the open chunk, so that all that was written can be taken. @return as rdl_body_write(). */
rdl_status rdl_body_flush(rdl_body *body);

/**
 * Writes the end: the body is complete once everything is taken and sent. A second call does
 * nothing. @return ::RDL_ENDED where something was refused before: abort the connection.
 */
rdl_status rdl_body_finish(rdl_body *body);

/**
 * Takes the next piece that is to be sent, without copying it; an empty buffer where none is left.
 * Send pieces in the order in which they come.
 */
rdl_status rdl_body_take(rdl_body *body, rdl_buffer *out);

/** Whether there is something to take, the header included; false of NULL. */
bool rdl_body_is_ready(const rdl_body *body);

/** Whether rdl_body_finish() has succeeded; false of NULL. */
bool rdl_body_is_finished(const rdl_body *body);

/** The log time of the newest message; 0 without any. */
uint64_t rdl_body_last_time(const rdl_body *body);

/** Frees a body, finished or not; what was taken stays. */
void rdl_body_free(rdl_body *body);

/* ---- Requests and replies -------------------------------------------------------------------- */

/** The bearer token of a request. Never changes. */
typedef struct rdl_bearer rdl_bearer;

/**
 * The token of a request.
 * @param values those of all its `Authorization` headers.
 * @return ::RDL_NO_BEARER where there is none, or more than one header.
 */
rdl_status rdl_bearer_new(const rdl_str *values, size_t value_count, rdl_bearer **out);

/** The token itself; lives as long as `bearer`. */
rdl_status rdl_bearer_token(const rdl_bearer *bearer, rdl_str *out);

/** Whether it is this token. Takes as long whether or not. */
bool rdl_bearer_is(const rdl_bearer *bearer, rdl_str token);

void rdl_bearer_free(rdl_bearer *bearer);

/** An error as a data backend answers it. Never changes. */
typedef struct rdl_reply rdl_reply;

/**
 * An error with this status, such as 400, 401, 403 or 404, and a text for the user, of which one
 * line of at most 1 KiB is sent. A text that is not UTF-8 is mended.
 */
rdl_status rdl_reply_new(uint16_t status, rdl_str message, rdl_reply **out);

/** The HTTP status; 0 of NULL. */
uint16_t rdl_reply_status(const rdl_reply *reply);

/** The header at a place, counted from 0; false behind the last. Both live as long as `reply`. */
bool rdl_reply_header(const rdl_reply *reply, size_t place, rdl_str *name, rdl_str *value);

/** The body: the text once more. Lives as long as `reply`. */
rdl_status rdl_reply_body(const rdl_reply *reply, rdl_str *out);

void rdl_reply_free(rdl_reply *reply);

#ifdef __cplusplus
}
#endif

#endif /* REMOTE_DATA_LOADER_BACKEND_H */

/* The header in plain C: a manifest and a body, and what NULL and wrong sizes do. */
#include <remote_data_loader_backend.h>
#include <stdio.h>
#include <stdlib.h>

static void check(int holds, const char *what) {
  if (!holds) {
    fprintf(stderr, "c_test: %s; the last error: %s\n", what, rdl_last_error());
    exit(1);
  }
}
#define CHECK(what) check((what) != 0, #what)

static int same(const rdl_buffer *buffer, const char *text) {
  return buffer->len == strlen(text) && memcmp(buffer->data, text, buffer->len) == 0;
}

static void a_backend(void) {
  rdl_type *kind = NULL;
  rdl_channels *channels = NULL;
  rdl_source *source = NULL;
  rdl_body *body = NULL;
  rdl_streamed_source view;
  rdl_manifest_source sources[2];
  rdl_buffer json = {0}, id = {0}, piece = {0};
  rdl_str parts[2];
  rdl_body_options options;
  uint64_t start = 1;
  uint16_t channel = 0;
  size_t bytes = 0;

  CHECK(rdl_type_json_schema(rdl_text("A"), rdl_text("{}"), &kind) == RDL_OK);
  CHECK(rdl_channels_new(&channels) == RDL_OK);
  CHECK(rdl_channels_add(channels, rdl_text("/a"), kind, NULL, 0, &channel) == RDL_OK);
  rdl_type_free(kind);
  CHECK(channel != 0 && rdl_channels_count(channels) == 1);

  parts[0] = rdl_text("v1");
  parts[1] = rdl_text("a b");
  CHECK(rdl_source_id(parts, 2, &id) == RDL_OK && same(&id, "v1/a%20b"));
  CHECK(rdl_channels_source(channels, rdl_text("/data"), &start, NULL, rdl_text(NULL), &source) ==
        RDL_OK);
  CHECK(rdl_source_view(source, &view) == RDL_OK);
  CHECK(view.topic_count == 1 && view.topics[0].schema_id == view.schemas[0].id);
  view.topic_count = 0;
  view.schema_count = 0;
  view.id.data = (const char *)id.data;
  view.id.len = id.len;
  sources[0].streamed = &view;
  sources[1].streamed = NULL;
  sources[1].static_url = rdl_text("/a.mcap");
  CHECK(rdl_manifest_json(rdl_text("drive"), sources, 2, &json) == RDL_OK);
  CHECK(same(&json,
             "{\"name\":\"drive\",\"sources\":[{\"url\":\"/data\",\"id\":\"v1/a%20b\",\"topics\":[],"
             "\"schemas\":[],\"startTime\":\"1970-01-01T00:00:00.000000001Z\","
             "\"endTime\":\"9999-12-31T23:59:59Z\"},"
             "{\"url\":\"/a.mcap\",\"supportsRangeRequests\":true}]}"));
  rdl_buffer_free(&json);
  rdl_buffer_free(&json);
  CHECK(json.data == NULL);
  rdl_buffer_free(&id);
  rdl_source_free(source);

  CHECK(rdl_body_options_init(&options) == RDL_OK);
  options.compression = RDL_COMPRESSION_NONE;
  CHECK(rdl_body_new(channels, &options, &body) == RDL_OK);
  CHECK(rdl_body_write(body, channel, 7, 7, 0, (const uint8_t *)"{}", 2) == RDL_OK);
  CHECK(rdl_body_finish(body) == RDL_OK && rdl_body_is_finished(body));
  for (;;) {
    CHECK(rdl_body_take(body, &piece) == RDL_OK);
    if (piece.data == NULL) break;
    bytes += piece.len;
    rdl_buffer_free(&piece);
  }
  CHECK(bytes > 100);
  CHECK(rdl_body_write(body, channel, 8, 8, 0, NULL, 0) == RDL_ENDED);
  CHECK(strcmp(rdl_last_error(), "the body is finished; nothing can be added to it") == 0);
  CHECK(strcmp(rdl_status_name(RDL_ENDED), "ended") == 0);
  rdl_body_free(body);

  options.size -= 8;
  CHECK(rdl_body_new(channels, &options, &body) == RDL_INVALID_ARGUMENT);
  CHECK(strstr(rdl_last_error(), "rdl_body_options_init") != NULL);
  rdl_channels_free(channels);
}

static void nothing_is_an_error(void) {
  rdl_str none = {NULL, 0}, wrong = {NULL, 3};
  rdl_bytes no_bytes = {NULL, 0};
  rdl_buffer buffer = {0};
  rdl_type *kind = NULL;
  rdl_time_range slice;
  rdl_attachment attachment;
  uint16_t id = 0;
  memset(&attachment, 0, sizeof attachment);

  CHECK(rdl_type_new(none, NULL, NULL) == RDL_INVALID_ARGUMENT);
  CHECK(rdl_type_schemaless_json(NULL) == RDL_INVALID_ARGUMENT);
  CHECK(rdl_type_json_schema(none, none, NULL) == RDL_INVALID_ARGUMENT);
  CHECK(rdl_type_ros2msg(wrong, none, &kind) == RDL_INVALID_ARGUMENT);
  CHECK(rdl_type_ros2idl(none, wrong, &kind) == RDL_INVALID_ARGUMENT);
  CHECK(rdl_type_ros1msg(none, none, NULL) == RDL_INVALID_ARGUMENT);
  CHECK(rdl_type_flatbuffer(none, no_bytes, NULL) == RDL_INVALID_ARGUMENT);
  CHECK(rdl_type_protobuf(none, no_bytes, NULL) == RDL_INVALID_ARGUMENT);
  CHECK(rdl_type_encoding(NULL, &none) == RDL_INVALID_ARGUMENT);
  CHECK(rdl_type_schema(NULL, NULL) == RDL_INVALID_ARGUMENT);
  CHECK(kind == NULL);
  CHECK(rdl_channels_new(NULL) == RDL_INVALID_ARGUMENT);
  CHECK(rdl_channels_add(NULL, none, NULL, NULL, 0, &id) == RDL_INVALID_ARGUMENT);
  CHECK(rdl_channels_find(NULL, none, &id) == RDL_INVALID_ARGUMENT);
  CHECK(rdl_channels_count(NULL) == 0);
  CHECK(rdl_channels_source(NULL, none, NULL, NULL, none, NULL) == RDL_INVALID_ARGUMENT);
  CHECK(rdl_source_view(NULL, NULL) == RDL_INVALID_ARGUMENT);
  CHECK(rdl_manifest_json(none, NULL, 1, &buffer) == RDL_INVALID_ARGUMENT);
  CHECK(rdl_manifest_json(none, NULL, 0, NULL) == RDL_INVALID_ARGUMENT);
  CHECK(rdl_streamed_source_json(NULL, &buffer) == RDL_INVALID_ARGUMENT);
  CHECK(rdl_static_source_json(wrong, &buffer) == RDL_INVALID_ARGUMENT);
  CHECK(rdl_topic_json(NULL, &buffer) == RDL_INVALID_ARGUMENT);
  CHECK(rdl_schema_json(NULL, &buffer) == RDL_INVALID_ARGUMENT);
  CHECK(rdl_source_id(NULL, 1, &buffer) == RDL_INVALID_ARGUMENT);
  CHECK(!rdl_time_slice(1, 2, 1, NULL) && !rdl_time_slice(2, 1, 1, &slice));
  CHECK(rdl_body_options_init(NULL) == RDL_INVALID_ARGUMENT);
  CHECK(rdl_body_new(NULL, NULL, NULL) == RDL_INVALID_ARGUMENT);
  CHECK(rdl_body_write(NULL, 1, 0, 0, 0, NULL, 0) == RDL_INVALID_ARGUMENT);
  CHECK(rdl_body_encoding_failed(NULL, 1, none) == RDL_INVALID_ARGUMENT);
  CHECK(rdl_body_metadata(NULL, none, NULL, 0) == RDL_INVALID_ARGUMENT);
  CHECK(rdl_body_attachment(NULL, &attachment) == RDL_INVALID_ARGUMENT);
  CHECK(rdl_body_flush(NULL) == RDL_INVALID_ARGUMENT);
  CHECK(rdl_body_finish(NULL) == RDL_INVALID_ARGUMENT);
  CHECK(rdl_body_take(NULL, &buffer) == RDL_INVALID_ARGUMENT);
  CHECK(!rdl_body_is_ready(NULL) && !rdl_body_is_finished(NULL) && rdl_body_last_time(NULL) == 0);
  CHECK(rdl_bearer_new(NULL, 2, NULL) == RDL_INVALID_ARGUMENT);
  CHECK(rdl_bearer_token(NULL, &none) == RDL_INVALID_ARGUMENT);
  CHECK(!rdl_bearer_is(NULL, none));
  CHECK(rdl_reply_new(404, none, NULL) == RDL_INVALID_ARGUMENT);
  CHECK(rdl_reply_status(NULL) == 0 && !rdl_reply_header(NULL, 0, NULL, NULL));
  CHECK(rdl_reply_body(NULL, &none) == RDL_INVALID_ARGUMENT);
  CHECK(buffer.data == NULL && buffer.owner == NULL);
  rdl_buffer_free(NULL);
  rdl_type_free(NULL);
  rdl_channels_free(NULL);
  rdl_source_free(NULL);
  rdl_body_free(NULL);
  rdl_bearer_free(NULL);
  rdl_reply_free(NULL);
  CHECK(strcmp(rdl_status_name(12345), "unknown") == 0);
}

int main(void) {
  CHECK(rdl_last_error()[0] == '\0');
  a_backend();
  nothing_is_an_error();
  puts("c_test: all is well");
  return 0;
}

// The whole surface of the C++ kit: what it makes, what it refuses, what is moved, and threads.
#include <array>
#include <remote_data_loader_backend.hpp>
#include <thread>
#include <type_traits>

#include "check.hpp"
#include "decode.hpp"

namespace rdl = remote_data_loader_backend;
using rdl::MessageType;

namespace {

const rdl::Nanos second = 1'000'000'000;

rdl::BodyOptions plain() {
  rdl::BodyOptions options;
  options.compression = rdl::Compression::none;
  return options;
}

void types_have_the_names_of_the_registry() {
  auto named = [](const MessageType &type) {
    auto schema = type.schema();
    return std::string(type.encoding()) + " " +
           (schema ? schema->name + " " + schema->encoding + " " + schema->data : "-");
  };
  EQUAL(named(MessageType::json_schema("A", "{}")), "json A jsonschema {}");
  EQUAL(named(MessageType::schemaless_json()), "json -");
  EQUAL(named(MessageType::ros2msg("a/msg/B", "int8 c")), "cdr a/msg/B ros2msg int8 c");
  EQUAL(named(MessageType::ros2idl("a/msg/B", "i")), "cdr a/msg/B ros2idl i");
  EQUAL(named(MessageType::ros1msg("a/B", "")), "ros1 a/B ros1msg ");
  std::array<unsigned char, 2> binary = {'b', 'c'};
  EQUAL(named(MessageType::flatbuffer("a.B", binary)), "flatbuffer a.B flatbuffer bc");
  EQUAL(named(MessageType::raw("own")), "own -");
  rdl::MessageSchema schema{"", "own-schema", std::string("\0x", 2)};
  auto given = MessageType::raw("own", schema).schema();
  CHECK(given == schema);
  REFUSED("invalid-argument", MessageType::json_schema("\xff", "{}"));
  REFUSED("not-a-descriptor-set", MessageType::protobuf("a.B", "\xff"));
  REFUSED("no-such-message", MessageType::protobuf("a.B", ""));
}

void channels_are_declared_once() {
  rdl::ChannelSet channels;
  CHECK(channels.empty());
  auto type = MessageType::json_schema("Odometry", "{}");
  auto a = channels.add("/a", type);
  auto b = channels.add("/b", type, {{"k", "v"}});
  auto c = channels.add("/c", MessageType::schemaless_json());
  CHECK(channels.add("/a", type) == a);
  CHECK(a != b && a.id != 0);
  EQUAL(channels.size(), 3u);
  CHECK(channels.channel("/c") == c);
  CHECK(!channels.channel("/d"));
  auto topics = channels.topics();
  auto schemas = channels.schemas();
  EQUAL(topics.size(), 3u);
  EQUAL(schemas.size(), 1u);
  CHECK(topics[0].schema_id == schemas[0].id && topics[1].schema_id == schemas[0].id);
  CHECK(!topics[2].schema_id);
  EQUAL(schemas[0].data, "e30=");
  auto error = checks::thrown<rdl::Error>(__FILE__, __LINE__, "add", [&] {
    channels.add(std::string(70'000, 't'), type);
  });
  EQUAL(std::string(error.name()), "too-long");
  EQUAL(error.status(), RDL_TOO_LONG);
  CHECK(std::string(error.what()).find("the limit is 65536") != std::string::npos);
  REFUSED("invalid-argument", channels.add("\xff", type));
  EQUAL(channels.size(), 3u);
}

void manifests_are_as_serde_writes_them() {
  rdl::Manifest empty;
  EQUAL(empty.to_json(), R"({"sources":[]})");
  rdl::ChannelSet channels;
  channels.add("/a", MessageType::schemaless_json());
  rdl::Manifest manifest;
  manifest.name = "Stra\xc3\x9f" "e \"7\"\n\x01/";
  manifest.sources.push_back(channels.source("/data", 1, std::nullopt, "v1/x"));
  manifest.sources.push_back(rdl::StaticSource{"/files/a.mcap"});
  EQUAL(manifest.to_json(),
        "{\"name\":\"Stra\xc3\x9f" R"(e \"7\"\n\u0001/","sources":[{"url":"/data","id":"v1/x",)"
        R"("topics":[{"name":"/a","messageEncoding":"json"}],"schemas":[],)"
        R"("startTime":"1970-01-01T00:00:00.000000001Z","endTime":"9999-12-31T23:59:59Z"},)"
        R"({"url":"/files/a.mcap","supportsRangeRequests":true}]})");
  rdl::Topic topic{"/t", "json", 7};
  EQUAL(topic.to_json(), R"({"name":"/t","messageEncoding":"json","schemaId":7})");
  rdl::Schema schema{7, "S", "jsonschema", "e30="};
  EQUAL(schema.to_json(), R"({"id":7,"name":"S","encoding":"jsonschema","data":"e30="})");
  rdl::StreamedSource source;
  source.url = "/data";
  source.id = "";
  source.topics = {topic};
  source.schemas = {schema};
  EQUAL(source.to_json(), "{\"url\":\"/data\",\"id\":\"\",\"topics\":[" + topic.to_json() +
                              "],\"schemas\":[" + schema.to_json() +
                              "],\"startTime\":\"0001-01-01T00:00:00Z\","
                              "\"endTime\":\"9999-12-31T23:59:59Z\"}");
  EQUAL(rdl::StaticSource{"/b"}.to_json(), R"({"url":"/b","supportsRangeRequests":true})");
  manifest.name = "\xff";
  REFUSED("invalid-argument", manifest.to_json());
}

void recordings_are_split_and_named() {
  auto slices = [](rdl::Nanos start, rdl::Nanos end, std::int64_t width) {
    std::string text;
    for (rdl::TimeRange slice : rdl::time_slices(start, end, std::chrono::nanoseconds(width)))
      text += std::to_string(slice.start) + "-" + std::to_string(slice.end) + " ";
    return text;
  };
  EQUAL(slices(7, 25, 10), "7-9 10-19 20-25 ");
  EQUAL(slices(7, 7, 10), "7-7 ");
  EQUAL(slices(8, 7, 10), "");
  EQUAL(slices(7, 25, 0), "7-25 ");
  EQUAL(slices(7, 25, -1), "7-25 ");
  auto most = std::to_string(UINT64_MAX);
  EQUAL(slices(UINT64_MAX, UINT64_MAX, 1), most + "-" + most + " ");
  EQUAL(rdl::source_id({"v1", "drive 7", "/imu"}), "v1/drive%207/%2Fimu");
  EQUAL(rdl::source_id({}), "");
  EQUAL(rdl::source_id(std::vector<std::string>{"a", ""}), "a/");
  REFUSED("invalid-argument", rdl::source_id({"\xff"}));
}

void bodies_have_what_was_written() {
  rdl::ChannelSet channels;
  auto a = channels.add("/a", MessageType::schemaless_json());
  auto b = channels.add("/b", MessageType::raw("own"), {{"k", "v"}});
  rdl::BodyOptions options = plain();
  options.profile = "ros2";
  rdl::BodyWriter body(channels, options);
  CHECK(body.is_ready() && !body.is_finished());
  std::string bytes = decode::joined(body);
  EQUAL(body.last_time(), 0u);
  body.write(a, 5, "{}");
  CHECK(!body.is_ready());
  body.write(b, {5, 3, 9, std::vector<std::byte>{std::byte{0}, std::byte{1}}});
  EQUAL(body.last_time(), 5u);
  body.flush();
  CHECK(body.is_ready());
  bytes += decode::joined(body);
  CHECK(!body.is_ready());
  body.write_with(a, 6, [](std::string &buffer) { buffer += "[1]"; });
  body.metadata("about", {{"k", "v"}});
  body.attachment({"a.txt", "text/plain", 5, 5, "hello"});
  body.write(a, 7, rdl::Bytes());
  body.finish();
  body.finish();
  CHECK(body.is_finished());
  bytes += decode::joined(body);
  decode::Mcap mcap = decode::mcap(bytes);
  CHECK(mcap.whole);
  EQUAL(mcap.profile, "ros2");
  EQUAL(mcap.chunks, 3u);
  EQUAL(mcap.attachments, 1u);
  EQUAL(mcap.metadata, 1u);
  EQUAL(mcap.messages.size(), 4u);
  const decode::Message &second_one = mcap.messages[1];
  EQUAL(second_one.topic, "/b");
  EQUAL(second_one.sequence, 9u);
  EQUAL(second_one.log_time, 5u);
  EQUAL(second_one.publish_time, 3u);
  EQUAL(second_one.data, std::string("\0\1", 2));
  EQUAL(mcap.messages[2].data, "[1]");
  EQUAL(mcap.messages[2].publish_time, 6u);
  EQUAL(mcap.messages[3].data, "");
  REFUSED("ended", body.write(a, 8, "{}"));
}

void chunks_close_by_size_and_by_time() {
  rdl::ChannelSet channels;
  auto a = channels.add("/a", MessageType::raw("own"));
  auto chunks = [&](const rdl::BodyOptions &options) {
    rdl::BodyWriter body(channels, options);
    for (rdl::Nanos at = 0; at < 10; ++at) body.write(a, at * second, std::string(1000, 'x'));
    body.finish();
    return decode::mcap(decode::joined(body)).chunks;
  };
  EQUAL(chunks(plain()), 1u);
  rdl::BodyOptions small = plain();
  small.chunk_bytes = 2000;
  EQUAL(chunks(small), 5u);
  rdl::BodyOptions brief = plain();
  brief.chunk_duration = std::chrono::seconds(3);
  EQUAL(chunks(brief), 4u);
  brief.chunk_duration = std::chrono::seconds(-3);
  REFUSED("invalid-argument", rdl::BodyWriter(channels, brief));
  rdl::BodyOptions unknown;
  unknown.compression = static_cast<rdl::Compression>(9);
  REFUSED("invalid-argument", rdl::BodyWriter(channels, unknown));
}

void compression_makes_bodies_smaller() {
  rdl::ChannelSet channels;
  auto a = channels.add("/a", MessageType::raw("own"));
  for (auto compression : {rdl::Compression::lz4, rdl::Compression::zstd}) {
    rdl::BodyOptions options;
    options.compression = compression;
    rdl::BodyWriter body(channels, options);
    body.write(a, 0, std::string(100'000, 'x'));
    body.finish();
    CHECK(decode::joined(body).size() < 10'000);
  }
}

void what_is_refused_never_ends() {
  rdl::ChannelSet channels;
  auto a = channels.add("/a", MessageType::schemaless_json());
  auto refused = [&](const char *name, auto &&work) {
    rdl::BodyOptions options = plain();
    options.times = {10, 20};
    options.max_message_bytes = 100;
    rdl::BodyWriter body(channels, options);
    body.write(a, 15, "{}");
    REFUSED(name, work(body));
    CHECK(!body.is_finished());
    REFUSED("ended", body.write(a, 16, "{}"));
    REFUSED("ended", body.flush());
    REFUSED("ended", body.metadata("m", {}));
    REFUSED("ended", body.attachment({}));
    REFUSED("ended", body.finish());
    CHECK(!decode::mcap(decode::joined(body)).whole);
  };
  using Body = rdl::BodyWriter;
  refused("out-of-order", [&](Body &body) { body.write(a, 14, "{}"); });
  refused("outside-times", [&](Body &body) { body.write(a, 21, "{}"); });
  refused("unknown-channel", [&](Body &body) { body.write(rdl::Channel{a.id == 7 ? std::uint16_t(8) : std::uint16_t(7)}, 15, "{}"); });
  refused("too-large", [&](Body &body) { body.write(a, 15, std::string(101, 'x')); });
  refused("too-large", [&](Body &body) { body.attachment({"a", "", 0, 0, std::string(101, 'x')}); });
  refused("invalid-argument", [&](Body &body) { body.attachment({"Stra\xdf" "e", "", 0, 0, "x"}); });
  refused("invalid-argument", [&](Body &body) { body.metadata("m", {{"Stra\xdf" "e", "x"}}); });
  refused("encoding", [&](Body &body) { body.write_with(a, 16, [](std::string &) { return false; }); });
  refused("too-large", [&](Body &body) { body.metadata("m", {{"k", std::string(101, 'x')}}); });
  // What an encoder throws comes out as it was thrown.
  rdl::BodyWriter body(channels);
  body.write(a, 5, "{}");
  auto error = checks::thrown<std::out_of_range>(__FILE__, __LINE__, "write_with", [&] {
    body.write_with(a, 6, [](std::string &) { throw std::out_of_range("no such field"); });
  });
  EQUAL(std::string(error.what()), "no such field");
  REFUSED("ended", body.finish());
  rdl::BodyWriter other(channels);
  checks::thrown<int>(__FILE__, __LINE__, "write_with", [&] {
    other.write_with(a, 6, [](std::string &) { throw 7; });
  });
  REFUSED("ended", other.finish());
  // Bad text is a mistake of the call, and the body goes on.
  rdl::BodyWriter third(channels);
  REFUSED("invalid-argument", third.metadata("\xff", {}));
}

void what_was_moved_from_is_harmless() {
  static_assert(!std::is_copy_constructible_v<rdl::BodyWriter>);
  static_assert(!std::is_copy_constructible_v<rdl::ChannelSet>);
  static_assert(!std::is_copy_constructible_v<MessageType>);
  static_assert(!std::is_copy_constructible_v<rdl::Buffer>);
  static_assert(!std::is_copy_constructible_v<rdl::Bearer>);
  static_assert(std::is_nothrow_move_constructible_v<rdl::BodyWriter>);
  static_assert(std::is_nothrow_move_assignable_v<rdl::Buffer>);
  rdl::ChannelSet channels;
  auto a = channels.add("/a", MessageType::schemaless_json());
  rdl::BodyWriter body(channels, plain());
  body.write(a, 1, "{}");
  rdl::BodyWriter moved = std::move(body);
  moved.write(a, 2, "{}");
  REFUSED("invalid-argument", body.write(a, 3, "{}"));
  REFUSED("invalid-argument", body.finish());
  REFUSED("invalid-argument", body.take());
  CHECK(!body.is_ready() && !body.is_finished());
  EQUAL(body.last_time(), 0u);
  body = std::move(moved);
  body.finish();
  // Pieces outlive what they came from.
  std::vector<rdl::Buffer> pieces = body.take();
  body = rdl::BodyWriter(channels);
  rdl::ChannelSet taken = std::move(channels);
  std::string bytes;
  for (const rdl::Buffer &piece : pieces) bytes += piece.view();
  EQUAL(decode::mcap(bytes).messages.size(), 2u);
  REFUSED("invalid-argument", channels.add("/b", MessageType::schemaless_json()));
  REFUSED("invalid-argument", channels.source("/data", 1, 2));
  REFUSED("invalid-argument", rdl::BodyWriter(channels));
  EQUAL(channels.size(), 0u);
  channels = rdl::ChannelSet();
  CHECK(channels.empty());
  MessageType type = MessageType::schemaless_json();
  MessageType other = std::move(type);
  REFUSED("invalid-argument", type.encoding());
  REFUSED("invalid-argument", channels.add("/b", type));
  rdl::Buffer piece = std::move(pieces[0]);
  CHECK(pieces[0].empty() && pieces[0].view().empty() && !piece.empty());
  auto bearer = rdl::Bearer::from_header("Bearer x");
  auto kept = std::move(bearer);
  CHECK(kept.is("x") && !bearer.is("x") && !bearer.is(""));
  REFUSED("invalid-argument", bearer.token());
}

void who_asks() {
  auto bearer = rdl::Bearer::from_header("bearer s3cret ");
  EQUAL(bearer.token(), "s3cret");
  CHECK(bearer.is("s3cret") && !bearer.is("s3cre") && !bearer.is("") && !bearer.is("S3cret"));
  for (std::string_view wrong : {"", "s3cret", "Basic s3cret", "Bearer ", "Bearer a\nb"})
    REFUSED("no-bearer", rdl::Bearer::from_header(wrong));
  REFUSED("no-bearer", rdl::Bearer::from_headers({}));
  REFUSED("no-bearer", rdl::Bearer::from_headers({"Bearer a", "Bearer a"}));
}

void what_went_wrong() {
  auto header = [](const rdl::ErrorReply &reply, std::string_view name) {
    for (const auto &[key, value] : reply.headers)
      if (key == name) return value;
    return std::string("-");
  };
  auto reply = rdl::ErrorReply::not_found("f\xc3\xbcr dich\r\nset-cookie: x");
  EQUAL(reply.status, 404);
  EQUAL(reply.body, "f\xc3\xbcr dich  set-cookie: x");
  EQUAL(header(reply, rdl::error_message_header), reply.body);
  EQUAL(header(reply, "content-type"), "text/plain; charset=utf-8");
  EQUAL(header(reply, "www-authenticate"), "-");
  auto unauthorized = rdl::ErrorReply::unauthorized("no");
  EQUAL(header(unauthorized, "www-authenticate"), "Bearer");
  EQUAL(rdl::ErrorReply::bad_request(std::string(5000, 'x')).body.size(), 1024u);
  EQUAL(rdl::ErrorReply::forbidden("Stra\xdf" "e").body, "Stra\xef\xbf\xbd" "e");
  REFUSED("invalid-argument", rdl::ErrorReply(99, ""));
  REFUSED("invalid-argument", rdl::ErrorReply(-1, ""));
  REFUSED("invalid-argument", rdl::ErrorReply(70'000, ""));
}

// A sink as cpp-httplib's, of a client that takes `patience` pieces.
struct Sink {
  std::size_t patience = SIZE_MAX;
  std::string sent = {};
  bool done_ = false;
  bool write(const char *data, std::size_t size) {
    if (patience == 0) return false;
    --patience;
    sent.append(data, size);
    return true;
  }
  void done() { done_ = true; }
};

void providers_end_whole_or_abort() {
  rdl::ChannelSet channels;
  auto a = channels.add("/a", MessageType::schemaless_json());
  rdl::BodyOptions options = plain();
  options.chunk_bytes = 1000;
  auto run = [&](Sink &sink, rdl::Nanos stop, const std::function<void(rdl::BodyWriter &)> &at_stop,
                 std::string *why = nullptr) {
    rdl::Nanos next = 0;
    auto produce = [=](rdl::BodyWriter &body) mutable {
      if (next == stop) {
        at_stop(body);
        return rdl::Next::end;
      }
      body.write(a, next++, std::string(300, ' '));
      return rdl::Next::more;
    };
    auto provider = rdl::content_provider(rdl::BodyWriter(channels, options), produce,
                                          [why](const char *what) { if (why) *why = what; });
    std::function<bool(std::size_t, Sink &)> copied = provider;  // as cpp-httplib keeps it
    std::size_t calls = 0;
    while (!sink.done_) {
      ++calls;
      if (!copied(sink.sent.size(), sink)) {
        CHECK(!copied(sink.sent.size(), sink));
        CHECK(!sink.done_);
        return calls;
      }
    }
    return calls;
  };
  Sink whole;
  EQUAL(run(whole, 100, [](auto &) {}), 101u);
  decode::Mcap mcap = decode::mcap(whole.sent);
  CHECK(mcap.whole);
  EQUAL(mcap.messages.size(), 100u);

  Sink failed;
  std::string why;
  run(failed, 50, [](auto &) { throw std::runtime_error("the disk is gone"); }, &why);
  EQUAL(why, "the disk is gone");
  CHECK(!decode::mcap(failed.sent).whole);

  Sink refused;
  run(refused, 50, [a](auto &body) { body.write(a, 0, "{}"); }, &why);
  CHECK(why.find("ascending log time") != std::string::npos);
  CHECK(!decode::mcap(refused.sent).whole);

  // A refusal that the producer swallows still spoils the body.
  Sink swallowed;
  run(swallowed, 50, [a](auto &body) {
    try {
      body.write(a, 0, "{}");
    } catch (const rdl::Error &) {
    }
  }, &why);
  CHECK(why.find("has failed") != std::string::npos);
  CHECK(!decode::mcap(swallowed.sent).whole);

  Sink left;
  left.patience = 3;
  why = "";
  CHECK(run(left, 1000, [](auto &) {}, &why) < 20);
  EQUAL(why, "");

  Sink odd;
  run(odd, 1, [](auto &) { throw 7; }, &why);
  EQUAL(why, "the producer threw something");
}

void threads_have_their_own_errors() {
  rdl::ChannelSet channels;
  std::vector<rdl::Channel> all;
  for (int at = 0; at < 8; ++at)
    all.push_back(channels.add("/" + std::to_string(at), MessageType::schemaless_json()));
  // All of them read one set; each writes a body of its own, and meets an error of its own.
  std::vector<std::thread> threads;
  std::array<std::string, 8> bodies;
  for (std::size_t at = 0; at < all.size(); ++at)
    threads.emplace_back([&, at] {
      rdl::BodyWriter body(channels, plain());
      for (rdl::Nanos time = 0; time < 2000; ++time) body.write(all[at], time, std::to_string(at));
      body.finish();
      bodies[at] = decode::joined(body);
      for (int round = 0; round < 200; ++round) {
        rdl::BodyWriter wrong(channels);
        wrong.write(all[at], 1, "");
        try {
          wrong.write(all[at], 0, "");
          CHECK(false);
        } catch (const rdl::Error &error) {
          std::string topic = "/" + std::to_string(at) + " ";
          CHECK(std::string(error.what()).find("a message of " + topic) == 0);
        }
      }
    });
  for (std::thread &thread : threads) thread.join();
  for (std::size_t at = 0; at < all.size(); ++at) {
    decode::Mcap mcap = decode::mcap(bodies[at]);
    EQUAL(mcap.messages.size(), 2000u);
    EQUAL(mcap.messages.back().data, std::to_string(at));
  }
  // A body may be written here and finished and freed there.
  auto body = std::make_unique<rdl::BodyWriter>(channels, plain());
  body->write(all[0], 1, "{}");
  std::vector<rdl::Buffer> pieces;
  std::thread([body = std::move(body), &pieces] {
    body->finish();
    pieces = body->take();
  }).join();
  CHECK(!pieces.empty());
}

}  // namespace

int main() {
  EQUAL(std::string(rdl::version()), RDL_EXPECTED_VERSION);
  types_have_the_names_of_the_registry();
  channels_are_declared_once();
  manifests_are_as_serde_writes_them();
  recordings_are_split_and_named();
  bodies_have_what_was_written();
  chunks_close_by_size_and_by_time();
  compression_makes_bodies_smaller();
  what_is_refused_never_ends();
  what_was_moved_from_is_harmless();
  who_asks();
  what_went_wrong();
  providers_end_whole_or_abort();
  threads_have_their_own_errors();
  std::cout << "kit_test: all is well" << std::endl;
}

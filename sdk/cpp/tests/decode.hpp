// A small reader of uncompressed MCAP, for tests: https://mcap.dev/spec.
#ifndef RDL_TESTS_DECODE_HPP
#define RDL_TESTS_DECODE_HPP

#include <cstdint>
#include <map>
#include <remote_data_loader_backend.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "check.hpp"

namespace decode {

struct Message {
  std::string topic;
  std::uint32_t sequence;
  std::uint64_t log_time, publish_time;
  std::string data;
};

struct Mcap {
  std::string profile;
  bool whole = false;  // it has its end
  std::size_t chunks = 0, attachments = 0, metadata = 0;
  std::map<std::uint16_t, std::string> topics;
  std::vector<Message> messages;
};

class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  bool empty() const { return rest_.empty(); }
  std::string_view take(std::uint64_t size) {
    CHECK(size <= rest_.size());
    std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }
  template <class Number>
  Number number() {
    std::string_view bytes = take(sizeof(Number));
    std::uint64_t value = 0;
    for (std::size_t at = 0; at < sizeof(Number); ++at)
      value |= std::uint64_t(static_cast<unsigned char>(bytes[at])) << (8 * at);
    return static_cast<Number>(value);
  }
  std::string text() { return std::string(take(number<std::uint32_t>())); }

 private:
  std::string_view rest_;
};

// Records in the data section, and in chunks.
inline void records(Reader reader, Mcap &mcap) {
  while (!reader.empty()) {
    auto op = reader.number<std::uint8_t>();
    Reader body(reader.take(reader.number<std::uint64_t>()));
    if (op == 0x01) {
      mcap.profile = body.text();
      EQUAL(body.text(), "remote-data-loader-backend");
    } else if (op == 0x04) {
      auto id = body.number<std::uint16_t>();
      body.number<std::uint16_t>();
      mcap.topics[id] = body.text();
    } else if (op == 0x05) {
      auto channel = body.number<std::uint16_t>();
      Message message{mcap.topics.at(channel), body.number<std::uint32_t>(), 0, 0, ""};
      message.log_time = body.number<std::uint64_t>();
      message.publish_time = body.number<std::uint64_t>();
      while (!body.empty()) message.data += body.take(1);
      mcap.messages.push_back(message);
    } else if (op == 0x06) {
      ++mcap.chunks;
      body.take(8 + 8 + 8 + 4);
      CHECK(body.text().empty());
      records(Reader(body.take(body.number<std::uint64_t>())), mcap);
    } else if (op == 0x09) {
      ++mcap.attachments;
    } else if (op == 0x0c) {
      ++mcap.metadata;
    } else if (op == 0x0f) {
      return;  // the summary is behind the end of the data
    }
  }
}

inline Mcap mcap(std::string_view bytes) {
  const std::string_view magic("\x89MCAP0\r\n", 8);
  CHECK(bytes.substr(0, 8) == magic);
  Mcap mcap;
  mcap.whole = bytes.size() > 16 && bytes.substr(bytes.size() - 8) == magic;
  Reader reader(bytes.substr(8, bytes.size() - (mcap.whole ? 16 : 8)));
  records(reader, mcap);
  return mcap;
}

inline std::string joined(remote_data_loader_backend::BodyWriter &body) {
  std::string all;
  for (const auto &piece : body.take()) all += piece.view();
  return all;
}

}  // namespace decode

#endif

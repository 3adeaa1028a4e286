// What it costs to write bodies with the C++ kit: the messages of bench/src/bin/kit.rs, and the same
// lines of JSON. `make bench-kit` builds and runs it; `--bytes`: of messages, each time.
#include <sys/resource.h>

#include <iostream>
#include <remote_data_loader_backend.hpp>
#include <vector>

namespace rdl = remote_data_loader_backend;

namespace {

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  auto seconds = [](const timeval &time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

std::string noise(std::size_t size) {
  std::string bytes(size, '\0');
  std::uint32_t state = 1;
  for (char &byte : bytes) {
    byte = static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
  }
  return bytes;
}

// Writes messages of these sizes, again and again; what is ready is taken and dropped at once, as a
// server does that sends it.
void measure(const char *what, const std::vector<std::size_t> &sizes, std::uint64_t most,
             rdl::Compression compression, const char *name) {
  static const std::string data = noise(1 << 20);
  rdl::ChannelSet channels;
  std::vector<rdl::Channel> topics;
  for (int topic = 0; topic < 8; ++topic) {
    topics.push_back(channels.add("/topic" + std::to_string(topic), rdl::MessageType::raw("raw")));
  }
  rdl::BodyOptions options;
  options.compression = compression;
  std::uint64_t bytes = 0, messages = 0, sent = 0;
  auto send = [&sent](rdl::Buffer &&piece) {
    sent += piece.size();
    return true;
  };
  double start = cpu_seconds();
  rdl::BodyWriter body(channels, options);
  for (std::size_t turn = 0; bytes < most; turn = turn + 1 == sizes.size() ? 0 : turn + 1) {
    std::size_t size = sizes[turn];
    std::string_view message(data.data() + messages * 4099 % (data.size() - size), size);
    body.write(topics[messages % 8], messages, message);
    if (body.is_ready()) body.take(send);
    bytes += size;
    messages += 1;
  }
  body.finish();
  body.take(send);
  double spent = cpu_seconds() - start;
  if (sent < bytes / 100) throw std::runtime_error("something is missing");
  std::cout << "{\"what\":\"" << what << "\",\"writer\":\"kit, C++\",\"compression\":\"" << name
            << "\",\"bytes\":" << bytes << ",\"messages\":" << messages
            << ",\"cpu_seconds\":" << spent << "}" << std::endl;
}

}  // namespace

int main(int argc, char **argv) {
  std::uint64_t most = 500'000'000;
  for (int at = 1; at + 1 < argc; at += 2) {
    if (std::string_view(argv[at]) == "--bytes") most = std::stoull(argv[at + 1]);
  }
  const std::vector<std::size_t> mixed{300'000, 200,   60, 1'000, 120'000, 200,
                                       60,      4'000, 200, 60,   24,      200};
  for (auto [compression, name] : {std::pair{rdl::Compression::none, "none"}, {rdl::Compression::lz4, "lz4"}}) {
    measure("large", {100'000}, most, compression, name);
    measure("mixed", mixed, most, compression, name);
    measure("small", {64}, most, compression, name);
  }
}

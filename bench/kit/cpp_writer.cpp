// What it costs to write bodies with the C++ kit: a line of JSON for each kind of messages. Without
// compression; what is ready is taken and dropped at once, as a server does that sends it.
//
//   cargo build --release -p rdl-backend-c
//   g++ -std=c++17 -O2 -Isdk/cpp/include -o target/release/cpp_writer bench/kit/cpp_writer.cpp
//     target/release/librdl_backend.a && target/release/cpp_writer          (one line)
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

// Writes messages of these sizes, each to a topic of its own, in turns.
void measure(const char *what, const std::vector<std::size_t> &sizes, std::uint64_t messages) {
  rdl::ChannelSet channels;
  std::vector<rdl::Channel> topics;
  std::vector<std::string> data;
  std::uint32_t noise = 1;
  for (std::size_t size : sizes) {
    topics.push_back(
        channels.add("/" + std::to_string(topics.size()), rdl::MessageType::raw("own")));
    std::string bytes(size, '\0');
    for (char &byte : bytes) byte = static_cast<char>((noise = noise * 1664525 + 1013904223) >> 24);
    data.push_back(std::move(bytes));
  }
  rdl::BodyOptions options;
  options.compression = rdl::Compression::none;
  std::uint64_t bytes = 0, sent = 0;
  auto send = [&sent](rdl::Buffer &&piece) {
    sent += piece.size();
    return true;
  };
  double start = cpu_seconds();
  rdl::BodyWriter body(channels, options);
  std::size_t turn = 0;
  for (std::uint64_t at = 0; at < messages; ++at) {
    body.write(topics[turn], at * 1000, data[turn]);
    bytes += data[turn].size();
    if (body.is_ready()) body.take(send);
    turn = turn + 1 == sizes.size() ? 0 : turn + 1;
  }
  body.finish();
  body.take(send);
  double spent = cpu_seconds() - start;
  if (sent < bytes) throw std::runtime_error("something is missing");
  std::cout << "{\"what\":\"" << what << "\",\"bytes\":" << bytes << ",\"messages\":" << messages
            << ",\"cpu_seconds\":" << spent << "}" << std::endl;
}

}  // namespace

int main() {
  measure("large", {100'000}, 20'000);
  measure("small", {64}, 5'000'000);
  measure("mixed", {64, 200, 64, 1'000, 64, 20'000, 64, 100'000}, 200'000);
}

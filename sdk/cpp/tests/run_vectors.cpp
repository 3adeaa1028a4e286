// Checks that manifests and bodies are those that every language of the kit makes.
//
//   run_vectors VECTORS                                        checks each VECTORS/<name>
//   run_vectors VECTORS --write OUT --compression none|lz4|zstd  writes OUT/<name>.mcap
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <remote_data_loader_backend.hpp>

namespace fs = std::filesystem;
namespace rdl = remote_data_loader_backend;
using nlohmann::json;
using rdl::MessageType;

namespace {

std::string contents(const fs::path &path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path.string());
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string base64(const json &text) {
  static const std::string digits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  std::uint32_t bits = 0;
  int count = 0;
  for (char digit : text.get<std::string>()) {
    std::size_t value = digits.find(digit);
    if (value == digits.npos) continue;  // padding
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    count += 6;
    if (count >= 8) bytes += static_cast<char>(bits >> (count -= 8) & 0xff);
  }
  return bytes;
}

MessageType type_of(const json &type) {
  std::string kind = type.at("kind");
  auto text = [&type](const char *key) { return type.at(key).get<std::string>(); };
  if (kind == "json_schema") return MessageType::json_schema(text("name"), text("schema"));
  if (kind == "schemaless_json") return MessageType::schemaless_json();
  if (kind == "protobuf")
    return MessageType::protobuf(text("message"), base64(type.at("descriptors")));
  if (kind == "ros2msg") return MessageType::ros2msg(text("name"), text("definition"));
  if (kind == "ros2idl") return MessageType::ros2idl(text("name"), text("definition"));
  if (kind == "ros1msg") return MessageType::ros1msg(text("name"), text("definition"));
  if (kind == "flatbuffer") return MessageType::flatbuffer(text("name"), base64(type.at("schema")));
  if (kind != "raw") throw std::runtime_error("unknown kind " + kind);
  const json &schema = type.at("schema");
  if (schema.is_null()) return MessageType::raw(text("encoding"));
  return MessageType::raw(text("encoding"), {schema.at("name"), schema.at("encoding"),
                                             base64(schema.at("data"))});
}

std::optional<rdl::Nanos> time_of(const json &object, const char *key) {
  if (!object.contains(key) || object[key].is_null()) return std::nullopt;
  return object[key].get<rdl::Nanos>();
}

// The text with the times of a slice in it.
std::string filled(std::string text, rdl::TimeRange slice) {
  for (auto [name, time] : {std::pair("{start}", slice.start), std::pair("{end}", slice.end)})
    for (std::size_t at; (at = text.find(name)) != text.npos;)
      text.replace(at, std::string(name).size(), std::to_string(time));
  return text;
}

std::optional<std::string> id_of(const json &source, rdl::TimeRange slice) {
  if (!source.contains("id") || source["id"].is_null()) return std::nullopt;
  std::vector<std::string> parts;
  for (const json &part : source["id"]) parts.push_back(filled(part, slice));
  return rdl::source_id(parts);
}

std::string manifest_of(const json &input, const rdl::ChannelSet &channels) {
  rdl::Manifest manifest;
  const json &given = input.at("manifest");
  if (!given.at("name").is_null()) manifest.name = given["name"].get<std::string>();
  for (const json &source : given.at("sources")) {
    if (source.contains("static")) {
      manifest.sources.push_back(rdl::StaticSource{source["static"]});
    } else if (source.contains("slices")) {
      const json &slices = source["slices"];
      // Not time_slices(): a width may need more than the 63 bits of std::chrono.
      for (auto slice : rdl::TimeSlices(slices.at("start"), slices.at("end"),
                                        slices.at("width_nanos")))
        manifest.sources.push_back(
            channels.source(filled(source.at("url"), slice), slice, id_of(source, slice)));
    } else {
      manifest.sources.push_back(channels.source(source.at("url").get<std::string>(),
                                                 time_of(source, "start"), time_of(source, "end"),
                                                 id_of(source, {})));
    }
  }
  return manifest.to_json();
}

rdl::BodyOptions options_of(const json &body, rdl::Compression compression) {
  rdl::BodyOptions options;
  options.compression = compression;
  json given = body.value("options", json::object());
  options.chunk_bytes = given.value("chunk_bytes", options.chunk_bytes);
  if (given.contains("chunk_duration_nanos"))
    options.chunk_duration = std::chrono::nanoseconds(
        std::min(given["chunk_duration_nanos"].get<std::uint64_t>(), std::uint64_t(INT64_MAX)));
  options.profile = given.value("profile", "");
  options.times.start = given.value("start", options.times.start);
  options.times.end = given.value("end", options.times.end);
  options.max_message_bytes = given.value("max_message_bytes", options.max_message_bytes);
  return options;
}

void step_of(const json &step, rdl::BodyWriter &body, const std::vector<rdl::Channel> &channels) {
  if (step.contains("message")) {
    const json &given = step["message"];
    rdl::Channel channel = given.contains("channel_id")
                               ? rdl::Channel{given["channel_id"].get<std::uint16_t>()}
                               : channels.at(given.at("channel").get<std::size_t>());
    std::string data = base64(given.at("data"));
    rdl::Nanos log_time = given.at("log_time");
    body.write(channel, {log_time, given.value("publish_time", log_time),
                         given.value("sequence", std::uint32_t(0)), data});
  } else if (step.contains("metadata")) {
    rdl::TextMap map;
    for (const auto &[key, value] : step["metadata"].at("metadata").items()) map[key] = value;
    body.metadata(step["metadata"].at("name").get<std::string>(), map);
  } else if (step.contains("attachment")) {
    const json &given = step["attachment"];
    std::string data = base64(given.at("data"));
    body.attachment({given.at("name"), given.at("media_type"), given.at("log_time"),
                     given.at("create_time"), data});
  } else if (step.contains("flush")) {
    body.flush();
  } else {
    throw std::runtime_error("unknown step " + step.dump());
  }
}

// The name of the refusal; empty where there was none.
template <class Work>
std::string refusal(Work &&work) {
  try {
    work();
    return "";
  } catch (const rdl::Error &error) {
    return error.name();
  }
}

std::string body_of(const json &input, const rdl::ChannelSet &set,
                    const std::vector<rdl::Channel> &channels, rdl::Compression compression) {
  const json &given = input.at("body");
  rdl::BodyWriter body(set, options_of(given, compression));
  std::string bytes;
  auto take = [&] {
    for (const rdl::Buffer &piece : body.take()) bytes += piece.view();
  };
  std::size_t refused_at = SIZE_MAX;
  std::string expected;
  if (given.contains("refused") && !given["refused"].is_null()) {
    refused_at = given["refused"].at("step");
    expected = given["refused"].at("error");
  }
  for (std::size_t at = 0; at < given.at("steps").size(); ++at) {
    std::string met = refusal([&] { step_of(given["steps"][at], body, channels); });
    take();
    if (met != (at == refused_at ? expected : ""))
      throw std::runtime_error("step " + std::to_string(at) + " is refused with \"" + met + "\"");
    if (at == refused_at) break;
  }
  std::string ended = refusal([&] { body.finish(); });
  take();
  if (ended != (refused_at == SIZE_MAX ? "" : "ended"))
    throw std::runtime_error("finish is refused with \"" + ended + "\"");
  return bytes;
}

void compare(const std::string &what, const std::string &made, const std::string &expected) {
  if (made == expected) return;
  std::size_t shorter = std::min(made.size(), expected.size()), at = 0;
  while (at < shorter && made[at] == expected[at]) ++at;
  throw std::runtime_error(what + " differs at byte " + std::to_string(at) + " (of " +
                           std::to_string(made.size()) + "; " + std::to_string(expected.size()) +
                           " are expected)");
}

}  // namespace

int main(int count, char **arguments) {
  std::string folder, out, compression = "none";
  for (int at = 1; at < count; ++at) {
    std::string argument = arguments[at];
    if (argument == "--write" && at + 1 < count) out = arguments[++at];
    else if (argument == "--compression" && at + 1 < count) compression = arguments[++at];
    else folder = argument;
  }
  const std::map<std::string, rdl::Compression> compressions = {
      {"none", rdl::Compression::none},
      {"lz4", rdl::Compression::lz4},
      {"zstd", rdl::Compression::zstd}};
  if (folder.empty() || compressions.count(compression) == 0) {
    std::cerr << "usage: run_vectors VECTORS [--write OUT --compression none|lz4|zstd]\n";
    return 2;
  }
  std::vector<fs::path> vectors;
  for (const auto &entry : fs::directory_iterator(folder))
    if (fs::exists(entry.path() / "input.json")) vectors.push_back(entry.path());
  std::sort(vectors.begin(), vectors.end());
  if (vectors.empty()) {
    std::cerr << "no vectors in " << folder << "\n";
    return 2;
  }
  for (const fs::path &vector : vectors) try {
      json input = json::parse(contents(vector / "input.json"));
      rdl::ChannelSet set;
      std::vector<rdl::Channel> channels;
      for (const json &channel : input.at("channels")) {
        rdl::TextMap metadata;
        json given = channel.value("metadata", json::object());
        for (const auto &[key, value] : given.items()) metadata[key] = value;
        channels.push_back(
            set.add(channel.at("topic").get<std::string>(), type_of(channel.at("type")), metadata));
      }
      std::string body = body_of(input, set, channels, compressions.at(compression));
      if (out.empty()) {
        compare("manifest.json", manifest_of(input, set), contents(vector / "manifest.json"));
        compare("body.mcap", body, contents(vector / "body.mcap"));
      } else {
        fs::create_directories(out);
        std::ofstream file(fs::path(out) / (vector.filename().string() + ".mcap"),
                           std::ios::binary);
        file.write(body.data(), static_cast<std::streamsize>(body.size()));
        if (!file.flush()) throw std::runtime_error("the body cannot be written");
      }
    } catch (const std::exception &error) {
      std::cerr << vector.filename().string() << ": " << error.what() << std::endl;
      return 1;
    }
  std::cout << "run_vectors: " << vectors.size() << (out.empty() ? " met" : " written") << std::endl;
}

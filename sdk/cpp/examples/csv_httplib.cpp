// A data backend over a folder of CSV files, with cpp-httplib. Change `Recording` to ask your own
// store, and the rest stays.
//
//   csv_httplib FOLDER [--address 127.0.0.1:8081] [--token SECRET]
//
// FOLDER/NAME.csv is the recording NAME: a line `time,signal,value`, then rows in ascending order of
// time (nanoseconds since the Unix epoch) and signal. Signals have no commas.
#include <httplib.h>

#include <charconv>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <remote_data_loader_backend.hpp>
#include <set>
#include <string>

namespace rdl = remote_data_loader_backend;

// Counted up when this program makes other data of the same store: sources get new ids then.
const char *const version = "v1";
const std::size_t rows_per_step = 1000;

struct Row {
  rdl::Nanos time;
  std::string signal;
  double value;
};

template <class Number>
Number number(const char *begin, const char *end) {
  Number parsed{};
  auto [rest, error] = std::from_chars(begin, end, parsed);
  if (error != std::errc() || rest != end)
    throw std::runtime_error("not a number: " + std::string(begin, end));
  return parsed;
}

// A file, read row by row.
class Rows {
 public:
  explicit Rows(const std::filesystem::path &path) : file_(path, std::ios::binary) {
    if (!file_) throw std::runtime_error("cannot open " + path.string());
    std::string header;
    std::getline(file_, header);
    first_ = static_cast<std::streamoff>(header.size()) + 1;
  }

  // False at the end of the file; a row that cannot be read throws.
  bool next(Row &row) {
    if (!std::getline(file_, line_)) {
      if (file_.bad()) throw std::runtime_error("the file cannot be read");
      return false;
    }
    if (!line_.empty() && line_.back() == '\r') line_.pop_back();
    const char *begin = line_.data(), *end = begin + line_.size();
    std::size_t comma = line_.find(','), last = line_.rfind(',');
    if (comma == last) throw std::runtime_error("not a row: " + line_);
    row.time = number<rdl::Nanos>(begin, begin + comma);
    row.signal.assign(line_, comma + 1, last - comma - 1);
    row.value = number<double>(begin + last + 1, end);
    return true;
  }

  // Goes to the first row at or after `time`: the rows are sorted, so half of them is left out each
  // time.
  void seek(rdl::Nanos time) {
    file_.clear();
    file_.seekg(0, std::ios::end);
    const std::streamoff size = file_.tellg();
    // Rows before `low` are too early, and the first one behind `high` is not.
    std::streamoff low = first_, high = size;
    while (low < high) {
      std::streamoff middle = low + (high - low) / 2;
      std::streamoff begin = line_behind(middle);
      Row row;
      if (begin < high && next(row) && row.time < time)
        low = file_.eof() ? size : std::streamoff(file_.tellg());
      else
        high = middle;
    }
    line_behind(low);
  }

 private:
  // Goes to the first line that begins at or after this place, and says where.
  std::streamoff line_behind(std::streamoff place) {
    file_.clear();
    file_.seekg(place == first_ ? place : place - 1);
    if (place != first_) std::getline(file_, line_);
    if (file_.eof()) return std::numeric_limits<std::streamoff>::max();
    return file_.tellg();
  }

  std::ifstream file_;
  std::streamoff first_ = 0;
  std::string line_;
};

// What both endpoints have to know of a recording.
struct Recording {
  std::filesystem::path path;
  rdl::Nanos first = 0, last = 0;
  rdl::ChannelSet channels;
};

// The recordings of a folder. Each is read through once for its signals, and again when it changed.
class Recordings {
 public:
  explicit Recordings(std::filesystem::path folder) : folder_(std::move(folder)) {}

  // Nothing where there is no such recording.
  std::shared_ptr<const Recording> find(const std::string &name) {
    // A name is one file in the folder, never a path out of it.
    if (name.empty() || name[0] == '.' || name.find_first_of(std::string("/\\\0", 3)) != name.npos)
      return nullptr;
    std::filesystem::path path = folder_ / (name + ".csv");
    std::error_code missing;
    auto changed = std::filesystem::last_write_time(path, missing);
    if (missing) return nullptr;
    std::lock_guard lock(mutex_);
    Known &known = known_[name];
    if (!known.recording || known.changed != changed) known = {changed, read(path)};
    return known.recording;
  }

 private:
  struct Known {
    std::filesystem::file_time_type changed;
    std::shared_ptr<const Recording> recording;
  };

  static std::shared_ptr<const Recording> read(const std::filesystem::path &path) {
    auto recording = std::make_shared<Recording>();
    recording->path = path;
    std::set<std::string> signals;
    Row row;
    Rows rows(path);
    while (rows.next(row)) {
      if (signals.empty()) recording->first = row.time;
      signals.insert(row.signal);
      recording->last = row.time;
    }
    auto type = rdl::MessageType::json_schema(
        "Signal", R"({"type":"object","properties":{"value":{"type":"number"}}})");
    for (const std::string &signal : signals) recording->channels.add("/" + signal, type);
    return recording;
  }

  std::filesystem::path folder_;
  std::mutex mutex_;
  std::map<std::string, Known> known_;
};

std::string manifest_of(const std::string &name, const Recording &recording) {
  rdl::Manifest manifest;
  manifest.name = name;
  if (recording.channels.empty()) return manifest.to_json();
  auto width = std::chrono::seconds(10);
  for (rdl::TimeRange slice : rdl::time_slices(recording.first, recording.last, width)) {
    // More than the loader takes: they come of a row whose time was never set.
    if (manifest.sources.size() == 10'000)
      throw std::runtime_error("the times of " + name + " cannot be");
    std::string start = std::to_string(slice.start), end = std::to_string(slice.end);
    // source_id of one part is the part, percent-encoded.
    std::string url =
        "/data?recording=" + rdl::source_id({name}) + "&start=" + start + "&end=" + end;
    manifest.sources.push_back(
        recording.channels.source(url, slice, rdl::source_id({version, name, start, end})));
  }
  return manifest.to_json();
}

// Writes the rows of a time range, a step at a time.
class Producer {
 public:
  Producer(const Recording &recording, rdl::TimeRange times)
      : rows_(std::make_unique<Rows>(recording.path)), times_(times) {
    rows_->seek(times.start);
    for (const rdl::Topic &topic : recording.channels.topics())
      channels_[topic.name.substr(1)] = *recording.channels.channel(topic.name);
  }

  rdl::Next operator()(rdl::BodyWriter &body) {
    Row row;
    for (std::size_t count = 0; count < rows_per_step; ++count) {
      if (!rows_->next(row) || row.time > times_.end) return rdl::Next::end;
      body.write_with(channels_.at(row.signal), row.time, [&row](std::string &json) {
        if (!std::isfinite(row.value)) throw std::runtime_error("JSON has no such number");
        char digits[32];  // the shortest text that reads back as the same number
        auto end = std::to_chars(digits, digits + sizeof digits, row.value).ptr;
        json.append("{\"value\":").append(digits, end).append("}");
      });
    }
    return rdl::Next::more;
  }

 private:
  std::unique_ptr<Rows> rows_;
  rdl::TimeRange times_;
  std::map<std::string, rdl::Channel> channels_;
};

void answer(httplib::Response &response, const rdl::ErrorReply &reply) {
  response.status = reply.status;
  response.body = reply.body;
  for (const auto &[name, value] : reply.headers) response.set_header(name.c_str(), value);
}

// Whether the request has the token; answered, otherwise.
bool admitted(const httplib::Request &request, httplib::Response &response,
              const std::optional<std::string> &token) {
  if (!token) return true;
  std::vector<std::string_view> values;
  auto [begin, end] = request.headers.equal_range("Authorization");
  for (auto at = begin; at != end; ++at) values.push_back(at->second);
  try {
    if (rdl::Bearer::from_headers(values).is(*token)) return true;
    answer(response, rdl::ErrorReply::unauthorized("the token is not valid: sign in again"));
  } catch (const rdl::Error &error) {
    answer(response, rdl::ErrorReply::unauthorized(error.what()));
  }
  return false;
}

// The recording of a request; answered, where there is none.
std::shared_ptr<const Recording> asked_for(const httplib::Request &request,
                                           httplib::Response &response, Recordings &recordings) {
  if (!request.has_param("recording")) {
    answer(response, rdl::ErrorReply::bad_request("say which: /manifest?recording=<name>"));
    return nullptr;
  }
  std::string name = request.get_param_value("recording");
  auto recording = recordings.find(name);
  if (!recording) answer(response, rdl::ErrorReply::not_found("there is no recording " + name));
  return recording;
}

rdl::Nanos time_of(const httplib::Request &request, const char *name) {
  std::string text = request.get_param_value(name);
  return number<rdl::Nanos>(text.data(), text.data() + text.size());
}

int main(int count, char **arguments) {
  std::string folder, address = "127.0.0.1:8081";
  std::optional<std::string> token;
  bool wrong = false;
  for (int at = 1; at < count; ++at) {
    std::string argument = arguments[at];
    bool more = at + 1 < count;
    if (argument == "--address" && more) address = arguments[++at];
    else if (argument == "--token" && more) token = arguments[++at];
    else if (argument[0] != '-' && folder.empty()) folder = argument;
    else wrong = true;
  }
  std::size_t colon = address.rfind(':');
  int port = -1;
  if (colon != address.npos)
    std::from_chars(address.data() + colon + 1, address.data() + address.size(), port);
  if (wrong || folder.empty() || port < 0) {
    std::cerr << "usage: " << arguments[0] << " FOLDER [--address HOST:PORT] [--token SECRET]\n";
    return 2;
  }

  Recordings recordings(folder);
  httplib::Server server;
  // A body that is being sent holds a thread, and the loader reads many at once.
  server.new_task_queue = [] { return new httplib::ThreadPool(64); };
  // The loader takes its time when its viewers do: that is no reason to give up after 5 s.
  server.set_write_timeout(std::chrono::minutes(5));
  server.set_tcp_nodelay(true);
  server.set_exception_handler([](const auto &, auto &response, std::exception_ptr thrown) {
    try {
      std::rethrow_exception(thrown);
    } catch (const std::exception &error) {
      std::cerr << "error: " << error.what() << std::endl;
    }
    answer(response, {500, "the data backend failed; its log says why"});
  });

  server.Get("/manifest", [&](const httplib::Request &request, httplib::Response &response) {
    if (!admitted(request, response, token)) return;
    auto recording = asked_for(request, response, recordings);
    if (!recording) return;
    std::string json = manifest_of(request.get_param_value("recording"), *recording);
    response.set_content(json, "application/json");
  });

  server.Get("/data", [&](const httplib::Request &request, httplib::Response &response) {
    if (!admitted(request, response, token)) return;
    auto recording = asked_for(request, response, recordings);
    if (!recording) return;
    rdl::BodyOptions options;
    try {
      options.times = {time_of(request, "start"), time_of(request, "end")};
    } catch (const std::exception &error) {
      return answer(response, rdl::ErrorReply::bad_request(error.what()));
    }
    response.set_chunked_content_provider(
        "application/octet-stream",
        rdl::content_provider(rdl::BodyWriter(recording->channels, options),
                              Producer(*recording, options.times), [](const char *why) {
                                std::cerr << "a body is aborted: " << why << std::endl;
                              }));
  });

  std::string host = address.substr(0, colon);
  if (port == 0) port = server.bind_to_any_port(host.c_str());
  else if (!server.bind_to_port(host.c_str(), port)) port = -1;
  if (port < 0) {
    std::cerr << "cannot listen on " << address << "\n";
    return 1;
  }
  std::cout << "listening on http://" << host << ":" << port << std::endl;
  return server.listen_after_bind() ? 0 : 1;
}

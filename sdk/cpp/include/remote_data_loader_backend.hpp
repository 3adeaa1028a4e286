/// @file
/// Small pieces to write a **data backend** for the remote data loader, in C++17, with any HTTP
/// server.
///
/// | piece | what it is for |
/// | --- | --- |
/// | ChannelSet, MessageType | declare topics once, for the manifest and for the data |
/// | Manifest, StreamedSource, StaticSource | the manifest, and to_json() |
/// | time_slices(), source_id() | split a recording into sources, and name them |
/// | BodyWriter, content_provider() | write the MCAP of a streamed source |
/// | Bearer, ErrorReply | tell who asks, and tell users what went wrong |
///
/// None of them needs another, and none of them knows your HTTP server.
///
/// @code
/// namespace rdl = remote_data_loader_backend;
///
/// rdl::ChannelSet channels;
/// auto odometry = channels.add("/odom", rdl::MessageType::json_schema("Odometry", R"({"type":"object"})"));
///
/// rdl::Manifest manifest;                                          // the manifest endpoint
/// manifest.name = "drive";
/// for (rdl::TimeRange slice : rdl::time_slices(start, end, std::chrono::seconds(10)))
///   manifest.sources.push_back(channels.source("/data?from=" + std::to_string(slice.start), slice,
///                                              rdl::source_id({"v1", "drive", std::to_string(slice.start)})));
/// std::string json = manifest.to_json();
///
/// rdl::BodyWriter body(channels);                                  // the data endpoint
/// body.write(odometry, time, R"({"x":1.5})");
/// body.finish();
/// for (const rdl::Buffer &piece : body.take()) send(piece.data(), piece.size());
/// @endcode
///
/// **Errors** are Error, a std::runtime_error with a stable name(). They are thrown by these
/// headers, in your own binary: nothing is thrown across the library's C functions. Code without
/// exceptions uses remote_data_loader_backend.h.
///
/// **Who owns what.** MessageType, ChannelSet, BodyWriter, Buffer and Bearer own something of the
/// library: they can be moved and not copied. One that was moved from can be assigned to and
/// destroyed; anything else throws `invalid-argument`, or answers false, 0 or nothing where it is
/// noexcept. The rest are plain values. Arguments are only looked at during the call.
///
/// **Threads.** Like the containers of the standard library: different objects have nothing to do
/// with each other, and one object may be used by several threads as long as all of them only call
/// what is const.
#ifndef REMOTE_DATA_LOADER_BACKEND_HPP
#define REMOTE_DATA_LOADER_BACKEND_HPP

#include "remote_data_loader_backend/body.hpp"
#include "remote_data_loader_backend/bytes.hpp"
#include "remote_data_loader_backend/channels.hpp"
#include "remote_data_loader_backend/content_provider.hpp"
#include "remote_data_loader_backend/error.hpp"
#include "remote_data_loader_backend/manifest.hpp"
#include "remote_data_loader_backend/message_type.hpp"
#include "remote_data_loader_backend/request.hpp"
#include "remote_data_loader_backend/source.hpp"

namespace remote_data_loader_backend {

/// The version of the library that is linked, such as `0.1.0`.
inline const char *version() noexcept { return rdl_version(); }

}  // namespace remote_data_loader_backend

#endif

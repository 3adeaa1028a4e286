/// @file
/// Splitting a recording into sources, and naming them.
#ifndef REMOTE_DATA_LOADER_BACKEND_SOURCE_HPP
#define REMOTE_DATA_LOADER_BACKEND_SOURCE_HPP

#include <chrono>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <type_traits>
#include <vector>

#include "bytes.hpp"

namespace remote_data_loader_backend {

/// From one time to another, both inside.
struct TimeRange {
  Nanos start = 0;
  Nanos end = std::numeric_limits<Nanos>::max();

  bool operator==(const TimeRange &other) const noexcept {
    return start == other.start && end == other.end;
  }
  bool operator!=(const TimeRange &other) const noexcept { return !(*this == other); }
};

/// The slices of a recording, made as they are asked for: time_slices().
class TimeSlices {
 public:
  class iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = TimeRange;
    using difference_type = std::ptrdiff_t;
    using pointer = void;
    using reference = TimeRange;

    iterator() noexcept = default;
    iterator(Nanos start, Nanos end, std::uint64_t width) noexcept : end_(end), width_(width) {
      next(start);
    }

    TimeRange operator*() const noexcept { return {slice_.start, slice_.end}; }
    iterator &operator++() noexcept {
      there_ = slice_.end < end_;
      if (there_) next(slice_.end + 1);
      return *this;
    }
    void operator++(int) noexcept { ++*this; }
    bool operator==(const iterator &other) const noexcept {
      return there_ == other.there_ && (!there_ || slice_.start == other.slice_.start);
    }
    bool operator!=(const iterator &other) const noexcept { return !(*this == other); }

   private:
    void next(Nanos start) noexcept { there_ = rdl_time_slice(start, end_, width_, &slice_); }

    rdl_time_range slice_{};
    Nanos end_ = 0;
    std::uint64_t width_ = 0;
    bool there_ = false;
  };

  TimeSlices(Nanos start, Nanos end, std::uint64_t width_nanos) noexcept
      : start_(start), end_(end), width_(width_nanos) {}

  iterator begin() const noexcept { return {start_, end_, width_}; }
  iterator end() const noexcept { return {}; }

 private:
  Nanos start_;
  Nanos end_;
  std::uint64_t width_;
};

/// Splits `start` to `end`, both inside, into slices of `width`, each of which makes a good source:
/// viewers that seek load the slices that they need. Ten seconds to a minute suit most data.
///
/// Slices begin at multiples of `width` since the epoch, but for the first: a recording that grows
/// keeps the slices that it had, but for the last. None overlap, and nothing lies between them. No
/// width, or a negative one, is one slice of everything; an end before the start is no slice.
inline TimeSlices time_slices(Nanos start, Nanos end, std::chrono::nanoseconds width) noexcept {
  return {start, end, width.count() < 0 ? 0 : static_cast<std::uint64_t>(width.count())};
}

namespace detail {

template <class Iterator>
std::string joined(Iterator begin, Iterator end) {
  using Part = decltype(*begin);
  static_assert(std::is_lvalue_reference_v<Part> || std::is_trivially_copyable_v<Part>,
                "these parts live no longer than a step: put them into a container");
  std::vector<rdl_str> raw;
  for (; begin != end; ++begin) raw.push_back(text(std::string_view(*begin)));
  Buffer id;
  check(rdl_source_id(raw.data(), raw.size(), id.out()));
  return std::string(id.view());
}

}  // namespace detail

/// Joins `parts` into the `id` of a source; different parts always give different ids:
/// `source_id({"v1", "drive 7", "/imu"})` is `v1/drive%207/%2Fimu`.
///
/// The loader takes the same id for the same data, whenever and by whomever it is asked for. So an
/// id names everything that the data depends on: the recording, the topics, the slice of time, and
/// a version that you count up when your code makes other data of the same store.
inline std::string source_id(std::initializer_list<std::string_view> parts) {
  return detail::joined(parts.begin(), parts.end());
}

/// The same for a container of texts.
template <class Parts, class = decltype(std::string_view(*std::declval<const Parts &>().begin()))>
std::string source_id(const Parts &parts) {
  return detail::joined(parts.begin(), parts.end());
}

}  // namespace remote_data_loader_backend

#endif

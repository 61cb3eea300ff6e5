// Strings and sequences of the standard library.
#pragma once

#include <lenskit/detail/wire/allocator_part.hpp>
#include <lenskit/detail/wire/codec.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <filesystem>
#include <iterator>
#include <list>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace lenskit::detail {

inline void put_count(writer& out, std::size_t count) { out.put(static_cast<std::uint64_t>(count)); }

// Elements that lie in the message with no alignment, so that a container is built from them without being zeroed.
template <class T>
class packed_iterator {
 public:
  using iterator_category = std::random_access_iterator_tag;
  using value_type = T;
  using difference_type = std::ptrdiff_t;
  using pointer = const T*;
  using reference = T;

  explicit packed_iterator(const std::byte* at) noexcept : at_(at) {}
  T operator*() const noexcept {
    alignas(T) std::array<std::byte, sizeof(T)> raw;
    std::memcpy(raw.data(), at_, sizeof(T));
    if constexpr (std::is_trivially_copyable_v<T>) {
      return std::bit_cast<T>(raw);
    } else {
      return *std::launder(reinterpret_cast<const T*>(raw.data()));
    }
  }
  packed_iterator& operator++() noexcept {
    at_ += sizeof(T);
    return *this;
  }
  packed_iterator operator++(int) noexcept { return packed_iterator(std::exchange(at_, at_ + sizeof(T))); }
  friend bool operator==(packed_iterator a, packed_iterator b) noexcept { return a.at_ == b.at_; }
  friend difference_type operator-(packed_iterator a, packed_iterator b) noexcept {
    return (a.at_ - b.at_) / static_cast<difference_type>(sizeof(T));
  }

 private:
  const std::byte* at_;
};

template <class Char, class Traits, class Allocator>
struct codec<std::basic_string<Char, Traits, Allocator>> {
  using string = std::basic_string<Char, Traits, Allocator>;
  using parts = joined<type_list<Char>, allocator_part<Allocator>>;
  template <class Sink>
  static void put(Sink& sink, const string& text) {
    auto& out = bytes_of(sink);
    put_count(out, text.size());
    out.put(text.data(), text.size() * sizeof(Char));
  }
  template <class Source>
  static string get(Source& source) {
    auto& in = bytes_of(source);
    const auto size = in.get_count(sizeof(Char), "a string");
    const auto bytes = in.take(size * sizeof(Char), "a string");
    if constexpr (sizeof(Char) == 1) {
      return string(reinterpret_cast<const Char*>(bytes.data()), size);
    } else {
      return string(packed_iterator<Char>(bytes.data()), packed_iterator<Char>(bytes.data() + bytes.size()));
    }
  }
};

template <>
struct codec<std::filesystem::path> {
  using parts = type_list<>;
  template <class Sink>
  static void put(Sink& sink, const std::filesystem::path& path) {
    put_value(sink, path.native());
  }
  template <class Source>
  static std::filesystem::path get(Source& source) {
    return get_value<std::filesystem::path::string_type>(source);
  }
};

template <class T, class Allocator>
struct codec<std::vector<T, Allocator>> {
  using vector = std::vector<T, Allocator>;
  using parts = joined<type_list<T>, allocator_part<Allocator>>;
  template <class Sink>
  static void put(Sink& sink, const vector& values) {
    auto& out = bytes_of(sink);
    put_count(out, values.size());
    if constexpr (wire_bitwise<T>) {
      out.put(values.data(), values.size() * sizeof(T));
    } else {
      const writer::nesting deeper(out);
      for (const auto& value : values) put_value(sink, value);
    }
  }
  template <class Source>
  static vector get(Source& source) {
    auto& in = bytes_of(source);
    const auto size = in.get_count(least_bytes<T>, "a vector");
    if constexpr (wire_bitwise<T>) {
      const auto bytes = in.take(size * sizeof(T), "a vector");
      if (std::bit_cast<std::uintptr_t>(bytes.data()) % alignof(T) == 0) [[likely]] {
        const auto* first = reinterpret_cast<const T*>(bytes.data());
        return vector(first, first + size);
      }
      return vector(packed_iterator<T>(bytes.data()), packed_iterator<T>(bytes.data() + bytes.size()));
    } else {
      const reader::nesting deeper(in);
      vector values;
      values.reserve(size);
      for (std::size_t i = 0; i < size; ++i) {
        if constexpr (is_filled_in_place<T>()) {
          get_into(source, values.emplace_back());
        } else {
          values.push_back(get_value<T>(source));
        }
      }
      return values;
    }
  }
};

template <class Allocator>
struct codec<std::vector<bool, Allocator>> {
  using vector = std::vector<bool, Allocator>;
  using parts = joined<type_list<bool>, allocator_part<Allocator>>;
  static constexpr std::size_t bits = 8;
  template <class Sink>
  static void put(Sink& sink, const vector& values) {
    auto& out = bytes_of(sink);
    put_count(out, values.size());
    auto* packed = out.extend((values.size() + bits - 1) / bits);
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (i % bits == 0) packed[i / bits] = std::byte{0};
      if (values[i]) packed[i / bits] |= std::byte{1} << (i % bits);
    }
  }
  template <class Source>
  static vector get(Source& source) {
    auto& in = bytes_of(source);
    const auto size = in.template get<std::uint64_t>("a vector of bools");
    const auto packed = in.take(size / bits + (size % bits != 0), "a vector of bools");
    vector values(size);
    for (std::size_t i = 0; i < size; ++i)
      values[i] = (packed[i / bits] & (std::byte{1} << (i % bits))) != std::byte{0};
    return values;
  }
};

// Sequences whose elements stay where they are: list and deque.
template <class Sequence>
struct codec_of_sequence {
  using value_type = typename Sequence::value_type;
  using parts = joined<type_list<value_type>, allocator_part<typename Sequence::allocator_type>>;
  template <class Sink>
  static void put(Sink& sink, const Sequence& values) {
    put_count(bytes_of(sink), values.size());
    const writer::nesting deeper(bytes_of(sink));
    for (const auto& value : values) put_value(sink, value);
  }
  template <class Source>
  static Sequence get(Source& source) {
    const auto size = bytes_of(source).get_count(least_bytes<value_type>, "a sequence");
    const reader::nesting deeper(bytes_of(source));
    Sequence values;
    for (std::size_t i = 0; i < size; ++i) {
      if constexpr (is_filled_in_place<value_type>()) {
        get_into(source, values.emplace_back());
      } else {
        values.push_back(get_value<value_type>(source));
      }
    }
    return values;
  }
};
template <class T, class Allocator>
struct codec<std::list<T, Allocator>> : codec_of_sequence<std::list<T, Allocator>> {};
template <class T, class Allocator>
struct codec<std::deque<T, Allocator>> : codec_of_sequence<std::deque<T, Allocator>> {};

}  // namespace lenskit::detail

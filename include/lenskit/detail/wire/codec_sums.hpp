// Pairs, tuples and arrays; optionals and variants.
#pragma once

#include <lenskit/detail/wire/codec.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

namespace lenskit::detail {

template <class Tuple, class... Ts>
struct codec_of_tuple {
  using parts = type_list<Ts...>;
  static constexpr bool fills_in_place = true;
  template <class Sink>
  static void put(Sink& sink, const Tuple& values) {
    std::apply([&](const auto&... each) { (put_value(sink, each), ...); }, values);
  }
  template <class Source>
  static Tuple get(Source& source) {
    return Tuple{get_value<std::remove_cv_t<Ts>>(source)...};  // in braces, hence in order
  }
  template <class Source>
  static void fill(Source& source, Tuple& values) {
    std::apply([&](auto&... each) { (get_into(source, each), ...); }, values);
  }
};
template <class... Ts>
struct codec<std::tuple<Ts...>> : codec_of_tuple<std::tuple<Ts...>, Ts...> {};
template <class First, class Second>
struct codec<std::pair<First, Second>> : codec_of_tuple<std::pair<First, Second>, First, Second> {};

template <class T, std::size_t Count>
struct codec<std::array<T, Count>> {
  using parts = type_list<T>;
  static constexpr bool fills_in_place = true;
  template <class Sink>
  static void put(Sink& sink, const std::array<T, Count>& values) {
    for (const auto& value : values) put_value(sink, value);
  }
  template <class Source>
  static std::array<T, Count> get(Source& source) {
    return [&]<std::size_t... I>(std::index_sequence<I...>) {
      return std::array<T, Count>{((void)I, get_value<std::remove_cv_t<T>>(source))...};
    }
    (std::make_index_sequence<Count>{});
  }
  template <class Source>
  static void fill(Source& source, std::array<T, Count>& values) {
    for (auto& value : values) get_into(source, value);
  }
};

template <class T>
struct codec<std::optional<T>> {
  using value_type = std::remove_cv_t<T>;
  using parts = type_list<T>;
  static constexpr bool fills_in_place = true;
  template <class Sink>
  static void put(Sink& sink, const std::optional<T>& value) {
    bytes_of(sink).put(static_cast<unsigned char>(value.has_value()));
    if (value) put_value(sink, *value);
  }
  template <class Source>
  static std::optional<T> get(Source& source) {
    if (!get_value<bool>(source)) return std::nullopt;
    return std::optional<T>(get_value<value_type>(source));
  }
  template <class Source>
  static void fill(Source& source, std::optional<T>& value) {
    value.reset();
    if (!get_value<bool>(source)) return;
    if constexpr (is_filled_in_place<value_type>()) {
      get_into(source, value.emplace());
    } else {
      value.emplace(get_value<value_type>(source));
    }
  }
};

template <class... Ts>
struct codec<std::variant<Ts...>> {
  using variant = std::variant<Ts...>;
  using parts = type_list<Ts...>;
  using index_type = std::uint32_t;
  template <class Sink>
  static void put(Sink& sink, const variant& value) {
    if (value.valueless_by_exception()) fail_encoding("a variant has lost its value to an exception");
    bytes_of(sink).put(static_cast<index_type>(value.index()));
    std::visit([&](const auto& held) { put_value(sink, held); }, value);
  }
  template <class Source>
  static variant get(Source& source) {
    const auto index = bytes_of(source).template get<index_type>("a variant");
    if (index >= sizeof...(Ts)) [[unlikely]]
      fail_decoding("a variant names an alternative that it does not have");
    return get_alternative<0>(source, index);
  }

 private:
  template <std::size_t I, class Source>
  static variant get_alternative(Source& source, std::size_t index) {
    if constexpr (I + 1 < sizeof...(Ts)) {
      if (index != I) return get_alternative<I + 1>(source, index);
    }
    using alternative = std::remove_cv_t<std::variant_alternative_t<I, variant>>;
    if constexpr (is_filled_in_place<alternative>()) {
      variant value(std::in_place_index<I>);
      get_into(source, std::get<I>(value));
      return value;
    } else {
      return variant(std::in_place_index<I>, get_value<alternative>(source));
    }
  }
};

}  // namespace lenskit::detail

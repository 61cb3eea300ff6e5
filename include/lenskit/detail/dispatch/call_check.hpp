// What can be wrong with a map call, in one sentence each.
#pragma once

#include <lenskit/detail/wire/codec.hpp>
#include <lenskit/detail/worker/typed_tasks.hpp>

#include <functional>
#include <ranges>
#include <type_traits>

namespace lenskit::detail {

enum class mistake { none, no_range, mutable_model, missing_model, arguments };

template <class Model, class Fn, class... Args>
consteval mistake find_mistake_in_call() {
  if constexpr (callable_with<Model, Fn, Args...>) {
    return mistake::none;
  } else if constexpr (std::is_invocable_v<Fn&, Model&, Args...>) {
    return mistake::mutable_model;
  } else if constexpr (std::is_invocable_v<Fn&, Args...>) {
    return mistake::missing_model;
  } else {
    return mistake::arguments;
  }
}

template <class Model, class Fn, class... Rs>
consteval mistake find_mistake() {
  if constexpr (sizeof...(Rs) == 0 || !(std::ranges::input_range<Rs> && ...)) {
    return mistake::no_range;
  } else {
    return find_mistake_in_call<Model, Fn, std::ranges::range_value_t<std::remove_reference_t<Rs>>...>();
  }
}

/// Whether what `Fn` returns arrives as it was; says why not.
template <class Returned>
consteval bool returns_value() {
  constexpr bool whole = !std::is_reference_v<Returned> && !dangles<std::decay_t<Returned>>();
  static_assert(whole,
                "lenskit: the function returns a pointer, reference or view, which would dangle outside of the worker: "
                "return the value itself");
  if constexpr (!whole) {
    return false;
  } else if constexpr (std::is_void_v<Returned>) {
    return true;
  } else {
    return traveller<std::decay_t<Returned>>::travels;
  }
}

/// Whether `fn` can be mapped over ranges of these types; says why not.
template <class Model, class Fn, class... Rs>
consteval bool is_right_call() {
  constexpr auto wrong = find_mistake<Model, Fn, Rs...>();
  static_assert(wrong != mistake::no_range,
                "lenskit: map takes ranges, at least one, and calls the function with one element of each: give it "
                "map(std::vector{1, 2}), or map(std::views::iota(0, n))");
  static_assert(
      wrong != mistake::mutable_model,
      "lenskit: the function takes the model as something that it may change, but all workers share one: take "
      "it as const Model&");
  static_assert(wrong != mistake::missing_model,
                "lenskit: the function does not take the model: its first parameter is const Model&, also where it has "
                "no use for it");
  static_assert(wrong != mistake::arguments,
                "lenskit: the function cannot be called with the model and one element of each range: compare its "
                "parameters with the elements, in number and type");
  if constexpr (wrong != mistake::none) {
    return false;
  } else if constexpr (!(traveller<std::ranges::range_value_t<std::remove_reference_t<Rs>>>::travels && ...)) {
    return false;
  } else {
    return returns_value<called_result<Model, Fn, std::ranges::range_value_t<std::remove_reference_t<Rs>>...>>();
  }
}

}  // namespace lenskit::detail

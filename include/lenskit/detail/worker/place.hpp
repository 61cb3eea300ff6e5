// Workplaces by number: a model that is stored and the bytes of a function are enough to make one, in any process that
// runs the same program.
#pragma once

#include <lenskit/detail/os/code_address.hpp>
#include <lenskit/detail/share/model_state.hpp>
#include <lenskit/detail/wire/codec.hpp>
#include <lenskit/detail/worker/registry.hpp>
#include <lenskit/detail/worker/typed_tasks.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace lenskit::detail {

/// How a function is sent.
enum class function_route {
  none,     ///< not at all: what it holds may be pointers into this process
  type,     ///< it holds nothing: its type says all
  address,  ///< it is a pointer to a function of the program or of a library
  value,    ///< as any value, by its contents
};

// Whether T is the type of a lambda expression, or is made from one. Such a type has no fields that a program could
// look at, and what it captures may be references; a class that is closed like this has an author who answers for it.
template <class T>
consteval bool is_closure() {
  constexpr std::string_view name = __PRETTY_FUNCTION__;  // as GCC and Clang call them
  return name.find("<lambda") != std::string_view::npos || name.find("(lambda at") != std::string_view::npos;
}

template <class Fn>
inline constexpr function_route function_route_of = [] {
  if constexpr (std::is_pointer_v<Fn> && std::is_function_v<std::remove_pointer_t<Fn>>) {
    return function_route::address;
  } else if constexpr (std::is_empty_v<Fn> && std::is_default_constructible_v<Fn>) {
    return function_route::type;
  } else if constexpr (std::is_class_v<Fn> && !dangles<Fn>() && !is_closure<Fn>()) {
    if constexpr (wire_value<Fn>) return function_route::value;
  }
  return function_route::none;
}();

/// Whether workers that are not forked from this process can be given that function.
template <class Fn>
concept travelling_function = function_route_of<Fn>
!= function_route::none;

[[noreturn]] void fail_to_send_code();
[[noreturn]] void fail_to_find_code(const code_address& where);

/// Throws serialization_error, std::bad_alloc.
template <travelling_function Fn>
void put_function(writer& out, const Fn& function) {
  if constexpr (function_route_of<Fn> == function_route::address) {
    const auto where = locate_code(reinterpret_cast<const void*>(function));
    if (!where) fail_to_send_code();
    encode(out, where->object);
    encode(out, where->offset);
  } else if constexpr (function_route_of<Fn> == function_route::value) {
    encode(out, function);
  }
}

/// Throws serialization_error, std::bad_alloc, and what the function's own code throws.
template <travelling_function Fn>
[[nodiscard]] Fn get_function(reader& in) {
  if constexpr (function_route_of<Fn> == function_route::address) {
    code_address where;
    where.object = decode<std::string>(in);
    where.offset = decode<std::uint64_t>(in);
    const auto* found = code_at(where);
    if (found == nullptr) fail_to_find_code(where);
    return reinterpret_cast<Fn>(const_cast<void*>(found));
  } else if constexpr (function_route_of<Fn> == function_route::value) {
    return decode<Fn>(in);
  } else {
    return Fn();
  }
}

/// Makes a workplace of a model that another process has stored and of a function that it has written. Throws
/// persist_error, serialization_error, std::bad_alloc.
using place_factory = std::shared_ptr<workplace> (*)(stored_model::sent model, reader& function);

template <class Model, travelling_function Fn>
requires storable<kept_as<Model>> std::shared_ptr<workplace> make_place(stored_model::sent model, reader& function) {
  model_state<kept_as<Model>> state(stored_model::adopt(std::move(model)));
  return std::make_shared<typed_workplace<Model, Fn>>(state.share(), get_function<Fn>(function));
}

/// Null if this process knows no place of that number.
[[nodiscard]] inline place_factory find_place(code_id id) noexcept {
  return reinterpret_cast<place_factory>(find_code(code_kind::place, id));
}

/// The number of the workplaces for such a model and such a function.
template <class Model, class Fn>
[[gnu::init_priority(102)]] inline const registered_code place_entry{
    code_kind::place, reinterpret_cast<code_pointer>(static_cast<place_factory>(&make_place<Model, Fn>))};

}  // namespace lenskit::detail

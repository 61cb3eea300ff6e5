// The typed end of a pool in a worker: how a task's arguments are written and read, the task run, and its result
// written. Everything between works on bytes.
#pragma once

#include <lenskit/detail/wire/codec.hpp>
#include <lenskit/detail/worker/body.hpp>
#include <lenskit/detail/worker/recorder.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

namespace lenskit::detail {

/// Bytes of one task's arguments; 0 if they differ from task to task.
template <class... Args>
inline constexpr std::size_t record_bytes = (wire_bitwise<Args> && ...) ? (sizeof(Args) + ... + 0) : 0;

/// Bytes of one encoded result; 0 if they differ, and each has its length in front.
template <class R>
inline constexpr std::size_t result_bytes = wire_bitwise<R> ? sizeof(R) : 0;

/// Writes something whose length is not fixed, with the length in front, so that one that cannot be read does not take
/// those behind it along.
template <class Write>
void put_measured(writer& out, Write&& write) {
  const auto at = out.size();
  out.put(std::uint64_t{0});
  write(out);
  const std::uint64_t length = out.size() - at - sizeof(std::uint64_t);
  std::memcpy(out.data() + at, &length, sizeof length);
}

template <class... Args>
void encode_arguments(writer& out, const Args&... args) {
  if constexpr (record_bytes<Args...> != 0) {
    (encode(out, args), ...);
  } else {
    put_measured(out, [&](writer& body) { (encode(body, args), ...); });
  }
}

template <class... Args>
std::tuple<Args...> decode_arguments(reader& in) {
  if constexpr (record_bytes<Args...> != 0) {
    return std::tuple<Args...>{decode<Args>(in)...};
  } else {
    reader one(in.take(in.get<std::uint64_t>("the length of a task's arguments"), "a task's arguments"));
    return std::tuple<Args...>{decode<Args>(one)...};
  }
}

template <class R>
void encode_result(writer& out, const R& result) {
  if constexpr (wire_bitwise<R>) {
    encode(out, result);
  } else {
    put_measured(out, [&](writer& body) { encode(body, result); });
  }
}

/// Calls `fn(first..., args...)` with the arguments as rvalues, or as lvalues if it takes them only so.
template <class Fn, class... First, class... Args>
decltype(auto) call_with(Fn& fn, std::tuple<Args...>& args, const First&... first) {
  if constexpr (std::is_invocable_v<Fn&, const First&..., Args...>) {
    return std::apply([&](Args&... each) -> decltype(auto) { return std::invoke(fn, first..., std::move(each)...); },
                      args);
  } else {
    return std::apply([&](Args&... each) -> decltype(auto) { return std::invoke(fn, first..., each...); }, args);
  }
}

// Lvalues are only tried where rvalues will not do: a generic function that forwards may not even compile with them.
template <class Model, class Fn, class... Args>
inline constexpr bool callable_with =
    std::disjunction_v<std::is_invocable<Fn&, const Model&, Args...>, std::is_invocable<Fn&, const Model&, Args&...>>;

template <class Model, class Fn, class... Args>
using called_result =
    decltype(call_with(std::declval<Fn&>(), std::declval<std::tuple<Args...>&>(), std::declval<const Model&>()));

/// void becomes std::monostate, which is a value.
template <class Returned>
using value_of_result = std::conditional_t<std::is_void_v<Returned>, std::monostate, std::decay_t<Returned>>;

template <class Call>
auto value_of(Call&& call) -> value_of_result<decltype(call())> {
  if constexpr (std::is_void_v<decltype(call())>) {
    call();
    return {};
  } else {
    return call();
  }
}

// How a model is kept. An array, a string literal above all, can neither be returned nor stood for by a pointer to it
// as an object can: it is kept as the std::array that lies in memory as it does.
template <class Model>
struct kept_model {
  using type = Model;
};
template <class T, std::size_t Size>
struct kept_model<T[Size]> {
  using type = std::array<typename kept_model<T>::type, Size>;
  static_assert(sizeof(type) == sizeof(T[Size]));
};
template <class Model>
using kept_as = typename kept_model<Model>::type;

template <class Model>
[[nodiscard]] const kept_as<Model>& as_kept(const Model& model) noexcept {
  return reinterpret_cast<const kept_as<Model>&>(model);
}

template <class Model, class Fn>
class typed_workplace final : public workplace {
 public:
  typed_workplace(std::shared_ptr<const kept_as<Model>> model, Fn function)
      : model_(std::move(model)), fn_(std::move(function)) {}

  /// As it was given.
  [[nodiscard]] const Model& model() const noexcept { return reinterpret_cast<const Model&>(*model_); }
  [[nodiscard]] Fn& fn() noexcept { return fn_; }

  [[nodiscard]] std::unique_ptr<workplace> clone() const override {
    if constexpr (std::is_copy_constructible_v<Fn>) {
      return std::make_unique<typed_workplace>(model_, fn_);
    } else {
      throw std::invalid_argument("engine threads needs a function that can be copied: each worker has its own copy");
    }
  }

 private:
  std::shared_ptr<const kept_as<Model>> model_;
  Fn fn_;
};

/// The body of the tasks of one kind of map call.
template <class Model, class Fn, class... Args>
void run_tasks(workplace& place, reader& in, recorder& out) {
  auto& here = static_cast<typed_workplace<Model, Fn>&>(place);
  using result = value_of_result<called_result<Model, Fn, Args...>>;
  const auto run_one = [&here](reader& from) -> result {
    auto args = decode_arguments<Args...>(from);
    return value_of([&]() -> decltype(auto) { return call_with(here.fn(), args, here.model()); });
  };
  for (;;) {
    if constexpr (wire_bitwise<result>) {
      auto from = in;  // nobody else's, so that it can stay in registers
      out.run_on([&] { return run_one(from); });
      in = from;
    }
    if (!out.next()) return;
    std::optional<result> value;
    try {
      value.emplace(run_one(in));
    } catch (...) {
      out.failure(std::current_exception());
      continue;
    }
    out.value([&](writer& to) { encode_result(to, *value); });
  }
}

}  // namespace lenskit::detail

#include <lenskit/detail/share/model_file.hpp>
#include <lenskit/detail/share/segment.hpp>
#include <lenskit/detail/share/storage.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string>

namespace lenskit {
namespace detail {
namespace {

constexpr std::array methods{
    method_row{persist_method::automatic, "automatic", {}, nullptr},
    method_row{persist_method::shm, "shm", {}, &segment_storage},
    method_row{persist_method::file, "file", "binpickle", &file_storage},
    method_row{persist_method::inherit, "inherit", {}, nullptr},
};

// "automatic, shm, file, binpickle or inherit"
std::string names_of_methods() {
  std::string text;
  for (const auto& each : methods) {
    if (!text.empty()) text += &each == &methods.back() ? " or " : ", ";
    text += each.name;
    if (!each.also.empty()) text.append(", ").append(each.also);
  }
  return text;
}

}  // namespace

const method_row* find_method(persist_method method) noexcept {
  const auto* const found = std::ranges::find(methods, method, &method_row::method);
  return found != methods.end() ? found : nullptr;
}

const storage& storage_of(persist_method method) {
  const auto* const found = find_method(method);
  if (found == nullptr || found->stored_as == nullptr)
    throw std::invalid_argument(
        fmt::format("persist method is {}, expected {}", static_cast<int>(method), names_of_methods()));
  return *found->stored_as;
}

}  // namespace detail

persist_method parse_persist_method(std::string_view name) {
  for (const auto& each : detail::methods)
    if (name == each.name || (!each.also.empty() && name == each.also)) return each.method;
  throw std::invalid_argument(
      fmt::format("unknown persist method '{}': expected {}", name, detail::names_of_methods()));
}

std::string_view to_string(persist_method method) noexcept {
  const auto* const found = detail::find_method(method);
  return found != nullptr ? found->name : "unknown";
}

}  // namespace lenskit

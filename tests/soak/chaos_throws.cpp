// Tasks, arguments and results that throw.
#include "chaos_faults.hpp"

#include <lenskit/error.hpp>

#include <any>
#include <exception>
#include <filesystem>
#include <functional>
#include <future>
#include <new>
#include <optional>
#include <stdexcept>
#include <system_error>
#include <tuple>
#include <variant>

namespace lenskit::soak::chaos {
namespace {

struct not_standard {};

struct own_error : std::runtime_error {
  using runtime_error::runtime_error;
};

struct nameless : std::exception {
  [[nodiscard]] const char* what() const noexcept override { return nullptr; }
};

struct throwing_copy : std::runtime_error {
  explicit throwing_copy(const char* text) : runtime_error(text) {}
  throwing_copy(const throwing_copy& other) : runtime_error(other) { throw std::logic_error("cannot be copied"); }
  throwing_copy& operator=(const throwing_copy&) = delete;
};

struct heavy : std::runtime_error {
  heavy() : runtime_error(filler(700'000, 3)) {}
};

template <class Error>
void throw_plain(task_context&) {
  throw Error("chaos");
}

void throw_nested(int depth) {
  if (depth == 0) throw std::out_of_range("innermost");
  try {
    throw_nested(depth - 1);
  } catch (...) {
    std::throw_with_nested(own_error("outer"));
  }
}

constexpr auto own_name = "lenskit::soak::chaos::(anonymous namespace)::own_error";

}  // namespace

std::vector<task_fault> thrown_faults() {
  const fate own = throws(own_name);
  std::vector<task_fault> all{
      {"runtime_error", throws("std::runtime_error"), throw_plain<std::runtime_error>},
      {"logic_error", throws("std::logic_error"), throw_plain<std::logic_error>},
      {"out_of_range", throws("std::out_of_range"), throw_plain<std::out_of_range>},
      {"invalid_argument", throws("std::invalid_argument"), throw_plain<std::invalid_argument>},
      {"bad_alloc", throws("std::bad_alloc"), [](task_context&) { throw std::bad_alloc(); }},
      {"system_error", throws("std::system_error"),
       [](task_context&) { throw std::system_error(ENOSPC, std::generic_category(), "chaos"); }},
      {"filesystem_error", throws("std::filesystem::__cxx11::filesystem_error"),
       [](task_context&) { std::ignore = std::filesystem::file_size("/nonexistent/chaos"); }},
      {"future_error", throws("std::future_error"),
       [](task_context&) { throw std::future_error(std::future_errc::no_state); }},
      {"bad_optional_access", throws("std::bad_optional_access"),
       [](task_context&) { std::ignore = std::optional<int>().value(); }},
      {"bad_variant_access", throws("std::bad_variant_access"),
       [](task_context&) { std::ignore = std::get<1>(std::variant<int, char>(1)); }},
      {"bad_function_call", throws("std::bad_function_call"), [](task_context&) { std::function<void()>()(); }},
      {"error of its own class", own, throw_plain<own_error>},
      {"what() without a text", throws("lenskit::soak::chaos::(anonymous namespace)::nameless"),
       [](task_context&) { throw nameless(); }},
      {"error whose copy throws", throws("lenskit::soak::chaos::(anonymous namespace)::throwing_copy"),
       throw_plain<throwing_copy>},
      {"error with a text of 700 KB", throws("lenskit::soak::chaos::(anonymous namespace)::heavy"),
       [](task_context&) { throw heavy(); }},
      {"nested errors", own, [](task_context&) { throw_nested(3); }},
      {"errors nested 100 deep", own, [](task_context&) { throw_nested(100); }},
      {"int thrown", throws("int"), [](task_context&) { throw 5; }},
      {"string thrown", throws("std::string"), [](task_context&) { throw std::string("chaos"); }},
      {"unknown class thrown", throws("lenskit::soak::chaos::(anonymous namespace)::not_standard"),
       [](task_context&) { throw not_standard(); }},
      {"task pretends that its worker died", throws("lenskit::worker_died"),
       [](task_context&) { throw worker_died(task_failure(), death_report()); }},
      {"task pretends that the pool is broken", throws("lenskit::broken_pool"),
       [](task_context&) { throw broken_pool("it is not"); }},
      {"task pretends that the pool is closed", throws("lenskit::invoker_closed"),
       [](task_context&) { throw invoker_closed("it is not"); }},
      {.name = "argument that cannot be written", .fate = refused(), .set = trap::saving_argument},
      {.name = "argument that cannot be read", .fate = refused(), .set = trap::loading_argument},
      {.name = "result that cannot be written", .fate = refused(), .set = trap::saving_result},
      {.name = "result that cannot be written to its end", .fate = refused(), .set = trap::late_in_result},
      {.name = "result that cannot be read", .fate = refused(), .set = trap::loading_result},
  };
  for (auto& each : all) each.needs_process = false;
  return all;
}

}  // namespace lenskit::soak::chaos

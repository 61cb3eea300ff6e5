#include <lenskit/error.hpp>

#include <boost/core/demangle.hpp>

#include <fmt/format.h>

#include <cxxabi.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <iterator>
#include <string>
#include <string_view>
#include <typeinfo>
#include <vector>

namespace lenskit {
namespace {

// A value of several lines stands below its name.
void add(std::string& to, std::string_view name, std::string_view value) {
  if (value.empty()) return;
  while (!value.empty() && value.back() == '\n') value.remove_suffix(1);
  if (value.find('\n') == std::string_view::npos) {
    fmt::format_to(std::back_inserter(to), "  {}: {}\n", name, value);
    return;
  }
  fmt::format_to(std::back_inserter(to), "  {}:\n", name);
  while (!value.empty()) {
    const auto end = std::min(value.find('\n'), value.size());
    fmt::format_to(std::back_inserter(to), "    {}\n", value.substr(0, end));
    value.remove_prefix(std::min(end + 1, value.size()));
  }
}

void add_lines(std::string& to, std::string_view name, const std::vector<std::string>& lines) {
  std::string all;
  for (const auto& line : lines) all += line + '\n';
  if (lines.size() == 1) all += '\n';
  add(to, name, all);
}

double seconds(std::chrono::nanoseconds time) { return std::chrono::duration<double>(time).count(); }

void add_death(std::string& to, const worker_died& death) {
  if (const auto signal = death.signal()) {
    const char* name = ::sigabbrev_np(*signal);
    add(to, "signal",
        fmt::format("{}{} ({}){}", name != nullptr ? "SIG" : "", name != nullptr ? name : "unnamed", *signal,
                    death.core_dumped() ? ", core dumped" : ""));
  }
  if (const auto code = death.exit_code()) add(to, "exit code", std::to_string(*code));
  if (death.probably_out_of_memory()) add(to, "cause", "probably out of memory");
  if (death.stopped()) add(to, "cause", "it had been stopped and did not go on");
  add(to, "running time", fmt::format("{:.3f} s", seconds(death.elapsed())));
  if (death.peak_memory() > 0)
    add(to, "peak memory", fmt::format("{:.1f} MiB", static_cast<double>(death.peak_memory()) / (1 << 20)));
}

// The fields of the library's own exceptions.
void add_fields(std::string& to, const std::exception& e) {
  const auto* where = dynamic_cast<const task_error*>(&e);
  if (where != nullptr) {
    add(to, "task", std::to_string(where->index()));
    add(to, "worker", std::to_string(where->worker_pid()));
  }
  const auto* death = dynamic_cast<const worker_died*>(&e);
  if (death != nullptr) add_death(to, *death);
  if (const auto* late = dynamic_cast<const task_timeout*>(&e))
    add(to, "time limit", fmt::format("{:.3f} s", seconds(late->limit())));
  if (const auto* full = dynamic_cast<const no_space*>(&e)) {
    add(to, "needed", fmt::format("{} bytes", full->needed()));
    add(to, "available", fmt::format("{} bytes in {}", full->available(), full->where()));
  }
  if (where != nullptr) add(to, "stack", where->stack());
  if (death != nullptr) add_lines(to, "last log lines", death->log_tail());
  if (const auto* broken = dynamic_cast<const broken_pool*>(&e)) add_lines(to, "last workers", broken->causes());
}

// The name of a type as its user wrote it, not as one that the library or std::throw_with_nested derived from it.
std::string type_of_current(const std::exception* e) {
  if (e != nullptr) {
    if (const auto* where = dynamic_cast<const task_error*>(e); where != nullptr && !where->type_name().empty())
      return where->type_name();
  }
  const auto* type = abi::__cxa_current_exception_type();
  if (type == nullptr) return "an exception of another language";
  auto name = boost::core::demangle(type->name());
  constexpr std::string_view wrapper = "std::_Nested_exception<";
  if (name.starts_with(wrapper) && name.ends_with('>')) {
    name = name.substr(wrapper.size(), name.size() - wrapper.size() - 1);
    while (name.ends_with(' ')) name.pop_back();
  }
  return name;
}

void add_title(std::string& to, std::string_view type, std::string_view message) {
  to += type;
  if (!message.empty()) fmt::format_to(std::back_inserter(to), ": {}", message);
  if (to.back() != '\n') to += '\n';
}

// Without what the fields below it say again: log lines, stack and causes are appended to the texts of these.
std::string_view title_of(std::string_view message) {
  for (const std::string_view appended : {"; its last log lines:\n", "\nstack:\n", "; the last workers ended so:\n"})
    message = message.substr(0, message.find(appended));
  return message;
}

// Appends what is known of `thrown`, and returns what it was thrown in answer to.
std::exception_ptr add_one(std::string& to, const std::exception_ptr& thrown) {
  std::exception_ptr inner;
  const auto look_inside = [&inner](const auto& e) {
    if (const auto* nested = dynamic_cast<const std::nested_exception*>(&e)) inner = nested->nested_ptr();
  };
  try {
    std::rethrow_exception(thrown);
  } catch (const std::exception& e) {
    const bool has_more =
        dynamic_cast<const worker_died*>(&e) != nullptr || dynamic_cast<const broken_pool*>(&e) != nullptr;
    const std::string_view message = e.what() != nullptr ? e.what() : "";
    add_title(to, type_of_current(&e), has_more ? title_of(message) : message);
    add_fields(to, e);
    look_inside(e);
  } catch (const std::nested_exception& e) {
    add_title(to, type_of_current(nullptr), "");
    inner = e.nested_ptr();
  } catch (const std::string& message) {
    add_title(to, "std::string", message);
  } catch (const char* message) {
    add_title(to, "const char*", message != nullptr ? message : "");
  } catch (int number) {
    add_title(to, "int", std::to_string(number));
  } catch (...) {
    add_title(to, type_of_current(nullptr), "");
  }
  return inner;
}

}  // namespace

std::string describe(const std::exception_ptr& thrown) {
  if (!thrown) return "no exception\n";
  constexpr int most_nested = 32;  // an exception may be nested in itself
  std::string all;
  auto inner = add_one(all, thrown);
  for (int depth = 0; inner && depth < most_nested; ++depth) {
    all += "in answer to ";
    inner = add_one(all, inner);
  }
  return all;
}

}  // namespace lenskit

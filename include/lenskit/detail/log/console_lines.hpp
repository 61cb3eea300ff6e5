// Lets lines at the bottom of the terminal live together with spdlog's console sinks.
#pragma once

#include <spdlog/formatter.h>
#include <spdlog/sinks/sink.h>

#include <memory>
#include <string>
#include <vector>

namespace lenskit::detail {

/// Whoever has drawn lines at the bottom of the terminal. Both are called with spdlog's console mutex held.
class console_lines {
 public:
  /// What a sink has to write before its own line.
  virtual std::string before_line() = 0;
  /// And after it.
  virtual std::string after_line() = 0;

 protected:
  ~console_lines() = default;
};

/// The console sinks of the registered loggers that write to the terminal of standard error; none when the registry is
/// busy. Takes its mutex, so not while the console mutex is held.
[[nodiscard]] std::vector<spdlog::sink_ptr> terminal_sinks();

/// Makes the formatters of `sinks` ask `lines` around each of their lines: a sink formats and writes under the console
/// mutex, which is the only moment that is safe, and the sinks themselves stay in place, where other threads use them.
/// Call with the console mutex held.
void attach(console_lines& lines, const std::vector<spdlog::sink_ptr>& sinks);

/// Gives `sinks` their own formatters back. Call with the console mutex held.
void detach(const std::vector<spdlog::sink_ptr>& sinks) noexcept;

}  // namespace lenskit::detail

#include <lenskit/detail/log/console_lines.hpp>
#include <lenskit/detail/log/spdlog_internals.hpp>
#include <lenskit/detail/os/system.hpp>

#include <spdlog/details/registry.h>

#include <mutex>
#include <utility>

namespace lenskit::detail {
namespace {

class lines_formatter final : public spdlog::formatter {
 public:
  lines_formatter(console_lines& lines, std::unique_ptr<spdlog::formatter> inner)
      : lines_(lines), inner_(std::move(inner)) {}

  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& dest) override {
    const auto append = [&dest](const std::string& text) { dest.append(text.data(), text.data() + text.size()); };
    append(lines_.before_line());
    inner_->format(message, dest);
    // A pattern without a line end would have the lines written into its text.
    if (dest.size() > 0 && dest[dest.size() - 1] == '\n') append(lines_.after_line());
  }
  [[nodiscard]] std::unique_ptr<spdlog::formatter> clone() const override { return inner_->clone(); }
  [[nodiscard]] std::unique_ptr<spdlog::formatter> release() noexcept { return std::move(inner_); }

 private:
  console_lines& lines_;
  std::unique_ptr<spdlog::formatter> inner_;
};

bool same_terminal() noexcept {
  struct stat out {};
  struct stat err {};
  return sys::is_terminal(sys::standard_output) && sys::fstat(sys::standard_output, out) == 0 &&
         sys::fstat(sys::standard_error, err) == 0 && out.st_rdev == err.st_rdev;
}

}  // namespace

std::vector<spdlog::sink_ptr> terminal_sinks() {
  std::vector<spdlog::sink_ptr> found;
  if (!registry_lives() || !std::unique_lock(registry_mutex(), std::try_to_lock)) return found;
  const bool both = same_terminal();
  spdlog::details::registry::instance().apply_all([&](const std::shared_ptr<spdlog::logger> logger) {
    for (const auto& sink : logger->sinks()) {
      int fd = -1;
      if (sink && console_formatter(*sink, fd) != nullptr && (fd == sys::standard_error || both)) found.push_back(sink);
    }
  });
  return found;
}

void attach(console_lines& lines, const std::vector<spdlog::sink_ptr>& sinks) {
  for (const auto& sink : sinks) {
    int fd = -1;
    auto& formatter = *console_formatter(*sink, fd);
    if (formatter && dynamic_cast<lines_formatter*>(formatter.get()) == nullptr)
      formatter = std::make_unique<lines_formatter>(lines, std::move(formatter));
  }
}

void detach(const std::vector<spdlog::sink_ptr>& sinks) noexcept {
  for (const auto& sink : sinks) {
    int fd = -1;
    auto& formatter = *console_formatter(*sink, fd);
    if (auto* ours = dynamic_cast<lines_formatter*>(formatter.get())) formatter = ours->release();
  }
}

}  // namespace lenskit::detail

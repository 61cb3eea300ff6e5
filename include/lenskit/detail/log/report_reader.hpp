// The parent's end of a worker's report pipe: puts reports together and has them delivered.
#pragma once

#include <lenskit/detail/log/delivery.hpp>
#include <lenskit/detail/log/report.hpp>
#include <lenskit/detail/os/descriptor.hpp>

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace lenskit::detail {

/// What a dying worker could still say.
struct crash_notice {
  int signal = 0;
  int code = 0;
  std::uint64_t address = 0;
  std::uint32_t thread = 0;
  std::vector<std::uint64_t> frames{};  ///< return addresses in the worker, innermost first
  std::string text{};
};

/// Reads the reports of one worker. Log records and progress are left to `log_delivery`, which calls the parent's
/// loggers and bars: nothing here does. Crash notices and the last log lines are kept for whoever describes the
/// worker's death. All members may be called from several threads at once. Bytes that make no sense are dropped with
/// one warning that names the worker; they never harm the parent.
class report_reader {
 public:
  /// `read_end` is made non-blocking. `worker` is the worker's index, if it has one. Made before the worker is: once
  /// that runs, memory could be short (A1).
  explicit report_reader(descriptor read_end, std::optional<int> worker = {});
  ~report_reader();
  report_reader(const report_reader&) = delete;
  report_reader& operator=(const report_reader&) = delete;

  /// Whose reports they are. Before anything is read.
  void belongs_to(pid_t pid) noexcept { pid_ = channel_->pid = pid; }

  [[nodiscard]] int fd() const noexcept { return pipe_.get(); }

  /// Reads what is in the pipe now, or a megabyte if there is more: other workers want to be heard too. Leaves it in
  /// the pipe while `log_delivery::full`. Does not block. Returns the number of bytes read.
  std::size_t drain() noexcept;

  /// Whether nothing is left and nothing can come: whoever could write has ended.
  [[nodiscard]] bool at_end() const noexcept { return at_end_.load(std::memory_order_acquire); }

  /// Reads at least the first `count` reports, as `reports_written` counted them in the worker, if they are in the
  /// pipe, and waits until they are delivered: what a result has to wait for. Gives up after a tenth of a second if a
  /// sink hangs, and at once while it goes on hanging.
  void drain_until(std::uint64_t count) noexcept;

  /// After the worker's death: reads everything that is left, tells what there is of reports that were cut off, and
  /// waits as `drain_until` does. `drain` finds nothing afterwards.
  void finish() noexcept;

  /// The number of reports of the worker that are settled: delivered, or known to be lost.
  [[nodiscard]] std::uint64_t delivered() const noexcept { return channel_->delivered.load(); }

  /// The last log lines of the worker, oldest first, whatever their level: at most ten of at most 1 KB.
  [[nodiscard]] std::vector<std::string> last_lines() const;

  [[nodiscard]] std::optional<crash_notice> crash() const;

 private:
  /// A report some fragments of which have come.
  struct partial {
    fragment_header first;
    std::uint32_t next = 0;
    std::string bytes{};
  };
  struct kept_line {
    std::int64_t time = 0;
    std::uint8_t level = 0;
    std::string name{};
    std::string text{};
  };

  std::size_t read(std::size_t most, bool even_if_full) noexcept;
  std::size_t read_some() noexcept;
  std::size_t consume(const char* bytes, std::size_t count);
  void accept(const fragment_header& header, const char* body, std::size_t bytes);
  void collect(const fragment_header& header, const char* body, std::size_t bytes);
  void take(const fragment_header& header, std::string_view body);
  bool take_log(const fragment_header& header, std::string_view body);
  bool take_crash(const fragment_header& header, std::string_view body);
  bool take_important(const fragment_header& header, std::string_view body, bool sound, deliver_item deliver);
  void give(deliver_item deliver, std::string_view body, const fragment_header& header, std::uint64_t reports = 1);
  void warn(std::string_view text);
  [[nodiscard]] bool drop(const fragment_header& header, bool important);
  void say_drops();
  void post() noexcept;
  void say_partial(const partial& cut_off);
  void say_garbage();
  void keep_line(const log_fields& fields, std::string_view name, std::string_view text);

  descriptor pipe_;
  pid_t pid_ = -1;
  const std::shared_ptr<delivery_channel> channel_;
  std::atomic<std::uint64_t> posted_{0};  // reports left to the delivery
  std::atomic<bool> at_end_{false};

  mutable std::mutex mutex_;  // guards everything below
  delivery_batch batch_{};
  std::array<char, max_fragment> carry_;  // the beginning of a fragment whose end is not read yet
  std::size_t carried_ = 0;
  std::vector<partial> partials_{};
  std::size_t garbage_ = 0;
  std::uint64_t dropped_ = 0;  // records, since the last that was left to the delivery
  std::array<kept_line, 10> lines_{};
  std::size_t n_lines_ = 0;
  std::optional<crash_notice> crash_{};
};

}  // namespace lenskit::detail

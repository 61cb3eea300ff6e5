// Logs a worker's record in the parent, as if it had been made here.
#pragma once

#include <lenskit/detail/log/delivery.hpp>
#include <lenskit/detail/log/report.hpp>
#include <lenskit/logging.hpp>

#include <spdlog/logger.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lenskit::detail {

/// The views of a record that arrived.
struct log_record {
  log_fields fields;
  std::string_view name;
  std::string_view file;
  std::string_view function;
  std::string_view text;
};

/// Reads the body of a log report; false if its fields contradict each other. If it `may_be_cut`, the text may be
/// shorter than announced.
[[nodiscard]] bool parse_log_record(std::string_view body, bool may_be_cut, log_record& record) noexcept;

/// Passes records to the logger of the same name, or to the default logger's sinks if there is none, as the parent's
/// levels are now. Nothing a sink does or throws comes through. One per worker; not for concurrent use.
class log_replay {
 public:
  explicit log_replay(std::optional<int> worker) noexcept : worker_(worker) {}

  /// Within a `foreign_call`. False if spdlog's registry is busy: then nothing has happened yet.
  bool log(const log_record& record) noexcept;
  /// Ends a batch: loggers that the user drops or replaces meanwhile are looked up again.
  void forget_loggers() noexcept { known_.clear(); }

 private:
  struct known_logger {
    std::string name;
    std::shared_ptr<spdlog::logger> logger;
  };
  struct known_source {
    std::string_view file{};  // permanent
    std::string_view function{};
  };

  [[nodiscard]] const known_logger* find_logger(std::string_view name);
  spdlog::source_loc source_of(const log_record& record);

  std::optional<int> worker_;
  std::vector<known_logger> known_{};
  known_source last_source_{};
};

/// Delivers the body of a log report.
bool deliver_log(delivery_channel* from, std::string_view body);

/// A permanent, null-terminated copy of `text`, the same one each time: asynchronous loggers keep pointers to the
/// source location of a record. Gives "" for a new text when very many are known.
[[nodiscard]] std::string_view intern(std::string_view text);

}  // namespace lenskit::detail

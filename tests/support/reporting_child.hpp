// A forked process that reports to a reader in this one, as a worker does, but without a pool.
#pragma once

#include <lenskit/detail/log/delivery.hpp>
#include <lenskit/detail/log/quiet.hpp>
#include <lenskit/detail/log/report_reader.hpp>
#include <lenskit/detail/log/worker_logging.hpp>
#include <lenskit/detail/log/worker_progress.hpp>
#include <lenskit/detail/os/descriptor.hpp>
#include <lenskit/detail/os/system.hpp>
#include <lenskit/logging.hpp>

#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <support/catch.hpp>

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace lenskit::tests {

struct seen_record {
  std::string name, text, file, function;
  spdlog::level::level_enum level;
  spdlog::log_clock::time_point time;
  std::size_t thread;
  int line;
  pid_t origin;  // 0 for a record of this process
};

/// What is in the pipe, in the sinks; false if they take longer than ten seconds.
inline bool hear(detail::report_reader& reader) {
  while (reader.drain() > 0) {}
  return detail::log_delivery::finish(std::chrono::steady_clock::now() + std::chrono::seconds(10));
}

/// Keeps what it is given.
class keeping_sink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  std::vector<seen_record> records() {
    const std::lock_guard held(mutex_);
    return records_;
  }
  std::vector<std::string> texts() {
    std::vector<std::string> found;
    for (auto& each : records()) found.push_back(each.text);
    return found;
  }

 protected:
  void sink_it_(const spdlog::details::log_msg& msg) override {
    const auto* origin = current_log_origin();
    const auto text = [](const char* c) { return std::string(c != nullptr ? c : ""); };
    records_.push_back({{msg.logger_name.data(), msg.logger_name.size()},
                        {msg.payload.data(), msg.payload.size()},
                        text(msg.source.filename),
                        text(msg.source.funcname),
                        msg.level,
                        msg.time,
                        msg.thread_id,
                        msg.source.line,
                        origin != nullptr ? origin->pid : 0});
  }
  void flush_() override {}

 private:
  std::vector<seen_record> records_;
};

/// The loggers of spdlog's registry while it lives: empty at first, and afterwards as they were.
class fresh_loggers {
 public:
  fresh_loggers() {
    spdlog::apply_all([this](const std::shared_ptr<spdlog::logger> logger) { saved_.push_back(logger); });
    default_ = spdlog::default_logger();
    spdlog::drop_all();
    auto logger = std::make_shared<spdlog::logger>("", sink);
    spdlog::set_default_logger(logger);
  }
  ~fresh_loggers() {
    spdlog::drop_all();
    for (auto& logger : saved_)
      if (logger != default_) spdlog::register_logger(logger);
    spdlog::set_default_logger(default_);
  }
  fresh_loggers(const fresh_loggers&) = delete;
  fresh_loggers& operator=(const fresh_loggers&) = delete;

  std::shared_ptr<keeping_sink> sink = std::make_shared<keeping_sink>();

 private:
  std::vector<std::shared_ptr<spdlog::logger>> saved_;
  std::shared_ptr<spdlog::logger> default_;
};

class reporting_child {
 public:
  /// Runs `body` in a child whose loggers report to `reader()`.
  template <class Body>
  explicit reporting_child(Body body, std::optional<int> worker = {}) {
    int ends[2];
    REQUIRE(detail::sys::pipe(ends, 0) == 0);
    detail::descriptor read_end(ends[0]);
    detail::descriptor write_end(ends[1]);
    pid_ = detail::with_loggers_quiet([] { return detail::sys::fork(); });
    if (pid_ == 0) {
      ::signal(SIGPIPE, SIG_IGN);
      ::close(ends[0]);
      detail::start_worker_logging(ends[1]);
      try {
        body();
      } catch (...) {
        ::_exit(99);
      }
      detail::flush_worker_progress();
      detail::report_drops();
      ::_exit(0);
    }
    REQUIRE(pid_ > 0);
    reader_ = std::make_unique<detail::report_reader>(std::move(read_end), worker);
    reader_->belongs_to(pid_);
  }
  ~reporting_child() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
  }
  reporting_child(const reporting_child&) = delete;
  reporting_child& operator=(const reporting_child&) = delete;

  [[nodiscard]] detail::report_reader& reader() { return *reader_; }
  [[nodiscard]] pid_t pid() const { return first_pid_ != 0 ? first_pid_ : pid_; }

  /// Reads until the child is gone, then the rest; returns its wait status, or -1 after `seconds`.
  int drain_to_death(int seconds = 20) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
    while (std::chrono::steady_clock::now() < deadline) {
      reader_->drain();
      int status = 0;
      if (::waitpid(pid_, &status, WNOHANG) == pid_) {
        first_pid_ = std::exchange(pid_, 0);
        reader_->finish();
        return detail::log_delivery::finish(deadline) ? status : -1;
      }
      pollfd ready{reader_->fd(), POLLIN, 0};
      ::poll(&ready, 1, 10);
      if ((ready.revents & POLLHUP) != 0) ::usleep(1000);  // it is about to die
    }
    return -1;
  }

 private:
  pid_t pid_ = 0;
  pid_t first_pid_ = 0;
  std::unique_ptr<detail::report_reader> reader_;
};

}  // namespace lenskit::tests

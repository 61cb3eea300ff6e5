// Tells whether what came of a chaos run is what had to come of it.
#pragma once

#include "chaos_pace.hpp"
#include "chaos_task.hpp"
#include "disposable.hpp"

#include <lenskit/map_range.hpp>

#include <spdlog/sinks/base_sink.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <tuple>
#include <vector>

namespace lenskit::soak::chaos {

/// What one map call was given and may do.
struct call {
  std::uint32_t number = 0;
  std::vector<item> items;
  std::vector<std::uint64_t> lots{};  ///< what each task must draw from its seed; empty if nobody can know
  int max_retries = 0;
  std::string about{};  ///< for complaints
};

/// Where the log records of all workers end up.
class log_keeper final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit log_keeper(notes& complaints) : complaints_(complaints) {}
  [[nodiscard]] std::uint32_t received(const item& of) const noexcept { return received_[of.call][of.index]; }

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override;
  void flush_() override {}

 private:
  notes& complaints_;
  std::atomic<std::uint32_t> received_[most_calls][most_items]{};
  std::map<std::tuple<std::uint32_t, std::uint32_t, std::uint32_t, std::uint32_t>, std::uint32_t> next_;
  std::map<pid_t, std::chrono::steady_clock::time_point> last_time_;
};

class judge {
 public:
  judge(notes& complaints, const log_keeper& logs, std::uint64_t model_checksum)
      : complaints_(complaints), logs_(logs), model_checksum_(model_checksum) {}

  /// What the consumer got for one item, once.
  void settle(const call& of, std::size_t index, const outcome<answer>& got);
  /// After a call: what was executed how often, settled or not.
  void close(const call& of);
  /// `goal`: the one of the scorecard that is missed.
  void complain(const char* goal, const call& of, std::size_t index, const std::string& what);
  void complain(const char* goal, const std::string& what) { complaints_.complain(goal + (' ' + what)); }

  /// From now on system calls fail for good, and with them tasks and pools.
  void expect_breakage() noexcept { breakage_ = true; }
  [[nodiscard]] bool expects_breakage() const noexcept { return breakage_; }

 private:
  void judge_answer(const call& of, const item& what, const answer& got);
  void judge_failure(const call& of, const item& what, const std::exception_ptr& failure);
  void judge_executions(const call& of, const item& what, const outcome<answer>& got);
  void judge_log(const call& of, const item& what);
  void spend_stray(const call& of, const item& what, const std::string& otherwise);

  notes& complaints_;
  const log_keeper& logs_;
  const std::uint64_t model_checksum_;
  const pace begun_ = pace::now();
  bool breakage_ = false;
  std::mutex mutex_;  // two threads may consume at once
  int strays_spent_ = 0;
};

}  // namespace lenskit::soak::chaos

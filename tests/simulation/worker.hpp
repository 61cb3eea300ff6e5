// A worker in virtual time, and what is on its way to it and from it.
#pragma once

#include <lenskit/detail/dispatch/engine.hpp>

#include <cstdint>
#include <deque>
#include <limits>
#include <optional>
#include <utility>

namespace lenskit::simulation {

namespace d = lenskit::detail;

constexpr std::uint64_t value_of(std::uint64_t call, std::uint64_t index) { return call << 32 | index; }
constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();

/// A chunk that it has been given.
struct task_list {
  d::assignment work{};
  std::uint32_t begun = 0, finished = 0, sent = 0, limit = 0, fetched = 0;
  std::int64_t sent_at = 0;
  [[nodiscard]] bool runs() const noexcept { return begun > finished; }
};
enum class phase { absent, starting, works, dead };
struct worker {
  phase now = phase::starting;
  std::deque<task_list> has{};
  std::int64_t next_at = 0;  // something happens to it
  std::int64_t dies_at = never;
  std::int64_t started_at = 0;
  std::int64_t heard_at = 0;  // when the last message of it arrives
  std::int64_t harvest_at = never;
  bool end_requested = false;
  bool lost = false;
  int start_error = 0;
};
/// On its way from a worker.
struct message {
  std::int64_t at = 0;
  int worker = 0;
  d::results_event event{};
  std::optional<d::worker_death> death{};
  std::optional<std::pair<std::uint64_t, std::uint32_t>> answer{};
};
/// To give back tasks, on its way to a worker.
struct request {
  std::int64_t at;
  int worker;
  std::uint64_t chunk;
  std::uint32_t keep;
};

}  // namespace lenskit::simulation

// A place for a worker process, from the asking for one to the burial of the one that came.
#pragma once

#include <lenskit/detail/engines/connection.hpp>
#include <lenskit/detail/log/report_reader.hpp>
#include <lenskit/detail/os/clock.hpp>
#include <lenskit/detail/os/descriptor.hpp>
#include <lenskit/detail/os/process.hpp>

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>

namespace lenskit::detail {

/// One worker, and nothing of the one before it: a replacement is another slot. What several threads touch is atomic or
/// has its lock here; the rest is the dispatcher's lock's, or the leader's.
struct worker_slot {
  worker_slot(descriptor stream, std::shared_ptr<report_reader> reader, journal_block& block)
      : link(std::move(stream), block), unmet(std::move(reader)) {}

  [[nodiscard]] std::uint32_t received_up_to(std::uint64_t chunk) const noexcept {
    return chunk == received_of ? received : 0;
  }

  connection link;
  std::atomic<bool> running{false};      // it has been heard of; before, what is sent waits in the connection
  std::atomic<bool> unreachable{false};  // nothing can be sent to it any more
  std::atomic<bool> killed{false};       // by the pool, because it was of no more use

  // Written under the dispatcher's lock, read by the leader without:
  std::atomic<bool> end_requested{false};
  std::atomic<steady::time_point> kill_at{steady::time_point::max()};
  std::atomic<steady::time_point> harvest_at{steady::time_point::max()};  // when to fetch what its task keeps back

  // Under the dispatcher's lock:
  std::uint64_t levels_version = 0;  // of the logger levels that it knows

  // The leader's:
  std::shared_ptr<report_reader> unmet;  // what will be `reports` once the pid is known
  std::shared_ptr<report_reader> reports{};
  pid_t pid = -1;
  std::optional<steady::time_point> ended_at{};  // when the pidfd said so
  std::optional<exit_status> status{};
  int start_error = 0;             // errno of the fork, if it never lived
  bool told = false;               // of its death
  bool writable = false;           // its stream has room again
  int silent_looks = 0;            // for that
  std::uint32_t harvested = 0;     // position up to which that has been done ...
  std::uint64_t harvested_of = 0;  // ... of this chunk
  std::uint32_t received = 0;      // the same of what it has sent ...
  std::uint64_t received_of = 0;   // ... of this chunk, the last that it has sent any of

  std::mutex mutex;  // of the next
  process handle{};
};

}  // namespace lenskit::detail

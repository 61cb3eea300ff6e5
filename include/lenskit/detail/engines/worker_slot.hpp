// A place for a worker process, from the asking for one to the burial of the one that came.
#pragma once

#include <lenskit/detail/engines/connection.hpp>
#include <lenskit/detail/engines/harvest_watch.hpp>
#include <lenskit/detail/engines/worker_end.hpp>
#include <lenskit/detail/log/report_reader.hpp>
#include <lenskit/detail/os/descriptor.hpp>
#include <lenskit/detail/os/process.hpp>

#include <atomic>
#include <memory>
#include <mutex>

namespace lenskit::detail {

/// One worker, and nothing of the one before it: a replacement is another slot. What several threads touch is atomic or
/// has its lock here; the rest is the dispatcher's lock's, or the leader's.
struct worker_slot {
  worker_slot(descriptor stream, std::shared_ptr<report_reader> reader, journal_block& block)
      : link(std::move(stream), block), unmet(std::move(reader)) {}

  connection link;
  std::atomic<bool> running{false};      // it has been heard of; before, what is sent waits in the connection
  std::atomic<bool> unreachable{false};  // nothing can be sent to it any more
  std::atomic<bool> killed{false};       // by the pool, because it was of no more use

  ending_order ending{};
  harvest_watch harvest{};

  // Under the dispatcher's lock:
  std::uint64_t levels_version = 0;  // of the logger levels that it knows

  // The leader's:
  std::shared_ptr<report_reader> unmet;  // what will be `reports` once the pid is known
  std::shared_ptr<report_reader> reports{};
  pid_t pid = -1;
  worker_end end{};
  bool writable = false;      // its stream has room again
  chunk_position received{};  // up to where it has sent results

  std::mutex mutex;  // of the next
  process handle{};
};

}  // namespace lenskit::detail

// The closed list of what a parent and its worker say to each other. Every message is one frame: a head, then bytes.
#pragma once

#include <cstdint>

namespace lenskit::detail {

enum class message : std::uint8_t {
  // parent to worker
  tasks = 1,   ///< tasks_head, seed, arguments: run these
  levels = 3,  ///< encoded logger levels: filter by these from now on
  // worker to parent
  results = 4,  ///< results_head, runs: how some tasks of a chunk ended
};

/// Where in the program the code of a task is found; the same in every process forked from one image.
using body_id = std::uint32_t;

struct tasks_head {
  std::uint64_t chunk = 0;        ///< names the chunk on this connection
  std::uint64_t first_index = 0;  ///< index in the map call of the chunk's first task
  std::uint32_t count = 0;        ///< tasks that follow
  std::uint32_t claim = 0;        ///< number of its claim: chunks that were sent to this worker before it
  body_id body = 0;
  std::uint32_t seed_bytes = 0;     ///< length of the encoded seed between this head and the arguments
  std::uint16_t keeps_time = 0;     ///< 1: note when each task started, because tasks have a deadline
  std::uint16_t send_every_us = 0;  ///< send results after about this time, even if the chunk is not finished
  std::uint32_t unused = 0;
};

struct results_head {
  std::uint64_t chunk = 0;
  std::uint32_t offset = 0;     ///< position in the chunk of the first task covered
  std::uint32_t count = 0;      ///< tasks whose outcomes follow
  std::int64_t elapsed_ns = 0;  ///< time the tasks took together
  std::uint64_t reports = 0;    ///< log records and the like that the worker had written before
};

/// Results lie in runs of one kind.
enum class run_kind : std::uint32_t {
  values = 1,   ///< `count` encoded results
  failure = 2,  ///< one encoded exception
};

struct run_head {
  std::uint32_t count = 0;
  run_kind kind = run_kind::values;
};

}  // namespace lenskit::detail

// What an engine is given for a worker: plain values that never change.
#pragma once

#include <lenskit/detail/share/task_seed.hpp>
#include <lenskit/detail/wire/message.hpp>
#include <lenskit/detail/wire/writer.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace lenskit::detail {

enum class result_order { of_input, of_completion };

/// What a map call fixes when it starts.
struct call_plan {
  call_plan(body_id of_tasks, result_order of_results, call_seed of_call)
      : body(of_tasks), order(of_results), seed(std::move(of_call)), seed_words(seed.words()) {}

  body_id body;
  result_order order;
  call_seed seed;
  std::vector<std::uint64_t> seed_words;  ///< `seed` as it travels
};

/// The encoded arguments of consecutive tasks. Several chunks share one after a split.
struct encoded_arguments {
  byte_block block;
  std::size_t record_bytes = 0;  ///< of each task; 0: each is preceded by its 64-bit length
};

/// Tasks that one worker is to run, in order.
struct assignment {
  std::uint64_t chunk = 0;  ///< its name: unique in the pool, never 0
  std::uint64_t first_index = 0;
  std::uint32_t count = 0;
  std::uint16_t send_every_us = 0;  ///< results come back about this often
  std::shared_ptr<const call_plan> plan{};
  std::shared_ptr<const encoded_arguments> arguments{};
  std::span<const std::byte> argument_bytes{};  ///< this assignment's part of them
};

}  // namespace lenskit::detail

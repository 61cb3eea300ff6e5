// What a chaos run will do, drawn from its seed.
#pragma once

#include "chaos_dice.hpp"
#include "chaos_faults.hpp"
#include "chaos_judge.hpp"

#include <lenskit/invoker.hpp>

#include <stop_token>
#include <vector>

namespace lenskit::soak::chaos {

/// Options of a pool. Only processes survive deadly faults.
invoker_options draw_options(dice& lots);

/// Which faults the items of a call may have.
struct fault_limits {
  engine where = engine::processes;
  int n_jobs = 1;
  int deaths = 0;  ///< at most so many workers may die, or else the pool gives up
  bool hangs = false;
};

/// The deaths that a pool survives with no task succeeding in between, and then one less for each worker that may die
/// late, of the call before.
int survivable_deaths(int n_jobs);

/// Items of call `number`, one in three with a fault.
std::vector<item> draw_items(dice& lots, std::uint32_t number, const invoker_options& options, fault_limits limits);
std::vector<item> healthy_items(std::uint32_t number, std::size_t count);

/// What the tasks of map calls of these lengths will draw from their seeds, when the root seed is `seed`.
std::vector<std::vector<std::uint64_t>> foretell_lots(std::uint64_t seed, const std::vector<std::size_t>& lengths);

}  // namespace lenskit::soak::chaos

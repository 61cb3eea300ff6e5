// What a chaos run does with the results of its map calls.
#pragma once

#include "chaos_dice.hpp"
#include "chaos_judge.hpp"

#include <lenskit/invoker.hpp>

#include <functional>
#include <memory>
#include <stop_token>
#include <vector>

namespace lenskit::soak::chaos {

using pool = invoker<model, task>;

/// One map call, or two at once, of a run.
struct round {
  std::unique_ptr<chaos::pool>& workers;
  call& first;
  call& second;  ///< for those that have two calls at once
  chaos::judge& judge;
  dice& lots;
  std::stop_source& stop;         ///< of the pool
  std::function<void()> disturb;  ///< called now and then
  const model& numbers;
  std::chrono::nanoseconds longest_wait;
};

struct consumer {
  const char* name;
  void (*consume)(round&);
  bool is_fault = true;  ///< it is no plain reading
  bool ends_pool = false;
  bool concurrent = false;  ///< which call draws which seed is left to chance
};

const std::vector<consumer>& consumers();
/// Those of them that do more than read, and what they do.
const std::vector<consumer>& program_consumers();

/// Reads all outcomes of `of` and judges them.
void read_all(round& with, call& of);

}  // namespace lenskit::soak::chaos

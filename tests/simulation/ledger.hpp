// What the simulation knows of each task, beside the dispatcher: the oracle.
#pragma once

#include <simulation/plan.hpp>

#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace lenskit::simulation {

/// What the dispatcher did is wrong.
class wrong : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

struct task_record {
  std::uint16_t runs = 0;
  std::uint16_t deaths = 0;  // of workers, while they ran it
  bool ended_late = false;   // a worker was ended while it ran it, for being late
  bool told = false;         // has an outcome
};

struct call_record {
  std::vector<task_record> tasks{};
  std::vector<std::int64_t> lengths{};
  std::vector<std::uint64_t> begun{};  // in this order
  std::uint32_t told = 0;
  std::uint32_t pulled = 0;
  bool over = false;  // abandoned: nothing of it begins any more
};

/// All calls of one history.
class ledger {
 public:
  explicit ledger(const plan& from) : plan_(from), calls(from.calls.size()) {
    chance draw(from.seed ^ 0x5eed);
    for (std::size_t i = 0; i < calls.size(); ++i) {
      const auto& shape = from.calls[i];
      calls[i].tasks.resize(shape.tasks);
      calls[i].lengths.reserve(shape.tasks);
      for (std::uint32_t task = 0; task < shape.tasks; ++task) calls[i].lengths.push_back(draw_length(draw, shape));
    }
  }

  static std::int64_t draw_length(chance& draw, const call_shape& shape) {
    const auto typical = static_cast<double>(shape.typical_ns);
    switch (shape.kind) {
      case lengths::constant: return shape.typical_ns;
      case lengths::pareto: return static_cast<std::int64_t>(typical / std::pow(1 - draw.share(), 1 / 1.5));
      case lengths::few_huge: return draw.one_in(10) ? 100 * shape.typical_ns : shape.typical_ns;
      case lengths::tiny: break;
    }
    return draw.between(0, 300);
  }

  void begins(std::size_t call, std::uint64_t index) {
    auto& mine = calls[call];
    auto& task = mine.tasks.at(index);
    ++task.runs;
    mine.begun.push_back(index);
    if (task.runs > task.deaths + 1) fail(call, index, "is run twice");
    if (task.runs > plan_.max_retries + 1) fail(call, index, "is run more often than it may");
    if (plan_.answers_late && (mine.over || nothing_begins)) return;  // to be taken back takes a while
    if (task.told) fail(call, index, "is run after it was told of");
    if (mine.over || nothing_begins) fail(call, index, "begins after its call was given up");
  }

  /// Takes in an outcome. `place`: where the call has got to, for those in the order of their input.
  task_record& tell(std::size_t call, std::uint64_t index) {
    auto& mine = calls[call];
    if (index >= mine.tasks.size()) fail(call, index, "does not exist");
    if (!plan_.calls[call].of_completion && index != mine.told) fail(call, index, "is out of order");
    auto& task = mine.tasks[index];
    if (task.told) fail(call, index, "is told of twice");
    task.told = true;
    ++mine.told;
    return task;
  }

  [[noreturn]] static void fail(std::size_t call, std::uint64_t index, const std::string& why) {
    throw wrong("task " + std::to_string(index) + " of call " + std::to_string(call) + " " + why);
  }

 private:
  const plan& plan_;

 public:
  std::vector<call_record> calls;
  bool nothing_begins = false;  // the pool was stopped, broken or shut down
};

}  // namespace lenskit::simulation

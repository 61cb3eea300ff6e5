// What one history is made of. The same plan always gives the same history.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace lenskit::simulation {

/// A small, fast source of chance.
class chance {
 public:
  explicit chance(std::uint64_t seed) noexcept : state_(seed) { state_ = next() ^ 0x2545f4914f6cdd1dU; }

  std::uint64_t next() noexcept {
    state_ += 0x9e3779b97f4a7c15U;
    auto z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
  }
  /// From `least` to `most`.
  std::int64_t between(std::int64_t least, std::int64_t most) noexcept {
    return least + static_cast<std::int64_t>(next() % static_cast<std::uint64_t>(most - least + 1));
  }
  double share() noexcept { return static_cast<double>(next() >> 11) * 0x1p-53; }
  bool one_in(std::uint64_t times) noexcept { return times != 0 && next() % times == 0; }

 private:
  std::uint64_t state_;
};

enum class lengths { constant, pareto, few_huge, tiny };

struct call_shape {
  std::uint32_t tasks = 0;
  bool of_completion = false;
  std::uint32_t buffer_size = 0;
  std::uint32_t chunk_size = 0;
  bool of_known_size = true;
  lengths kind = lengths::constant;
  std::int64_t typical_ns = 0;
  std::uint32_t abandoned_after = ~0U;  // outcomes
};

/// Each of the numbers says "once in so many chances"; 0: never.
struct fault_rates {
  std::uint32_t death_in_task = 0;
  std::uint32_t death_between = 0;  // results finished and not sent, or idle
  std::uint32_t start_error = 0;
  std::uint32_t spawner_lost = 0;
  std::uint32_t stall = 0;
  std::uint32_t absence = 0;  // of the consumer, with nobody to stand in
};

struct plan {
  std::uint64_t seed = 0;
  int workers = 1;
  int processors = 1;
  bool answers_late = false;
  int max_retries = 0;
  std::int64_t timeout_ns = 0;       // 0: none
  std::uint32_t stop_after = ~0U;    // outcomes of all calls
  std::uint32_t closed_after = ~0U;  // likewise: shut down
  fault_rates faults{};
  std::vector<call_shape> calls{};

  [[nodiscard]] bool peaceful() const noexcept {
    return faults.death_in_task + faults.death_between + faults.start_error + faults.spawner_lost + faults.stall +
                   faults.absence ==
               0 &&
           timeout_ns == 0 && stop_after == ~0U && closed_after == ~0U;
  }
};

inline call_shape draw_call(chance& draw, bool alone) {
  constexpr std::int64_t us = 1000;
  constexpr std::int64_t typical[] = {1 * us, 30 * us, 1000 * us, 20'000 * us};
  call_shape call;
  call.tasks = static_cast<std::uint32_t>(draw.one_in(20) ? draw.between(50, 400) : draw.between(0, 24));
  call.of_completion = draw.one_in(2);
  if (draw.one_in(3)) call.buffer_size = static_cast<std::uint32_t>(draw.between(1, 20));
  if (draw.one_in(3)) call.chunk_size = static_cast<std::uint32_t>(draw.between(1, 9));
  call.of_known_size = draw.one_in(2);
  call.kind = static_cast<lengths>(draw.between(0, 3));
  call.typical_ns = typical[draw.between(0, 3)];
  if (!alone && draw.one_in(4)) call.abandoned_after = static_cast<std::uint32_t>(draw.between(0, call.tasks));
  return call;
}

inline plan draw_plan(std::uint64_t seed) {
  chance draw(seed);
  plan made;
  made.seed = seed;
  made.workers = static_cast<int>(draw.between(1, 4));
  made.processors = draw.one_in(4) ? static_cast<int>(draw.between(1, made.workers)) : made.workers;
  const bool alone = draw.one_in(4);  // one call, nothing goes wrong: its time is held against a greedy queue
  if (!alone) {
    made.answers_late = draw.one_in(5);
    made.max_retries = static_cast<int>(draw.one_in(2) ? 0 : draw.between(1, 3));
    if (draw.one_in(4)) made.timeout_ns = draw.between(1'000'000, 60'000'000);
    if (draw.one_in(8)) made.stop_after = static_cast<std::uint32_t>(draw.between(0, 30));
    if (draw.one_in(8)) made.closed_after = static_cast<std::uint32_t>(draw.between(0, 30));
    auto& rates = made.faults;
    for (auto* rate : {&rates.death_in_task, &rates.death_between, &rates.start_error, &rates.stall, &rates.absence}) {
      if (draw.one_in(3)) *rate = static_cast<std::uint32_t>(draw.between(2, 40));
    }
    if (rates.stall != 0) rates.stall *= 10;
    if (draw.one_in(10)) rates.spawner_lost = static_cast<std::uint32_t>(draw.between(10, 60));
  }
  const auto calls = alone ? 1 : draw.between(1, 3);
  for (std::int64_t i = 0; i < calls; ++i) made.calls.push_back(draw_call(draw, alone));
  return made;
}

}  // namespace lenskit::simulation

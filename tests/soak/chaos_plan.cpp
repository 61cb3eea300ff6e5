#include "chaos_plan.hpp"

#include <lenskit/random.hpp>

#include <algorithm>
#include <array>
#include <ranges>

namespace lenskit::soak::chaos {
namespace {

// A place in task_faults(): each list of faults is drawn from by itself.
struct drawer {
  std::vector<std::uint32_t> kinds;

  template <class Wanted>
  explicit drawer(Wanted wanted) {
    for (std::uint32_t kind = 1; kind < task_faults().size(); ++kind) {
      if (wanted(task_faults()[kind])) kinds.push_back(kind);
    }
  }
  [[nodiscard]] std::uint32_t draw(dice& lots) const {
    for (;;) {
      const auto kind = lots.pick(kinds);
      if (lots.one_in(task_faults()[kind].rarity)) return kind;
    }
  }
};

bool may_stray(const fate& of) { return of.dies && of.answers; }

const drawer& deaths() {
  static const drawer all([](const task_fault& each) { return each.fate.dies; });
  return all;
}
// Those after which the next task is sure to find a worker as good as new.
const drawer& plain_deaths() {
  static const drawer all([](const task_fault& each) { return each.fate.dies && !may_stray(each.fate); });
  return all;
}
const drawer& throwing() {
  static const drawer all([](const task_fault& each) {
    return each.fate.is_refused || (!each.fate.throws.empty() && !each.needs_process);
  });
  return all;
}
const drawer& surviving() {
  static const drawer all(
      [](const task_fault& each) { return each.needs_process && !each.fate.dies && !each.fate.is_late; });
  return all;
}
const drawer& hanging() {
  static const drawer all([](const task_fault& each) { return each.fate.is_late; });
  return all;
}

std::size_t draw_bytes(dice& lots) {
  if (lots.one_in(400)) return std::size_t{1} << 20;
  if (lots.one_in(30)) return lots.below(100'000);
  return lots.below(200);
}

int draw_length(dice& lots) {
  return lots.one_in(4) ? lots.between(20, static_cast<int>(most_items)) : lots.between(20, 60);
}

// One call's faults, within its limits.
class fault_choice {
 public:
  fault_choice(dice& lots, int max_retries, fault_limits limits)
      : lots_(lots),
        retries_(max_retries),
        limits_(limits),
        most_in_turn_(limits.n_jobs == 1 ? limits.deaths : 0),
        hangs_left_(limits.hangs ? most_hangs : 0) {}

  // With one worker, whose tasks run one after the other, a success in between is a matter of order.
  void befall(item& one, bool after_healthy) {
    const bool in_turn = most_in_turn_ > 0 && after_healthy;
    if (limits_.where == engine::processes && hangs_left_ > 0 && lots_.one_in(8)) {
      --hangs_left_;
      return set(one, hanging().draw(lots_), always);
    }
    if (limits_.where == engine::processes && lots_.one_in(3) && (limits_.deaths > 0 || in_turn)) {
      const auto most = std::min(1 + retries_, limits_.deaths > 0 ? limits_.deaths : most_in_turn_);
      const auto strikes = lots_.between(1, most);
      const auto kind = (limits_.deaths > 0 ? deaths() : plain_deaths()).draw(lots_);
      if (limits_.deaths > 0) limits_.deaths -= strikes;
      return set(one, kind, may_stray(task_faults()[kind].fate) ? 1 : strikes);
    }
    const bool throws = limits_.where != engine::processes || lots_.one_in(2);
    set(one, (throws ? throwing() : surviving()).draw(lots_), always);
  }

 private:
  static constexpr int most_hangs = 2;
  static constexpr int always = 1000;

  static void set(item& one, std::uint32_t kind, int strikes) {
    one.kind = kind;
    one.strikes = static_cast<std::uint32_t>(strikes);
    one.set = task_faults()[kind].set;
  }

  dice& lots_;
  const int retries_;
  fault_limits limits_;
  const int most_in_turn_;  // deaths between two successes, beside those that come from outside
  int hangs_left_;
};

}  // namespace

invoker_options draw_options(dice& lots) {
  invoker_options options;
  options.n_jobs = lots.between(1, 4);
  options.engine = lots.one_in(16) ? engine::threads : lots.one_in(24) ? engine::in_process : engine::processes;
  options.chunk_size = lots.pick(std::array<std::size_t, 6>{0, 0, 1, 2, 7, 50});
  options.buffer_size = lots.pick(std::array<std::size_t, 5>{0, 0, 1, 5, 40});
  options.max_retries = lots.pick(std::array{0, 0, 1, 2});
  options.persist_method = lots.pick(
      std::array{persist_method::automatic, persist_method::shm, persist_method::file, persist_method::inherit});
  if (options.engine == engine::processes && lots.one_in(10)) options.task_timeout = task_deadline;
  return options;
}

int survivable_deaths(int n_jobs) {
  constexpr int deaths_per_worker = 3;
  const int late = n_jobs;  // what an earlier task left behind may kill a worker later than it was counted
  return deaths_per_worker * n_jobs - 1 - late;
}

std::vector<item> healthy_items(std::uint32_t number, std::size_t count) {
  std::vector<item> all(count);
  for (std::uint32_t index = 0; index < count; ++index) {
    all[index].call = number;
    all[index].index = index;
  }
  return all;
}

std::vector<item> draw_items(dice& lots, std::uint32_t number, const invoker_options& options, fault_limits limits) {
  auto all = healthy_items(number, static_cast<std::size_t>(draw_length(lots)));
  fault_choice choice(lots, options.max_retries, limits);
  const item* before = nullptr;
  for (auto& one : all) {
    one.salt = lots.next();
    one.records = static_cast<std::uint32_t>(lots.between(0, 3));
    one.answer_bytes = static_cast<std::uint32_t>(draw_bytes(lots));
    one.ballast = filler(draw_bytes(lots), one.salt);
    if (lots.one_in(3)) choice.befall(one, before != nullptr && before->kind == 0);
    before = &one;
  }
  return all;
}

std::vector<std::vector<std::uint64_t>> foretell_lots(std::uint64_t seed, const std::vector<std::size_t>& lengths) {
  init_rng(seed);
  invoker here(0, [](int, std::size_t) { return draw_lot(); }, {.n_jobs = 1, .engine = engine::in_process});
  std::vector<std::vector<std::uint64_t>> all;
  for (const auto length : lengths) all.push_back(here.map(std::views::iota(std::size_t{0}, length)).collect());
  init_rng(seed);
  return all;
}

}  // namespace lenskit::soak::chaos

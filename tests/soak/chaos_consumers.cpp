#include "chaos_consumers.hpp"

#include <lenskit/error.hpp>
#include <lenskit/run_sp.hpp>

#include <fmt/format.h>

#include <chrono>
#include <exception>
#include <iterator>
#include <limits>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <thread>
#include <utility>

namespace lenskit::soak::chaos {
namespace {

using namespace std::chrono_literals;

constexpr auto never = std::numeric_limits<std::size_t>::max();

struct input_error : std::runtime_error {
  using runtime_error::runtime_error;
};

struct loop_error {};

/// The items of a call as an input range that may throw, or never end.
class feed {
 public:
  explicit feed(const call& of, std::size_t throws_at = never, bool endless = false)
      : of_(&of), throws_at_(throws_at), endless_(endless) {}

  class iterator {
   public:
    using value_type = item;
    using difference_type = std::ptrdiff_t;
    explicit iterator(const feed* from) : from_(from) { check(); }
    const item& operator*() const { return at_ < from_->of_->items.size() ? from_->of_->items[at_] : filler_item(); }
    iterator& operator++() {
      ++at_;
      check();
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const iterator& at, std::default_sentinel_t) { return at.at_end(); }

   private:
    [[nodiscard]] bool at_end() const { return !from_->endless_ && at_ == from_->of_->items.size(); }
    void check() const {
      if (at_ == from_->throws_at_) throw input_error("the input ends in chaos");
    }
    // What comes behind the items of an endless input is noted where nobody looks.
    static const item& filler_item() {
      static const item one = [] {
        item result;
        result.call = most_calls - 1;
        return result;
      }();
      return one;
    }
    const feed* from_;
    std::size_t at_ = 0;
  };

  [[nodiscard]] iterator begin() const { return iterator(this); }
  [[nodiscard]] std::default_sentinel_t end() const { return {}; }

 private:
  const call* of_;
  std::size_t throws_at_;
  bool endless_;
};

/// Calls `step`, which waits for results, and complains if it took longer than anything may.
template <class Step>
decltype(auto) in_time(round& with, const call& of, Step step) {
  struct watch {
    round& with;
    const call& of;
    pace pace_then = pace::now();
    std::chrono::steady_clock::time_point begun = std::chrono::steady_clock::now();
    ~watch() {
      const auto took = std::chrono::steady_clock::now() - begun;
      const auto slowness = slowness_since(pace_then);
      if (took <= with.longest_wait * slowness) return;
      const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(took).count();
      with.judge.complain("G2", fmt::format("call {} ({}): waited {} ms for one result (machine {:.1f} times slower)",
                                            of.number, of.about, ms, slowness));
    }
  } watched{with, of};
  return step();
}

/// A range of any kind, read step by step; what it throws is an outcome too.
template <class Range>
class reading {
 public:
  reading(round& with, const call& of, Range range) : with_(with), of_(of), range_(std::move(range)) {}

  /// The next outcome, nothing at the end.
  std::optional<outcome<answer>> next() {
    try {
      in_time(with_, of_, [&] {
        if (at_) {
          ++*at_;
        } else {
          at_.emplace(range_.begin());
        }
      });
      if (*at_ == range_.end()) return std::nullopt;
      return value_of(**at_);
    } catch (...) {
      return outcome<answer>(std::current_exception());
    }
  }
  /// Of the last outcome.
  [[nodiscard]] std::size_t index() const { return index_; }

 private:
  outcome<answer> value_of(answer& each) { return step_on(std::move(each)); }
  outcome<answer> value_of(outcome<answer>& each) { return step_on(std::move(each)); }
  outcome<answer> value_of(completed<answer>& each) {
    index_ = each.index;
    return std::move(each.result);
  }
  template <class Value>
  outcome<answer> step_on(Value&& value) {
    return outcome<answer>(std::forward<Value>(value));
  }

  round& with_;
  const call& of_;
  Range range_;
  std::optional<std::ranges::iterator_t<Range>> at_;
  std::size_t index_ = 0;
};

template <class Exception>
bool holds(const outcome<answer>& got) {
  if (got.has_value()) return false;
  try {
    std::rethrow_exception(got.error());
  } catch (const Exception&) {
    return true;
  } catch (...) {
    return false;
  }
}

std::string text_of(const outcome<answer>& got) {
  try {
    got.value();
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    return "no std::exception";
  }
  return "a value";
}

/// Reads and judges up to `most` outcomes in the order of the input; how many.
template <class Range>
std::size_t read(round& with, call& of, Range range, std::size_t most = never) {
  reading from(with, of, std::move(range));
  std::size_t index = 0;
  for (; index < most; ++index) {
    const auto got = from.next();
    if (!got) break;
    if (index >= of.items.size()) {
      if (!with.judge.expects_breakage())
        with.judge.complain("G2", of, index, "more than there were: " + text_of(*got));
      return index;
    }
    if (with.judge.expects_breakage() && holds<broken_pool>(*got)) continue;
    with.judge.settle(of, index, *got);
    with.disturb();
  }
  const auto due = std::min(most, of.items.size());
  if (index != due && !with.judge.expects_breakage())
    with.judge.complain("G2", fmt::format("call {}: {} results of {}", of.number, index, due));
  return index;
}

std::size_t part_of(round& with) { return with.lots.below(with.first.items.size()); }

void read_values(round& with) { read(with, with.first, with.workers->map(with.first.items)); }

void read_completed(round& with, std::size_t most) {
  auto& of = with.first;
  reading from(with, of, with.workers->as_completed(feed(of)));
  std::vector<int> seen(of.items.size());
  std::size_t count = 0;
  for (; count < most; ++count) {
    const auto got = from.next();
    if (!got) break;
    if (from.index() >= seen.size() || ++seen[from.index()] > 1) {
      with.judge.complain("G2", of, from.index(), "completed twice, or never asked for: " + text_of(*got));
      return;
    }
    with.judge.settle(of, from.index(), *got);
    with.disturb();
  }
  if (count != std::min(most, of.items.size()) && !with.judge.expects_breakage())
    with.judge.complain("G2", fmt::format("call {}: {} completed of {}", of.number, count, of.items.size()));
}

void throw_out_of_the_loop(round& with) {
  const auto at = part_of(with);
  std::size_t index = 0;
  try {
    for (auto& each : with.workers->map_outcomes(with.first.items)) {
      with.judge.settle(with.first, index, each);
      if (index++ == at) throw loop_error();
    }
  } catch (const loop_error&) {}
}

void drop_unread(round& with) {
  auto range = with.workers->map(with.first.items);
  std::this_thread::sleep_for(std::chrono::microseconds(with.lots.between(0, 500)));
}

void read_slowly(round& with) {
  std::size_t index = 0;
  for (auto& each : with.workers->map_outcomes(feed(with.first))) {
    with.judge.settle(with.first, index, each);
    if (index++ % 16 == 0) std::this_thread::sleep_for(std::chrono::microseconds(with.lots.between(0, 4000)));
    with.disturb();
  }
}

void read_up_to_a_failing_input(round& with) {
  const auto at = part_of(with);
  auto& of = with.first;
  reading from(with, of, with.workers->map_outcomes(feed(of, at)));
  for (std::size_t index = 0;; ++index) {
    const auto got = from.next();
    if (!got) return with.judge.complain("G2", fmt::format("call {}: the input threw, the range did not", of.number));
    if (holds<input_error>(*got)) {
      if (index != at) with.judge.complain("G2", of, index, "the input's exception came before its turn");
      if (from.next()) with.judge.complain("G2", of, index, "the range goes on behind the input's exception");
      return;
    }
    if (index >= at) return with.judge.complain("G2", of, index, "more than the input gave: " + text_of(*got));
    with.judge.settle(of, index, *got);
    with.disturb();
  }
}

void read_endless_input(round& with) {
  read(with, with.first, with.workers->map_outcomes(feed(with.first, never, true)), with.first.items.size());
}

/// What comes while a pool is ended: results, and `Ending` in place of those that will not come.
template <class Ending>
void read_until_the_end(round& with, const std::function<void()>& end) {
  auto& of = with.first;
  reading from(with, of, with.workers->map_outcomes(feed(of)));
  std::jthread ender([&, wait = std::chrono::microseconds(with.lots.between(0, 4000))] {
    std::this_thread::sleep_for(wait);
    end();
  });
  for (std::size_t index = 0;; ++index) {
    const auto got = from.next();
    if (!got) return;
    if (index > of.items.size()) return with.judge.complain("G2", of, index, "more than there were, and an end");
    if (!holds<Ending>(*got)) with.judge.settle(of, index, *got);
  }
}

void cancel(round& with) {
  read_until_the_end<task_cancelled>(with, [&] { with.stop.request_stop(); });
}

void shut_down(round& with) {
  read_until_the_end<invoker_closed>(with, [&] { with.workers->shutdown(); });
}

void map_in_two_threads(round& with) {
  dice others(with.lots.next());
  round mirrored{with.workers, with.second, with.first,   with.judge,       others,
                 with.stop,    [] {},       with.numbers, with.longest_wait};
  std::jthread other([&] { read_all(mirrored, with.second); });
  read_all(with, with.first);
}

void interleave(round& with) {
  reading one(with, with.first, with.workers->map_outcomes(with.first.items));
  reading two(with, with.second, with.workers->map(feed(with.second)));
  std::size_t first = 0, second = 0;
  while (first < with.first.items.size() || second < with.second.items.size()) {
    const bool takes_first =
        second == with.second.items.size() || (first < with.first.items.size() && with.lots.one_in(2));
    const auto got = takes_first ? one.next() : two.next();
    if (!got) {
      if (!with.judge.expects_breakage()) with.judge.complain("G2", "an interleaved range ended early");
      return;
    }
    if (takes_first) {
      with.judge.settle(with.first, first++, *got);
    } else {
      with.judge.settle(with.second, second++, *got);
    }
    with.disturb();
  }
  if (one.next() || two.next()) with.judge.complain("G2", "an interleaved range goes on behind its end");
}

void outlive_the_invoker(round& with) {
  auto range = with.workers->map_outcomes(with.first.items);
  with.workers.reset();
  read(with, with.first, std::move(range));
}

void map_in_the_loop(round& with) {
  const auto at = part_of(with);
  std::size_t index = 0;
  for (auto& each : with.workers->map_outcomes(with.first.items)) {
    with.judge.settle(with.first, index, each);
    if (index++ == at) read_all(with, with.second);
  }
}

void use_subprocesses_in_between(round& with) {
  const auto at = part_of(with);
  std::size_t index = 0;
  for (auto& each : with.workers->map_outcomes(with.first.items)) {
    with.judge.settle(with.first, index, each);
    if (index++ != at) continue;
    try {
      in_time(with, with.first, [] { run_sp([] { ::_exit(5); }); });
      with.judge.complain("G2", "run_sp returned for a subprocess that died");
    } catch (const worker_died&) {}
  }
}

void use_another_pool_in_between(round& with) {
  pool other(with.numbers, task(),
             {.n_jobs = 2, .engine = with.workers->engine(), .max_retries = with.second.max_retries});
  reading from(with, with.first, with.workers->map_outcomes(with.first.items));
  round elsewhere{with.workers, with.second, with.first,   with.judge,       with.lots,
                  with.stop,    [] {},       with.numbers, with.longest_wait};
  std::size_t index = 0;
  for (auto& each : other.map_outcomes(with.second.items)) {
    with.judge.settle(with.second, index++, each);
    if (index <= with.first.items.size()) {
      if (const auto got = from.next()) with.judge.settle(with.first, index - 1, *got);
    }
  }
}

}  // namespace

void read_all(round& with, call& of) { read(with, of, with.workers->map_outcomes(feed(of))); }

const std::vector<consumer>& consumers() {
  static const std::vector<consumer> all = [] {
    std::vector<consumer> both{
        {.name = "reads outcomes", .consume = [](round& with) { read_all(with, with.first); }, .is_fault = false},
        {.name = "reads values", .consume = read_values, .is_fault = false},
        {.name = "reads as completed", .consume = [](round& with) { read_completed(with, never); }, .is_fault = false},
        {"breaks off",
         [](round& with) { read(with, with.first, with.workers->map_outcomes(feed(with.first)), part_of(with)); }},
        {"breaks off values",
         [](round& with) { read(with, with.first, with.workers->map(with.first.items), part_of(with)); }},
        {"breaks off completed ones", [](round& with) { read_completed(with, part_of(with)); }},
        {"throws out of the loop", throw_out_of_the_loop},
        {"drops the range unread", drop_unread},
        {"reads slowly", read_slowly},
        {"input throws", read_up_to_a_failing_input},
        {"input never ends", read_endless_input},
        {.name = "cancels", .consume = cancel, .ends_pool = true},
        {.name = "shuts down", .consume = shut_down, .ends_pool = true},
        {.name = "maps in two threads", .consume = map_in_two_threads, .concurrent = true},
        {"interleaves two ranges", interleave},
        {.name = "outlives its invoker", .consume = outlive_the_invoker, .ends_pool = true},
        {"maps in the loop", map_in_the_loop},
        {"runs a subprocess in between", use_subprocesses_in_between},
        {.name = "uses another pool in between", .consume = use_another_pool_in_between},
    };
    both.insert(both.end(), program_consumers().begin(), program_consumers().end());
    return both;
  }();
  return all;
}

}  // namespace lenskit::soak::chaos

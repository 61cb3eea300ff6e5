// What a program does with its pools beside reading results: from its callbacks, its forks and its destructors, without
// memory, without its rights, and frozen.
#include "chaos_consumers.hpp"
#include "chaos_plan.hpp"

#include <lenskit/error.hpp>
#include <lenskit/persist.hpp>
#include <lenskit/progress.hpp>

#include <fmt/format.h>
#include <support/allocation_faults.hpp>

#include <sys/prctl.h>
#include <sys/wait.h>

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <exception>
#include <memory>
#include <new>
#include <ranges>
#include <stdexcept>
#include <string_view>
#include <thread>

namespace lenskit::soak::chaos {
namespace {

using namespace std::chrono_literals;

template <class Exception>
bool is(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const Exception&) {
    return true;
  } catch (...) {
    return false;
  }
}

void complain(round& with, std::string_view what) {
  if (!with.judge.expects_breakage())
    with.judge.complain("G2", fmt::format("call {} ({}): {}", with.first.number, with.first.about, what));
}

// Calls `what` again after the one time that it has no memory.
template <class What>
auto insist(What what) -> decltype(what()) {
  try {
    return what();
  } catch (const std::bad_alloc&) {
    return what();
  }
}

// One allocation of the program fails while it reads: nothing but that one task may, and nothing is shifted.
void read_without_memory(round& with) {
  auto& of = with.first;
  // Where tasks run in this process, what fails could be theirs, and so could what keeps their log records.
  of.items = healthy_items(of.number, of.items.size());
  constexpr int longest_life = 600;
  const tests::allocation_fault fault(with.lots.between(1, longest_life), tests::allocations_of::this_process);
  auto range = insist([&] { return with.workers->map_outcomes(of.items); });
  std::size_t index = 0;
  int excused = 0;
  for (auto it = insist([&] { return range.begin(); }); it != range.end(); insist([&] { ++it; }), ++index) {
    if (index >= of.items.size()) return complain(with, "more than there were");
    // Where the task's thread is one of this process, it may be its result that could not be stored.
    const bool for_memory =
        it->has_error() && (is<std::bad_alloc>(it->error()) || is<serialization_error>(it->error()));
    if (for_memory && fault.failed() > 0) {
      ++excused;
    } else {
      with.judge.settle(of, index, *it);
    }
    with.disturb();
  }
  if (index != of.items.size()) complain(with, fmt::format("{} results of {}", index, of.items.size()));
  if (excused > 1) complain(with, fmt::format("one failed allocation cost {} tasks", excused));
}

// The wait status of a child; 0 if somebody else has waited for it, as programs do here.
int end_of(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  return status;
}

// A map call made from anywhere, whose results are right or which says that the pool has ended.
void use_pool(round& with, call& of) {
  std::size_t index = 0;
  for (auto& each : with.workers->map_outcomes(of.items)) with.judge.settle(of, index++, each);
  if (index != of.items.size()) complain(with, "a call from a callback came short");
}

// The input of the first call makes the second one, of the same pool.
void map_in_the_input(round& with) {
  const auto at = with.lots.below(with.first.items.size());
  auto inputs = with.first.items | std::views::transform([&, index = std::size_t{0}](const item& each) mutable {
                  if (index++ == at) use_pool(with, with.second);
                  return each;
                });
  std::size_t index = 0;
  for (auto& each : with.workers->map_outcomes(inputs)) with.judge.settle(with.first, index++, each);
  if (index != with.first.items.size()) complain(with, "the call with a busy input came short");
}

class mapping_progress final : public progress {
 public:
  mapping_progress(round& with, std::uint64_t at) : with_(with), at_(at) {}
  void update(int, std::string_view, std::string_view) override {
    if (++told_ == at_) use_pool(with_, with_.second);
  }

 private:
  round& with_;
  const std::uint64_t at_;
  std::uint64_t told_ = 0;
};

// The bar of another pool makes a call of this one.
void map_in_a_progress_callback(round& with) {
  constexpr int longest = 5;
  const auto bar = std::make_shared<mapping_progress>(with, static_cast<std::uint64_t>(with.lots.between(1, longest)));
  invoker other(0, [](int, int x) { return x; }, {.n_jobs = 2, .engine = with.workers->engine(), .progress = bar});
  int index = 0;
  for (const int each : other.map(std::views::iota(0, 50))) {
    if (each != index++) return complain(with, "a wrong result beside a callback that maps");
  }
}

// The program forks, and both go on with the range: the child is refused, and the parent loses nothing.
void fork_in_the_loop(round& with) {
  const auto at = with.lots.below(with.first.items.size());
  auto range = with.workers->map_outcomes(with.first.items);
  std::size_t index = 0;
  for (auto it = range.begin(); it != range.end(); ++it, ++index) {
    with.judge.settle(with.first, index, *it);
    if (index != at) continue;
    const pid_t child = ::fork();
    if (child == 0) {
      try {
        for (;;) ++it;
      } catch (const invoker_closed&) {
        ::_exit(0);
      } catch (...) {}
      ::_exit(1);
    }
    if (child > 0 && end_of(child) != 0) complain(with, "a forked process was not refused");
  }
  if (index != with.first.items.size()) complain(with, "a fork in the loop costs results");
}

// From here on this process is nobody special: its workers are another user's.
void drop_rights(round& with) {
  const auto at = with.lots.below(with.first.items.size());
  std::size_t index = 0;
  for (auto& each : with.workers->map_outcomes(with.first.items)) {
    with.judge.settle(with.first, index, each);
    if (index++ != at || ::geteuid() != 0) continue;
    const auto somebody = static_cast<uid_t>(200'000 + ::getpid());
    if (::setresuid(somebody, somebody, somebody) != 0) continue;
    ::prctl(PR_SET_DUMPABLE, 1);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  }
  if (index != with.first.items.size()) complain(with, "dropped rights cost results");
}

// Stops the program with all that is its pool's and continues it, as a service manager does. By a child, because nobody
// can continue himself.
void freeze(dice& lots) {
  const auto pause = std::chrono::milliseconds(lots.one_in(4) ? lots.between(200, 600) : lots.between(1, 30));
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child == 0) {
    const auto tell = [&](int signal) {
      ::kill(parent, signal);
      for (auto& each : the_board().workers) {
        if (const pid_t worker = each; worker > 0 && ::getsid(worker) == ::getsid(0)) ::kill(worker, signal);
      }
      if (const pid_t spawner = the_board().spawner; spawner > 0 && ::getsid(spawner) == ::getsid(0))
        ::kill(spawner, signal);
    };
    tell(SIGSTOP);
    std::this_thread::sleep_for(pause);
    tell(SIGCONT);
    ::_exit(0);
  }
  if (child > 0) end_of(child);
}

void read_frozen(round& with) {
  std::size_t index = 0;
  for (auto& each : with.workers->map_outcomes(with.first.items)) {
    with.judge.settle(with.first, index++, each);
    if (with.lots.one_in(16)) freeze(with.lots);
  }
  if (index != with.first.items.size()) complain(with, "frozen time costs results");
}

// Results with descriptors, some of which are never made, some never taken.
void read_models(round& with) {
  constexpr int count = 60;
  constexpr int throws_each = 7;
  const bool can_die = with.workers->engine() == engine::processes;
  const int deadly = can_die ? with.lots.between(0, 2 * count) : -1;
  const int most = with.lots.one_in(3) ? with.lots.between(1, count) : count;
  invoker makers(
      0,
      [deadly](int, int x) {
        if (x == deadly) ::_exit(3);
        if (x % throws_each == 1) throw std::runtime_error("no model");
        auto made = persist(std::vector<int>(static_cast<std::size_t>(10 + x), x));
        made.transfer();
        return made;
      },
      {.n_jobs = 2, .engine = with.workers->engine(), .chunk_size = static_cast<std::size_t>(with.lots.between(0, 9))});
  int index = 0;
  for (auto& each : makers.map_outcomes(std::views::iota(0, count))) {
    if (each && each->get() != std::vector<int>(static_cast<std::size_t>(10 + index), index))
      complain(with, fmt::format("model {} is another's", index));
    if (!each && index != deadly && index % throws_each != 1)
      complain(with, fmt::format("model {} is missing: {}", index, describe(each.error())));
    if (++index == most) return;
  }
  complain(with, fmt::format("{} models of {}", index, count));
}

// Ranges of long and short tasks that are dropped half read, one behind the other.
void drop_mixed_lengths(round& with) {
  constexpr int count = 80;
  const int long_ones = with.lots.between(2, 20);
  invoker mixed(0,
                [long_ones](int, int x) {
                  if (x % long_ones == 1) std::this_thread::sleep_for(std::chrono::milliseconds(x % 12));
                  return 3 * x;
                },
                {.n_jobs = with.lots.between(1, 4), .engine = with.workers->engine()});
  for (int left = with.lots.between(2, 5); left >= 0; --left) {
    const int most = left == 0 ? count : with.lots.between(1, count - 1);
    int index = 0;
    for (const int each : mixed.map(std::views::iota(0, count))) {
      if (each != 3 * index++) return complain(with, "a stale or misplaced result behind a dropped range");
      if (index == most) break;
    }
    if (index != most) return complain(with, "a range behind a dropped one came short");
  }
}

}  // namespace

const std::vector<consumer>& program_consumers() {
  static const std::vector<consumer> all{
      {.name = "has no memory for a moment", .consume = read_without_memory, .concurrent = true},
      {.name = "maps in its input", .consume = map_in_the_input, .concurrent = true},
      {.name = "maps in a progress callback", .consume = map_in_a_progress_callback, .concurrent = true},
      {.name = "forks in the loop", .consume = fork_in_the_loop, .concurrent = true},
      {.name = "drops its rights", .consume = drop_rights, .concurrent = true},
      {.name = "is frozen and thawed with its workers", .consume = read_frozen, .concurrent = true},
      {.name = "reads models", .consume = read_models, .concurrent = true},
      {.name = "drops ranges of mixed lengths", .consume = drop_mixed_lengths, .concurrent = true},
  };
  return all;
}

}  // namespace lenskit::soak::chaos

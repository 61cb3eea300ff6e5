// G1: the faults on which known pools were compared, each with two workers and twenty items unless it says otherwise.
// "Passed" means: back in time, only the faulty item fails, nothing is left behind.
#include "disposable.hpp"
#include "kill_points.hpp"
#include "trial.hpp"

#include <lenskit/invoker.hpp>
#include <lenskit/run_sp.hpp>

#include <fmt/format.h>
#include <sys/wait.h>
#include <support/shared_counters.hpp>

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <functional>
#include <ranges>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

namespace lenskit::soak {
namespace {

using namespace std::chrono_literals;

constexpr auto hang = 12s;  // the table's own measure
constexpr int items = 20;
constexpr int faulty = 7;

invoker_options two() { return {.n_jobs = 2, .engine = engine::processes}; }

// Maps `task` over the items: each must give its number, but for the faulty one, which must fail.
template <class Task>
void costs_one_item(notes& seen, Task task) {
  lenskit::invoker inv(
      0, [&](int, int item) { return task(item), item; }, two());
  int next = 0;
  for (const auto& each : inv.map_outcomes(std::views::iota(0, items))) {
    if (each.has_value() != (next != faulty)) seen.complain(fmt::format("item {} was not to end so", next));
    if (each && *each != next) seen.complain(fmt::format("item {} has another's result", next));
    ++next;
  }
  if (next != items) seen.complain(fmt::format("{} outcomes", next));
}

template <class Die>
void death_costs_one_item(notes& seen, Die die) {
  costs_one_item(seen, [&](int item) {
    if (item == faulty) die();
  });
}

// Not a std::exception, and no copy of it can be made.
struct nobody_knows {
  nobody_knows() = default;
  nobody_knows(const nobody_knows&) { throw std::logic_error("not to be copied"); }
};

struct unstorable {
  int item = 0;
  template <class Archive>
  void serialize(Archive& ar, unsigned) {
    if (Archive::is_saving::value && item == faulty) throw std::runtime_error("cannot be stored");
    ar& item;
  }
};

void result_cannot_be_stored(notes& seen) {
  lenskit::invoker inv(
      0, [](int, int item) { return unstorable{item}; }, two());
  int next = 0;
  for (const auto& each : inv.map_outcomes(std::views::iota(0, items))) {
    if (each.has_value() != (next != faulty)) seen.complain(fmt::format("item {} was not to end so", next));
    ++next;
  }
  if (next != items) seen.complain(fmt::format("{} outcomes", next));
}

void input_throws(notes& seen) {
  lenskit::invoker inv(
      0, [](int, int item) { return item; }, two());
  auto input = std::views::iota(0, items) | std::views::transform([](int item) {
                 if (item == faulty) throw std::range_error("the input is broken");
                 return item;
               });
  int delivered = 0;
  try {
    for (const int each : inv.map(input)) delivered += each == delivered ? 1 : items;
    seen.complain("the input's exception is lost");
  } catch (const std::range_error&) {
    if (delivered != faulty) seen.complain(fmt::format("{} results before the exception", delivered));
  }
}

void eight_megabytes(notes& seen) {
  constexpr std::size_t bytes = 8U << 20;
  lenskit::invoker inv(
      0, [](int, const std::string& text) { return text; }, two());
  int next = 0;
  for (const auto& each : inv.map(std::views::iota(0, items) | std::views::transform([](int item) {
                                    return std::string(bytes, static_cast<char>('a' + item));
                                  }))) {
    if (each != std::string(bytes, static_cast<char>('a' + next)))
      seen.complain(fmt::format("item {} is garbled", next));
    ++next;
  }
  if (next != items) seen.complain(fmt::format("{} results", next));
}

void killed_while_it_receives(notes& seen) {
  constexpr std::size_t bytes = 60U << 20;
  const kill_point trap(point::argument_body, fault::kill, 0);
  lenskit::invoker inv(
      0, [](int, const std::string& text) { return text.size(); }, two());
  int failed = 0;
  for (const auto& each : inv.map_outcomes(std::vector<std::string>(4, std::string(bytes, 'x')))) {
    failed += each ? 0 : 1;
    if (each && *each != bytes) seen.complain("a wrong result");
  }
  if (failed > 1) seen.complain(fmt::format("{} items failed", failed));
  if (!trap.fired()) seen.complain("no worker was killed");
}

void early_break(notes& seen) {
  constexpr std::size_t many = 400;
  constexpr int few = 40;
  const tests::shared_counters executed(many);
  {
    lenskit::invoker inv(
        0,
        [&](int, std::size_t item) {
          ++executed[item];
          std::this_thread::sleep_for(5ms);
          return item;
        },
        two());
    for (const auto each : inv.map(std::views::iota(std::size_t{0}, many)))
      if (each == 1) break;
  }
  seen.counters[0] = executed.sum();
  if (executed.sum() > few) seen.complain(fmt::format("{} tasks of {} were executed", executed.sum(), many));
}

void lazy_input(notes& seen) {
  constexpr int many = 20'000;
  constexpr int few = 1000;
  int pulled = 0;
  lenskit::invoker inv(
      0, [](int, int item) { return std::this_thread::sleep_for(1ms), item; }, two());
  for (const int each :
       inv.map(std::views::iota(0, many) | std::views::transform([&](int item) { return ++pulled, item; }))) {
    std::ignore = each;
    break;
  }
  seen.counters[0] = pulled;
  if (pulled > few) seen.complain(fmt::format("{} items pulled before the first result", pulled));
}

[[noreturn]] void host_killed(bool busy) {
  lenskit::invoker inv(
      0,
      [&](int, int item) {
        while (busy) ::pause();
        return item;
      },
      two());
  std::thread([] {
    std::this_thread::sleep_for(100ms);
    ::kill(::getpid(), SIGKILL);
  }).detach();
  std::ignore = inv.map(std::views::iota(0, items)).collect();
  for (;;) ::pause();
}

[[noreturn]] void interrupted() {
  lenskit::invoker inv(
      0, [](int, int) { std::this_thread::sleep_for(300s); }, two());
  std::thread([] {
    std::this_thread::sleep_for(100ms);
    ::kill(0, SIGINT);  // what a terminal sends: to everybody in the group
  }).detach();
  std::ignore = inv.map(std::views::iota(0, items)).collect();
  for (;;) ::pause();
}

void thief(notes& seen) {
  std::atomic<bool> enough = false;
  std::thread reaper([&] {
    while (!enough) {
      if (::waitpid(-1, nullptr, __WALL) < 0) std::this_thread::sleep_for(1ms);
    }
  });
  death_costs_one_item(seen, [] { ::raise(SIGKILL); });
  enough = true;
  reaper.join();
}

void ignored_children(notes& seen) {
  ::signal(SIGCHLD, SIG_IGN);
  death_costs_one_item(seen, [] { ::raise(SIGKILL); });
}

void living_grandchild(notes& seen) {
  death_costs_one_item(seen, [] {
    if (::fork() == 0) {
      for (;;) ::pause();
    }
    ::raise(SIGKILL);
  });
}

void descriptors(notes& seen) {
  const auto count = [] {
    long open = 0;
    for (int fd = 0; fd < 1024; ++fd) open += ::fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
    return open;
  };
  long before = 0;
  for (int cycle = 0; cycle < 15; ++cycle) {
    {
      lenskit::invoker inv(
          0, [](int, int item) { return item; }, two());
      std::ignore = inv.map(std::views::iota(0, items)).collect();
    }
    if (cycle == 0) before = count();
  }
  if (count() != before) seen.complain(fmt::format("{} descriptors more after 14 cycles", count() - before));
}

void subprocess_dies(notes& seen) {
  for (const auto& die : {+[] { ::raise(SIGKILL); }, +[] { ::_exit(0); }}) {
    try {
      lenskit::run_sp(die);
      seen.complain("a dead subprocess has a result");
    } catch (const worker_died&) {}
  }
}

struct row {
  const char* fault;
  std::function<void(notes&)> run;
  int ends_by = 0;  // the signal that ends the host, where that is the row's point
};

const std::vector<row>& rows() {
  static const std::vector<row> all{
      {"task _exit(0)", [](notes& seen) { death_costs_one_item(seen, [] { ::_exit(0); }); }},
      {"task _exit(3)", [](notes& seen) { death_costs_one_item(seen, [] { ::_exit(3); }); }},
      {"SIGSEGV", [](notes& seen) { death_costs_one_item(seen, [] { commit(fault::segv); }); }},
      {"SIGKILL self", [](notes& seen) { death_costs_one_item(seen, [] { ::raise(SIGKILL); }); }},
      {"SIGSTOP (no timeout set)", [](notes& seen) { death_costs_one_item(seen, [] { ::raise(SIGSTOP); }); }},
      {"exception that cannot be rebuilt",
       [](notes& seen) { death_costs_one_item(seen, [] { throw nobody_knows(); }); }},
      {"result cannot be serialised", result_cannot_be_stored},
      {"input throws at item 7", input_throws},
      {"8 MB args and results both ways", eight_megabytes},
      {"SIGKILL while 60 MB are being written", killed_while_it_receives},
      {"break after item 1 of 400", early_break},
      {"items pulled before the first result", lazy_input},
      {"parent SIGKILL, workers busy", [](notes&) { host_killed(true); }, SIGKILL},
      {"parent SIGKILL, workers idle", [](notes&) { host_killed(false); }, SIGKILL},
      {"one SIGINT to the group, 300 s tasks", [](notes&) { interrupted(); }, SIGINT},
      {"thread in waitpid(-1) + worker death", thief},
      {"SIGCHLD ignored + worker death", ignored_children},
      {"worker with a live grandchild killed", living_grandchild},
      {"descriptors over 15 create/destroy cycles", descriptors},
      {"run_sp child SIGKILL, _exit(0)", subprocess_dies},
  };
  return all;
}

}  // namespace

std::vector<score> table_a(const settings& how) {
  std::size_t passed = 0;
  disposable_processes runs(how.at_once, hang, [&](const ending& end) {
    if (end.complaints.empty()) ++passed;
    std::string why;
    for (const auto& line : end.complaints) why += "; " + line;
    const auto count = end.counters.at(0) != 0 ? fmt::format(" ({})", end.counters[0]) : "";
    std::printf("%s: %s%s in %.1f s%s\n", end.label.c_str(), end.complaints.empty() ? "passed" : "FAILED",
                count.c_str(), std::chrono::duration<double>(end.took).count(), why.c_str());
  });
  for (std::size_t i = 0; i < rows().size(); ++i)
    runs.start(fmt::format("row {:>2} {}", i + 1, rows()[i].fault), rows()[i].run, rows()[i].ends_by);
  runs.finish();
  return {{"G1", passed == rows().size(), fmt::format("{} of {} rows of table A", passed, rows().size())}};
}

}  // namespace lenskit::soak

// Histories of the dispatcher in virtual time: simulation [--seed N [--shrink]] [--first N] [--count N] [--seconds N].
#include <simulation/history.hpp>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <string_view>

namespace {

using namespace lenskit::simulation;

std::uint64_t compared = 0, slower = 0, idled = 0;  // histories against a greedy queue

// Empty if all went well.
std::string what_fails(const plan& of) {
  try {
    history one(of);
    one.run();
    compared += one.compared ? 1 : 0;
    slower += one.slower ? 1 : 0;
    idled += one.idled ? 1 : 0;
    return {};
  } catch (const std::exception& error) {
    return error.what();
  }
}

void print(const plan& of, const std::string& why) {
  std::printf(
      "seed %llu: %s\n  %d workers on %d processors%s, max_retries %d, timeout %lld ns, stop after %u, shutdown after "
      "%u\n",
      static_cast<unsigned long long>(of.seed), why.c_str(), of.workers, of.processors,
      of.answers_late ? " that answer late" : "", of.max_retries, static_cast<long long>(of.timeout_ns), of.stop_after,
      of.closed_after);
  const auto& rates = of.faults;
  std::printf("  one in: death in a task %u, between %u, start error %u, spawner lost %u, stall %u, absence %u\n",
              rates.death_in_task, rates.death_between, rates.start_error, rates.spawner_lost, rates.stall,
              rates.absence);
  for (const auto& call : of.calls) {
    std::printf("  %u tasks %s, buffer %u, chunk %u, lengths %d of %lld ns%s, abandoned after %u\n", call.tasks,
                call.of_completion ? "as completed" : "in order", call.buffer_size, call.chunk_size,
                static_cast<int>(call.kind), static_cast<long long>(call.typical_ns),
                call.of_known_size ? "" : ", number unknown", call.abandoned_after);
  }
}

// Takes away what the failure does not need.
plan shrink(plan of) {
  for (bool smaller = true; smaller;) {
    smaller = false;
    const auto attempt = [&](auto change) {
      auto less = of;
      change(less);
      if (what_fails(less).empty()) return;
      of = std::move(less);
      smaller = true;
    };
    auto& rates = of.faults;
    if (of.calls.size() > 1) attempt([](plan& p) { p.calls.pop_back(); });
    if (of.calls.size() > 1) attempt([](plan& p) { p.calls.erase(p.calls.begin()); });
    if (of.workers > 1) attempt([](plan& p) { p.processors = --p.workers; });
    if (of.answers_late) attempt([](plan& p) { p.answers_late = false; });
    if (of.timeout_ns != 0) attempt([](plan& p) { p.timeout_ns = 0; });
    if (of.stop_after != ~0U) attempt([](plan& p) { p.stop_after = ~0U; });
    if (of.closed_after != ~0U) attempt([](plan& p) { p.closed_after = ~0U; });
    if (of.max_retries != 0) attempt([](plan& p) { p.max_retries = 0; });
    if (rates.death_in_task != 0) attempt([](plan& p) { p.faults.death_in_task = 0; });
    if (rates.death_between != 0) attempt([](plan& p) { p.faults.death_between = 0; });
    if (rates.start_error != 0) attempt([](plan& p) { p.faults.start_error = 0; });
    if (rates.spawner_lost != 0) attempt([](plan& p) { p.faults.spawner_lost = 0; });
    if (rates.stall != 0) attempt([](plan& p) { p.faults.stall = 0; });
    if (rates.absence != 0) attempt([](plan& p) { p.faults.absence = 0; });
    for (std::size_t i = 0; i < of.calls.size(); ++i) {
      if (of.calls[i].tasks > 1) attempt([i](plan& p) { p.calls[i].tasks /= 2; });
      if (of.calls[i].tasks > 0) attempt([i](plan& p) { --p.calls[i].tasks; });
      if (of.calls[i].buffer_size != 0) attempt([i](plan& p) { p.calls[i].buffer_size = 0; });
      if (of.calls[i].chunk_size != 0) attempt([i](plan& p) { p.calls[i].chunk_size = 0; });
    }
  }
  return of;
}

int replay(std::uint64_t seed, bool shorten) {
  auto of = draw_plan(seed);
  auto why = what_fails(of);
  if (why.empty()) {
    std::printf("seed %llu: all is well\n", static_cast<unsigned long long>(seed));
    return EXIT_SUCCESS;
  }
  print(of, why);
  if (!shorten) return EXIT_FAILURE;
  of = shrink(std::move(of));
  print(of, "shortened: " + what_fails(of));
  return EXIT_FAILURE;
}

}  // namespace

int main(int count, char** arguments) {
  std::uint64_t seed = 0, first = 1, histories = ~std::uint64_t{0};
  double seconds = 20;
  bool one = false, shorten = false;
  for (int i = 1; i < count; ++i) {
    const std::string_view option = arguments[i];
    const auto number = [&] { return i + 1 < count ? std::strtoull(arguments[++i], nullptr, 10) : 0; };
    if (option == "--seed") seed = number(), one = true;
    if (option == "--shrink") shorten = true;
    if (option == "--first") first = number();
    if (option == "--count") histories = number(), seconds = 1e9;
    if (option == "--seconds") seconds = static_cast<double>(number());
  }
  if (one) return replay(seed, shorten);
  const auto started = std::chrono::steady_clock::now();
  const auto passed = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count(); };
  constexpr int most_failures = 5;
  int failures = 0;
  std::uint64_t done = 0;
  for (; done < histories && failures < most_failures && (done % 64 != 0 || passed() < seconds); ++done) {
    const auto of = draw_plan(first + done);
    if (const auto why = what_fails(of); !why.empty()) {
      print(of, why);
      ++failures;
    }
  }
  std::printf("%llu histories in %.1f s, %.1f million an hour, %d wrong\n", static_cast<unsigned long long>(done),
              passed(), static_cast<double>(done) / passed() * 3600 / 1e6, failures);
  std::printf("%llu held against a greedy queue, %llu slower than 1.03 times that and 5 ms, %llu with idle workers\n",
              static_cast<unsigned long long>(compared), static_cast<unsigned long long>(slower),
              static_cast<unsigned long long>(idled));
  constexpr std::uint64_t one_of = 5'000;
  const bool too_often = idled > 1 + compared / one_of;
  if (too_often) std::printf("workers were idle in more than one of %llu\n", static_cast<unsigned long long>(one_of));
  return failures == 0 && !too_often ? EXIT_SUCCESS : EXIT_FAILURE;
}

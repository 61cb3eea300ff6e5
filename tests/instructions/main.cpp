// instructions PATH N: sends N tasks along one path of the library. instructions.py counts what that takes, with two
// different N, so that what is not paid for each task cancels out.
#include <lenskit/parallel.hpp>

#include <lenskit/detail/worker/recorder.hpp>
#include <lenskit/detail/worker/worker_loop.hpp>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <memory>
#include <ranges>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace {

namespace detail = lenskit::detail;

struct no_model {};
using pairs = std::vector<std::pair<int, float>>;
constexpr auto to_int = [](const no_model&, int x) { return x + 1; };
constexpr auto to_pairs = [](const no_model&, int x) { return pairs(16, {x, 0.5F}); };

// Everything, in one process: the input, the window, the body, the results in order.
template <class Fn>
std::int64_t whole_calls(Fn fn, int count) {
  lenskit::invoker pool(no_model{}, fn, {.n_jobs = 1, .engine = lenskit::engine::in_process});
  std::int64_t results = 0;
  for (const auto& each : pool.map(std::views::iota(0, count))) results += sizeof each != 0 ? 1 : 0;
  return results;
}

class counting_sink final : public detail::result_sink {
 public:
  void deliver(detail::results_head head, std::span<const std::byte>, std::vector<detail::descriptor>) override {
    results += head.count;
  }
  std::int64_t results = 0;
};

// What a worker does with a chunk: arguments decoded, the function called, its results recorded and encoded.
template <class Fn>
std::int64_t worker_chunk(Fn fn, int count) {
  constexpr detail::task_body body = &detail::run_tasks<no_model, Fn, int>;
  std::vector<int> arguments(static_cast<std::size_t>(count), 1);
  detail::typed_workplace<no_model, Fn> place(std::make_shared<const no_model>(), fn);
  const auto block = std::make_unique<detail::journal_block>();
  counting_sink sink;
  block->claim_of(0).open(static_cast<std::uint32_t>(count));
  detail::recorder recorder(*block, sink, {});
  detail::tasks_head head;
  head.chunk = 1;
  head.count = static_cast<std::uint32_t>(count);
  head.send_every_us = 300;
  const detail::call_seed seed(std::make_shared<const lenskit::seed_sequence>(1), {});
  recorder.begin(head, seed);
  detail::run_chunk(place, detail::body_entry<body>.id(), std::as_bytes(std::span(arguments)), recorder);
  return sink.results;
}

// What the parent does with the input: elements pulled and encoded.
std::int64_t pull_input(int count) {
  std::vector<int> input(static_cast<std::size_t>(count), 1);
  const std::unique_ptr<detail::task_source> source = std::make_unique<detail::zip_source<std::vector<int>&>>(input);
  detail::writer into;
  return source->pull(into, static_cast<std::uint32_t>(count), std::numeric_limits<std::size_t>::max()).count;
}

struct path {
  std::string_view name;
  std::int64_t (*run)(int count);
};
constexpr path paths[] = {
    {"in_process-int", [](int count) { return whole_calls(to_int, count); }},
    {"in_process-pairs", [](int count) { return whole_calls(to_pairs, count); }},
    {"pull-int", pull_input},
    {"worker-int", [](int count) { return worker_chunk(to_int, count); }},
    {"worker-pairs", [](int count) { return worker_chunk(to_pairs, count); }},
};

}  // namespace

int main(int argc, char** argv) {
  if (argc == 1) {
    for (const auto& each : paths) std::printf("%.*s\n", static_cast<int>(each.name.size()), each.name.data());
    return 0;
  }
  if (argc != 3) return 2;
  const int count = std::atoi(argv[2]);
  for (const auto& each : paths) {
    if (each.name == argv[1]) return each.run(count) == count ? 0 : 1;
  }
  return 2;
}

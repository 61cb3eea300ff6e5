#include <lenskit/detail/worker/recorder.hpp>
#include <lenskit/detail/worker/typed_tasks.hpp>
#include <lenskit/detail/worker/worker_loop.hpp>

#include <support/catch.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <numeric>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

namespace {

namespace d = lenskit::detail;

struct no_model {};

class dropping_sink final : public d::result_sink {
 public:
  void deliver(d::results_head head, std::span<const std::byte>, std::vector<d::descriptor>) override {
    delivered += head.count;
  }
  std::uint32_t delivered = 0;
};

// The outcomes that a journal holds: values, and -1 for a task that threw.
template <class Value>
std::vector<Value> outcomes_of(const d::last_will& will) {
  std::vector<Value> all;
  for (d::reader in(will.saved.bytes()); in.left() > 0;) {
    const auto run = in.get<d::run_head>();
    if (run.kind == d::run_kind::failure) {
      CHECK(d::decode_exception(in, 0, 1) != nullptr);
      all.push_back(Value{-1});
      continue;
    }
    for (std::uint32_t i = 0; i < run.count; ++i) all.push_back(in.get<Value>());
  }
  return all;
}

constexpr int count = 50'000;  // more than a journal holds
constexpr bool throws(int task) { return task % 1000 == 999; }

}  // namespace

// What is read here from within a task is what the parent would find had the worker died in it.
TEST_CASE("W1: the journal says at each task of a chunk which one runs and holds the outcomes before it", "[pool]") {
  static std::unique_ptr<d::journal_block> block;
  block = std::make_unique<d::journal_block>();
  static std::uint32_t sent_in_between = 0;
  constexpr auto task = [](const no_model&, int x) -> std::int64_t {
    if (throws(x)) throw std::runtime_error("task " + std::to_string(x));
    if (x % 97 != 0 && !throws(x - 1)) return x;  // reading all of it at every task would take minutes
    const auto will = d::read_last_will(*block);
    REQUIRE(will.chunk == 7);
    REQUIRE(will.finished == static_cast<std::uint32_t>(x));
    REQUIRE(will.started > will.finished);
    REQUIRE(will.started <= static_cast<std::uint32_t>(count));
    const auto saved = outcomes_of<std::int64_t>(will);
    REQUIRE(saved.size() == will.finished - will.base);
    for (std::size_t i = 0; i < saved.size(); ++i) {
      const auto position = static_cast<int>(will.base + i);
      if (saved[i] != (throws(position) ? -1 : position)) FAIL("outcome " << position << " is " << saved[i]);
    }
    sent_in_between = will.base;
    return x;
  };
  using function = std::remove_const_t<decltype(task)>;
  std::vector<int> arguments(count);
  std::iota(arguments.begin(), arguments.end(), 0);
  d::typed_workplace<no_model, function> place(std::make_shared<const no_model>(), task);
  dropping_sink sink;
  block->claim_of(0).open(count);
  d::recorder recorder(*block, sink, {});
  d::tasks_head head;
  head.chunk = 7;
  head.count = count;
  head.send_every_us = 60'000;
  const d::call_seed seed(std::make_shared<const lenskit::seed_sequence>(1), {});
  recorder.begin(head, seed);
  constexpr d::task_body body = &d::run_tasks<no_model, function, int>;
  d::run_chunk(place, d::body_entry<body>.id(), std::as_bytes(std::span(arguments)), recorder);
  CHECK(sink.delivered == count);
  CHECK(sent_in_between > 0);
  const auto will = d::read_last_will(*block);
  CHECK(will.chunk == 0);
  CHECK(will.started == will.finished);
}

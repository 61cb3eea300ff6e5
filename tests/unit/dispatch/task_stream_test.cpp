#include <lenskit/detail/dispatch/decode_result.hpp>
#include <lenskit/detail/dispatch/task_stream.hpp>
#include <lenskit/error.hpp>
#include <lenskit/progress.hpp>

#include <support/catch.hpp>
#include <support/listed_source.hpp>
#include <support/message_of.hpp>
#include <support/scripted_pool.hpp>

#include <cstdint>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

namespace {

using lenskit::tests::listed_source;
using lenskit::tests::scripted_pool;
namespace d = lenskit::detail;
using strings = std::vector<std::string>;

constexpr auto end_of_call = d::task_stream::step::end;

// A call over a pool whose workers do what the test says.
class streamed {
 public:
  explicit streamed(int tasks, d::stream_options options = {}, listed_source::faults faults = {}, int workers = 1)
      : pool({.workers = workers}) {
    std::vector<int> numbers(static_cast<std::size_t>(tasks));
    std::iota(numbers.begin(), numbers.end(), 0);
    options.result_bytes = sizeof(int);
    const std::shared_ptr<d::dispatcher> core(std::shared_ptr<void>(), &pool.core);
    stream = std::make_unique<d::task_stream>(core, std::make_unique<listed_source>(std::move(numbers), faults),
                                              d::call_plan(1, d::result_order::of_input, d::next_call_seed()),
                                              std::move(options));
  }
  std::string next() {
    const auto step = stream->next();
    if (step == end_of_call) return "end";
    const auto index = std::to_string(stream->index());
    if (step == d::task_stream::step::value) {
      const auto value = std::to_string(d::decode_result<int>(*stream));
      return value == index ? value : value + " at " + index;
    }
    return index + ": " +
           lenskit::tests::message_of<std::exception>([&] { std::rethrow_exception(stream->failure()); });
  }
  strings rest() {
    strings all;
    do {
      all.push_back(next());
    } while (all.back() != "end");
    return all;
  }
  /// Tasks that workers have been given.
  std::uint64_t given() {
    std::uint64_t tasks = 0;
    for (const auto& worker : pool.engine.of)
      for (const auto& each : worker.has) tasks += each.work.count;
    return tasks;
  }

  scripted_pool pool;
  std::unique_ptr<d::task_stream> stream;
};

}  // namespace

TEST_CASE("a stream brings every outcome and then its end, as often as it is asked") {
  streamed call(5);
  CHECK(call.rest() == strings{"0", "1", "2", "3", "4", "end"});
  CHECK(call.next() == "end");
  CHECK(streamed(0).rest() == strings{"end"});
}

TEST_CASE("nothing is pulled before the first outcome is asked for") {
  streamed call(5);
  CHECK(call.given() == 0);
  CHECK(call.pool.engine.times_sent == 0);
}

TEST_CASE("a stream with a buffer pulls no more than fits into it") {
  streamed call(100, {.chunk_size = 2, .buffer_size = 4});
  std::uint64_t most = 0;
  call.pool.engine.on_wait = [&](d::manner) { most = std::max(most, call.given()); };
  CHECK(call.rest().size() == 101);
  CHECK(most == 4);
}

TEST_CASE("chunks have the size that was asked for, but for the last") {
  streamed call(7, {.chunk_size = 3});
  CHECK(call.rest().size() == 8);
  CHECK(call.pool.engine.times_sent == 3);
}

TEST_CASE("what an input throws comes behind the results of what it gave before") {
  streamed call(3, {}, {.input_ends_badly = true});
  CHECK(call.next() == "0");
  CHECK(call.next() == "1");
  CHECK(call.next() == "2");
  CHECK(lenskit::tests::message_of<std::runtime_error>([&] { std::ignore = call.next(); }) == "the input is over");
  CHECK(call.next() == "end");
}

TEST_CASE("a task that cannot be encoded fails in its place, and those behind it run") {
  streamed call(5, {}, {.bad = 2});
  CHECK(call.rest() == strings{"0", "1", "2: cannot be encoded", "3", "4", "end"});
}

TEST_CASE("a stream that is dropped takes back what has not begun") {
  streamed call(20, {.chunk_size = 5});
  call.pool.engine.then([&] { call.pool.engine.run(0, 5); });
  CHECK(call.next() == "0");
  CHECK(call.given() > 0);
  call.stream.reset();
  CHECK(call.given() == 0);
  CHECK(call.pool.all_runs() == 5);
}

TEST_CASE("values behind the current one are had in one piece, and the stream stands at the last of them") {
  streamed call(6, {.chunk_size = 6});
  REQUIRE(call.next() == "0");
  REQUIRE(call.next() == "1");
  const auto more = call.stream->values_behind(sizeof(int));
  REQUIRE(more.size() % sizeof(int) == 0);
  const auto count = more.size() / sizeof(int);
  REQUIRE(count > 0);
  CHECK(call.stream->index() == 1 + count);
  for (std::size_t i = 0; i < count; ++i) {
    int value = 0;
    std::memcpy(&value, more.data() + i * sizeof(int), sizeof value);
    CHECK(value == static_cast<int>(2 + i));
  }
}

TEST_CASE("a stream of a pool that was shut down brings what had come, then says so, then nothing") {
  streamed call(8, {.chunk_size = 2, .buffer_size = 4});
  call.pool.engine.then([&] { call.pool.engine.run(0, 2); });
  CHECK(call.next() == "0");
  call.pool.core.shut_down();
  CHECK(call.next() == "1");
  CHECK_THROWS_AS(call.next(), lenskit::invoker_closed);
  CHECK(call.next() == "end");
}

TEST_CASE("progress counts each task once in each state, whatever it throws") {
  struct counting : lenskit::progress {
    void update(int n, std::string_view state, std::string_view from) override {
      lenskit::progress::update(n, state, from);
      throw std::runtime_error("the user's own");
    }
  };
  const auto bar = std::make_shared<counting>();
  streamed call(5, {.chunk_size = 2, .progress = bar});
  CHECK(call.rest().size() == 6);
  CHECK(bar->count() == 5);
  CHECK(bar->count("dispatched") == 0);
  CHECK(bar->count("in-progress") == 0);
}

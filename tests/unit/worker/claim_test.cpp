#include <lenskit/detail/worker/claim.hpp>

#include <support/catch.hpp>

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

using lenskit::detail::claim;

namespace {

constexpr auto barrier = [] { return true; };

// Begins and finishes tasks as a worker does.
void run(claim& on, std::uint32_t from, std::uint32_t to) {
  for (auto p = from; p < to; ++p) {
    REQUIRE(on.may_begin(p, true));
    on.finished.store(p + 1);
  }
}

}  // namespace

TEST_CASE("a worker may begin all tasks of its chunk, and no more") {
  claim on;
  on.open(3);
  run(on, 0, 3);
  CHECK_FALSE(on.may_begin(3, true));
  CHECK(on.owned(3) == 3);
}

TEST_CASE("what has not begun is taken back, but what is to be kept") {
  claim on;
  on.open(10);
  CHECK(on.take_back(10, 4, barrier) == 4);
  CHECK(on.take_back(10, 9, barrier) == 4);  // less is never taken back than before
  run(on, 0, 2);
  CHECK(on.take_back(10, 0, barrier) == 3);  // the third may be running
  CHECK(on.may_begin(2, true));
  on.finished.store(3);
  CHECK_FALSE(on.may_begin(3, true));
  CHECK(on.owned(10) == 3);
}

TEST_CASE("a chunk that has not begun can be taken back wholly, once and for all") {
  claim on;
  on.open(5);
  CHECK(on.take_back(5, 0, barrier) == 0);
  CHECK(on.take_back(5, 3, barrier) == 0);
  CHECK_FALSE(on.may_begin(0, true));
  CHECK(on.owned(5) == 0);
}

TEST_CASE("without a barrier nothing is taken back") {
  claim on;
  on.open(5);
  CHECK(on.take_back(5, 0, [] { return false; }) == 5);
  run(on, 0, 5);
}

TEST_CASE("a worker that sees that it is asked decides for itself, and both abide by it") {
  claim on;
  on.open(5);
  run(on, 0, 2);
  // It comes to the third task between the asking and the answer.
  const auto position = on.take_back(5, 2, [&on] {
    on.finished.store(2);
    CHECK_FALSE(on.may_begin(2, true));
    return true;
  });
  CHECK(position == 2);
  CHECK_FALSE(on.may_begin(2, true));
  CHECK(on.owned(5) == 2);
  CHECK(on.take_back(5, 2, barrier) == 2);
}

TEST_CASE("a claim of a dead worker that writes nonsense says no more than its chunk has") {
  claim on;
  on.limit.store(0x7fff'ffff);
  CHECK(on.owned(5) == 5);
  on.limit.store(-0x7fff'ffff - 1);
  CHECK(on.owned(5) <= 5);
  on.limit.store(claim::asking);
  CHECK(on.owned(5) == 5);
}

TEST_CASE("K1: under two threads each task is run or taken back, and never both") {
  constexpr std::uint32_t tasks = 64;
  constexpr int rounds = 2000;
  claim on;
  std::atomic<int> round{0}, done{0};
  std::uint32_t ran = 0;
  std::jthread worker([&] {
    for (int i = 1; i <= rounds; ++i) {
      while (round.load() < i) std::this_thread::yield();
      std::uint32_t p = 0;
      while (p < tasks && on.may_begin(p, true)) on.finished.store(++p);
      ran = p;
      done.store(i);
    }
  });
  int wrong = 0;
  for (int i = 1; i <= rounds; ++i) {
    on.open(tasks);
    round.store(i);
    auto position = tasks;
    for (int often = 0; often < 1 + i % 3; ++often) {
      for (int pause = 0; pause < i % 50; ++pause) std::atomic_signal_fence(std::memory_order_seq_cst);
      position = on.take_back(tasks, static_cast<std::uint32_t>(i % 5), barrier);
    }
    while (done.load() < i) std::this_thread::yield();
    wrong += ran != position ? 1 : 0;
    wrong += on.owned(tasks) != ran ? 1 : 0;
  }
  CHECK(wrong == 0);
}

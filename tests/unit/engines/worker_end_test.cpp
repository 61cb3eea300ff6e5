#include <lenskit/detail/engines/worker_end.hpp>

#include <support/catch.hpp>

#include <chrono>

namespace {

namespace d = lenskit::detail;
using namespace std::chrono_literals;

const d::steady::time_point start = d::steady::time_point{} + 1h;

}  // namespace

TEST_CASE("a worker that is to end is killed once, and not before its time") {
  d::ending_order ending;
  CHECK_FALSE(ending.is_placed());
  CHECK_FALSE(ending.take_kill(start));
  ending.place(start + 200ms);
  CHECK(ending.is_placed());
  CHECK(ending.kill_at() == start + 200ms);
  CHECK_FALSE(ending.take_kill(start + 199ms));
  CHECK(ending.take_kill(start + 200ms));
  CHECK_FALSE(ending.take_kill(start + 300ms));
  CHECK(ending.is_placed());
}

TEST_CASE("a dead worker awaits its burial from the news of its status until that is told") {
  d::worker_end end;
  end.seen_at = start;
  CHECK_FALSE(end.awaits_burial());
  end.status = d::exit_status{};
  CHECK(end.awaits_burial());
  end.told = true;
  CHECK_FALSE(end.awaits_burial());
}

TEST_CASE("the status of a worker that has ended is overdue after a while, unless it has come") {
  d::worker_end end;
  CHECK_FALSE(end.is_overdue(start + 1h, 5s));
  end.seen_at = start;
  CHECK_FALSE(end.is_overdue(start + 5s, 5s));
  CHECK(end.is_overdue(start + 5s + 1ns, 5s));
  end.status = d::exit_status{};
  CHECK_FALSE(end.is_overdue(start + 1h, 5s));
}

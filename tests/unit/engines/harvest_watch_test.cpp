#include <lenskit/detail/dispatch/pace.hpp>
#include <lenskit/detail/engines/harvest_watch.hpp>

#include <support/catch.hpp>

#include <chrono>

namespace {

namespace d = lenskit::detail;
using namespace std::chrono_literals;

const d::steady::time_point start = d::steady::time_point{} + 1h;
constexpr auto never = d::steady::time_point::max();

}  // namespace

TEST_CASE("a worker that was given nothing is not looked at") { CHECK(d::harvest_watch().due_at() == never); }

TEST_CASE("a silent worker is looked at 4 ms after it was given something or has sent something") {
  d::harvest_watch watch;
  watch.note_given(start);
  CHECK(watch.due_at() == start + d::pace::harvest_after);
  watch.note_given(start + 1ms);  // more, while it has not said anything
  CHECK(watch.due_at() == start + d::pace::harvest_after);
  watch.note_sent(start + 3ms);
  CHECK(watch.due_at() == start + 3ms + d::pace::harvest_after);
}

TEST_CASE("a worker is looked at again and again while it has a chunk, and then when it is given another") {
  d::harvest_watch watch;
  watch.note_given(start);
  watch.look(start + 4ms, [] { return true; });
  CHECK(watch.due_at() == start + 4ms + d::pace::harvest_after);
  watch.look(start + 8ms, [] { return false; });
  CHECK(watch.due_at() == never);
  watch.note_given(start + 1s);
  CHECK(watch.due_at() == start + 1s + d::pace::harvest_after);
}

TEST_CASE("a look that was due while a worker had nothing is put off when it is given something") {
  d::harvest_watch watch;
  watch.note_sent(start);
  watch.note_given(start + 1s);
  CHECK(watch.due_at() == start + 1s + d::pace::harvest_after);
}

TEST_CASE("every 64th look is a look at whether the worker is alive") {
  d::harvest_watch watch;
  int asked = 0;
  for (int look = 0; look < 640; ++look) asked += watch.wants_proof_of_life() ? 1 : 0;
  CHECK(asked == 10);
}

TEST_CASE("a position is one of its chunk, and in no other") {
  d::harvest_watch watch;
  CHECK(watch.done() == d::chunk_position{});
  watch.note_done({7, 12});
  CHECK(watch.done() == d::chunk_position{7, 12});
  CHECK(watch.done() != d::chunk_position{8, 12});
  CHECK(watch.done().in(7) == 12);
  CHECK(watch.done().in(8) == 0);
}

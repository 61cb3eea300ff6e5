#include <lenskit/detail/engines/spawner.hpp>
#include <lenskit/detail/os/system.hpp>

#include <support/catch.hpp>

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

namespace {

using namespace lenskit::detail;

// Its workers say which one they are, and end with that when their stream closes.
class saying_program final : public worker_program {
 public:
  [[nodiscard]] bool ends_stopped_workers() const noexcept override { return false; }
  [[noreturn]] void run(int slot, worker_ends ends) noexcept override {
    const auto said = static_cast<char>('a' + slot);
    std::ignore = ::write(ends.stream.get(), &said, 1);
    char end = 0;
    std::ignore = ::read(ends.stream.get(), &end, 1);
    ::_exit(40 + slot);
  }
};

struct seat {
  seat() {
    auto stream = make_stream();
    auto log = make_pipe();
    near = std::move(stream.first);
    reads = std::move(log.first);
    ends = {std::move(stream.second), std::move(log.second)};
  }
  // The letter that its worker says; waits for it.
  [[nodiscard]] char said() const {
    char letter = 0;
    std::ignore = ::read(near.get(), &letter, 1);
    return letter;
  }
  descriptor near;
  descriptor reads;
  worker_ends ends;
};

std::optional<spawner_event> next_event(spawner& of) {
  for (;;) {
    if (auto event = of.next()) return event;
    pollfd news{of.fd(), POLLIN, 0};
    if (sys::poll(&news, 1, 10'000) <= 0) return std::nullopt;
  }
}

process started(spawner& of, int slot) {
  auto event = next_event(of);
  REQUIRE(event.has_value());
  REQUIRE(event->what == spawner_event::kind::started);
  CHECK(event->slot == slot);
  CHECK(event->worker.pid() == event->pid);
  return std::move(event->worker);
}

}  // namespace

TEST_CASE("a spawner forks a worker a seat, each with its own ends, and tells how each ended", "[no_tsan]") {
  saying_program program;
  seat first, second;
  std::vector<worker_ends> seats;
  seats.push_back(std::move(first.ends));
  seats.push_back(std::move(second.ends));
  spawner forks(program, seats);
  seats.clear();
  const auto one = started(forks, 0);
  const auto other = started(forks, 1);
  CHECK(first.said() == 'a');
  CHECK(second.said() == 'b');
  CHECK_FALSE(forks.next().has_value());

  first.near.reset();
  const auto ended = next_event(forks);
  REQUIRE(ended.has_value());
  CHECK(ended->what == spawner_event::kind::ended);
  CHECK(ended->slot == 0);
  CHECK(ended->pid == one.pid());
  CHECK(ended->status.exit_code == 40);

  forks.signal(other, SIGKILL);
  const auto killed = next_event(forks);
  REQUIRE(killed.has_value());
  CHECK(killed->slot == 1);
  CHECK(killed->status.signal == SIGKILL);
}

TEST_CASE("a spawner forks a replacement when it is asked to", "[no_tsan]") {
  saying_program program;
  std::vector<worker_ends> seats(1);
  seat first;
  seats[0] = std::move(first.ends);
  spawner forks(program, seats);
  seats.clear();
  const auto one = started(forks, 0);
  forks.signal(one, SIGKILL);
  CHECK(next_event(forks)->what == spawner_event::kind::ended);
  seat again;
  REQUIRE(forks.spawn(0, again.ends));
  again.ends = {};
  const auto other = started(forks, 0);
  CHECK(other.pid() != one.pid());
  CHECK(again.said() == 'a');
}

TEST_CASE("the end of a spawner is the end of its workers, and it is told when it dies by itself", "[no_tsan]") {
  saying_program program;
  std::vector<worker_ends> seats(1);
  seat first;
  seats[0] = std::move(first.ends);
  spawner forks(program, seats);
  seats.clear();
  const auto one = started(forks, 0);
  SECTION("it is ended") {
    forks.end();
    forks.end();  // nothing to do
  }
  SECTION("it is killed") {
    forks.kill();
    const auto event = next_event(forks);
    REQUIRE(event.has_value());
    CHECK(event->what == spawner_event::kind::gone);
    seat again;
    CHECK_FALSE(forks.spawn(0, again.ends));
    forks.end();
  }
  CHECK(one.wait_ended(steady::now() + std::chrono::seconds(10)));
}

TEST_CASE("some workers may be asked for at once, and never none") {
  CHECK(spawner::most_unanswered() >= 1);
  CHECK(spawner::most_unanswered() <= 16);
}

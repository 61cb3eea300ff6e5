#include <lenskit/detail/engines/event_source.hpp>
#include <lenskit/detail/engines/staff.hpp>

#include <support/catch.hpp>
#include <support/int_tasks.hpp>

#include <signal.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <list>

namespace {

using namespace lenskit::detail;
using lenskit::tests::hearing;

// Its workers wait for the end of their stream.
class waiting_program final : public worker_program {
 public:
  [[nodiscard]] bool ends_stopped_workers() const noexcept override { return false; }
  [[noreturn]] void run(int, worker_ends ends) noexcept override {
    char end = 0;
    std::ignore = ::read(ends.stream.get(), &end, 1);
    ::_exit(0);
  }
};

// A staff, and as much of an engine as looks after it.
struct employer {
  explicit employer(int workers) : journals(workers), logs(workers), people(program, journals, events, logs, workers) {}
  ~employer() {
    people.end([](int) { return false; });
  }
  employer(const employer&) = delete;
  employer& operator=(const employer&) = delete;

  // Hears what there is until `done()`; false if that takes longer than ten seconds.
  template <class Done>
  bool attend_until(Done done) {
    const auto deadline = steady::now() + std::chrono::seconds(10);
    while (!done()) {
      if (steady::now() >= deadline) return false;
      std::array<readiness, 8> room;
      for (const auto& ready : events.wait(room, std::min(deadline, people.deadline(false)))) {
        if (kind_of(ready) == event_source::spawner) people.hear_spawner();
        if (kind_of(ready) == event_source::process) people.notice_end(worker_of(ready));
      }
      people.bury_the_dead(deaths, [this](int worker) { heard_out.push_back(worker); });
      people.prepare_replacements(false);
    }
    return true;
  }
  [[nodiscard]] bool runs(int worker) const { return people.at(worker) != nullptr && people.at(worker)->running; }

  waiting_program program{};
  journal journals;
  poller events{};
  attendance logs;
  std::list<death_event> deaths{};
  std::vector<int> heard_out{};
  staff people;
};

}  // namespace

TEST_CASE("when a staff is made its first worker runs, and the others come", "[no_tsan]") {
  employer of(3);
  CHECK(of.people.size() == 3);
  REQUIRE(of.runs(0));
  CHECK(of.people.starts() >= 1);
  REQUIRE(of.attend_until([&] { return of.runs(1) && of.runs(2); }));
  CHECK(of.people.starts() == 3);
  CHECK(of.people.at(0)->pid != of.people.at(1)->pid);
  CHECK(of.people.meet(2));
  CHECK(of.people.take_warning().empty());
  CHECK(of.deaths.empty());
}

TEST_CASE("a dead worker is heard out, its death told once, and another one takes its place", "[no_tsan]") {
  employer of(1);
  const auto first = of.people.at(0)->pid;
  of.journals.of(0).chunk = 7;
  of.journals.of(0).started = 1;
  of.people.signal(*of.people.at(0), SIGKILL);
  REQUIRE(of.attend_until([&] { return !of.deaths.empty(); }));
  CHECK(of.heard_out == std::vector<int>{0});
  const auto& death = of.deaths.front().death;
  CHECK(of.deaths.front().worker == 0);
  CHECK(death.pid == first);
  CHECK(death.report.status.signal == SIGKILL);
  CHECK(death.will.chunk == 7);
  CHECK(death.report.probably_out_of_memory);  // nobody of the pool has done it
  CHECK_FALSE(death.ended_by_pool);
  CHECK(death.room.size() == 3);
  of.people.bury_the_dead(of.deaths, [](int) {});
  CHECK(of.deaths.size() == 1);

  hearing heard;
  of.people.dismiss(0, 0);
  CHECK(of.people.at(0) == nullptr);
  of.people.prepare_replacements(false);
  of.people.replace(heard);
  REQUIRE(of.attend_until([&] { return of.runs(0); }));
  CHECK(of.people.at(0)->pid != first);
  CHECK(of.journals.of(0).chunk == 0);
  CHECK(of.people.starts() == 2);
  CHECK(heard.spawners_lost == 0);
  CHECK(heard.broken.empty());
}

TEST_CASE("a worker that the pool has killed did not run out of memory, and is given nothing more", "[no_tsan]") {
  employer of(1);
  of.people.kill(*of.people.at(0));
  CHECK(of.people.at(0)->unreachable);
  REQUIRE(of.attend_until([&] { return !of.deaths.empty(); }));
  CHECK_FALSE(of.deaths.front().death.report.probably_out_of_memory);
}

TEST_CASE("who stops is not replaced, and a lost descriptor is told as the end of the pool", "[no_tsan]") {
  employer of(1);
  hearing heard;
  of.people.kill(*of.people.at(0));
  REQUIRE(of.attend_until([&] { return !of.deaths.empty(); }));
  of.people.dismiss(0, 0);
  of.people.prepare_replacements(true);
  of.people.replace(heard);
  CHECK(of.people.at(0) == nullptr);
  of.people.note_loss(EBADF);
  of.people.replace(heard);
  CHECK(heard.broken.find("closed a descriptor") != std::string::npos);
}

TEST_CASE("a worker that could not be forked is told of, and there is another try", "[no_tsan]") {
  employer of(1);
  hearing heard;
  of.people.kill(*of.people.at(0));
  REQUIRE(of.attend_until([&] { return !of.deaths.empty(); }));
  of.people.dismiss(0, EAGAIN);
  CHECK(of.people.take_warning().find("a worker") != std::string::npos);
  CHECK(of.people.take_warning().empty());
  CHECK(of.people.deadline(false) < steady::time_point::max());
  const auto placed = [&] {
    of.people.replace(heard);
    return of.runs(0);
  };
  REQUIRE(of.attend_until(placed));
  CHECK(heard.broken.empty());
}

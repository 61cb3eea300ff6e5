#include <lenskit/detail/dispatch/dispatcher.hpp>
#include <lenskit/detail/dispatch/leadership.hpp>
#include <lenskit/detail/dispatch/pace.hpp>
#include <lenskit/error.hpp>

#include <support/catch.hpp>
#include <support/scripted_pool.hpp>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <functional>
#include <future>
#include <mutex>
#include <new>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace {

using lenskit::tests::scripted_engine;
using lenskit::tests::scripted_pool;
namespace d = lenskit::detail;

constexpr d::engine_traits attended{.workers = 2, .can_stop_tasks = true, .attended = true};

// What a leadership leads, here only for as long as the test likes.
class bare_pool final : public d::led_pool {
 public:
  std::function<void(std::unique_lock<std::mutex>&, bool attending)> on_lead{};
  bool is_busy = true;
  bool is_closed = false;
  std::string why_given_up{};

  void lead(std::unique_lock<std::mutex>& held, bool attending) override { on_lead(held, attending); }
  [[nodiscard]] bool busy() const noexcept override { return is_busy; }
  [[nodiscard]] bool closed() const noexcept override { return is_closed; }
  void look_up() noexcept override {}
  void give_up(const std::string& why) noexcept override {
    is_closed = true;
    why_given_up = why;
  }
};

// An engine of which only the waking counts.
class bell_engine final : public d::worker_engine {
 public:
  std::vector<std::chrono::nanoseconds> bells{};  // that were set; those without a delay only wake

  std::exception_ptr fails{};  // the next wait of the attendant

  // Of the attendant: it comes back when it is woken, or told that its bell rings.
  void ring() {
    const std::lock_guard held(mutex_);
    rings_ = true;
    changed_.notify_all();
  }
  [[nodiscard]] const d::engine_traits& traits() const noexcept override { return traits_; }
  [[nodiscard]] int room(int) const noexcept override { return 0; }
  void send(std::span<d::order>) noexcept override {}
  [[nodiscard]] std::optional<std::uint32_t> take_back(int, std::uint64_t, std::uint32_t) noexcept override {
    return d::claim::most_tasks;
  }
  void end_worker(int, d::ending) noexcept override {}
  [[nodiscard]] d::worker_view look(int, d::aspect) const noexcept override { return {}; }
  void report(d::engine_listener&) noexcept override {}
  bool wait(d::manner, d::steady::time_point) override {
    std::unique_lock held(mutex_);
    changed_.wait(held, [this] { return rings_; });
    rings_ = false;
    if (fails) std::rethrow_exception(std::exchange(fails, nullptr));
    return true;
  }
  void wake(std::chrono::nanoseconds delay) noexcept override {
    if (delay.count() > 0) bells.push_back(delay);
    if (delay.count() == 0) ring();
  }
  void shut_down() noexcept override {}

 private:
  d::engine_traits traits_{.attended = true};
  std::mutex mutex_;
  std::condition_variable changed_;
  bool rings_ = false;
};

// A leadership with an attendant, at a time that the test sets.
struct led {
  led() { leads.start_attendant(); }
  ~led() {
    {
      const std::lock_guard held(mutex);
      pool.is_closed = true;
    }
    engine.ring();
    leads.end_attendant();
  }
  led(const led&) = delete;
  led& operator=(const led&) = delete;

  static d::steady::time_point now() noexcept { return time; }
  static inline std::atomic<d::steady::time_point> time{d::steady::time_point(std::chrono::hours(1))};

  bare_pool pool{};
  bell_engine engine{};
  std::mutex mutex{};
  d::leadership leads{pool, engine, mutex, now};
};

}  // namespace

TEST_CASE("a consumer that leaves work behind sets the bell of the attendant") {
  led of;
  std::unique_lock held(of.mutex);
  bool has_result = false;
  of.pool.on_lead = [&](auto&, bool) { has_result = true; };
  SECTION("there is work") {
    of.leads.await(held, [&] { return has_result; });
    REQUIRE(of.engine.bells.size() == 1);
    CHECK(of.engine.bells.front() == d::pace::attendant_patience);
    of.leads.work_added();  // it is set
    CHECK(of.engine.bells.size() == 1);
  }
  SECTION("there is none") {
    of.pool.is_busy = false;
    of.leads.await(held, [&] { return has_result; });
    CHECK(of.engine.bells.empty());
  }
}

TEST_CASE("an attendant that leaves work behind goes on by itself, and is not rung for") {
  led of;
  std::atomic<int> terms{0};
  std::size_t bells_at_end = 0;
  std::unique_lock held(of.mutex);
  of.pool.on_lead = [&](auto&, bool attending) {
    if (!attending) return;
    bells_at_end = of.engine.bells.size();
    if (++terms == 3) of.pool.is_busy = false;  // that was all
  };
  led::time = led::now() + 2 * d::pace::attendant_patience;
  held.unlock();
  of.engine.ring();
  while (terms < 3) std::this_thread::yield();
  held.lock();
  CHECK(bells_at_end == 0);
  CHECK(of.engine.bells.empty());
}

TEST_CASE("a leader that leaves with an exception makes room for a consumer that waits") {
  led of;
  std::atomic<bool> leads{false}, other_asked{false};
  bool has_result = false;
  of.pool.on_lead = [&](auto& held, bool) {
    if (leads.exchange(true)) {
      has_result = true;
      return;
    }
    held.unlock();
    while (!other_asked) std::this_thread::yield();
    held.lock();  // to be had when the other one has gone to sleep
    throw std::bad_alloc();
  };
  auto first = std::async(std::launch::async, [&] {
    std::unique_lock held(of.mutex);
    of.leads.await(held, [] { return false; });
  });
  while (!leads) std::this_thread::yield();
  auto second = std::async(std::launch::async, [&] {
    std::unique_lock held(of.mutex);
    of.leads.await(held, [&] {
      other_asked = true;
      return has_result;
    });
  });
  CHECK_THROWS_AS(first.get(), std::bad_alloc);
  CHECK(second.wait_for(std::chrono::seconds(5)) == std::future_status::ready);
  const std::lock_guard held(of.mutex);
  of.leads.notify_all();  // a test that has failed ends as well
}

TEST_CASE("H4: an attendant whose descriptors are lost gives the pool up, and one without memory goes on") {
  led of;
  std::atomic<bool> led_again{false};
  of.pool.on_lead = [&](auto&, bool) {
    led_again = true;
    of.pool.is_busy = false;
  };
  led::time = led::now() + 2 * d::pace::attendant_patience;
  SECTION("descriptors") {
    of.engine.fails = std::make_exception_ptr(std::system_error(EBADF, std::generic_category(), "cannot wait"));
    of.engine.ring();
    of.leads.end_attendant();  // it has ended
    CHECK(of.pool.why_given_up.find("cannot wait") != std::string::npos);
    CHECK_FALSE(led_again);
  }
  SECTION("memory") {
    of.engine.fails = std::make_exception_ptr(std::bad_alloc());
    of.engine.ring();
    while (!led_again) std::this_thread::yield();
    const std::lock_guard held(of.mutex);
    CHECK(of.pool.why_given_up.empty());
  }
}

TEST_CASE("A1: an attendant that cannot lead for want of memory tries again") {
  led of;
  int tries = 0;
  std::atomic<bool> over{false};
  of.pool.on_lead = [&](auto&, bool) {
    if (++tries < 3) throw std::bad_alloc();
    of.pool.is_busy = false;
    over = true;
  };
  led::time = led::now() + 2 * d::pace::attendant_patience;
  of.engine.ring();
  while (!over) std::this_thread::yield();
  const std::lock_guard held(of.mutex);
  CHECK(tries == 3);
  CHECK(of.pool.why_given_up.empty());
}

TEST_CASE("while no consumer waits, the attendant sees to it that all is worked off") {
  scripted_pool pool(attended);
  auto call = pool.open();
  for (int i = 0; i < 20; ++i) pool.submit(call, 1);
  while (pool.core.counts(*call).settled < 20) std::this_thread::yield();
  CHECK(pool.outcomes(call).size() == 20);
  CHECK(pool.most_runs() == 1);
}

TEST_CASE("a consumer that waits at once rings no bell for what it submits") {
  scripted_pool pool(attended);
  auto call = pool.open();
  REQUIRE(pool.core.submit(pool.tasks(call, 1), d::feeder::waits));
  CHECK(pool.engine.bells == 0);
  CHECK(pool.outcomes(call).size() == 1);
  const int before = pool.engine.bells;
  REQUIRE(pool.core.submit(pool.tasks(call, 1), d::feeder::goes_on));
  CHECK(pool.engine.bells == before + 1);
  while (pool.core.counts(*call).settled < 2) std::this_thread::yield();
}

// There is an outcome, so it need not lead, and it may stay away for as long as it likes.
TEST_CASE("a consumer that finds what it waits for rings the bell for what it has submitted") {
  scripted_pool pool(attended);
  auto call = pool.open();
  pool.submit_failed(call, std::make_exception_ptr(std::runtime_error("no argument")));
  REQUIRE(pool.core.submit(pool.tasks(call, 1), d::feeder::waits));
  CHECK(pool.engine.bells == 0);
  d::outcome_list first;
  REQUIRE(pool.core.take(*call, first, false));
  while (pool.core.counts(*call).settled < 2) std::this_thread::yield();
}

TEST_CASE("the attendant finds another worker for what waits when all have died") {
  scripted_pool pool({.workers = 1, .can_stop_tasks = true, .attended = true});
  auto call = pool.open();
  pool.engine.then([&] {
    pool.engine.die(0);
    pool.engine.of[0].room = 0;  // its successor is not there yet
  });
  pool.engine.then([&] { pool.engine.of[0].room = 4; });
  pool.submit(call, 2);
  while (pool.core.counts(*call).settled < 2) std::this_thread::yield();
  CHECK(pool.outcomes(call) == std::vector<std::string>{"0", "1"});
}

TEST_CASE("consumers on several threads get what is theirs, whoever leads") {
  scripted_pool pool(attended);
  constexpr int consumers = 4;
  constexpr int rounds = 50;
  std::atomic<int> wrong{0};
  std::vector<std::shared_ptr<d::call_state>> calls;
  for (int i = 0; i < consumers; ++i) calls.push_back(pool.open());
  std::vector<std::jthread> threads;
  for (int i = 0; i < consumers; ++i) {
    std::vector<std::shared_ptr<d::chunk>> chunks;
    for (int round = 0; round < rounds; ++round) chunks.push_back(pool.tasks(calls[static_cast<std::size_t>(i)], 2));
    threads.emplace_back([&, i, work = std::move(chunks)] {
      auto& call = calls[static_cast<std::size_t>(i)];
      for (const auto& each : work) {
        wrong += pool.core.submit(each) ? 0 : 1;
        wrong += scripted_pool::outcomes(pool.core, *call).size() == 2 ? 0 : 1;
      }
    });
  }
  threads.clear();
  CHECK(wrong == 0);
  CHECK(pool.most_runs() == 1);
}

TEST_CASE("a consumer is woken for its result while another one goes on leading") {
  scripted_pool pool({.workers = 2});
  pool.engine.sleeps = true;
  pool.engine.works_by_itself = false;
  auto slow = pool.open();
  auto quick = pool.open();
  pool.submit(slow, 1);
  pool.submit(quick, 1);
  std::atomic<int> leads{0};
  pool.engine.on_wait = [&](d::manner) { ++leads; };
  auto first = std::async(std::launch::async, [&] { return pool.outcomes(slow); });
  while (leads == 0) std::this_thread::yield();
  std::atomic<bool> asks{false};
  auto second = std::async(std::launch::async, [&] {
    asks = true;
    return pool.outcomes(quick);
  });
  while (!asks) std::this_thread::yield();
  pool.engine.then([&] { pool.engine.run(1, 1); });
  CHECK(second.get() == std::vector<std::string>{"0"});
  pool.engine.then([&] { pool.engine.run(0, 1); });
  CHECK(first.get() == std::vector<std::string>{"0"});
}

TEST_CASE("a consumer that comes takes over from the attendant") {
  scripted_pool pool(attended);
  pool.engine.sleeps = true;
  pool.engine.works_by_itself = false;
  std::atomic<bool> stands_in{false}, led{false};
  pool.engine.on_wait = [&](d::manner how) {
    if (how == d::manner::stand_in) stands_in = true;
    if (how != d::manner::lead) return;
    if (!led.exchange(true)) pool.engine.then([&] { pool.engine.run(0, 1); });
  };
  auto call = pool.open();
  pool.submit(call, 1);
  while (!stands_in) std::this_thread::yield();
  CHECK(pool.outcomes(call) == std::vector<std::string>{"0"});
  CHECK(led);
}

TEST_CASE("a shutdown from another thread ends every wait") {
  const int consumers = GENERATE(1, 3);
  const bool with_attendant = GENERATE(true, false);
  scripted_pool pool({.workers = 1, .attended = with_attendant});
  pool.engine.works_by_itself = false;
  auto call = pool.open();
  std::vector<std::future<bool>> closed;
  for (int i = 0; i < consumers; ++i) {
    auto mine = pool.open();
    pool.submit(mine, 1);
    closed.push_back(std::async(std::launch::async, [&pool, mine] {
      try {
        scripted_pool::outcomes(pool.core, *mine);
        return false;
      } catch (const lenskit::invoker_closed&) {
        return true;
      }
    }));
  }
  std::this_thread::yield();
  pool.core.shut_down();
  for (auto& each : closed) CHECK(each.get());
}

TEST_CASE("a stop from another thread ends every wait") {
  std::stop_source stop;
  scripted_pool pool(attended, {.stop_token = stop.get_token()});
  pool.engine.works_by_itself = false;
  auto call = pool.open();
  pool.submit(call, 3);
  auto all = std::async(std::launch::async, [&] { return pool.outcomes(call); });
  stop.request_stop();
  CHECK(all.get() == std::vector<std::string>{"0 cancelled", "1 cancelled", "2 cancelled"});
}

TEST_CASE("calls are dropped while another thread leads") {
  scripted_pool pool(attended);
  auto lasting = pool.open();
  std::atomic<bool> done{false};
  std::vector<std::shared_ptr<d::chunk>> chunks;
  for (int i = 0; i < 100; ++i) chunks.push_back(pool.tasks(lasting, 1));
  std::jthread consumer([&] {
    for (const auto& each : chunks) {
      if (pool.core.submit(each)) scripted_pool::outcomes(pool.core, *lasting);
    }
    done = true;
  });
  int dropped = 0;
  while (!done || dropped < 20) {
    auto call = pool.open();
    for (int i = 0; i < 5; ++i) pool.submit(call, 3);
    pool.core.abandon(call);
    ++dropped;
  }
  consumer.join();
  CHECK(pool.core.counts(*lasting).settled == 100);
  CHECK(pool.most_runs() <= 1);
}

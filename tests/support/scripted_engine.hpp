// An engine whose workers do what the test says: no process, no thread, no clock but its own.
#pragma once

#include <lenskit/detail/dispatch/engine.hpp>
#include <lenskit/detail/wire/writer.hpp>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <stdexcept>
#include <utility>
#include <vector>

namespace lenskit::tests {

namespace d = lenskit::detail;

/// Each task's result is its index in the call, an `int`; its arguments are never looked at. What is to happen is
/// queued with `then`, one step for each time that a leader waits; behind the last step all workers work off what they
/// have. Thread-safe.
class scripted_engine final : public d::worker_engine {
 public:
  struct task_list {
    d::assignment work{};
    std::uint32_t begun = 0, finished = 0, sent = 0, limit = 0;
    [[nodiscard]] bool runs() const noexcept { return begun > finished; }
    [[nodiscard]] bool over() const noexcept { return finished >= limit && sent == finished; }
  };
  struct worker {
    std::deque<task_list> has{};
    std::int64_t started_at = 0;
    int room = 4;
    std::optional<d::ending> ended{};
  };

  explicit scripted_engine(d::engine_traits traits) : of(static_cast<std::size_t>(traits.workers)), traits_(traits) {
    clock = 1'000'000'000;
  }

  static inline std::atomic<std::int64_t> clock{0};
  static d::steady::time_point now() noexcept { return d::steady::time_point(std::chrono::nanoseconds(clock)); }

  std::vector<worker> of;
  bool answers_late = false;  ///< `take_back` says what it did in the next report
  std::atomic<bool> works_by_itself = true;
  bool sleeps = false;  ///< leaders come back for news, `wake` and steps only, and not at their time
  std::function<void(d::manner)>
      on_wait{};                         ///< before each wait of a leader, without the lock; may call the dispatcher
  std::function<void()> on_take_back{};  ///< just before it
  std::map<std::pair<d::body_id, std::uint64_t>, int> times_run{};
  bool stopped = false, shut = false;
  int waits = 0, times_taken_back = 0, times_sent = 0;
  std::atomic<int> bells = 0;  ///< times that the attendant was asked to come after a time

  void then(std::function<void()> step) {
    const std::lock_guard held(mutex_);
    steps_.push_back(std::move(step));
    changed_.notify_all();
  }

  /// From now on nothing happens for so long; leaders come back when they want to.
  void last(std::chrono::nanoseconds time) { quiet_until_ = clock + time.count(); }
  /// The same, and every thread of this process stands still.
  static void stop_everything(std::chrono::nanoseconds time) { clock += time.count(); }

  void begin(int number) {
    auto& one = at(number).has.front();
    if (one.begun >= one.limit || one.runs()) throw std::logic_error("there is no task to begin");
    ++times_run[{one.work.plan->body, one.work.first_index + one.begun++}];
    at(number).started_at = clock;
  }
  void finish(int number) { ++at(number).has.front().finished; }
  /// Sends what is finished, if it is anything, and goes on to the next chunk if that was all.
  void send(int number, std::int64_t elapsed_ns_each = 1000) {
    auto& one = at(number).has.front();
    if (one.finished > one.sent) tell(number, one, one.sent, elapsed_ns_each * (one.finished - one.sent));
    one.sent = one.finished;
    if (one.over()) at(number).has.pop_front();
  }
  void harvest(int number) { tell(number, at(number).has.front(), at(number).has.front().sent, -1); }
  void run(int number, std::uint32_t tasks, std::int64_t elapsed_ns_each = 1000) {
    for (; tasks > 0 && !at(number).has.empty(); --tasks) {
      if (!at(number).has.front().runs()) begin(number);
      finish(number);
      if (at(number).has.front().finished == at(number).has.front().limit || tasks == 1) send(number, elapsed_ns_each);
    }
  }
  void work_off() {
    for (int number = 0; number < traits_.workers; ++number) {
      while (!at(number).has.empty()) at(number).has.front().over() ? send(number) : run(number, 1U << 30);
    }
  }
  /// With what it had in hand in its will. It is replaced at once.
  void die(int number, d::worker_death death = {}) {
    auto& dead = at(number);
    death.pid = 100 + number;
    death.ended_by_pool = dead.ended.has_value();
    death.room.resize(3);
    if (!dead.has.empty() && dead.has.front().begun > 0) {
      const auto& one = dead.has.front();
      death.will = {one.work.chunk, one.sent, one.finished, one.begun, one.limit, values(one, one.sent), 0};
    }
    dead = worker{.room = dead.room};
    deaths_.emplace_back(number, std::move(death));
  }
  void tell(int number, d::results_head head, d::byte_buffer runs = {}) {
    auto made = d::make_results_event();
    made.front().worker = number;
    made.front().head = head;
    made.front().part.front().count = head.count;
    made.front().part.front().payload = std::move(runs);
    results_.splice(results_.end(), made);
  }
  void lose_spawner() { spawner_lost_ = true; }
  void fall_apart(std::string why) { broken_ = std::move(why); }

  // ---- the seam ----------------------------------------------------------------------------------------------------
  [[nodiscard]] const d::engine_traits& traits() const noexcept override { return traits_; }
  [[nodiscard]] int room(int number) const noexcept override {
    const std::lock_guard held(mutex_);
    const auto& one = of[static_cast<std::size_t>(number)];
    return stopped || shut || one.ended ? 0 : std::max(0, one.room - static_cast<int>(one.has.size()));
  }
  void send(std::span<d::order> orders) noexcept override {
    const std::lock_guard held(mutex_);
    for (auto& each : orders) {
      ++times_sent;
      const auto count = each.work.count;
      at(each.worker).has.push_back({std::move(each.work), 0, 0, 0, count});
    }
  }
  [[nodiscard]] std::optional<std::uint32_t> take_back(int number, std::uint64_t chunk,
                                                       std::uint32_t keep) noexcept override {
    const std::lock_guard held(mutex_);
    ++times_taken_back;
    if (on_take_back) std::exchange(on_take_back, nullptr)();
    auto& has = at(number).has;
    const auto found = std::find_if(has.begin(), has.end(), [&](const auto& each) { return each.work.chunk == chunk; });
    if (found == has.end()) return d::claim::most_tasks;
    found->limit = std::min(found->limit, found->begun + std::min(keep, found->limit - found->begun));
    const auto position = found->limit;
    if (found->over()) has.erase(found);
    if (!answers_late) return position;
    answers_.push_back({number, chunk, position});
    return std::nullopt;
  }
  void end_worker(int number, d::ending why) noexcept override {
    const std::lock_guard held(mutex_);
    if (why == d::ending::unwanted) {
      stopped = true;
      return;
    }
    at(number).ended = why;
  }
  [[nodiscard]] d::worker_view look(int number, d::aspect aspect) const noexcept override {
    const std::lock_guard held(mutex_);
    const auto& one = of[static_cast<std::size_t>(number)];
    d::worker_view view;
    if (one.has.empty()) {
      view.between_tasks.emplace();
      return view;
    }
    const auto& front = one.has.front();
    if (aspect == d::aspect::task && front.runs()) view.in_hand = {front.work.chunk, front.finished, one.started_at};
    if (aspect == d::aspect::progress && !front.runs())
      view.between_tasks = {front.work.chunk, 0, front.sent, front.begun, front.finished};
    return view;
  }
  void report(d::engine_listener& listener) noexcept override;
  bool wait(d::manner how, d::steady::time_point until) override;
  void wake(std::chrono::nanoseconds delay) noexcept override {
    const std::lock_guard held(mutex_);
    if (delay.count() > 0) {
      bell_ = clock + delay.count();
      ++bells;
    }
    if (delay.count() == 0) woken_ = attendant_woken_ = true;
    changed_.notify_all();
  }
  void shut_down() noexcept override { shut = true; }

 private:
  struct late_answer {
    int worker;
    std::uint64_t chunk;
    std::uint32_t position;
  };
  [[nodiscard]] worker& at(int number) { return of[static_cast<std::size_t>(number)]; }
  void tell(int number, const task_list& one, std::uint32_t from, std::int64_t elapsed_ns) {
    tell(number, {one.work.chunk, from, one.finished - from, elapsed_ns, 0}, values(one, from));
  }
  static d::byte_buffer values(const task_list& one, std::uint32_t from) {
    d::writer out;
    out.put(d::run_head{one.finished - from, d::run_kind::values});
    for (auto position = from; position < one.finished; ++position)
      out.put(static_cast<int>(one.work.first_index + position));
    d::byte_buffer bytes(out.size());
    std::memcpy(bytes.data(), out.data(), out.size());
    return bytes;
  }
  [[nodiscard]] bool has_news() const noexcept {
    return !results_.empty() || !deaths_.empty() || !answers_.empty() || spawner_lost_ || !broken_.empty();
  }
  bool attend(std::unique_lock<std::recursive_mutex>& held);

  const d::engine_traits traits_;
  mutable std::recursive_mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<std::function<void()>> steps_;
  std::list<d::results_event> results_;
  std::list<std::pair<int, d::worker_death>> deaths_;
  std::vector<late_answer> answers_;
  std::int64_t quiet_until_ = 0;
  bool spawner_lost_ = false;
  std::string broken_;
  bool woken_ = false, attendant_woken_ = false;
  std::int64_t bell_ = 0;  // 0: not set
};

inline void scripted_engine::report(d::engine_listener& listener) noexcept {
  std::unique_lock held(mutex_);
  auto results = std::exchange(results_, {});
  auto deaths = std::exchange(deaths_, {});
  auto answers = std::exchange(answers_, {});
  const bool lost = std::exchange(spawner_lost_, false);
  auto broken = std::exchange(broken_, {});
  held.unlock();  // the listener calls back
  for (auto& each : results) listener.on_results(each.worker, each.head, std::move(each.part));
  for (auto& each : answers) listener.on_taken_back(each.worker, each.chunk, each.position);
  for (auto& each : deaths) listener.on_death(each.first, std::move(each.second));
  if (lost) listener.on_spawner_lost();
  if (!broken.empty()) listener.on_broken(std::move(broken));
}

inline bool scripted_engine::attend(std::unique_lock<std::recursive_mutex>& held) {
  changed_.wait(held, [this] { return attendant_woken_ || bell_ != 0; });
  attendant_woken_ = false;
  if (bell_ != 0) clock = std::max<std::int64_t>(clock, std::exchange(bell_, 0));
  return true;
}

inline bool scripted_engine::wait(d::manner how, d::steady::time_point until) {
  if (how != d::manner::attend && on_wait) on_wait(how);
  std::unique_lock held(mutex_);
  if (how == d::manner::attend) return attend(held);
  if (how == d::manner::rest || how == d::manner::watch) {
    clock = std::max<std::int64_t>(clock, until.time_since_epoch().count());
    return false;
  }
  constexpr int never = 10'000;
  if (++waits > never) throw std::logic_error("what is waited for never comes");
  const auto back_at = until.time_since_epoch().count();
  if (clock < quiet_until_) {
    clock = std::max<std::int64_t>(clock, std::min(quiet_until_, back_at));
    if (clock < quiet_until_) return false;
  }
  if (sleeps || (!works_by_itself && until == d::steady::time_point::max()))
    changed_.wait(held, [this] { return woken_ || works_by_itself || !steps_.empty() || has_news(); });
  if (std::exchange(woken_, false)) return true;
  if (!steps_.empty()) {
    auto step = std::move(steps_.front());
    steps_.pop_front();
    step();
  } else if (works_by_itself) {
    work_off();
  }
  if (has_news()) return true;
  if (until != d::steady::time_point::max() && clock >= quiet_until_) clock = std::max<std::int64_t>(clock, back_at);
  return false;
}

}  // namespace lenskit::tests

// Workers in virtual time: they run what they are given, die, stand still and are late, as chance will have it.
#pragma once

#include <lenskit/detail/dispatch/engine.hpp>
#include <lenskit/detail/dispatch/pace.hpp>

#include <simulation/ledger.hpp>
#include <simulation/worker.hpp>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <exception>
#include <list>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace lenskit::simulation {

class simulated_engine final : public d::worker_engine {
 public:
  simulated_engine(const plan& of, ledger& book)
      : plan_(of), book_(book), draw_(of.seed ^ 0xe791), traits_{.workers = of.workers, .can_stop_tasks = true} {
    workers_.resize(static_cast<std::size_t>(of.workers));
    for (auto& each : workers_) each.next_at = clock + latency();
  }

  static inline thread_local std::int64_t clock = 0;
  static d::steady::time_point now() noexcept { return d::steady::time_point(std::chrono::nanoseconds(clock)); }

  /// The consumer is busy elsewhere, and nobody leads.
  void pass(std::int64_t ns) { advance(clock + ns, false); }

  [[nodiscard]] const d::engine_traits& traits() const noexcept override { return traits_; }
  [[nodiscard]] int room(int number) const noexcept override;
  void send(std::span<d::order> orders) noexcept override;
  [[nodiscard]] std::optional<std::uint32_t> take_back(int number, std::uint64_t chunk,
                                                       std::uint32_t keep) noexcept override;
  void end_worker(int number, d::ending why) noexcept override;
  [[nodiscard]] d::worker_view look(int number, d::aspect at) const noexcept override;
  void report(d::engine_listener& listener) noexcept override;
  bool wait(d::manner how, d::steady::time_point until) override;
  void wake(std::chrono::nanoseconds delay) noexcept override { woken_ |= delay.count() == 0; }
  void shut_down() noexcept override {
    shut_ = true;
    for (auto& each : workers_) each = worker{.now = phase::dead, .next_at = never};
  }

 private:
  [[nodiscard]] worker& at(int number) noexcept { return workers_[static_cast<std::size_t>(number)]; }
  [[nodiscard]] std::int64_t latency() noexcept { return draw_.between(1'000, 40'000); }

  bool advance(std::int64_t until, bool for_news);
  void happen(int number);
  void go_on(int number);
  void begin(int number);
  void die(int number);
  void lose_spawner();
  static d::byte_buffer unsent(const task_list& one);
  void send_results(int number, task_list& one, bool fetched);
  std::optional<std::uint32_t> apply(const request& asked) noexcept;
  void post(message one);
  [[nodiscard]] std::string state() const;

  const plan& plan_;
  ledger& book_;
  chance draw_;
  const d::engine_traits traits_;
  std::vector<worker> workers_;
  std::list<message> messages_;  // by time
  std::vector<request> requests_;
  int waits_ = 0;
  bool spawner_lost_ = false;
  bool woken_ = false;
  bool shut_ = false;
};

// ---- the seam ------------------------------------------------------------------------------------------------------

inline int simulated_engine::room(int number) const noexcept {
  const auto& one = workers_[static_cast<std::size_t>(number)];
  constexpr int most = 16;
  if (one.now == phase::absent || one.end_requested || shut_ || book_.nothing_begins) return 0;
  const auto live = std::count_if(one.has.begin(), one.has.end(), [](const auto& each) { return each.limit > 0; });
  return most - std::min(most, static_cast<int>(live));
}

inline void simulated_engine::send(std::span<d::order> orders) noexcept {
  for (auto& each : orders) {
    auto& to = at(each.worker);
    if (room(each.worker) <= 0) std::terminate();
    const bool idle = to.has.empty();
    const auto count = each.work.count;
    to.has.push_back({.work = std::move(each.work), .limit = count});
    if (idle && to.now == phase::works) to.next_at = clock + latency();
    if (idle) to.harvest_at = clock + d::pace::harvest_after.count();
  }
}

inline std::optional<std::uint32_t> simulated_engine::apply(const request& asked) noexcept {
  for (auto& each : at(asked.worker).has) {
    if (each.work.chunk != asked.chunk) continue;
    const auto left = each.limit - each.begun;
    each.limit -= left - std::min(asked.keep, left);
    return each.limit;
  }
  return std::nullopt;
}

inline std::optional<std::uint32_t> simulated_engine::take_back(int number, std::uint64_t chunk,
                                                                std::uint32_t keep) noexcept {
  if (plan_.answers_late) {
    requests_.push_back({clock + latency(), number, chunk, keep});
    return std::nullopt;
  }
  return apply({clock, number, chunk, keep}).value_or(d::claim::most_tasks);
}

inline void simulated_engine::end_worker(int number, d::ending why) noexcept {
  if (why == d::ending::unwanted) {
    book_.nothing_begins = true;
    return;
  }
  auto& one = at(number);
  if (why == d::ending::late && !one.has.empty() && one.has.front().runs()) {
    const auto& work = one.has.front().work;
    book_.calls[work.plan->body].tasks[work.first_index + one.has.front().finished].ended_late = true;
  }
  if (one.end_requested || one.now == phase::dead) return;
  one.end_requested = true;
  constexpr std::int64_t grace = 200'000'000;
  one.dies_at = std::min(one.dies_at, clock + (draw_.one_in(2) ? latency() : draw_.between(0, grace)));
}

inline d::worker_view simulated_engine::look(int number, d::aspect aspect) const noexcept {
  const auto& one = workers_[static_cast<std::size_t>(number)];
  d::worker_view view;
  const bool runs = !one.has.empty() && one.has.front().runs();
  if (aspect == d::aspect::task && runs)
    view.in_hand = {one.has.front().work.chunk, one.has.front().finished, one.started_at};
  if (aspect == d::aspect::progress && !runs) {
    view.between_tasks.emplace();
    view.between_tasks->bytes_moved = one.now == phase::works ? 0 : static_cast<std::uint64_t>(clock);
    if (!one.has.empty()) view.between_tasks->chunk = one.has.front().work.chunk;
    if (!one.has.empty()) view.between_tasks->finished = one.has.front().finished;
  }
  return view;
}

inline void simulated_engine::report(d::engine_listener& listener) noexcept {
  std::list<message> arrived;
  while (!messages_.empty() && messages_.front().at <= clock)
    arrived.splice(arrived.end(), messages_, messages_.begin());
  bool died = false;
  for (auto& each : arrived) {
    if (each.answer) {
      listener.on_taken_back(each.worker, each.answer->first, each.answer->second);
    } else if (each.death) {
      auto& one = at(each.worker);
      one = worker{.now = phase::absent, .next_at = clock + latency()};
      died = true;
      listener.on_death(each.worker, std::move(*each.death));
    } else {
      listener.on_results(each.worker, each.event.head, std::move(each.event.part));
    }
  }
  if (spawner_lost_ && died) {
    spawner_lost_ = false;
    listener.on_spawner_lost();
  }
}

inline bool simulated_engine::wait(d::manner how, d::steady::time_point until) {
  constexpr int most_waits = 200'000;
  if (++waits_ > most_waits) throw wrong("it gets nowhere");
  const auto ends = until.time_since_epoch().count();
  if (how == d::manner::rest) {
    advance(ends, false);
    return false;
  }
  return advance(ends, true);
}

// For whoever reads of a failure.
inline std::string simulated_engine::state() const {
  std::string all;
  for (const auto& one : workers_) {
    all += "[phase " + std::to_string(static_cast<int>(one.now));
    for (const auto& each : one.has) {
      all += ", " + std::to_string(each.finished) + " of " + std::to_string(each.limit) + " of call " +
             std::to_string(each.work.plan->body);
    }
    all += "]";
  }
  return all;
}

// ---- what happens --------------------------------------------------------------------------------------------------

inline void simulated_engine::post(message one) {
  auto where = messages_.end();
  while (where != messages_.begin() && std::prev(where)->at > one.at) --where;
  messages_.insert(where, std::move(one));
}

// Whether there are news. Without them the clock is at `until` afterwards.
inline bool simulated_engine::advance(std::int64_t until, bool for_news) {
  for (;;) {
    if (for_news && std::exchange(woken_, false)) return true;
    if (for_news && !messages_.empty() && messages_.front().at <= clock) return true;
    auto next = for_news && !messages_.empty() ? messages_.front().at : never;
    int whose = -1;
    for (int number = 0; number < plan_.workers; ++number) {
      const auto& one = at(number);
      if (const auto when = std::min({one.next_at, one.dies_at, one.harvest_at}); when < next) {
        next = when;
        whose = number;
      }
    }
    const auto* asked = requests_.empty()
                            ? nullptr
                            : &*std::min_element(requests_.begin(), requests_.end(),
                                                 [](const auto& a, const auto& b) { return a.at < b.at; });
    if (asked != nullptr && asked->at < next) {
      next = asked->at;
      whose = -2;
    }
    if (next > until || next == never) {
      if (until == never) throw wrong("nothing is going to happen, and somebody waits for it: " + state());
      clock = std::max(clock, until);
      return false;
    }
    clock = std::max(clock, next);
    if (whose == -2) {
      const auto request_now = *asked;
      requests_.erase(requests_.begin() + (asked - requests_.data()));
      if (const auto position = apply(request_now); position && at(request_now.worker).now == phase::works) {
        post(
            {.at = clock + latency(), .worker = request_now.worker, .answer = std::pair(request_now.chunk, *position)});
      }
    } else if (whose >= 0) {
      happen(whose);
    }
  }
}

inline void simulated_engine::happen(int number) {
  auto& one = at(number);
  if (one.dies_at <= clock) return die(number);
  if (one.harvest_at <= clock && one.harvest_at <= one.next_at) {
    one.harvest_at = one.has.empty() ? never : clock + d::pace::harvest_after.count();
    if (one.has.empty() || one.has.front().finished <= one.has.front().fetched) return;
    one.has.front().fetched = one.has.front().finished;
    send_results(number, one.has.front(), true);
    return;
  }
  switch (one.now) {
    case phase::absent:
      one.now = phase::starting;
      woken_ = true;  // it can be given work
      one.next_at = clock + latency();
      if (draw_.one_in(plan_.faults.start_error)) {
        one.start_error = 11;
        one.dies_at = one.next_at;
      }
      break;
    case phase::starting:
      one.now = phase::works;
      one.next_at = never;
      go_on(number);
      break;
    case phase::works: go_on(number); break;
    case phase::dead: one.next_at = never; break;
  }
}

// Ends the task that it runs, sends what is due, and begins the next one.
inline void simulated_engine::go_on(int number) {
  auto& one = at(number);
  if (draw_.one_in(plan_.faults.spawner_lost)) return lose_spawner();
  one.next_at = never;
  while (!one.has.empty()) {
    auto& front = one.has.front();
    if (front.begun == 0) front.sent_at = clock;
    if (front.runs()) {
      ++front.finished;
      if (draw_.one_in(plan_.faults.death_between)) return die(number);
    }
    const bool over = front.finished >= front.limit;
    const bool due = clock - front.sent_at >= std::int64_t{front.work.send_every_us} * 1000;
    if (front.finished > front.sent && (over || due)) send_results(number, front, false);
    if (draw_.one_in(plan_.faults.death_between)) return die(number);
    if (!over) {
      if (draw_.one_in(plan_.faults.stall)) {  // it does not get to its next task for a while
        one.next_at = clock + draw_.between(0, 30'000'000'000);
        return;
      }
      return begin(number);
    }
    one.has.pop_front();
  }
}

inline void simulated_engine::begin(int number) {
  auto& one = at(number);
  auto& front = one.has.front();
  const auto call = front.work.plan->body;
  const auto index = front.work.first_index + front.begun++;
  book_.begins(call, index);
  const auto length = book_.calls[call].lengths[index];
  one.started_at = clock;
  one.next_at = clock + length;
  if (draw_.one_in(plan_.faults.death_in_task)) one.dies_at = clock + draw_.between(0, length);
}

inline d::byte_buffer simulated_engine::unsent(const task_list& one) {
  const auto count = one.finished - one.sent;
  d::byte_buffer runs(sizeof(d::run_head) + count * sizeof(std::uint64_t));
  const d::run_head head{count, d::run_kind::values};
  std::memcpy(runs.data(), &head, sizeof head);
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto value = value_of(one.work.plan->body, one.work.first_index + one.sent + i);
    std::memcpy(runs.data() + sizeof head + i * sizeof value, &value, sizeof value);
  }
  return runs;
}

inline void simulated_engine::send_results(int number, task_list& one, bool fetched) {
  message made;
  made.worker = number;
  auto& to = at(number);
  made.at = fetched ? clock : std::max(clock + latency(), to.heard_at);
  made.event.head = {one.work.chunk, one.sent, one.finished - one.sent, fetched ? -1 : clock - one.sent_at, 0};
  made.event.part.emplace_back();
  auto& part = made.event.part.front();
  part.count = one.finished - one.sent;
  part.payload = unsent(one);
  if (!fetched) {
    one.sent = one.fetched = one.finished;
    one.sent_at = clock;
    to.heard_at = made.at;
    to.harvest_at = made.at + d::pace::harvest_after.count();
  }
  post(std::move(made));
}

inline void simulated_engine::die(int number) {
  auto& one = at(number);
  d::worker_death death;
  death.pid = number + 1;
  death.room.resize(3);
  death.ended_by_pool = one.end_requested;
  death.lost_with_spawner = one.lost;
  death.start_error = one.start_error;
  if (!one.has.empty() && one.now == phase::works) {
    const auto& front = one.has.front();
    if (front.runs()) ++book_.calls[front.work.plan->body].tasks[front.work.first_index + front.finished].deaths;
    death.will = {front.work.chunk, front.sent, front.finished, front.begun, front.limit, unsent(front), 0};
  }
  one.now = phase::dead;
  one.next_at = one.dies_at = one.harvest_at = never;
  const auto told_at = std::max(one.heard_at, clock + latency());
  one.heard_at = told_at;
  post({.at = told_at, .worker = number, .death = std::move(death)});
}

inline void simulated_engine::lose_spawner() {
  spawner_lost_ = true;
  for (int number = 0; number < plan_.workers; ++number) {
    if (at(number).now == phase::dead || at(number).now == phase::absent) continue;
    at(number).lost = true;
    die(number);
  }
}

}  // namespace lenskit::simulation

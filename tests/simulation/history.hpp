// One history: consumers that pull, wait, drop, stop and shut down, over workers in virtual time.
#pragma once

#include <lenskit/detail/dispatch/dispatcher.hpp>
#include <lenskit/detail/dispatch/task_stream.hpp>
#include <lenskit/error.hpp>
#include <lenskit/random.hpp>

#include <simulation/engine.hpp>
#include <simulation/ledger.hpp>
#include <simulation/plan.hpp>

#include <algorithm>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <queue>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

namespace lenskit::simulation {

/// Inputs that are their numbers.
class counted_inputs final : public d::task_source {
 public:
  counted_inputs(const call_shape& shape, call_record& record) : shape_(shape), record_(record) {}
  d::pulled_tasks pull(d::writer& into, std::uint32_t most, std::size_t most_bytes) override {
    d::pulled_tasks pulled;
    for (; pulled.count < most && record_.pulled < shape_.tasks && into.size() < most_bytes; ++pulled.count)
      into.put(record_.pulled++);
    pulled.exhausted = record_.pulled == shape_.tasks;
    if (shape_.buffer_size != 0 && record_.pulled - record_.told > shape_.buffer_size)
      throw wrong("more is pulled than buffer_size allows");
    return pulled;
  }
  [[nodiscard]] std::size_t record_bytes() const noexcept override { return sizeof(std::uint32_t); }
  [[nodiscard]] std::optional<std::uint64_t> remaining() const override {
    if (!shape_.of_known_size) return std::nullopt;
    return shape_.tasks - record_.pulled;
  }

 private:
  const call_shape& shape_;
  call_record& record_;
};

class history {
 public:
  explicit history(const plan& of) : plan_(of), book_(of), draw_(of.seed ^ 0xc0) {
    simulated_engine::clock = 1'000'000'000;
    auto made = std::make_unique<simulated_engine>(plan_, book_);
    engine_ = made.get();
    d::dispatch_options options;
    if (of.timeout_ns != 0) options.task_timeout = std::chrono::nanoseconds(of.timeout_ns);
    options.max_retries = of.max_retries;
    options.stop_token = stop_.get_token();
    options.now = simulated_engine::now;
    options.processors = static_cast<std::size_t>(of.processors);
    core_ = std::make_shared<d::dispatcher>(std::move(made), std::move(options));
    streams_.resize(of.calls.size());
  }

  bool compared = false;  ///< with a greedy queue over the input
  bool slower = false;    ///< than that by more than it should be
  bool idled = false;     ///< than one over the tasks as they were begun: a worker was idle while tasks waited

  /// Throws `wrong`.
  void run() {
    const auto started = simulated_engine::clock;
    for (std::size_t call = 0; call < streams_.size(); ++call) open(call);
    while (!live_.empty()) {
      const auto call = live_[draw_.next() % live_.size()];
      if (draw_.one_in(plan_.faults.absence))
        engine_->pass(draw_.between(0, draw_.one_in(4) ? 400'000'000 : 4'000'000));
      if (streams_[call] == nullptr) open(call);
      turn(call);
    }
    core_->shut_down();
    hold_against_greedy(simulated_engine::clock - started);
  }

 private:
  void open(std::size_t call) {
    const auto& shape = plan_.calls[call];
    if (std::find(live_.begin(), live_.end(), call) == live_.end()) live_.push_back(call);
    static const auto seed = d::next_call_seed();
    const auto order = shape.of_completion ? d::result_order::of_completion : d::result_order::of_input;
    d::stream_options options;
    options.result_bytes = sizeof(std::uint64_t);
    options.chunk_size = shape.chunk_size;
    options.buffer_size = shape.buffer_size;
    streams_[call] =
        std::make_unique<d::task_stream>(core_, std::make_unique<counted_inputs>(shape, book_.calls[call]),
                                         d::call_plan(static_cast<d::body_id>(call), order, seed), std::move(options));
  }

  // The consumer of a call wants its next outcome.
  void turn(std::size_t call) {
    if (book_.calls[call].told >= plan_.calls[call].abandoned_after) return give_up(call);
    auto& stream = *streams_[call];
    try {
      switch (stream.next()) {
        case d::task_stream::step::value: take_value(call, stream); break;
        case d::task_stream::step::failure: take_failure(call, stream); break;
        case d::task_stream::step::end:
          if (book_.calls[call].told != plan_.calls[call].tasks) throw wrong("a call ends before all has been told");
          return give_up(call);
      }
    } catch (const task_cancelled&) {
      if (!stop_.stop_requested()) throw wrong("cancelled, and nobody asked for it");
      return give_up(call);
    } catch (const invoker_closed&) {
      if (!closed_) throw wrong("closed, and nobody closed it");
      return give_up(call);
    } catch (const broken_pool&) {
      note_broken();
      return give_up(call);
    }
    const auto told = ++told_;
    if (told == plan_.stop_after) stop_.request_stop();
    if (told == plan_.closed_after) {
      closed_ = true;
      core_->shut_down();
      book_.nothing_begins = true;
    }
  }

  void take_value(std::size_t call, d::task_stream& stream) {
    const auto index = stream.index();
    const auto& task = book_.tell(call, index);
    if (stream.value_bytes().get<std::uint64_t>() != value_of(call, index))
      ledger::fail(call, index, "has a wrong value");
    if (task.runs != task.deaths + 1) ledger::fail(call, index, "has a value from a run that died");
  }

  void take_failure(std::size_t call, d::task_stream& stream) {
    const auto index = stream.index();
    const auto& task = book_.tell(call, index);
    try {
      std::rethrow_exception(stream.failure());
    } catch (const worker_died& error) {
      if (error.index() != index) ledger::fail(call, index, "is told of as another");
      if (task.runs != task.deaths || task.deaths != plan_.max_retries + 1)
        ledger::fail(call, index, "is blamed for a death, or too early");
    } catch (const task_timeout& error) {
      if (error.index() != index) ledger::fail(call, index, "is told of as another");
      if (!task.ended_late || plan_.timeout_ns == 0) ledger::fail(call, index, "is called late and was not");
      if (book_.calls[call].lengths[index] < plan_.timeout_ns && plan_.faults.absence == 0 && task.deaths == 0)
        ledger::fail(call, index, "is called late and was in time");
    } catch (const task_cancelled& error) {
      if (error.index() != index) ledger::fail(call, index, "is told of as another");
      if (!stop_.stop_requested()) ledger::fail(call, index, "is cancelled, and nobody asked for it");
    } catch (const broken_pool&) {
      note_broken();
    }
  }

  void note_broken() const {
    const auto& rates = plan_.faults;
    if (rates.death_in_task + rates.death_between + rates.spawner_lost + rates.stall == 0)
      throw wrong("the pool is broken, and no worker has died");
  }

  void give_up(std::size_t call) {
    streams_[call].reset();
    book_.calls[call].over = true;
    live_.erase(std::find(live_.begin(), live_.end(), call));
  }

  // The time of one call without faults, against a queue from which idle workers take the next task (T12): in the order
  // in which the tasks were begun, so that no worker may be idle while tasks wait: never by a tenth of the whole, and
  // by more than T12 allows in a few of a hundred thousand histories, of lengths that vary by a thousand. Against the
  // order of the input it is only counted how often more is lost: what is taken from a busy worker is begun later than
  // it would have been.
  void hold_against_greedy(std::int64_t took) {
    if (!plan_.peaceful() || plan_.calls.size() != 1 || plan_.answers_late || plan_.processors != plan_.workers) return;
    const auto& shape = plan_.calls[0];
    if (shape.chunk_size != 0 || shape.buffer_size != 0 || shape.abandoned_after != ~0U) return;
    compared = true;
    const auto& call = book_.calls[0];
    slower = took > most_of(greedy(call.lengths));
    std::vector<std::int64_t> as_begun;
    for (const auto index : call.begun) as_begun.push_back(call.lengths[index]);
    const auto could = greedy(as_begun);
    idled = took > most_of(could);
    if (took > could + could / 10 + 5'000'000)
      throw wrong("it takes " + std::to_string(took) + " ns and could take " + std::to_string(could));
  }
  static std::int64_t most_of(std::int64_t could) { return could + could / 100 * 3 + 5'000'000; }
  [[nodiscard]] std::int64_t greedy(const std::vector<std::int64_t>& lengths) const {
    std::priority_queue<std::int64_t, std::vector<std::int64_t>, std::greater<>> free_at;
    for (int i = 0; i < plan_.workers; ++i) free_at.push(0);
    std::int64_t ends = 0;
    for (const auto length : lengths) {
      const auto begins = free_at.top();
      free_at.pop();
      free_at.push(begins + length);
      ends = std::max(ends, begins + length);
    }
    return ends;
  }

  const plan& plan_;
  ledger book_;
  chance draw_;
  std::stop_source stop_;
  simulated_engine* engine_ = nullptr;  // the dispatcher's
  std::shared_ptr<d::dispatcher> core_;
  std::vector<std::unique_ptr<d::task_stream>> streams_;
  std::vector<std::size_t> live_;
  std::uint32_t told_ = 0;
  bool closed_ = false;
};

}  // namespace lenskit::simulation

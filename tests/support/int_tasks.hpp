// Tasks that take a number and return one, as an engine is given them, and what it says of them in short words.
#pragma once

#include <lenskit/detail/dispatch/engine.hpp>
#include <lenskit/detail/wire/reader.hpp>
#include <lenskit/detail/worker/typed_tasks.hpp>

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace lenskit::tests {

namespace d = lenskit::detail;

using int_task = std::function<int(const int&, int)>;
inline constexpr d::task_body int_body = &d::run_tasks<int, int_task, int>;

/// The model and the function of such tasks.
inline std::shared_ptr<d::typed_workplace<int, int_task>> int_place(int model, int_task run) {
  return std::make_shared<d::typed_workplace<int, int_task>>(std::make_shared<const int>(model), std::move(run));
}

inline d::assignment int_tasks(std::uint64_t chunk, const std::vector<int>& numbers) {
  d::writer into;
  into.put(numbers.data(), numbers.size() * sizeof(int));
  auto arguments = std::make_shared<d::encoded_arguments>();
  arguments->record_bytes = sizeof(int);
  arguments->block = into.release();
  d::assignment made;
  made.chunk = chunk;
  made.count = static_cast<std::uint32_t>(numbers.size());
  made.send_every_us = 60'000;
  made.plan =
      std::make_shared<d::call_plan>(d::body_entry<int_body>.id(), d::result_order::of_input, d::next_call_seed());
  made.argument_bytes = {arguments->block.data.get(), arguments->block.size};
  made.arguments = std::move(arguments);
  return made;
}

inline void give(d::worker_engine& engine, int worker, d::assignment work) {
  std::array<d::order, 1> orders;
  orders[0].worker = worker;
  orders[0].work = std::move(work);
  engine.send(orders);
}

/// Hears an engine out, as the dispatcher does. Results read "worker/chunk: value value".
class hearing final : public d::engine_listener {
 public:
  std::vector<std::string> results{};
  std::vector<d::worker_death> deaths{};
  int spawners_lost = 0;
  std::string broken{};

  /// Leads until `done()`; false if that takes longer than ten seconds.
  template <class Done>
  bool lead_until(d::worker_engine& engine, Done done) {
    const auto deadline = d::steady::now() + std::chrono::seconds(10);
    for (;;) {
      engine.report(*this);
      if (done()) return true;
      if (d::steady::now() >= deadline) return false;
      engine.wait(d::manner::lead, deadline);
    }
  }

 private:
  void on_results(int worker, const d::results_head& head, d::outcome_list part) noexcept override {
    auto text = std::to_string(worker) + "/" + std::to_string(head.chunk) + ":";
    for (d::reader in(part.front().runs()); in.left() > 0;) {
      const auto run = in.get<d::run_head>();
      for (std::uint32_t i = 0; i < run.count; ++i) text += " " + std::to_string(in.get<int>());
    }
    results.push_back(std::move(text));
  }
  void on_taken_back(int, std::uint64_t, std::uint32_t) noexcept override {}
  void on_death(int, d::worker_death death) noexcept override { deaths.push_back(std::move(death)); }
  void on_spawner_lost() noexcept override { ++spawners_lost; }
  void on_broken(std::string why) noexcept override { broken = std::move(why); }
};

}  // namespace lenskit::tests

// A dispatcher over a scripted engine, and what its calls bring in short words.
#pragma once

#include <lenskit/detail/dispatch/call.hpp>
#include <lenskit/detail/dispatch/dispatcher.hpp>
#include <lenskit/detail/dispatch/run_cursor.hpp>
#include <lenskit/error.hpp>
#include <lenskit/random.hpp>

#include <support/scripted_engine.hpp>

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace lenskit::tests {

class scripted_pool {
 public:
  explicit scripted_pool(d::engine_traits traits, d::dispatch_options options = {})
      : scripted_pool(std::make_unique<scripted_engine>(traits), std::move(options)) {}

  scripted_engine& engine;  ///< the dispatcher's
  d::dispatcher core;

  std::shared_ptr<d::call_state> open(d::result_order order = d::result_order::of_input) {
    return core.open({++calls_, order, d::next_call_seed()});
  }
  /// A chunk of the next tasks of a call.
  std::shared_ptr<d::chunk> tasks(const std::shared_ptr<d::call_state>& call, std::uint32_t count) {
    auto made = d::make_chunk();
    made->call = call;
    made->first_index = std::exchange(submitted_[call.get()], submitted_[call.get()] + count);
    made->count = count;
    auto arguments = std::make_shared<d::encoded_arguments>();
    arguments->record_bytes = 4;
    d::writer into;
    for (std::uint32_t i = 0; i < count; ++i) into.put(i);
    arguments->block = into.release();
    made->argument_bytes = {arguments->block.data.get(), arguments->block.size};
    made->arguments = std::move(arguments);
    return made;
  }
  void submit(const std::shared_ptr<d::call_state>& call, std::uint32_t count) {
    if (!core.submit(tasks(call, count))) throw std::logic_error("the pool was shut down");
  }
  void submit_failed(const std::shared_ptr<d::call_state>& call, const std::exception_ptr& failure) {
    core.submit_failed(tasks(call, 1), failure);
  }
  /// Everything that is to come of a call: the value, or the index and what went wrong.
  std::vector<std::string> outcomes(const std::shared_ptr<d::call_state>& call) { return outcomes(core, *call); }
  static std::vector<std::string> outcomes(d::dispatcher& of, d::call_state& call) {
    std::vector<std::string> all;
    d::run_cursor at(sizeof(int));
    while (of.take(call, at.parts())) {
      for (auto step = at.advance(); step != d::run_cursor::step::dry; step = at.advance()) {
        all.push_back(step == d::run_cursor::step::failure ? failure(at) : value(at));
        while (at.in_run()) {
          at.set_out(1);
          all.push_back(value(at));
        }
      }
    }
    return all;
  }
  int runs(const std::shared_ptr<d::call_state>& call, std::uint64_t index) {
    const auto found = engine.times_run.find({call->plan.body, index});
    return found == engine.times_run.end() ? 0 : found->second;
  }
  [[nodiscard]] int all_runs() const {
    int sum = 0;
    for (const auto& each : engine.times_run) sum += each.second;
    return sum;
  }
  [[nodiscard]] int most_runs() const {
    int most = 0;
    for (const auto& each : engine.times_run) most = std::max(most, each.second);
    return most;
  }

 private:
  scripted_pool(std::unique_ptr<scripted_engine> made, d::dispatch_options options)
      : engine(*made), core(std::move(made), on_virtual_time(std::move(options))) {}

  static d::dispatch_options on_virtual_time(d::dispatch_options options) {
    options.now = scripted_engine::now;
    return options;
  }
  static std::string value(d::run_cursor& at) {
    const auto index = std::to_string(at.index());
    const auto value = std::to_string(at.bytes().get<int>());
    return value == index ? value : "value " + value + " at " + index;
  }
  static std::string failure(d::run_cursor& at) {
    const auto index = std::to_string(at.index());
    const auto told = [&](const task_error& error, const char* what) {
      return index + (error.index() == at.index() ? "" : " (told: " + std::to_string(error.index()) + ")") + what;
    };
    try {
      std::rethrow_exception(at.failure());
    } catch (const worker_died& error) {
      return told(error, " died");
    } catch (const task_timeout& error) {
      return told(error, " late");
    } catch (const task_cancelled& error) {
      return told(error, " cancelled");
    } catch (const broken_pool&) {
      return index + " broken";
    } catch (const std::exception& error) {
      return index + ": " + error.what();
    }
  }

  d::body_id calls_ = 0;
  std::map<const d::call_state*, std::uint64_t> submitted_;
};

}  // namespace lenskit::tests

// Every allocation of a pool's life may fail: std::bad_alloc where it is asked for, or that task's failure; nothing is
// lost, shifted, aborted, left hanging or left behind, and the pool works on (G17).
// Not with sanitizers: these tests have an operator new of their own, and take minutes there.
#include <lenskit/invoker.hpp>
#include <lenskit/persist.hpp>

#include <support/allocation_sweep.hpp>
#include <support/allocation_trial.hpp>
#include <support/catch.hpp>
#include <support/engines.hpp>

#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include <signal.h>
#include <unistd.h>

#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using namespace lenskit::tests;
using lenskit::engine;

class counting_progress final : public lenskit::progress {
 public:
  void update(int n, std::string_view, std::string_view) override { moved += n; }
  int moved = 0;
};

lenskit::invoker_options two_workers(lenskit::engine where) {
  lenskit::invoker_options options = lenskit::tests::on(where);
  options.chunk_size = 2;
  return options;
}

std::string concatenate(const words& model, const std::string& input) { return model.all[0] + input; }

enum class map_form { values, outcomes, completed };

// A pool from its start to its end, and a map call.
auto life_with(lenskit::engine where, map_form form, excuses may = {}) {
  return [=](allocation_fault& fault) {
    trial one(fault, may);
    {
      auto inv = one.insist([&] { return lenskit::invoker(the_material().model, concatenate, two_workers(where)); });
      if (form == map_form::values) one.values(inv);
      if (form == map_form::outcomes) one.outcomes(inv);
      if (form == map_form::completed) one.completed(inv);
      one.works_on(inv);
      inv.shutdown();
    }
    return one.complaint();
  };
}

// Tasks that throw, log and move a bar.
auto busy_life(lenskit::engine where, excuses may) {
  return [=](allocation_fault& fault) {
    trial one(fault, may);
    {
      auto options = two_workers(where);
      options.progress = one.insist([] { return std::make_shared<counting_progress>(); });
      auto inv = one.insist([&] {
        return lenskit::invoker(
            the_material().model,
            [](const words& model, const std::string& input) {
              spdlog::info("a record of a task, longer than short: {}", input);
              if (is_task(input, throwing_task)) throw std::runtime_error(input);
              return model.all[0] + input;
            },
            options);
      });
      one.outcomes(inv);
      one.works_on(inv);
    }
    return one.complaint();
  };
}

// A task that kills its worker each time.
auto deadly_life(excuses may) {
  return [=](allocation_fault& fault) {
    trial one(fault, may);
    {
      auto options = two_workers(engine::processes);
      options.max_retries = 1;
      auto inv = one.insist([&] {
        return lenskit::invoker(
            the_material().model,
            [](const words& model, const std::string& input) {
              if (is_task(input, deadly_task)) ::_exit(1);
              return model.all[0] + input;
            },
            options);
      });
      one.completed(inv);
      one.works_on(inv);
    }
    return one.complaint();
  };
}

// A task that kills what forks the workers, and with it the only one.
auto life_with_another_spawner(excuses may) {
  return [=](allocation_fault& fault) {
    trial one(fault, may);
    {
      auto options = two_workers(engine::processes);
      options.n_jobs = 1;
      auto inv = one.insist([&] {
        return lenskit::invoker(
            the_material().model,
            [](const words& model, const std::string& input) {
              if (is_task(input, deadly_task)) {
                ::kill(::getppid(), SIGKILL);
                ::pause();
              }
              return model.all[0] + input;
            },
            options);
      });
      one.completed(inv);
      one.works_on(inv);
    }
    return one.complaint();
  };
}

// A range that is dropped before its end, a pool that is ended beside another, and what is left of it.
auto abandoned_life(lenskit::engine where, excuses may) {
  return [=](allocation_fault& fault) {
    trial one(fault, may);
    {
      auto inv = one.insist([&] { return lenskit::invoker(the_material().model, concatenate, two_workers(where)); });
      {
        auto dropped = one.insist([&] { return inv.as_completed(the_material().inputs); });
        auto it = one.insist([&] { return dropped.begin(); });
        one.judge(it->index, it->result);
      }
      auto late = one.insist([&] { return inv.map_outcomes(the_material().inputs); });
      auto it = one.insist([&] { return late.begin(); });
      one.judge(0, *it);
      inv.shutdown();
    }
    return one.complaint();
  };
}

// Results with descriptors: models that workers have stored.
auto life_of_models(lenskit::engine where, excuses may) {
  return [=](allocation_fault& fault) {
    trial one(fault, may);
    {
      auto inv = one.insist([&] {
        return lenskit::invoker(
            the_material().model,
            [](const words& model, const std::string& input) {
              auto made = lenskit::persist(words{{model.all[0] + input}, std::vector<double>(10, 0.5)});
              made.transfer();
              return made;
            },
            two_workers(where));
      });
      one.models(inv);
    }
    return one.complaint();
  };
}

// A model that is stored, used by a pool and closed.
auto life_of_stored(lenskit::persist_method method) {
  return [=](allocation_fault& fault) {
    trial one(fault, {});
    {
      auto stored = one.insist([&] { return lenskit::persist(the_material().model, {.method = method}); });
      one.insist([&] { return stored.get().all.size(); });
      auto inv = one.insist([&] { return lenskit::invoker(stored, concatenate, two_workers(engine::processes)); });
      one.outcomes(inv);
      one.works_on(inv);
    }
    return one.complaint();
  };
}

// A call in a subprocess, which returns a model or throws.
auto life_of_subprocess(excuses may) {
  return [=](allocation_fault& fault) {
    trial one(fault, may);
    one.subprocess();
    return one.complaint();
  };
}

void quiet() {
  class sink final : public spdlog::sinks::base_sink<std::mutex> {
    void sink_it_(const spdlog::details::log_msg&) override {}
    void flush_() override {}
  };
  spdlog::set_default_logger(std::make_shared<spdlog::logger>("sweep", std::make_shared<sink>()));
}

template <class Life>
void check(const sweep_options& how, const Life& life, long least) {
  const auto before = spdlog::default_logger();
  quiet();
  the_material();
  const auto found = sweep(how, life);
  spdlog::set_default_logger(before);
  CHECK(found.bad == 0);
  CHECK(found.points >= least);
}

// The engines whose tasks allocate in this process.
void check_local(const std::string& name, lenskit::engine where) {
  check({.name = name + ", values"}, life_with(where, map_form::values), 20);
  check({.name = name + ", outcomes"}, life_with(where, map_form::outcomes), 20);
  check({.name = name + ", completed"}, life_with(where, map_form::completed), 20);
  check({.name = name + ", busy"}, busy_life(where, {.throws = true}), 20);
  check({.name = name + ", abandoned"}, abandoned_life(where, {}), 20);
  check({.name = name + ", models"}, life_of_models(where, {}), 20);
}

}  // namespace

TEST_CASE("A1: a failed allocation of a pool in process costs nothing else", "[faults][no_tsan][no_asan]") {
  check_local("in_process", engine::in_process);
}

TEST_CASE("A1: a failed allocation of a pool of threads costs nothing else", "[faults][no_tsan][no_asan]") {
  check_local("threads", engine::threads);
}

TEST_CASE("A1: a failed allocation of a pool of processes costs nothing else", "[faults][no_tsan][no_asan]") {
  check({.name = "processes, values"}, life_with(engine::processes, map_form::values), 20);
  check({.name = "processes, completed"}, life_with(engine::processes, map_form::completed), 20);
  check({.name = "processes, abandoned"}, abandoned_life(engine::processes, {}), 20);
}

TEST_CASE("A1: a failed allocation beside records and failures of workers costs nothing else",
          "[faults][no_tsan][no_asan]") {
  check({.name = "processes, busy"}, busy_life(engine::processes, {.throws = true}), 20);
  check({.name = "processes, models"}, life_of_models(engine::processes, {}), 20);
}

TEST_CASE("A1: a failed allocation beside deaths costs nothing else", "[faults][no_tsan][no_asan]") {
  check({.name = "processes, deaths"}, deadly_life({.dies = true}), 20);
  check({.name = "processes, spawner"}, life_with_another_spawner({.dies = true}), 20);
}

TEST_CASE("A1: a failed allocation of storing a model costs nothing else", "[faults][no_tsan][no_asan]") {
  check({.name = "shm"}, life_of_stored(lenskit::persist_method::shm), 20);
  check({.name = "file"}, life_of_stored(lenskit::persist_method::file), 20);
  check({.name = "inherit"}, life_of_stored(lenskit::persist_method::inherit), 20);
}

TEST_CASE("A1: a failed allocation of a call in a subprocess costs nothing else", "[faults][no_tsan][no_asan]") {
  check({.name = "run_sp"}, life_of_subprocess({}), 20);
  check({.name = "run_sp, subprocess", .whose = allocations_of::descendants}, life_of_subprocess({.others_die = true}),
        20);
}

TEST_CASE("A1: a failed allocation of a worker or the spawner costs one task at most", "[faults][no_tsan][no_asan]") {
  const auto whose = allocations_of::descendants;
  const excuses may{.others_die = true};
  check({.name = "descendants, values", .whose = whose}, life_with(engine::processes, map_form::completed, may), 20);
  check({.name = "descendants, busy", .whose = whose},
        busy_life(engine::processes, {.throws = true, .others_die = true}), 20);
  check({.name = "descendants, deaths", .whose = whose}, deadly_life({.dies = true, .others_die = true}), 20);
  check({.name = "descendants, models", .whose = whose}, life_of_models(engine::processes, may), 20);
}

TEST_CASE("A1: memory that is gone for a while costs nothing else", "[faults][no_tsan][no_asan]") {
  const auto kind = allocation_fault::kind::from_then_on;
  constexpr long step = 3;
  const excuses may{.lasts = true};
  const excuses busy_may{.throws = true, .lasts = true};
  for (const auto where : every_engine()) {
    const std::string name = std::string(name_of(where)) + ", lasting, ";
    check({.name = name + "completed", .kind = kind, .step = step}, life_with(where, map_form::completed, may), 20);
    check({.name = name + "busy", .kind = kind, .step = step}, busy_life(where, busy_may), 20);
  }
}

// What a life of the library is judged by while memory fails: every task has its result in its place, or a failure that
// says why, and nothing but the one allocation is missing.
#pragma once

#include <lenskit/invoker.hpp>
#include <lenskit/run_sp.hpp>
#include <lenskit/shared_array.hpp>

#include <support/allocation_faults.hpp>

#include <array>
#include <cstddef>
#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace lenskit::tests {

inline constexpr int n_tasks = 12;
inline constexpr int throwing_task = 2;  // the first of its chunk: those behind it are read after its exception
inline constexpr int deadly_task = 5;

// Longer than what a string keeps inside, in each of its places.
inline std::string long_text(int x) { return std::string(40, static_cast<char>('a' + x % 26)) + std::to_string(x); }

struct words {
  std::vector<std::string> all;
  lenskit::shared_array<double> numbers;
  template <class Archive>
  void serialize(Archive& ar, unsigned) {
    ar& all& numbers;
  }
};

// All that the life itself needs, made before the fault is set: what fails is the library's.
struct material {
  words model{{long_text(1), long_text(2)}, std::vector<double>(100, 0.5)};
  std::vector<std::string> inputs;
  std::vector<std::string> expected;

  material() {
    for (int x = 0; x < n_tasks; ++x) {
      inputs.push_back(long_text(x));
      expected.push_back(model.all[0] + inputs.back());
    }
  }
};

inline const material& the_material() {
  static const material all;
  return all;
}

inline bool is_task(const std::string& input, int x) {
  return input == the_material().inputs[static_cast<std::size_t>(x)];
}

inline bool says_memory(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const std::bad_alloc&) {
    return true;
  } catch (const lenskit::no_space&) {
    return true;
  } catch (const std::exception& error) {
    return std::string_view(error.what()).find("memory") != std::string_view::npos ||
           std::string_view(error.what()).find("bad_alloc") != std::string_view::npos;
  }
}

// What may be wrong with a task: what belongs to it, and the one allocation that failed.
struct excuses {
  bool throws = false;
  bool dies = false;
  bool others_die = false;  // an allocation of a worker may cost it
  bool lasts = false;       // memory is gone until something has thrown
};

// One life with one fault.
class trial {
 public:
  trial(allocation_fault& fault, excuses may) : fault_(fault), may_(may) {}

  // What `what` returns; once more where it threw for want of memory.
  template <class What>
  auto insist(What what) -> decltype(what()) {
    for (int tries = 0;; ++tries) {
      try {
        return what();
      } catch (...) {
        if (tries == most_tries || !says_memory(std::current_exception())) throw;
        ++thrown_;
      }
      if (may_.lasts) fault_.end();
    }
  }

  template <class Invoker>
  void outcomes(Invoker& inv) {
    auto range = insist([&] { return inv.map_outcomes(the_material().inputs); });
    std::size_t at = 0;
    for (auto it = insist([&] { return range.begin(); }); it != range.end(); insist([&] { ++it; })) judge(at++, *it);
    if (at != n_tasks) complain("outcomes: " + std::to_string(at) + " tasks");
  }

  template <class Invoker>
  void completed(Invoker& inv) {
    std::array<int, n_tasks> seen{};
    auto range = insist([&] { return inv.as_completed(the_material().inputs); });
    for (auto it = insist([&] { return range.begin(); }); it != range.end(); insist([&] { ++it; })) {
      if (it->index < n_tasks) ++seen[it->index];
      judge(it->index, it->result);
    }
    for (const int each : seen) {
      if (each != 1) complain("completed: a task came " + std::to_string(each) + " times");
    }
  }

  // Results in their order; as many are missing as failures were thrown, at most.
  template <class Invoker>
  void values(Invoker& inv) {
    auto range = insist([&] { return inv.map(the_material().inputs); });
    std::size_t at = 0;
    int missing = 0;
    const int thrown_before = thrown_;
    for (auto it = insist([&] { return range.begin(); }); it != range.end(); insist([&] { ++it; })) {
      while (at < n_tasks && *it != the_material().expected[at]) ++at, ++missing;
      if (at++ == n_tasks) return complain("values: a result that no task has, or out of order");
    }
    missing += n_tasks - static_cast<int>(at);
    if (missing > thrown_ - thrown_before) complain("values: " + std::to_string(missing) + " are missing");
  }

  template <class Invoker>
  void models(Invoker& inv) {
    auto range = insist([&] { return inv.map_outcomes(the_material().inputs); });
    std::size_t at = 0;
    for (auto it = insist([&] { return range.begin(); }); it != range.end(); insist([&] { ++it; })) {
      auto text = *it ? lenskit::outcome<std::string>(insist([&] { return (*it)->get().all[0]; }))
                      : lenskit::outcome<std::string>(boost::system::in_place_error, it->error());
      judge(at++, text);
    }
    if (at != n_tasks) complain("models: " + std::to_string(at) + " tasks");
  }

  // Both the failure of the call and of what is around it.
  void subprocess() {
    for (int tries = 0;; ++tries) {
      try {
        auto stored = lenskit::run_sp([] {
          auto made = lenskit::persist(the_material().model);
          made.transfer();
          return made;
        });
        if (stored.get().all != the_material().model.all) complain("run_sp: another model");
        break;
      } catch (...) {
        const auto failure = std::current_exception();
        const bool excused = says_memory(failure) || (may_.others_die && is<lenskit::worker_died>(failure));
        if (!excused || tries > 0) return complain("run_sp: " + lenskit::describe(failure));
      }
    }
  }

  template <class Invoker>
  void works_on(Invoker& inv) {
    fault_.end();
    may_.others_die = false;
    failed_ = 0;
    judged_strictly_ = true;
    outcomes(inv);
  }

  template <class Result>
  void judge(std::size_t at, const lenskit::outcome<Result>& result) {
    if (at >= n_tasks) return complain("there is no task " + std::to_string(at));
    if (result) {
      if (*result != the_material().expected[at]) complain("task " + std::to_string(at) + " has a wrong result");
      return;
    }
    const auto task = static_cast<int>(at);
    if (may_.throws && task == throwing_task && is<std::runtime_error>(result.error())) return;
    if (may_.dies && task == deadly_task && is<lenskit::worker_died>(result.error())) return;
    const bool excused = says_memory(result.error()) || (may_.others_die && is<lenskit::worker_died>(result.error()));
    if (judged_strictly_ || !excused || (++failed_ > 1 && !may_.lasts))
      complain("task " + std::to_string(at) + " failed: " + lenskit::describe(result.error()));
  }

  template <class Error>
  static bool is(const std::exception_ptr& failure) {
    try {
      std::rethrow_exception(failure);
    } catch (const Error&) {
      return true;
    } catch (...) {
      return false;
    }
  }

  void complain(const std::string& what) {
    fault_.end();
    if (complaint_.empty()) complaint_ = what;
  }
  [[nodiscard]] const std::string& complaint() const { return complaint_; }

 private:
  static constexpr int most_tries = 3;
  allocation_fault& fault_;
  excuses may_;
  int thrown_ = 0;
  int failed_ = 0;
  bool judged_strictly_ = false;
  std::string complaint_;
};

}  // namespace lenskit::tests

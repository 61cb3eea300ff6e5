// A contest: several ways to do the same thing, timed in turn by Google Benchmark, so that what the machine does
// meanwhile meets all of them alike. Each measurement is printed as one line of JSON; report.py makes sense of them.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace bench {

/// Reads --quick (smaller inputs, fewer rounds); everything else goes to Google Benchmark.
void initialize(int argc, char** argv);
[[nodiscard]] bool quick();
/// `full`, or `brief` with --quick.
template <class T>
[[nodiscard]] T sized(T full, T brief) {
  return quick() ? brief : full;
}

/// Workers that every contestant gets.
inline constexpr int workers = 2;

[[nodiscard]] inline double seconds_of(auto&& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

class contest {
 public:
  /// `id` of the target; `what` is measured; `x` is its place on an axis, if it has one.
  contest(std::string id, std::string what, std::string unit, std::optional<double> x = std::nullopt)
      : id_(std::move(id)), what_(std::move(what)), unit_(std::move(unit)), x_(x) {}

  /// `measure` returns the figure of one round, in the unit of the contest.
  contest& add(std::string name, std::function<double()> measure) {
    contestants_.emplace_back(std::move(name), std::move(measure));
    return *this;
  }

  /// Runs all of them `rounds` times, interleaved at random.
  void run(int rounds = sized(5, 3)) const;

 private:
  std::string id_;
  std::string what_;
  std::string unit_;
  std::optional<double> x_;
  std::vector<std::pair<std::string, std::function<double()>>> contestants_;
};

/// Prevents the compiler from leaving out what computes `value`.
template <class T>
void keep(const T& value) {
  asm volatile("" : : "r,m"(value) : "memory");
}

}  // namespace bench

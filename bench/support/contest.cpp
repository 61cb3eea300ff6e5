#include <support/contest.hpp>

#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <thread>

namespace bench {
namespace {

bool is_quick = false;

// After a contestant has had its turn, its threads may spin for a while before they sleep.
constexpr auto settling = std::chrono::milliseconds(10);

class json_lines : public benchmark::BenchmarkReporter {
 public:
  explicit json_lines(std::string about) : about_(std::move(about)) {}
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const auto& run : runs) {
      if (run.error_occurred) throw std::runtime_error(run.benchmark_name() + ": " + run.error_message);
      if (run.run_type != Run::RT_Iteration) continue;
      std::printf("{%s, \"name\": \"%s\", \"value\": %.9g}\n", about_.c_str(), run.run_name.function_name.c_str(),
                  run.counters.at("value").value);
      std::fflush(stdout);
    }
  }

 private:
  std::string about_;
};

}  // namespace

void initialize(int argc, char** argv) {
  std::vector<char*> rest{argv[0]};
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--quick") == 0) {
      is_quick = true;
    } else {
      rest.push_back(argv[i]);
    }
  }
  char interleave[] = "--benchmark_enable_random_interleaving=true";
  rest.push_back(interleave);
  int count = static_cast<int>(rest.size());
  benchmark::Initialize(&count, rest.data());
  if (benchmark::ReportUnrecognizedArguments(count, rest.data())) throw std::invalid_argument("unknown argument");
}

bool quick() { return is_quick; }

void contest::run(int rounds) const {
  for (const auto& [name, measure] : contestants_) {
    const auto one_round = [&measure = measure](benchmark::State& state) {
      for (auto _ : state) {
        std::this_thread::sleep_for(settling);
        double value = 0;
        const auto taken = seconds_of([&] { value = measure(); });
        state.SetIterationTime(taken);
        state.counters["value"] = value;
      }
    };
    benchmark::RegisterBenchmark(name.c_str(), one_round)->UseManualTime()->Iterations(1)->Repetitions(rounds);
  }
  auto about = "\"id\": \"" + id_ + "\", \"case\": \"" + what_ + "\", \"unit\": \"" + unit_ + "\"";
  if (x_) about += ", \"x\": " + std::to_string(*x_);
  json_lines reporter(about);
  benchmark::RunSpecifiedBenchmarks(&reporter);
  benchmark::ClearRegisteredBenchmarks();
}

}  // namespace bench

// A bar for the tasks of an invoker, and one that the workers move themselves. On a terminal they are drawn below the
// log lines; elsewhere, as here, each is a log line now and then and one at its end.
#include <lenskit/parallel.hpp>

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <cstdio>
#include <thread>
#include <vector>

// A progress of one's own: told of every task, in its states "dispatched", "in-progress" and "finished".
struct loudest : lenskit::progress {
  using progress::progress;
  void finish() override {
    progress::finish();
    std::printf("%s: %lld finished\n", label().c_str(), static_cast<long long>(count()));
  }
};

int main() {
  spdlog::set_default_logger(spdlog::stdout_logger_mt("progress"));
  spdlog::set_pattern("%v");

  const int epochs = 5;
  const auto all_epochs = lenskit::item_progress("epochs", 20);  // captured: counts the items of all workers together
  auto train = [all_epochs](const int& n_epochs, int fold) {
    for (int epoch = 0; epoch < n_epochs; ++epoch) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      all_epochs->update();
    }
    return fold;
  };

  const auto folds = std::make_shared<loudest>("folds", 4);
  lenskit::invoker inv(epochs, train, {.n_jobs = 2, .progress = folds});
  for (const int fold : inv.map(std::vector{1, 2, 3, 4})) std::printf("fold %d\n", fold);
  all_epochs->finish();
  folds->finish();
}

// Output, in any order:
// fold 1
// fold 2
// fold 3
// fold 4
// ...epochs: 20 of 20 (100%) in ...
// folds: 4 finished

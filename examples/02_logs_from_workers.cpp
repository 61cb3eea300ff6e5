// What a task logs with spdlog reaches the parent's logger of the same name: nothing has to be set up. The records
// keep their level, time, thread and source line, and arrive before the result of the task that made them.
#include <lenskit/parallel.hpp>

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdio>
#include <vector>

static int score(const int& offset, int user) {
  spdlog::debug("not shown: the parent's level is info");
  if (user < 0) spdlog::get("input")->warn("user {} is not a user", user);
  spdlog::info("scoring user {}", user);
  return offset + user;
}

int main() {
  spdlog::set_default_logger(spdlog::stdout_logger_mt("recommender"));  // sinks must be _mt: thread-safe
  spdlog::stdout_logger_mt("input");
  spdlog::set_formatter(lenskit::worker_pattern("[%P] %n %l: %v"));  // %P: the process that made the record

  const int offset = 100;
  lenskit::invoker inv(offset, score, {.n_jobs = 2, .engine = lenskit::engine::processes});
  for (const int result : inv.map(std::vector{1, 2, -3})) std::printf("got %d\n", result);
  spdlog::info("done");
}

// Output, in any order:
// [...] recommender info: scoring user 1
// [...] recommender info: scoring user 2
// [...] input warning: user -3 is not a user
// [...] recommender info: scoring user -3
// got 101
// got 102
// got 97
// [...] recommender info: done

#include "chaos_run.hpp"

#include "chaos_consumers.hpp"
#include "chaos_plan.hpp"
#include "chaos_world.hpp"

#include <lenskit/persist.hpp>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>
#include <thread>

namespace lenskit::soak::chaos {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

std::set<std::string> open_descriptors() {
  std::set<std::string> found;
  for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
    std::error_code gone;  // the directory's own
    if (!fs::read_symlink(entry.path(), gone).native().starts_with("/proc/")) found.insert(entry.path().filename());
  }
  return found;
}

std::vector<std::string> mapped_models() {
  std::vector<std::string> found;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find("lenskit") != std::string::npos && line.ends_with("(deleted)")) found.push_back(line);
  }
  return found;
}

class one_run {
 public:
  one_run(std::uint64_t seed, const fs::path& directory, notes& complaints)
      : lots_(seed),
        directory_(directory),
        numbers_(make_model(seed)),
        logs_(std::make_shared<log_keeper>(complaints)),
        judge_(complaints, *logs_, checksum(numbers_)) {
    spdlog::set_default_logger(std::make_shared<spdlog::logger>("", logs_));
  }

  void go() {
    before_ = open_descriptors();
    const auto world = draw_world();
    try {
      for (int left = lots_.between(1, 3); left > 0; --left) {
        if (!workers_) make_pool();
        one_call();
      }
      workers_.reset();
    } catch (const std::exception& error) {
      workers_.reset();
      if (!judge_.expects_breakage()) judge_.complain("G2", std::string("threw ") + error.what());
    }
  }

  // After the world is as it was.
  void look_for_leftovers() {
    const auto deadline = std::chrono::steady_clock::now() + 1s;
    while (::waitpid(-1, nullptr, WNOHANG) == 0 && std::chrono::steady_clock::now() < deadline)
      std::this_thread::sleep_for(1ms);
    if (::waitpid(-1, nullptr, WNOHANG) >= 0) judge_.complain("G3", "a child process is left");
    const auto after = open_descriptors();
    std::vector<std::string> more;
    std::set_difference(after.begin(), after.end(), before_.begin(), before_.end(), std::back_inserter(more));
    for (const auto& each : more) judge_.complain("G3", "descriptor " + each + " is left");
    for (const auto& each : mapped_models()) judge_.complain("G3", "a mapping is left: " + each);
    for (const auto& each : fs::directory_iterator(directory_)) judge_.complain("G3", "left: " + each.path().native());
  }

 private:
  std::shared_ptr<void> draw_world() {
    if (!lots_.one_in(3)) return nullptr;
    const auto& fault = lots_.pick(world_faults());
    if (fault.breaks && !lots_.one_in(3)) return nullptr;  // less can be asked of such a run
    auto world = fault.begin(lots_);
    if (!world) return nullptr;
    struck(kind_of(fault.name));
    if (fault.breaks) judge_.expect_breakage();
    seeds_are_known_ = !fault.maps;
    return world;
  }

  void make_pool() {
    options_ = draw_options(lots_);
    stop_ = std::stop_source();
    options_.stop_token = stop_.get_token();
    for (auto& each : the_board().workers) each = 0;
    the_board().spawner = 0;
    if (lots_.one_in(4)) {
      auto stored = persist(numbers_, {.method = options_.persist_method});
      workers_ = std::make_unique<pool>(stored, task(), options_);
    } else {
      workers_ = std::make_unique<pool>(numbers_, task(), options_);
    }
  }

  call draw_call(fault_limits limits) {
    call one;
    one.number = next_call_++;
    one.max_retries = options_.max_retries;
    one.items = draw_items(lots_, one.number, options_, limits);
    return one;
  }

  // The blows of a call: each before the item that it is drawn for.
  std::function<void()> draw_blows(int& deaths) {
    if (workers_->engine() != engine::processes || !lots_.one_in(3)) return [] {};
    std::vector<const blow*> chosen;
    for (int left = lots_.between(1, 3); left > 0; --left) {
      const auto& one = lots_.pick(blows());
      const int costs = one.deaths < 0 ? workers_->n_jobs() : one.deaths;
      if (costs > deaths) continue;
      deaths -= costs;
      chosen.push_back(&one);
    }
    return [this, chosen, costs_all = workers_->n_jobs()]() mutable {
      if (chosen.empty() || !lots_.one_in(10)) return;
      const auto& one = *chosen.back();
      chosen.pop_back();
      struck(kind_of(one.name));
      the_board().strays += one.deaths < 0 ? costs_all : one.deaths;
      one.deal(lots_);
    };
  }

  void one_call() {
    auto deaths = survivable_deaths(workers_->n_jobs());
    auto disturb = draw_blows(deaths);
    const bool hangs = options_.task_timeout.has_value();
    auto first = draw_call({workers_->engine(), workers_->n_jobs(), deaths, hangs});
    auto second = draw_call({workers_->engine(), 0, 0, false});
    const auto& style = lots_.pick(consumers());
    first.about = second.about = describe(style.name);
    const auto seed = lots_.next();
    if (seeds_are_known_ && !style.concurrent) {
      const auto foretold = foretell_lots(seed, {first.items.size(), second.items.size()});
      first.lots = foretold[0];
      second.lots = foretold[1];
    }
    round with{workers_, first, second, judge_, lots_, stop_, std::move(disturb), numbers_, longest_wait()};
    if (style.is_fault) struck(kind_of(style.name));
    style.consume(with);
    judge_.close(first);
    judge_.close(second);
    if (style.ends_pool) {
      workers_.reset();
    } else {
      check_health();
    }
  }

  [[nodiscard]] std::string describe(const char* what) const {
    return fmt::format("{}, engine {}, {} jobs, chunks of {}, buffer of {}{}", what,
                       static_cast<int>(workers_->engine()), workers_->n_jobs(), options_.chunk_size,
                       options_.buffer_size, options_.task_timeout ? ", deadline" : "");
  }

  // No stale result shows up, and the pool works as before.
  void check_health() {
    call one{.number = next_call_++, .items = healthy_items(0, 0), .max_retries = options_.max_retries};
    one.items = healthy_items(one.number, 8);
    one.about = describe("afterwards");
    dice lots(0);
    round with{workers_, one, one, judge_, lots, stop_, [] {}, numbers_, longest_wait()};
    read_all(with, one);
    judge_.close(one);
  }

  [[nodiscard]] std::chrono::nanoseconds longest_wait() const {
    // A pool that finds nothing to start a worker with tries again for seconds before it is broken.
    const auto hopeless = judge_.expects_breakage() ? 4s : 0s;
    return options_.task_timeout.value_or(0ns) + 2s + hopeless;
  }

  dice lots_;
  const fs::path directory_;
  const model numbers_;
  std::shared_ptr<log_keeper> logs_;
  judge judge_;
  invoker_options options_;
  std::stop_source stop_;
  std::unique_ptr<pool> workers_;
  std::uint32_t next_call_ = 0;
  bool seeds_are_known_ = true;
  std::set<std::string> before_;
};

void settle_down(const fs::path& directory) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // whoever ends the soak ends its runs
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  ::dup2(null, STDIN_FILENO);
  ::dup2(null, STDOUT_FILENO);
  ::dup2(null, STDERR_FILENO);               // what dying workers have to say
  ::close_range(STDERR_FILENO + 1, ~0U, 0);  // of whoever started the soak: tasks look for their own
  ::setenv("TMPDIR", directory.c_str(), 1);
  fs::current_path(directory);
}

}  // namespace

void run(std::uint64_t seed, const fs::path& directory, notes& complaints) {
  settle_down(directory);
  new_board();
  one_run one(seed, directory, complaints);
  one.go();
  one.look_for_leftovers();
}

}  // namespace lenskit::soak::chaos

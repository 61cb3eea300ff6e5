#include <lenskit/detail/os/crew.hpp>
#include <lenskit/detail/os/signals.hpp>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace lenskit::detail {
void run_crew(std::size_t jobs, std::size_t threads, const std::function<void(std::size_t)>& job) {
  std::atomic<std::size_t> next{0};
  std::mutex failing;
  std::exception_ptr failure;
  const auto work = [&]() noexcept {
    try {
      for (auto i = next++; i < jobs; i = next++) job(i);
    } catch (...) {
      next = jobs;
      const std::scoped_lock lock(failing);
      failure = std::current_exception();
    }
  };
  std::vector<std::jthread> helpers;
  const auto wanted = std::min(threads, jobs);
  if (wanted > 1) {
    const quiet_start quiet;
    try {
      helpers.reserve(wanted - 1);
      for (std::size_t i = 1; i < wanted; ++i) helpers.emplace_back(work);
    } catch (const std::system_error&) {
      // no more threads to be had: those there are do the work
    }
  }
  work();
  helpers.clear();  // joins
  if (failure) std::rethrow_exception(failure);
}

std::size_t usable_processors() noexcept { return std::max(std::thread::hardware_concurrency(), 1U); }

}  // namespace lenskit::detail

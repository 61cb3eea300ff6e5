#include <lenskit/detail/os/fork_handlers.hpp>
#include <lenskit/detail/os/fork_watch.hpp>
#include <lenskit/detail/os/loaded_file.hpp>
#include <lenskit/detail/os/other_threads.hpp>
#include <lenskit/detail/os/signals.hpp>
#include <lenskit/detail/os/system.hpp>

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <string_view>
#include <tuple>

namespace lenskit::detail {
namespace {

constexpr auto patience_with_handlers = std::chrono::milliseconds(600);

bool is_of_the_system(std::string_view file) noexcept {
  constexpr std::array<std::string_view, 6> names{"libc.", "libc-", "ld-linux", "libpthread", "libstdc++", "libgcc"};
  return std::ranges::any_of(names, [&](std::string_view name) { return file.starts_with(name); });
}

// Where the stack of a thread ends that waits in the kernel; 0 if it does not, or that cannot be known.
std::uintptr_t stack_of_waiting(int syscall_file) noexcept {
  std::array<char, 256> text{};  // "number, six arguments, stack, place", or "running"
  const auto got = sys::retry([&]() noexcept { return sys::read(syscall_file, text.data(), text.size() - 1); });
  char* at = nullptr;
  if (got <= 0 || std::strtol(text.data(), &at, 10) < 0 || at == text.data()) return 0;
  constexpr int hex = 16;
  constexpr int arguments = 6;
  for (int each = 0; each < arguments; ++each) std::ignore = std::strtoull(at, &at, hex);
  return static_cast<std::uintptr_t>(std::strtoull(at, &at, hex));
}

// The library that has called the one of the system in which the thread waits: the first behind it on its stack, which
// stays as it is meanwhile. Empty if that cannot be found.
[[gnu::no_sanitize_address]] std::string who_waits(std::uintptr_t stack) {
  constexpr int most_words = 512;
  const auto* word = reinterpret_cast<const std::uintptr_t*>(stack);  // NOLINT
  for (const auto* end = word + most_words; word != end; ++word) {
    const auto file = find_loaded_file(*word);
    if (!file) continue;
    auto name = file->path.substr(file->path.rfind('/') + 1);
    if (!is_of_the_system(name)) return name;
  }
  return {};
}

void say(int syscall_file) noexcept try {
  const auto stack = stack_of_waiting(syscall_file);
  if (stack == 0) return;  // it copies a large process
  const auto library = who_waits(stack);
  const auto line = "lenskit: a pool cannot be made yet: fork waits for the handler (pthread_atfork) of " +
                    (library.empty() ? std::string("some library") : library) +
                    ", which may wait for a thread of its own that is busy. Make pools while no thread is inside of "
                    "such a library.\n";
  pollfd room{sys::standard_error, POLLOUT, 0};
  if (sys::poll(&room, 1, 0) == 1)
    sys::write(sys::standard_error, line.data(), line.size());  // or a reader pauses (H4)
} catch (const std::exception&) {                               // no memory for it
}

}  // namespace

fork_watch::fork_watch(bool beside_threads) noexcept {
  if (!beside_threads || !others_handle_forks()) return;
  // Opened here: the watcher must not, while another thread forks.
  std::array<char, 64> path{};
  std::snprintf(path.data(), path.size(), "/proc/self/task/%d/syscall", static_cast<int>(sys::gettid()));
  syscall_file_ = descriptor(sys::open(path.data(), O_RDONLY));
  try {
    state_ = std::make_unique<state>();
    watcher_ = quiet_thread([this] { look(); });
  } catch (const std::exception&) {  // no thread to be had: the fork goes on without
  }
}

fork_watch::~fork_watch() {
  if (!watcher_.joinable()) return;
  {
    const std::lock_guard held(state_->mutex);
    state_->has_ended = true;
  }
  state_->ended.notify_one();
  watcher_.join();
}

void fork_watch::forget() noexcept {
  if (watcher_.joinable()) watcher_.detach();
  std::ignore = state_.release();  // somebody waits there, for ever: it could not be destroyed
}

void fork_watch::look() noexcept {
  name_thread_of_library();
  std::unique_lock held(state_->mutex);
  if (state_->ended.wait_for(held, patience_with_handlers, [&] { return state_->has_ended; })) return;
  held.unlock();
  say(syscall_file_.get());
}

}  // namespace lenskit::detail

#include <lenskit/detail/log/foreign_call.hpp>
#include <lenskit/detail/log/levels.hpp>
#include <lenskit/detail/log/spdlog_internals.hpp>
#include <lenskit/detail/os/clock.hpp>
#include <lenskit/detail/os/per_process.hpp>

#include <atomic>
#include <mutex>
#include <optional>
#include <thread>

namespace lenskit::detail {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::nanoseconds valid_for = 20ms;
constexpr auto pause_between_tries = 100us;

struct seen_levels {
  std::mutex mutex;
  logger_levels last{};  // guarded
};

void see_levels_anew() noexcept;
constinit per_process<seen_levels, see_levels_anew> levels_seen;
void see_levels_anew() noexcept { levels_seen.renew(); }

constinit std::atomic<std::uint64_t> last_version{0};
constinit std::atomic<std::int64_t> refreshed_at{0};
constinit std::atomic<bool> registry_busy{false};  // the registry was, at the last look

// Nothing while somebody uses the registry.
std::optional<std::string> encode() {
  const foreign_call inside(std::try_to_lock);
  if (!inside) return std::nullopt;
  const registry_glance registered;
  if (!registered) return std::nullopt;
  std::string encoded;
  for (const auto& [name, logger] : registered.loggers()) {
    encoded += static_cast<char>('0' + static_cast<int>(logger->level()));
    encoded += name;
    encoded += '\0';
  }
  return encoded;
}

}  // namespace

void refresh_levels(std::chrono::nanoseconds patience) noexcept try {
  refreshed_at.store(now_ns());
  auto encoded = encode();
  if (!encoded && !registry_busy.load()) {
    for (const auto deadline = steady::now() + patience; !encoded && steady::now() < deadline; encoded = encode())
      std::this_thread::sleep_for(pause_between_tries);
  }
  registry_busy.store(!encoded);
  if (!encoded) return;
  auto& known = levels_seen.get();
  const std::lock_guard held(known.mutex);
  if (known.last.encoded && *known.last.encoded == *encoded) return;
  known.last.encoded = std::make_shared<const std::string>(std::move(*encoded));
  known.last.version = last_version.fetch_add(1) + 1;
} catch (...) {
  // No memory: the levels stay as they are known.
}

void refresh_levels_if_due() noexcept {
  auto last = refreshed_at.load(std::memory_order_relaxed);
  const auto now = now_ns();
  if (now - last >= valid_for.count() && refreshed_at.compare_exchange_strong(last, now)) refresh_levels();
}

std::uint64_t levels_version() noexcept { return last_version.load(std::memory_order_acquire); }

logger_levels known_levels() noexcept {
  auto* known = levels_seen.find();
  if (known == nullptr) return {{}, levels_version()};
  const std::lock_guard held(known->mutex);
  return known->last;
}

}  // namespace lenskit::detail

#include <lenskit/detail/log/spdlog_internals.hpp>
#include <lenskit/detail/os/system.hpp>

#include <spdlog/details/registry.h>
#include <spdlog/sinks/ansicolor_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <atomic>

namespace lenskit::detail {
namespace {

// The language lets an explicit instantiation name a private member ([temp.spec]/6): `open_door<m>` then hands it out
// through a friend. Nothing is guessed about the layout, and a member that is renamed is a compile-time error.
template <class Tag, auto Member>
struct open_door {
  friend constexpr auto door(Tag) { return Member; }
};

using ring = spdlog::details::circular_q<spdlog::details::log_msg_buffer>;
using color_sink = spdlog::sinks::ansicolor_sink<spdlog::details::console_mutex>;
using plain_sink = spdlog::sinks::stdout_sink_base<spdlog::details::console_mutex>;

struct registry_mutex_tag {
  friend constexpr auto door(registry_mutex_tag);
};
struct loggers_tag {
  friend constexpr auto door(loggers_tag);
};
struct default_logger_tag {
  friend constexpr auto door(default_logger_tag);
};
struct ring_tag {
  friend constexpr auto door(ring_tag);
};
struct ring_room_tag {
  friend constexpr auto door(ring_room_tag);
};
struct thread_pool_tag {
  friend constexpr auto door(thread_pool_tag);
};
struct color_formatter_tag {
  friend constexpr auto door(color_formatter_tag);
};
struct plain_formatter_tag {
  friend constexpr auto door(plain_formatter_tag);
};
template struct open_door<registry_mutex_tag, &spdlog::details::registry::logger_map_mutex_>;
template struct open_door<loggers_tag, &spdlog::details::registry::loggers_>;
template struct open_door<default_logger_tag, &spdlog::details::registry::default_logger_>;
template struct open_door<ring_tag, &spdlog::details::backtracer::messages_>;
template struct open_door<ring_room_tag, &ring::max_items_>;
template struct open_door<thread_pool_tag, &spdlog::async_logger::thread_pool_>;
template struct open_door<color_formatter_tag, &color_sink::formatter_>;
template struct open_door<plain_formatter_tag, &plain_sink::formatter_>;

// Destroyed just before the registry is, so that it can be told from one that lives.
class registry_watch {
 public:
  registry_watch() { static_cast<void>(spdlog::details::registry::instance()); }
  ~registry_watch() { gone() = true; }
  registry_watch(const registry_watch&) = delete;
  registry_watch& operator=(const registry_watch&) = delete;
  static std::atomic<bool>& gone() noexcept {
    static constinit std::atomic<bool> is_gone{false};
    return is_gone;
  }
};

// What is made first is destroyed last: a global object of the program may use a pool in its destructor (B2).
[[gnu::constructor(101)]] void make_registry_early() { static const registry_watch watch; }

}  // namespace

bool registry_lives() noexcept { return !registry_watch::gone().load(std::memory_order_relaxed); }

std::mutex& registry_mutex() noexcept { return spdlog::details::registry::instance().*door(registry_mutex_tag{}); }

const std::unordered_map<std::string, std::shared_ptr<spdlog::logger>>& registry_glance::loggers() const noexcept {
  return spdlog::details::registry::instance().*door(loggers_tag{});
}

std::shared_ptr<spdlog::logger> registry_glance::logger_or_default(const std::string& name) const {
  const auto& all = loggers();
  const auto found = all.find(name);
  return found != all.end() ? found->second : spdlog::details::registry::instance().*door(default_logger_tag{});
}

std::size_t backtrace_room(const spdlog::details::backtracer& tracer) noexcept {
  const auto slots = (tracer.*door(ring_tag{})).*door(ring_room_tag{});
  return slots > 0 ? slots - 1 : 0;  // the ring keeps one slot free
}

void set_thread_pool(spdlog::async_logger& logger, const std::shared_ptr<spdlog::details::thread_pool>& pool) noexcept {
  logger.*door(thread_pool_tag{}) = pool;
}

std::unique_ptr<spdlog::formatter>* console_formatter(spdlog::sinks::sink& sink, int& fd) noexcept {
  using namespace spdlog::sinks;
  if (auto* color = dynamic_cast<color_sink*>(&sink)) {
    fd = dynamic_cast<ansicolor_stderr_sink_mt*>(color) != nullptr ? sys::standard_error : sys::standard_output;
    return &(color->*door(color_formatter_tag{}));
  }
  if (auto* plain = dynamic_cast<plain_sink*>(&sink)) {
    fd = dynamic_cast<stderr_sink_mt*>(plain) != nullptr ? sys::standard_error : sys::standard_output;
    return &(plain->*door(plain_formatter_tag{}));
  }
  return nullptr;
}

}  // namespace lenskit::detail

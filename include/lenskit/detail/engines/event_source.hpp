// How the processes engine names what it polls.
#pragma once

#include <lenskit/detail/os/poller.hpp>

#include <cstdint>

namespace lenskit::detail {

// What a ready descriptor is: its kind above, its worker below.
enum class event_source : std::uint32_t { stream, process, log, spawner, interrupt, bell, results, attendance };

constexpr std::uint64_t key_of(event_source kind, int worker = 0) {
  return std::uint64_t{static_cast<std::uint32_t>(kind)} << 32 | static_cast<std::uint32_t>(worker);
}
inline event_source kind_of(const readiness& ready) { return static_cast<event_source>(ready.key >> 32); }
inline int worker_of(const readiness& ready) { return static_cast<int>(ready.key & 0xffff'ffff); }

}  // namespace lenskit::detail

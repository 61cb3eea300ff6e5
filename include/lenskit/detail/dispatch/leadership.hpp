// Who leads: the one thread that waits for everything that can happen to a pool, for all that want something of it.
//
// A consumer that waits leads itself. While none does, the attendant stands in, after two milliseconds, if there is
// work outstanding: a bell wakes it, which every leader puts off. The model in tests/models/leadership.pml has the
// proof that nobody waits for ever.
#pragma once

#include <lenskit/detail/dispatch/engine.hpp>
#include <lenskit/detail/os/clock.hpp>

#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <string>
#include <thread>

namespace lenskit::detail {

/// What is led. All functions are called under its lock.
class led_pool {
 public:
  /// Waits for news, without the lock meanwhile, and deals with them. May throw; nothing is lost then.
  virtual void lead(std::unique_lock<std::mutex>& held, bool attending) = 0;
  /// Whether there is anything to wait for.
  [[nodiscard]] virtual bool busy() const noexcept = 0;
  [[nodiscard]] virtual bool closed() const noexcept = 0;
  /// Looks for what is not told but must be asked for: a requested stop.
  virtual void look_up() noexcept = 0;
  /// Nobody can look after it any more.
  virtual void give_up(const std::string& why) noexcept = 0;

 protected:
  ~led_pool() = default;
};

/// Guarded by the pool's lock, which every function is given or called under, but for `end_attendant`.
class leadership {
 public:
  using lock = std::unique_lock<std::mutex>;
  using clock = steady::time_point (*)();

  leadership(led_pool& pool, worker_engine& engine, std::mutex& mutex, clock now);
  leadership(const leadership&) = delete;
  leadership& operator=(const leadership&) = delete;
  ~leadership();

  /// Starts the thread that stands in. Not under the lock. Throws std::system_error.
  void start_attendant();
  /// Returns when `ready()`, which it asks under the lock; leads meanwhile, or waits for the leader. Throws what `lead`
  /// throws.
  template <class Ready>
  void await(lock& held, Ready ready) {
    pool_.look_up();
    while (!ready()) {
      lead_or_wait(held);
      pool_.look_up();
    }
    if (waiting_ > 0 && !held_) changed_.notify_all();
  }
  /// Lets the attendant sleep on: to be woken only to find a consumer at work takes as long as a task of 30 µs.
  void put_off_bell(std::chrono::nanoseconds delay) noexcept;
  /// There is something to wait for: if nobody does, the attendant will.
  void work_added() noexcept;
  /// Wakes everybody who waits, to ask again.
  void notify_all() noexcept { changed_.notify_all(); }
  /// When the last leader left.
  [[nodiscard]] steady::time_point left_at() const noexcept { return left_at_; }

  /// Waits until nobody leads; nobody does from then on, until `release`.
  void take_for_good(lock& held) noexcept;
  void release() noexcept;
  /// Of a closed pool. Not under the lock.
  void end_attendant() noexcept;
  /// In a fork, where the thread does not exist.
  void forget_attendant() noexcept;

 private:
  void lead_or_wait(lock& held);
  void lead(lock& held, bool attending);
  void leave(lock& held) noexcept;
  void attend_while_open();
  bool stand_in(lock& held);
  void give_up(const char* what, const std::exception& why) noexcept;

  led_pool& pool_;
  worker_engine& engine_;
  std::mutex& mutex_;
  const clock now_;
  std::condition_variable changed_;
  bool held_ = false;
  bool standing_in_ = false;  // by the attendant
  int waiting_ = 0;           // consumers that wait for the leader
  steady::time_point left_at_{};
  bool bell_set_ = false;
  steady::time_point bell_rings_at_{};
  std::thread attendant_;
};

}  // namespace lenskit::detail

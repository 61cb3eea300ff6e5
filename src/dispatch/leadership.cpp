#include <lenskit/detail/dispatch/leadership.hpp>
#include <lenskit/detail/dispatch/pace.hpp>
#include <lenskit/detail/os/signals.hpp>

#include <algorithm>
#include <exception>
#include <new>
#include <string>
#include <system_error>
#include <tuple>
#include <utility>

namespace lenskit::detail {

leadership::leadership(led_pool& pool, worker_engine& engine, std::mutex& mutex, clock now)
    : pool_(pool), engine_(engine), mutex_(mutex), now_(now) {}

leadership::~leadership() { end_attendant(); }

void leadership::start_attendant() {
  attendant_ = quiet_thread([this] { attend_while_open(); });
}

void leadership::end_attendant() noexcept {
  if (attendant_.joinable()) attendant_.join();
}

void leadership::forget_attendant() noexcept {
  if (attendant_.joinable()) attendant_.detach();
}

void leadership::lead_or_wait(lock& held) {
  if (!held_) {
    lead(held, false);
    return;
  }
  if (standing_in_) engine_.wake({});
  ++waiting_;
  changed_.wait(held);
  --waiting_;
}

void leadership::lead(lock& held, bool attending) {
  // Whatever is thrown on the way, the leadership is given back, and the attendant looks whether anybody takes it.
  struct term {
    leadership& owner;
    lock& held;
    ~term() { owner.leave(held); }
  };
  held_ = true;
  standing_in_ = attending;
  const term mine{*this, held};
  pool_.lead(held, attending);
}

void leadership::leave(lock& held) noexcept {
  if (!held.owns_lock()) held.lock();
  held_ = false;
  const bool attended = std::exchange(standing_in_, false);  // the attendant sees to its own bell
  left_at_ = now_();
  if (waiting_ > 0) changed_.notify_all();
  if (!attended) work_added();
}

void leadership::work_added() noexcept {
  if (pool_.busy() && !held_ && !bell_set_) put_off_bell(pace::attendant_patience);
}

void leadership::put_off_bell(std::chrono::nanoseconds delay) noexcept {
  if (!attendant_.joinable()) return;
  const auto rings_at = now_() + delay;
  if (bell_set_ && bell_rings_at_ >= rings_at - pace::attendant_patience / 2) return;
  bell_set_ = true;
  bell_rings_at_ = rings_at;
  engine_.wake(std::max(delay, std::chrono::nanoseconds(1)));
}

void leadership::attend_while_open() {
  for (;;) {
    try {
      std::ignore = engine_.wait(manner::attend, steady::time_point::max());
    } catch (const std::system_error& error) {  // what it waits for is lost, and nothing will ever wake it again (H4)
      lock held(mutex_);
      give_up("", error);
      return;
    } catch (const std::exception&) {  // no memory for logs now: there may be some for them next time
      std::this_thread::sleep_for(pace::attendant_pause);
    }
    lock held(mutex_);
    if (pool_.closed()) return;
    pool_.look_up();
    bell_set_ = false;
    if (!pool_.busy() || held_) continue;  // the leader rings when it leaves
    if (waiting_ == 0 && now_() - left_at_ >= pace::attendant_patience && !stand_in(held)) return;
    bell_set_ = false;  // it may have rung meanwhile
    if (pool_.busy()) put_off_bell(left_at_ + pace::attendant_patience - now_());
  }
}

void leadership::give_up(const char* what, const std::exception& why) noexcept {
  try {
    pool_.give_up(std::string(what) + why.what());
  } catch (const std::bad_alloc&) {
    pool_.give_up("no memory");  // short enough to need none
  }
}

// Leads for as long as no consumer does. False if the pool was closed.
bool leadership::stand_in(lock& held) {
  int failures = 0;
  while (!pool_.closed() && pool_.busy() && waiting_ == 0 && !held_) {
    try {
      lead(held, true);
      failures = 0;
    } catch (const std::exception& error) {  // out of memory or of descriptors: consumers must not wait for ever
      if (++failures == pace::attendant_tries) {
        give_up("cannot look after the workers: ", error);
      }
      held.unlock();
      std::this_thread::sleep_for(pace::attendant_pause);
      held.lock();
    }
    pool_.look_up();
  }
  return !pool_.closed();
}

void leadership::take_for_good(lock& held) noexcept {
  changed_.notify_all();
  while (held_) {
    engine_.wake({});
    ++waiting_;
    changed_.wait(held);
    --waiting_;
  }
  held_ = true;
}

void leadership::release() noexcept {
  held_ = false;
  changed_.notify_all();
}

}  // namespace lenskit::detail

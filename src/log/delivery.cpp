#include <lenskit/detail/log/delivery.hpp>
#include <lenskit/detail/log/foreign_call.hpp>
#include <lenskit/detail/log/log_replay.hpp>
#include <lenskit/detail/log/progress_board.hpp>
#include <lenskit/detail/log/report_writer.hpp>
#include <lenskit/detail/os/child.hpp>
#include <lenskit/detail/os/other_threads.hpp>
#include <lenskit/detail/os/per_process.hpp>
#include <lenskit/detail/os/system.hpp>

#include <spdlog/details/registry.h>

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <utility>

namespace lenskit::detail {
namespace {

using namespace std::chrono_literals;

// Whoever waits counts short sleeps, not the time: a program that was stopped meanwhile has not waited.
constexpr auto short_sleep = 10ms;
constexpr int most_idle_sleeps = sink_watch::patience / short_sleep;
constexpr int most_sleeps = 50;
constexpr auto patience_at_exit = 2s;
constexpr auto registry_pause = 1ms;

thread_local constinit bool delivers_here = false;

void deliver_anew() noexcept;
constinit per_process<log_delivery, deliver_anew> deliveries;

void deliver_anew() noexcept {
  deliveries.renew();
  delivers_here = false;
}

bool try_to_deliver(deliver_item deliver, delivery_channel* from, std::string_view body) noexcept try {
  const foreign_call inside;
  return deliver == nullptr || deliver(from, body);
} catch (...) {
  return true;
}

// After main, but before spdlog's registry goes, which is the older object: `have_thread` sees to that.
void deliver_what_is_left() {
  if (auto* all = deliveries.find()) all->end();
}

}  // namespace

delivery_channel::delivery_channel(std::optional<int> worker) : replay(std::make_unique<log_replay>(worker)) {}

delivery_channel::~delivery_channel() = default;

bool deliver_warning(delivery_channel*, std::string_view text) { return try_log_line(severity::warning, text); }

bool deliver_info(delivery_channel*, std::string_view text) { return try_log_line(severity::info, text); }

void delivery_batch::add(deliver_item deliver, std::string_view body, std::uint64_t reports) {
  items.push_back({deliver, body.size(), reports});
  bytes += body;
}

log_delivery& log_delivery::instance() { return deliveries.get(); }

// ---- queueing ------------------------------------------------------------------------------------------------------

void log_delivery::post(delivery_batch batch) noexcept {
  if (batch.items.empty()) return;
  const auto channel = batch.channel;
  std::uint64_t reports = 0;
  for (const auto& item : batch.items) reports += item.reports;
  try {
    const lock held(mutex_);
    if (ended_) return;
    const auto size = batch.size();
    queue_.push_back(std::move(batch));
    queued_bytes_.fetch_add(size, std::memory_order_relaxed);
    ++posted_;
    if (have_thread()) news_.notify_one();
  } catch (const std::exception&) {  // no memory: these are lost, and nobody may wait for them
    note_delivered(channel.get(), reports);
  }
}

void log_delivery::help() noexcept {
  if (has_thread_) return;
  lock held(mutex_);
  if (!delivering_) deliver_queued(held);
}

void log_delivery::say(severity how, std::string_view text) noexcept try {
  if (reports_started()) return log_line(how, text);
  delivery_batch line;
  line.add(how == severity::info ? deliver_info : deliver_warning, text, 0);
  auto& delivery = instance();
  delivery.post(std::move(line));
  delivery.help();
} catch (const std::exception&) {  // no memory for it
}

bool log_delivery::have_thread() {
  if (has_thread_) return true;
  static std::atomic<bool> prepared{false};
  try {
    if (!prepared.exchange(true)) {
      spdlog::details::registry::instance();
      std::atexit(deliver_what_is_left);
    }
    const signal_shield no_signals;
    thread_ = std::thread([this] { run(); });
    has_thread_ = true;
  } catch (const std::exception&) {  // none to be had: tried again with the next batch
  }
  return has_thread_;
}

void log_delivery::start() noexcept {
  const lock held(mutex_);
  draws_ = true;
  if (!ended_ && have_thread()) news_.notify_one();
}

// ---- delivering ----------------------------------------------------------------------------------------------------

void log_delivery::run() noexcept {
  name_thread_of_library();
  lock held(mutex_);
  steady::time_point redraw_at{};
  for (;;) {
    const auto called = [&] { return ended_ || (!queue_.empty() && !delivering_); };
    if (draws_)
      news_.wait_until(held, redraw_at, called);
    else
      news_.wait(held, [&] { return called() || draws_; });
    if (ended_) return;
    if (!queue_.empty() && !delivering_) deliver_queued(held);
    if (draws_ && !delivering_ && steady::now() >= redraw_at) redraw_at = redraw(held);
  }
}

// Returns when to do it again, if ever.
steady::time_point log_delivery::redraw(lock& held) noexcept {
  draws_ = false;
  delivering_ = true;
  held.unlock();
  int pause = -1;
  {
    const foreign_call inside;
    pause = progress_board::instance().redraw_if_due();
  }
  held.lock();
  delivering_ = false;
  if (pause >= 0) draws_ = true;
  return steady::now() + std::chrono::milliseconds(std::max(pause, 0));
}

void log_delivery::deliver_queued(lock& held) noexcept {
  delivering_ = true;
  while (!queue_.empty() && !ended_) {
    auto batch = std::move(queue_.front());
    queue_.pop_front();
    held.unlock();
    deliver(batch);
    // The program has ended without waiting for this: whatever it used may be gone.
    while (ended_ && has_thread_) std::this_thread::sleep_for(1h);
    const auto size = batch.size();
    batch = {};
    held.lock();
    queued_bytes_.fetch_sub(size, std::memory_order_relaxed);
    finished_.fetch_add(1);
    if (waiting_for_batches_ > 0) progress_.notify_all();
    if (queue_.empty()) note_caught_up();
  }
  delivering_ = false;
}

void log_delivery::deliver(delivery_batch& batch) noexcept {
  const bool before = std::exchange(delivers_here, true);
  std::size_t at = 0;
  for (const auto& item : batch.items) {
    const auto body = std::string_view(batch.bytes).substr(at, item.bytes);
    at += item.bytes;
    // To wait for the registry inside would make a fork wait, by somebody who may hold it.
    while (!ended_ && !try_to_deliver(item.deliver, batch.channel.get(), body))
      std::this_thread::sleep_for(registry_pause);
    if (ended_) break;
    items_.fetch_add(1, std::memory_order_relaxed);
    note_delivered(batch.channel.get(), item.reports);
  }
  if (batch.channel && !ended_) {
    const foreign_call inside;
    batch.channel->replay->forget_loggers();
  }
  delivers_here = before;
}

void log_delivery::note_delivered(delivery_channel* channel, std::uint64_t reports) noexcept {
  if (channel == nullptr || reports == 0) return;
  const auto before = channel->delivered.fetch_add(reports);
  const auto awaited = channel->awaited.load();
  if (awaited <= before || awaited > before + reports) return;
  const lock held(mutex_);
  progress_.notify_all();
}

// Says what the results did without. Under the lock.
void log_delivery::note_caught_up() noexcept try {
  const auto took = sinks_.catch_up(steady::now());
  if (!took) return;
  const auto seconds = std::chrono::duration<double>(*took).count();
  delivery_batch line;
  line.add(deliver_warning,
           fmt::format("a log sink or the terminal took {:.1f} s: results did not wait for the log records and "
                       "progress of their tasks meanwhile",
                       seconds),
           0);
  queue_.push_back(std::move(line));
  queued_bytes_.fetch_add(queue_.back().size(), std::memory_order_relaxed);
  ++posted_;
} catch (const std::exception&) {  // no memory for it
}

// ---- waiting -------------------------------------------------------------------------------------------------------

template <class Done>
void log_delivery::wait_while_it_gets_on(Done done) noexcept {
  if (done() || delivers_here || sinks_.slow()) return;
  lock held(mutex_);
  auto seen = items_.load();
  int idle = 0;
  for (int sleeps = 0; sleeps < most_sleeps && idle < most_idle_sleeps; ++sleeps) {
    if (sinks_.slow() || ended_ || (queue_.empty() && !delivering_)) return;
    if (progress_.wait_for(held, short_sleep, done)) return;
    idle = items_ == seen ? idle + 1 : 0;
    seen = items_;
  }
  if (!queue_.empty() || delivering_) sinks_.note_slow(steady::now());
}

bool log_delivery::hangs() noexcept {
  const lock held(mutex_);
  return sinks_.look(steady::now(), items_.load());
}

void log_delivery::wait_for(delivery_channel& channel, std::uint64_t count) noexcept {
  channel.awaited.store(count);
  wait_while_it_gets_on([&] { return channel.delivered.load() >= count; });
}

bool log_delivery::wait_for_room() noexcept {
  waiting_for_batches_.fetch_add(1);
  const auto room = [&] { return queued_bytes_.load(std::memory_order_relaxed) < most_queued_bytes; };
  wait_while_it_gets_on(room);
  waiting_for_batches_.fetch_sub(1);
  return room();
}

void log_delivery::wait_for_all() noexcept {
  auto* const all = deliveries.find();
  if (all == nullptr) return;
  lock held(all->mutex_);
  const auto last = all->posted_;
  held.unlock();
  all->waiting_for_batches_.fetch_add(1);
  all->wait_while_it_gets_on([&] { return all->finished_ >= last; });
  all->waiting_for_batches_.fetch_sub(1);
}

bool log_delivery::full() noexcept {
  auto* const all = deliveries.find();
  return all != nullptr && all->queued_bytes_.load(std::memory_order_relaxed) >= most_queued_bytes && !all->hangs();
}

bool log_delivery::overflows(bool important) noexcept {
  auto* const all = deliveries.find();
  const auto most = important ? most_important_bytes : most_queued_bytes;
  return all != nullptr && all->queued_bytes_.load(std::memory_order_relaxed) >= most && all->sinks_.hanging();
}

bool log_delivery::finish(steady::time_point deadline) noexcept {
  auto* const all = deliveries.find();
  return all == nullptr || all->wait_until_finished(deadline);
}

bool log_delivery::wait_until_finished(steady::time_point deadline) noexcept {
  if (delivers_here) return false;
  waiting_for_batches_.fetch_add(1);
  lock held(mutex_);
  const auto all = posted_;
  const bool done = progress_.wait_until(held, deadline, [&] { return finished_ >= all || ended_; });
  waiting_for_batches_.fetch_sub(1);
  return done;
}

void log_delivery::end() noexcept {
  wait_until_finished(steady::now() + patience_at_exit);
  lock held(mutex_);
  ended_ = true;
  news_.notify_all();
  progress_.notify_all();
  if (!thread_.joinable()) return;
  // What hangs in a sink is left behind; so is a sink that ends the program.
  if (delivering_) return thread_.detach();
  held.unlock();
  thread_.join();
}

}  // namespace lenskit::detail

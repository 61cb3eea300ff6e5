// The dispatcher: which chunk goes to which worker, what becomes of it, and who waits for what.
//
//     consumer ── submit ──► backlog ──► lanes (one a worker) ──► engine
//              ◄── take ──── window of the call ◄── outcomes, deaths ◄─┘
//
// One thread at a time leads: it waits in the engine and deals with what comes, for everybody. A consumer that waits
// leads itself, so that a result needs to wake only the one thread that wants it. While no consumer waits, the
// attendant stands in after about two milliseconds, so that workers never stall on a full connection, deadlines hold
// and logs flow while the caller is busy elsewhere.
//
// What is decided lies in values below: window, roster, blame, overdue, pace. Here is who may decide, and when.
#pragma once

#include <lenskit/detail/dispatch/blame.hpp>
#include <lenskit/detail/dispatch/call.hpp>
#include <lenskit/detail/dispatch/engine.hpp>
#include <lenskit/detail/dispatch/leadership.hpp>
#include <lenskit/detail/dispatch/overdue.hpp>
#include <lenskit/detail/dispatch/roster.hpp>
#include <lenskit/detail/dispatch/vigil.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace lenskit::detail {

struct dispatch_options {
  std::optional<std::chrono::nanoseconds> task_timeout{};
  int max_retries = 0;
  std::stop_token stop_token{};
  /// The clock that decisions go by, and the processors that workers can run on; null and 0: the real ones. For
  /// simulations.
  steady::time_point (*now)() = nullptr;
  std::size_t processors = 0;
};

/// Advice to a consumer on how to go on feeding.
struct feeding_advice {
  std::uint32_t chunk_tasks = 1;  ///< good length of the next chunk
  bool hungry = false;            ///< whether the workers could use another chunk soon
  bool window_full = false;       ///< whether enough is held for a consumer that set no limit of its own
  bool finished = false;          ///< whether the pool takes no more: it is stopped, broken or shut down
};

/// How far the tasks of a call are.
struct task_counts {
  std::uint64_t submitted = 0;
  std::uint64_t started = 0;  ///< given to a worker
  std::uint64_t settled = 0;
};

/// What a thread that submits does next.
enum class feeder {
  goes_on,  ///< whatever it likes: the pool looks after itself meanwhile
  waits,    ///< calls `take`: it will look after the pool itself
};

/// Thread-safe. Outlives the invoker while ranges live. In a process forked by the user every call throws
/// invoker_closed and the destructor does nothing.
class dispatcher final : private engine_listener, private led_pool {
 public:
  dispatcher(std::unique_ptr<worker_engine> engine, dispatch_options options);
  dispatcher(const dispatcher&) = delete;
  dispatcher& operator=(const dispatcher&) = delete;
  ~dispatcher();

  /// Throws invoker_closed if the calling thread can have no call: it runs a task of this pool, or is in another
  /// process. Asked before the pool is shared: the last owner must never be one of its own workers, which cannot wait
  /// for itself.
  void check_caller() const;
  /// Starts a call. Throws invoker_closed or broken_pool.
  [[nodiscard]] std::shared_ptr<call_state> open(call_plan plan);
  /// Adds the next tasks of a call, in a chunk that `make_chunk` made, and gives them to a worker if one has room. Does
  /// not block. False if the pool was shut down meanwhile.
  [[nodiscard]] bool submit(std::shared_ptr<chunk> work, feeder then = feeder::goes_on) noexcept;
  /// Adds a task that failed before it could be submitted, likewise.
  void submit_failed(std::shared_ptr<chunk> work, const std::exception_ptr& failure) noexcept;
  /// Moves the outcomes that can be consumed now to the end of `taken`; waits if there are none yet. Of a consumer that
  /// `can_feed` it returns without any when the workers could use more: they must not run dry behind the one task that
  /// everybody waits for. False if nothing is outstanding. Throws invoker_closed if the pool was shut down before they
  /// came, std::bad_alloc and std::system_error, after which the next call goes on.
  bool take(call_state& call, outcome_list& taken, bool can_feed = false);
  /// How to feed `call`. Takes the lock.
  [[nodiscard]] feeding_advice advise(const call_state& call);
  /// Drops a call: what has not started never will, what comes back is thrown away.
  void abandon(const std::shared_ptr<call_state>& call) noexcept;
  /// Throws broken_pool or invoker_closed if the pool takes no more for such a reason.
  void throw_if_finished();
  [[nodiscard]] task_counts counts(const call_state& call);

  [[nodiscard]] int workers() const noexcept { return engine_->traits().workers; }
  /// How many of the workers can run at the same time: no more than there are processors.
  [[nodiscard]] std::size_t at_once() const noexcept { return at_once_; }
  void shut_down() noexcept;

 private:
  using lock = std::unique_lock<std::mutex>;

  // Guarded by the lock.
  struct pool_state {
    std::exception_ptr broken{};
    bool stopped = false;
    bool closed = false;  // takes no more
    bool ended = false;   // the workers are being ended, or have been
  };
  // What only the leader touches.
  struct leaders_own {
    vigil watches{};
    std::vector<std::shared_ptr<chunk>> spares{};  // for splits, made before the lock is taken
    steady::time_point looked_at{};                // when it last came back from a wait
  };

  void on_results(int worker, const results_head& head, outcome_list part) noexcept override;
  void on_taken_back(int worker, std::uint64_t chunk, std::uint32_t position) noexcept override;
  void on_death(int worker, worker_death death) noexcept override;
  void on_spawner_lost() noexcept override;
  void on_broken(std::string why) noexcept override;

  void lead(lock& held, bool attending) override;
  [[nodiscard]] bool busy() const noexcept override { return roster_.outstanding() > 0 || !roster_.backlog_empty(); }
  [[nodiscard]] bool closed() const noexcept override { return state_.closed; }
  void look_up() noexcept override { stop_if_requested(); }
  void give_up(const std::string& why) noexcept override { break_pool(blame_.verdict(why)); }

  [[nodiscard]] bool hungry(const call_state& call) const noexcept;
  [[nodiscard]] bool window_full(const call_state& call) const noexcept;
  void wait_for_news(lock& held, bool attending);
  [[nodiscard]] bool may_watch() const noexcept;
  void enforce_deadlines() noexcept;
  void end_stalled() noexcept;

  void feed_workers(steady::time_point when) noexcept;
  void rebalance() noexcept;
  void take_all_back(int worker, const call_state* of) noexcept;
  void take_back(int worker, chunk& work, std::uint32_t keep) noexcept;
  // Whether what is left of a call is to be run. If not, nothing of it is split, for which only the leader has spares.
  [[nodiscard]] bool is_wanted(const call_state& call) const noexcept {
    return !call.abandoned && !state_.stopped && !state_.broken;
  }
  void give_on(int worker, chunk& work) noexcept;
  void fail_everything(const std::exception_ptr& failure) noexcept;
  void break_pool(std::exception_ptr why) noexcept;
  void stop_if_requested() noexcept;
  [[nodiscard]] bool own_process() const noexcept;

  std::unique_ptr<worker_engine> engine_;  // set once
  const dispatch_options options_;
  const leadership::clock now_;
  const pid_t owner_;
  const std::size_t at_once_;

  std::mutex mutex_;
  leadership lead_;
  leaders_own leader_;
  pool_state state_;
  roster roster_;
  call_list calls_;
  blame blame_;
  overdue overdue_;

  // Last, so that it is the first to go: a callback of the token must not meet a half-dead dispatcher.
  struct on_stop {
    worker_engine* engine;
    void operator()() const noexcept { engine->wake({}); }
  };
  std::optional<std::stop_callback<on_stop>> on_stop_;
};

}  // namespace lenskit::detail

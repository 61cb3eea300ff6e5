// The dispatcher: which chunk goes to which worker, what becomes of it, and who waits for what.
//
//     consumer ── submit ──► backlog ──► lanes (one a worker) ──► engine
//              ◄── take ──── window of the call ◄── outcomes, deaths ◄─┘
//
// One thread at a time leads: it waits in the engine and deals with what comes, for everybody. A consumer that waits
// leads itself, so that a result needs to wake only the one thread that wants it. While no consumer waits, the
// attendant stands in after about two milliseconds, so that workers never stall on a full connection, deadlines hold
// and logs flow while the caller is busy elsewhere.
#pragma once

#include <lenskit/detail/dispatch/call.hpp>
#include <lenskit/detail/dispatch/engine.hpp>
#include <lenskit/detail/dispatch/lane.hpp>
#include <lenskit/detail/dispatch/vigil.hpp>

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

namespace lenskit::detail {

struct dispatch_options {
  std::optional<std::chrono::nanoseconds> task_timeout{};
  int max_retries = 0;
  std::stop_token stop_token{};
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

/// Thread-safe. Outlives the invoker while ranges live. In a process forked by the user every call throws
/// invoker_closed and the destructor does nothing.
class dispatcher final : private engine_listener {
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
  /// Adds the next tasks of a call and gives them to a worker if one has room. Does not block. False if the pool was
  /// shut down meanwhile.
  [[nodiscard]] bool submit(const std::shared_ptr<call_state>& call, std::uint64_t first_index, std::uint32_t count,
                            std::shared_ptr<const encoded_arguments> arguments);
  /// Adds a task that failed before it could be submitted.
  void submit_failed(const std::shared_ptr<call_state>& call, std::uint64_t index, std::exception_ptr failure);
  /// Moves the outcomes that can be consumed now to the end of `taken`; waits if there are none yet. False if nothing
  /// is outstanding. Throws invoker_closed if the pool was shut down before they came.
  bool take(call_state& call, std::vector<outcome_part>& taken);
  /// How to feed `call`. Takes the lock.
  [[nodiscard]] feeding_advice advise(const call_state& call);
  /// Drops a call: what has not started never will, what comes back is thrown away.
  void abandon(call_state& call) noexcept;
  /// Throws broken_pool or invoker_closed if the pool takes no more for such a reason.
  void throw_if_finished();
  [[nodiscard]] task_counts counts(const call_state& call);

  [[nodiscard]] int workers() const noexcept { return engine_->workers(); }
  /// How many of the workers can run at the same time: no more than there are processors.
  [[nodiscard]] std::size_t at_once() const noexcept { return at_once_; }
  void shut_down() noexcept;

 private:
  using lock = std::unique_lock<std::mutex>;

  void on_results(int worker, pid_t pid, frame message) override;
  void on_death(int worker, worker_death death) override;
  void on_spawner_lost() override;
  void on_broken(std::string why) override;

  template <class Ready>
  void await(lock& held, Ready ready);
  void lead(lock& held, bool attending);
  void attend_while_open();
  void put_off_bell(std::chrono::nanoseconds delay);
  [[nodiscard]] std::chrono::nanoseconds time_to_rest(steady::time_point deadline) const;
  [[nodiscard]] bool may_watch() const;
  [[nodiscard]] steady::time_point next_deadline() const;
  void enforce_deadlines();
  void find_stalled();
  [[nodiscard]] steady::duration stall_patience() const;
  void feed_workers();
  [[nodiscard]] int roomiest_worker() const;
  [[nodiscard]] bool processors_idle() const;
  void add_part(chunk& of, outcome_part part);
  void requeue(const std::shared_ptr<chunk>& work);
  void requeue_rest(const std::shared_ptr<chunk>& work);
  [[nodiscard]] std::shared_ptr<chunk> split_off(chunk& from, std::uint32_t position);
  void forget(const chunk& done);
  void rebalance();
  void settle_death(const std::shared_ptr<chunk>& work, const worker_death& death, const lane& in);
  void fail_everything(const std::exception_ptr& failure);
  void break_pool(const std::string& why);
  void stop_if_requested();
  [[nodiscard]] bool own_process() const noexcept;

  std::unique_ptr<worker_engine> engine_;  // set once
  const dispatch_options options_;
  const pid_t owner_;
  const std::size_t processors_;
  const std::size_t at_once_;

  std::mutex mutex_;
  std::condition_variable changed_;
  bool leading_ = false;
  bool standing_in_ = false;  // the leader is the attendant
  int waiting_ = 0;           // consumers that wait for the leader
  std::size_t outstanding_ = 0;
  steady::time_point look_for_stalls_at_{};
  steady::time_point led_at_{};
  vigil vigil_;  // the leader's
  bool bell_set_ = false;
  steady::time_point bell_rings_at_{};

  std::vector<lane> lanes_;
  std::deque<std::shared_ptr<chunk>> backlog_;
  std::vector<std::weak_ptr<call_state>> calls_;
  std::uint64_t next_chunk_ = 1;
  int deaths_in_a_row_ = 0;
  int spawners_in_a_row_ = 0;  // lost without a success in between
  std::deque<std::string> last_deaths_;
  std::exception_ptr broken_;
  bool stopped_ = false;
  bool closed_ = false;  // takes no more
  bool ended_ = false;   // the workers are being ended, or have been

  std::thread attendant_;
  // Last, so that it is the first to go: a callback of the token must not meet a half-dead dispatcher.
  struct on_stop {
    worker_engine* engine;
    void operator()() const noexcept { engine->interrupt(); }
  };
  std::optional<std::stop_callback<on_stop>> on_stop_;
};

}  // namespace lenskit::detail

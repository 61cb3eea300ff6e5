#include <lenskit/detail/log/log_line.hpp>
#include <lenskit/detail/log/worker_logging.hpp>
#include <lenskit/detail/log/worker_progress.hpp>
#include <lenskit/detail/os/child.hpp>
#include <lenskit/detail/os/output.hpp>
#include <lenskit/detail/os/system.hpp>
#include <lenskit/detail/wire/reader.hpp>
#include <lenskit/detail/worker/recorder.hpp>
#include <lenskit/detail/worker/worker_loop.hpp>

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

namespace lenskit::detail {
namespace {

constexpr int corrupt_stream_code = 70;  // EX_SOFTWARE

class worker final : public result_sink {
 public:
  worker(message_link& link, workplace& place, journal_block& block, bool fenced)
      : link_(link),
        place_(place),
        block_(block),
        recorder_(block, *this, {.in_worker_process = true, .fenced = fenced}) {}

  void serve() {
    recorder_.be_ready();
    sys::reach(sys::moment::ready);
    while (auto message = link_.next()) {
      remember_seed(message->seed());
      recorder_.begin(message->head, *seed_);
      sys::reach(sys::moment::accepted);
      adopt_new_loggers();
      run_chunk(place_, message->head.body, message->arguments(), recorder_);
    }
  }

  void deliver(results_head head, std::span<const std::byte> runs, std::vector<descriptor> attached) override {
    if (sys::getpid() != pid_) leave_child(0);  // a fork of user code came back into our loop: it is not the worker
    flush_output();
    if (link_.drained()) flush_worker_progress();  // complete before the last result, and seldom before
    head.reports = reports_written();
    if (!link_.send(head, runs, attached)) leave_child(0);  // the parent is gone or has closed the pool
  }

 private:
  void remember_seed(std::span<const std::byte> bytes) {
    if (seed_ && std::equal(bytes.begin(), bytes.end(), seed_bytes_.begin(), seed_bytes_.end())) return;
    std::vector<std::uint64_t> words(bytes.size() / sizeof(std::uint64_t));
    std::memcpy(words.data(), bytes.data(), words.size() * sizeof(std::uint64_t));
    seed_ = call_seed::from_words(words, seed_ ? &*seed_ : nullptr);
    seed_bytes_.assign(bytes.begin(), bytes.end());
  }

  // What a task printed must not wait for a buffer to fill: the process may never end in a way that empties it. Whoever
  // reads it may pause for as long as he likes (failure H4).
  void flush_output() noexcept {
    block_.held_up.store(1, std::memory_order_release);
    write_output();
    block_.held_up.store(0, std::memory_order_release);
  }

  message_link& link_;
  workplace& place_;
  journal_block& block_;
  recorder recorder_;
  std::optional<call_seed> seed_;
  std::vector<std::byte> seed_bytes_;
  pid_t pid_ = sys::getpid();
};

}  // namespace

void serve_tasks(message_link& link, workplace& place, journal_block& block, bool fenced) noexcept {
  try {
    worker(link, place, block, fenced).serve();
  } catch (const std::exception& error) {
    log_warning(std::string("worker ends: ") + error.what());
    leave_child(corrupt_stream_code);
  }
}

void run_chunk(workplace& place, body_id body, std::span<const std::byte> bytes, recorder& out) noexcept {
  const auto run = find_body(body);
  if (run != nullptr) {
    reader in(bytes);
    run(place, in, out);
  } else {
    const auto unknown = std::make_exception_ptr(
        std::runtime_error("this worker was forked before the code of the task was loaded: make a new invoker"));
    while (out.next()) out.failure(unknown);
  }
  out.finish();
}

}  // namespace lenskit::detail

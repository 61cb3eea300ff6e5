#include <lenskit/detail/log/log_line.hpp>
#include <lenskit/detail/log/worker_logging.hpp>
#include <lenskit/detail/log/worker_progress.hpp>
#include <lenskit/detail/os/channel.hpp>
#include <lenskit/detail/os/child.hpp>
#include <lenskit/detail/os/message_block.hpp>
#include <lenskit/detail/os/system.hpp>
#include <lenskit/detail/wire/frame.hpp>
#include <lenskit/detail/wire/reader.hpp>
#include <lenskit/detail/worker/recorder.hpp>
#include <lenskit/detail/worker/worker_loop.hpp>
#include <lenskit/error.hpp>

#include <fmt/format.h>

#include <stdio_ext.h>

#include <cxxabi.h>
#include <algorithm>
#include <cstdio>
#include <iterator>
#include <optional>
#include <vector>

namespace lenskit::detail {
namespace {

constexpr int corrupt_stream_code = 70;  // EX_SOFTWARE

class worker final : public result_sink {
 public:
  worker(descriptor stream, workplace& place, journal_block& block)
      : stream_(std::move(stream)), place_(place), block_(block), recorder_(block, *this, true) {}

  void serve() {
    recorder_.be_ready();
    sys::reach(sys::moment::ready);
    while (auto message = next_tasks()) {
      running_ = message->head.chunk;
      recall_running_ = false;
      remember_seed(message->seed());
      recorder_.begin(message->head, *seed_);
      sys::reach(sys::moment::accepted);
      adopt_new_loggers();
      run_chunk(place_, message->head.body, message->arguments(), recorder_);
      running_ = 0;
    }
  }

  void deliver(results_head head, std::span<const std::byte> runs, std::vector<descriptor> attached) override {
    if (sys::getpid() != pid_) leave_child(0);  // a fork of user code came back into our loop: it is not the worker
    flush_output();
    if (queue_.empty()) flush_worker_progress();  // complete before the last result, and seldom before
    head.reports = reports_written();
    frame_header header;
    std::array<iovec, 3> parts{iovec{&header, sizeof header}, iovec{&head, sizeof head},
                               iovec{const_cast<std::byte*>(runs.data()), runs.size()}};
    header = make_frame_header(static_cast<std::uint8_t>(message::results), sequence_++, std::span(parts).subspan(1),
                               attached.size());
    std::vector<int> numbers;
    numbers.reserve(attached.size());
    for (const auto& each : attached) numbers.push_back(each.get());
    if (!send_all(stream_.get(), parts, numbers)) leave_child(0);  // the parent is gone or has closed the pool
  }

  bool recalled(std::uint64_t) override {
    if (there_is_news()) receive(blocking::dont_wait);
    return std::exchange(recall_running_, false);
  }

 private:
  struct tasks_message {
    tasks_head head;
    byte_buffer payload;
    [[nodiscard]] std::span<const std::byte> seed() const noexcept {
      return payload.bytes().subspan(sizeof head, head.seed_bytes);
    }
    [[nodiscard]] std::span<const std::byte> arguments() const noexcept {
      return payload.bytes().subspan(sizeof head + head.seed_bytes);
    }
  };

  // Whether there is a recall to be received, or the connection is closed. Looking costs no system call.
  [[nodiscard]] bool there_is_news() const noexcept { return block_.news.load(std::memory_order_acquire) != heard_; }

  std::optional<tasks_message> next_tasks() {
    // It may have been recalled. And while the last one runs, more can be on its way.
    if (there_is_news() || queue_.size() == 1) receive(blocking::dont_wait);
    while (queue_.empty()) {
      if (closed_) return std::nullopt;
      if (keeps_large_blocks() && !more_comes_soon()) free_large_kept_blocks();
      receive(blocking::wait);
    }
    auto message = std::move(queue_.front());
    queue_.erase(queue_.begin());
    return message;
  }

  [[nodiscard]] bool more_comes_soon() const noexcept {
    constexpr int soon_ms = 100;
    pollfd more{stream_.get(), POLLIN, 0};
    return sys::poll(&more, 1, soon_ms) != 0;
  }

  void receive(blocking mode) {
    for (;;) {
      const auto result = incoming_.receive(stream_.get(), mode);
      if (result.state == transfer::end::closed) closed_ = true;
      if (closed_ && mode == blocking::dont_wait) leave_child(0);  // nobody waits for what this task returns
      if (result.state != transfer::end::more) return;
      bool got_one = false;
      while (auto message = incoming_.next()) {
        take(std::move(*message));
        got_one = true;
      }
      if (got_one && mode == blocking::wait) return;
    }
  }

  void take(frame message) {
    if (message.missing != 0)
      throw serialization_error(
          fmt::format("no memory for a message of {} bytes", message.payload.size() + message.missing));
    reader in(message.payload.bytes());
    switch (static_cast<detail::message>(message.type)) {
      case message::tasks: {
        const auto head = in.get<tasks_head>("a tasks message");
        std::ignore = in.take(head.seed_bytes, "the seed of a map call");
        queue_.push_back({head, std::move(message.payload)});
        break;
      }
      case message::recall: recall(in.get<recall_head>("a recall message").chunk); break;
      case message::levels: {
        const auto text = in.rest();
        apply_levels({reinterpret_cast<const char*>(text.data()), text.size()});
        break;
      }
      case message::results: break;  // only workers send these
    }
  }

  void recall(std::uint64_t chunk) {
    ++heard_;
    if (chunk == running_) {
      recall_running_ = true;
      return;
    }
    const auto found =
        std::find_if(queue_.begin(), queue_.end(), [&](const auto& each) { return each.head.chunk == chunk; });
    if (found == queue_.end()) return;  // finished in the meantime
    const results_head head{.chunk = chunk, .returned = found->head.count};
    queue_.erase(found);
    deliver(head, {}, {});
  }

  void remember_seed(std::span<const std::byte> bytes) {
    if (seed_ && std::equal(bytes.begin(), bytes.end(), seed_bytes_.begin(), seed_bytes_.end())) return;
    std::vector<std::uint64_t> words(bytes.size() / sizeof(std::uint64_t));
    std::memcpy(words.data(), bytes.data(), words.size() * sizeof(std::uint64_t));
    seed_ = call_seed::from_words(words, seed_ ? &*seed_ : nullptr);
    seed_bytes_.assign(bytes.begin(), bytes.end());
  }

  // What a task printed must not wait for a buffer to fill: the process may never end in a way that empties it.
  static void flush_output() noexcept {
    if (::__fpending(stdout) > 0) std::fflush(stdout);
  }

  descriptor stream_;
  workplace& place_;
  const journal_block& block_;
  recorder recorder_;
  frame_reader incoming_;
  std::vector<tasks_message> queue_;
  std::optional<call_seed> seed_;
  std::vector<std::byte> seed_bytes_;
  std::uint64_t sequence_ = 0;
  std::uint64_t running_ = 0;
  std::uint32_t heard_ = 0;  // of the news
  bool recall_running_ = false;
  bool closed_ = false;
  pid_t pid_ = sys::getpid();
};

}  // namespace

void serve_tasks(descriptor stream, workplace& place, journal_block& block) noexcept {
  try {
    worker(std::move(stream), place, block).serve();
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

// The failures F2, L1 and L3 to L5: logging in and out of processes that die, fork and lie.
#include <lenskit/detail/log/report.hpp>
#include <lenskit/detail/log/report_writer.hpp>

#include <spdlog/async.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/ostream_sink.h>
#include <support/reporting_child.hpp>

#include <fcntl.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <thread>

using namespace lenskit;
using namespace lenskit::detail;
using namespace lenskit::tests;

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int rounds = 40;
#else
constexpr int rounds = 300;
#endif

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Makes every logger of the parent busy from eight threads while it lives.
class hammering {
 public:
  hammering() {
    for (int i = 0; i < 8; ++i)
      threads_.emplace_back([this, i] {
        for (std::uint64_t n = 0; !stop_; ++n) {
          const char* const names[] = {"file", "async", "traced"};
          if (auto logger = spdlog::get(names[(n + static_cast<std::uint64_t>(i)) % 3])) {
            logger->info("parent {} {}", i, n);
            logger->debug("below the level, but in the backtrace");
            ++logged_;
          }
          if (n % 64 == 0) std::this_thread::yield();
        }
      });
  }
  ~hammering() { stop(); }
  void stop() {
    stop_ = true;
    for (auto& thread : threads_)
      if (thread.joinable()) thread.join();
  }
  [[nodiscard]] std::uint64_t logged() const { return logged_; }

 private:
  std::atomic<bool> stop_{false};
  std::atomic<std::uint64_t> logged_{0};
  std::vector<std::thread> threads_;
};

class counting_sink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  std::map<std::string, int> worker_records;
  std::uint64_t parent_records = 0;

 private:
  void sink_it_(const spdlog::details::log_msg& msg) override {
    if (msg.payload.size() > 5 && msg.payload[0] == 'w')
      ++worker_records[std::string(msg.payload.data(), msg.payload.size())];
    else if (msg.payload.size() > 6 && msg.payload[0] == 'p')
      ++parent_records;
  }
  void flush_() override {}
};

}  // namespace

TEST_CASE("F2: eight threads of the parent log while it forks, and no child hangs, loses or repeats a record",
          "[no_tsan]") {
  fresh_loggers loggers;
  const auto path = std::filesystem::temp_directory_path() / ("lenskit_f2." + std::to_string(::getpid()));
  auto counts = std::make_shared<counting_sink>();
  spdlog::init_thread_pool(1024, 1);
  const auto file = std::make_shared<spdlog::sinks::basic_file_sink_mt>(path.string());
  const auto add = [](const std::shared_ptr<spdlog::logger>& logger) { spdlog::register_logger(logger); };
  add(std::make_shared<spdlog::logger>("file", spdlog::sinks_init_list{file, counts}));
  add(std::make_shared<spdlog::async_logger>("async", counts, spdlog::thread_pool()));
  add(std::make_shared<spdlog::logger>("traced", counts));
  spdlog::get("traced")->enable_backtrace(16);
  constexpr int records = 100;
  {
    hammering load;
    for (int round = 0; round < rounds; ++round) {
      reporting_child child([round] {
        const char* const names[] = {"file", "async", "traced"};
        for (int n = 0; n < records; ++n) {
          spdlog::get(names[n % 3])->info("worker {} {}", round, n);
          spdlog::get(names[n % 3])->debug("for the backtrace");
        }
        std::ostringstream out;
        spdlog::create<spdlog::sinks::ostream_sink_mt>("new in the worker", out)->info("x");
        if (!out.str().empty()) ::_exit(1);
      });
      REQUIRE(child.drain_to_death() == 0);
      REQUIRE(child.reader().delivered() == records + 1);
    }
    load.stop();
    spdlog::get("async")->flush();
    for (int i = 0; i < 1000; ++i) {
      ::usleep(5000);
      if (spdlog::thread_pool()->queue_size() == 0) break;
    }
    spdlog::drop_all();
    spdlog::details::registry::instance().set_tp(nullptr);  // joins: everything queued is written
    CHECK(counts->parent_records == load.logged());
  }
  CHECK(counts->worker_records.size() == std::size_t{records} * rounds);
  for (const auto& [text, count] : counts->worker_records)
    if (count != 1) FAIL(text << " arrived " << count << " times");
  std::filesystem::remove(path);
}

TEST_CASE("F2: a child neither flushes nor destroys the sinks it inherited") {
  fresh_loggers loggers;
  const auto path = std::filesystem::temp_directory_path() / ("lenskit_f2b." + std::to_string(::getpid()));
  const auto file = std::make_shared<spdlog::sinks::basic_file_sink_mt>(path.string());
  spdlog::register_logger(std::make_shared<spdlog::logger>("file", file));
  spdlog::get("file")->info("once");
  reporting_child child([] {
    spdlog::get("file")->flush();
    spdlog::apply_all([](const std::shared_ptr<spdlog::logger> logger) { logger->flush(); });
    spdlog::drop_all();
  });
  REQUIRE(child.drain_to_death() == 0);
  spdlog::get("file")->info("twice");
  spdlog::drop_all();
  std::ostringstream all;
  file->flush();
  all << std::ifstream(path).rdbuf();
  std::filesystem::remove(path);
  const auto text = all.str();
  CHECK(text.find("once") == text.rfind("once"));
  CHECK(text.find("twice") != std::string::npos);
}

TEST_CASE("L1: what was logged before SIGKILL arrives, all of it") {
  for (const int k : {1, 10, 100, 1000, 10'000}) {
    fresh_loggers loggers;
    reporting_child child([k] {
      for (int i = 0; i < k; ++i) spdlog::info("record {}", i);
      ::raise(SIGKILL);
    });
    const int status = child.drain_to_death();
    REQUIRE(WIFSIGNALED(status));
    const auto texts = loggers.sink->texts();
    REQUIRE(texts.size() == static_cast<std::size_t>(k));
    for (int i = 0; i < k; ++i)
      if (texts[static_cast<std::size_t>(i)] != fmt::format("record {}", i)) FAIL("out of order at " << i);
    CHECK(child.reader().last_lines().back().find(fmt::format("record {}", k - 1)) != std::string::npos);
  }
}

TEST_CASE("L1: what was logged before _exit, abort and a wild jump arrives") {
  for (int way = 0; way < 3; ++way) {
    fresh_loggers loggers;
    reporting_child child([way] {
      ::signal(SIGABRT, SIG_DFL);
      ::signal(SIGSEGV, SIG_DFL);
      spdlog::info("last words");
      if (way == 0) ::_exit(3);
      if (way == 1) ::abort();
      ::kill(::getpid(), SIGSEGV);
    });
    child.drain_to_death();
    CHECK(loggers.sink->texts() == std::vector<std::string>{"last words"});
  }
}

// The second child is forked beside the thread that delivers what the first one logged, and starts threads.
TEST_CASE("L3: eight threads of a worker log 64 KB messages and are killed: no line is torn or comes twice",
          "[no_tsan]") {
  for (int round = 0; round < 10; ++round) {
    fresh_loggers loggers;
    reporting_child child([] {
      std::vector<std::thread> threads;
      for (int t = 0; t < 8; ++t)
        threads.emplace_back([t] {
          for (int n = 0;; ++n) spdlog::info("{} {} {}", t, n, std::string(65'536, static_cast<char>('a' + t)));
        });
      for (auto& thread : threads) thread.join();
    });
    const auto start = std::chrono::steady_clock::now();
    while (seconds_since(start) < 0.03 * (round + 1)) child.reader().drain();
    ::kill(child.pid(), SIGKILL);
    REQUIRE(WIFSIGNALED(child.drain_to_death()));
    std::map<int, int> next;
    std::size_t partial = 0;
    for (const auto& record : loggers.sink->records()) {
      if (record.text.rfind("1 partial record", 0) == 0) {
        ++partial;
        continue;
      }
      std::istringstream in(record.text);
      int t = -1;
      int n = -1;
      std::string rest;
      in >> t >> n >> rest;
      REQUIRE(rest == std::string(65'536, static_cast<char>('a' + t)));
      REQUIRE(next[t]++ == n);
    }
    CHECK(partial <= 8);
    CHECK(!next.empty());
  }
}

TEST_CASE("L3: a record that was cut off is one warning with what there was of it") {
  fresh_loggers loggers;
  struct killer : sys::interceptor {
    int count = 0;
    int fail(sys::call which) noexcept override {
      if (which == sys::call::write && ++count == 3) ::raise(SIGKILL);
      return 0;
    }
  };
  reporting_child child([] {
    killer hook;
    sys::intercept(&hook);
    spdlog::info("begins here" + std::string(20'000, '.'));
  });
  REQUIRE(WIFSIGNALED(child.drain_to_death()));
  const auto records = loggers.sink->records();
  REQUIRE(records.size() == 1);
  CHECK(records[0].level == spdlog::level::warn);
  CHECK(records[0].text.find("1 partial record of worker " + std::to_string(child.pid())) == 0);
  CHECK(records[0].text.find("begins here....") != std::string::npos);
}

TEST_CASE("L4: sinks that throw harm neither the parent nor the other sinks") {
  struct throwing_sink final : spdlog::sinks::base_sink<std::mutex> {
    bool unknown = false;
    void sink_it_(const spdlog::details::log_msg&) override {
      if (unknown) throw 42;
      throw std::runtime_error("disk full");
    }
    void flush_() override {}
  };
  fresh_loggers loggers;
  auto thrower = std::make_shared<throwing_sink>();
  std::vector<std::string> handled;
  auto logger = spdlog::default_logger();
  logger->sinks() = {thrower, loggers.sink};
  logger->set_error_handler([&](const std::string& what) { handled.push_back(what); });
  const auto log_one = [] { spdlog::info("hello"); };
  reporting_child first(log_one);
  REQUIRE(first.drain_to_death() == 0);
  CHECK(loggers.sink->texts() == std::vector<std::string>{"hello"});
  CHECK(handled == std::vector<std::string>{"disk full"});
  thrower->unknown = true;
  reporting_child second(log_one);
  REQUIRE(second.drain_to_death() == 0);
  CHECK(second.reader().delivered() == 1);
}

TEST_CASE("L4: a parent that logs from within its sink, and drops its loggers meanwhile, goes on") {
  struct dropping_sink final : spdlog::sinks::sink {
    std::atomic<int> count{0};
    void log(const spdlog::details::log_msg& msg) override {
      if (++count > 50) return;
      spdlog::drop(std::string(msg.logger_name.data(), msg.logger_name.size()));
      spdlog::register_logger(std::make_shared<spdlog::logger>("changing", spdlog::sink_ptr(this, [](auto*) {})));
    }
    void flush() override {}
    void set_pattern(const std::string&) override {}
    void set_formatter(std::unique_ptr<spdlog::formatter>) override {}
  };
  fresh_loggers loggers;
  auto sink = std::make_shared<dropping_sink>();
  spdlog::register_logger(std::make_shared<spdlog::logger>("changing", sink));
  reporting_child child([] {
    for (int i = 0; i < 100; ++i) spdlog::get("changing")->info("record {}", i);
  });
  REQUIRE(child.drain_to_death() == 0);
  CHECK(sink->count == 100);
  spdlog::drop_all();
}

TEST_CASE("L5: forged reports are dropped: fields that are too large, unknown kinds") {
  fresh_loggers loggers;
  // Nobody but the worker has the pipe, so the forger is the worker itself, with its memory gone wrong.
  reporting_child child([] {
    spdlog::info("true before");
    log_fields fields{};
    fields.text_bytes = 0x7fffffff;
    write_report(report_kind::log, patience::full, {{&fields, sizeof fields}, {"lie", 3}});
    fields.text_bytes = 3;
    fields.level = 77;
    write_report(report_kind::log, patience::full, {{&fields, sizeof fields}, {"lie", 3}});
    fields.level = 2;
    fields.name_bytes = 65'535;
    write_report(report_kind::log, patience::full, {{&fields, sizeof fields}, {"lie", 3}});
    write_report(static_cast<report_kind>(200), patience::full, {{"lie", 3}});
    spdlog::info("true after");
  });
  REQUIRE(child.drain_to_death() == 0);
  const auto texts = loggers.sink->texts();
  REQUIRE(texts.size() >= 3);
  for (const auto& text : texts) {
    const bool is_true = text == "true before" || text == "true after";
    CHECK((is_true || text.find("damaged reports of worker " + std::to_string(child.pid())) != std::string::npos));
  }
}

TEST_CASE("L5: a fragment that is replayed adds nothing to a record") {
  fresh_loggers loggers;
  int ends[2];
  REQUIRE(sys::pipe(ends, 0) == 0);
  const descriptor write_end(ends[1]);
  REQUIRE(::fcntl(ends[1], F_SETPIPE_SZ, 1 << 20) > 0);
  report_reader reader{descriptor(ends[0])};
  reader.belongs_to(99);
  // A worker's long record, as its pipe carried it.
  int inner[2];
  REQUIRE(sys::pipe(inner, 0) == 0);
  const auto pid = with_loggers_quiet([] { return sys::fork(); });
  if (pid == 0) {
    ::close(inner[0]);
    start_worker_logging(inner[1]);
    spdlog::info(std::string(9000, 'r'));
    ::_exit(0);
  }
  ::close(inner[1]);
  std::string bytes;
  char buffer[4096];
  for (ssize_t got; (got = ::read(inner[0], buffer, sizeof buffer)) > 0;)
    bytes.append(buffer, static_cast<std::size_t>(got));
  ::close(inner[0]);
  ::waitpid(pid, nullptr, 0);
  REQUIRE(bytes.size() > 8192);
  const auto first = bytes.substr(0, 4096);
  const auto second = bytes.substr(4096, 4096);
  for (const auto& piece : {first, second, second, bytes.substr(8192), second})
    REQUIRE(::write(write_end.get(), piece.data(), piece.size()) == static_cast<ssize_t>(piece.size()));
  REQUIRE(hear(reader));
  const auto texts = loggers.sink->texts();
  REQUIRE(texts.size() == 2);
  CHECK(texts[0] == std::string(9000, 'r'));
  CHECK(texts[1].find("8192 bytes of damaged reports of worker 99") == 0);
}

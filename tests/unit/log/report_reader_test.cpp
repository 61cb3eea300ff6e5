#include <lenskit/detail/log/levels.hpp>
#include <lenskit/detail/log/report_reader.hpp>

#include <support/reporting_child.hpp>

#include <fcntl.h>

#include <atomic>
#include <random>
#include <thread>

using namespace lenskit;
using namespace lenskit::detail;
using namespace lenskit::tests;

namespace {

// A reader whose pipe the test fills by hand.
struct hand_fed {
  static constexpr pid_t pid = 4321;
  hand_fed() {
    int ends[2];
    REQUIRE(sys::pipe(ends, 0) == 0);
    write_end = descriptor(ends[1]);
    REQUIRE(::fcntl(ends[1], F_SETPIPE_SZ, 1 << 20) > 0);
    reader = std::make_unique<report_reader>(descriptor(ends[0]));
    reader->belongs_to(pid);
  }
  void feed(const std::string& bytes) const {
    REQUIRE(::write(write_end.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
  }
  descriptor write_end;
  std::unique_ptr<report_reader> reader;
};

std::string log_body(const std::string& text, std::uint8_t level = 2) {
  log_fields fields{};
  fields.time = 1'700'000'000'000'000'000;
  fields.process = hand_fed::pid;
  fields.thread = 77;
  fields.level = level;
  fields.text_bytes = static_cast<std::uint32_t>(text.size());
  return std::string(reinterpret_cast<const char*>(&fields), sizeof fields) + text;
}

std::string fragment(std::uint64_t report, const std::string& body, std::uint16_t position = 0, bool more = false,
                     std::uint32_t thread = 77, report_kind kind = report_kind::log) {
  fragment_header header{};
  header.magic = fragment_header::mark;
  header.bytes = static_cast<std::uint16_t>(sizeof header + body.size());
  header.report = report;
  header.process = hand_fed::pid;
  header.thread = thread;
  header.position = position;
  header.kind = kind;
  header.flags = more ? fragment_header::more : 0;
  std::string bytes(reinterpret_cast<const char*>(&header), sizeof header);
  bytes += body;
  header.check = report_check(bytes.data() + sizeof header.check, bytes.size() - sizeof header.check);
  bytes.replace(0, sizeof header.check, reinterpret_cast<const char*>(&header.check), sizeof header.check);
  return bytes;
}

}  // namespace

TEST_CASE("fragments of several threads may interleave") {
  fresh_loggers loggers;
  hand_fed pipe;
  const auto a = log_body("first half, second half");
  const auto b = log_body("left, right");
  pipe.feed(fragment(1, a.substr(0, 50), 0, true, 10));
  pipe.feed(fragment(2, b.substr(0, 45), 0, true, 11));
  pipe.feed(fragment(3, log_body("whole"), 0, false, 12));
  pipe.feed(fragment(1, a.substr(50), 1, false, 10));
  pipe.feed(fragment(2, b.substr(45), 1, false, 11));
  REQUIRE(hear(*pipe.reader));
  CHECK(loggers.sink->texts() == std::vector<std::string>{"whole", "first half, second half", "left, right"});
  CHECK(pipe.reader->delivered() == 3);
}

TEST_CASE("a fragment may arrive in any two parts") {
  const auto bytes = fragment(1, log_body("in two parts"));
  for (std::size_t cut = 1; cut < bytes.size(); ++cut) {
    fresh_loggers loggers;
    hand_fed pipe;
    pipe.feed(bytes.substr(0, cut));
    REQUIRE(hear(*pipe.reader));
    pipe.feed(bytes.substr(cut));
    REQUIRE(hear(*pipe.reader));
    REQUIRE(loggers.sink->texts() == std::vector<std::string>{"in two parts"});
  }
}

TEST_CASE("bytes that make no sense are dropped with one warning that names the worker") {
  fresh_loggers loggers;
  hand_fed pipe;
  pipe.feed(fragment(1, log_body("before")) + std::string(500, 'x') + fragment(2, log_body("after")));
  REQUIRE(hear(*pipe.reader));
  const auto texts = loggers.sink->texts();
  REQUIRE(texts.size() == 3);
  CHECK(texts[0] == "before");
  CHECK(texts[1] == "after");
  CHECK(texts[2] == "500 bytes of damaged reports of worker 4321 dropped");
  CHECK(loggers.sink->records()[2].level == spdlog::level::warn);
}

TEST_CASE("a record with any one bit wrong is not delivered") {
  const auto good = fragment(1, log_body("precious"));
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    fresh_loggers loggers;
    hand_fed pipe;
    auto bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    pipe.feed(bad);
    pipe.reader->finish();
    REQUIRE(hear(*pipe.reader));
    for (const auto& text : loggers.sink->texts()) REQUIRE(text != "precious");
  }
}

TEST_CASE("fields that contradict each other under a good check are dropped") {
  fresh_loggers loggers;
  hand_fed pipe;
  auto long_name = log_body("text");
  reinterpret_cast<log_fields*>(long_name.data())->name_bytes = 60'000;
  auto long_text = log_body("text");
  reinterpret_cast<log_fields*>(long_text.data())->text_bytes = 0xffffffff;
  pipe.feed(fragment(1, long_name));
  pipe.feed(fragment(2, long_text));
  pipe.feed(fragment(3, log_body("level", 200)));
  pipe.feed(fragment(4, "short"));
  pipe.feed(fragment(5, "?", 0, false, 1, static_cast<report_kind>(99)));
  pipe.feed(fragment(6, std::string(40, '\xff'), 0, false, 1, report_kind::progress));
  pipe.feed(fragment(7, std::string(40, '\xff'), 0, false, 1, report_kind::crash));
  pipe.feed(fragment(8, "tail of nothing", 5, false));
  pipe.feed(fragment(9, log_body("good")));
  REQUIRE(hear(*pipe.reader));
  const auto texts = loggers.sink->texts();
  REQUIRE(texts.size() == 2);
  CHECK(texts[0] == "good");
  CHECK(texts[1].find("damaged reports of worker 4321") != std::string::npos);
}

TEST_CASE("random bytes and random damage never harm the parent") {
  fresh_loggers loggers;
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    hand_fed pipe;
    std::string bytes;
    for (std::uint32_t i = 0; i < 20; ++i)
      bytes += fragment(i, std::string(random() % 200, static_cast<char>(random())), static_cast<std::uint16_t>(i % 3),
                        random() % 2 == 0, i % 4, static_cast<report_kind>(random() % 6));
    for (int i = 0; i < round % 10; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
    pipe.feed(bytes);
    REQUIRE(hear(*pipe.reader));
    pipe.reader->finish();
  }
  SUCCEED("still here");
}

TEST_CASE("a report that a thread gave up is reported when the thread starts the next") {
  fresh_loggers loggers;
  hand_fed pipe;
  const auto body = log_body("the beginning of a long story");
  pipe.feed(fragment(1, body.substr(0, 53), 0, true));
  pipe.feed(fragment(2, log_body("next")));
  REQUIRE(hear(*pipe.reader));
  const auto texts = loggers.sink->texts();
  REQUIRE(texts.size() == 2);
  CHECK(texts[0] == "1 partial record of worker 4321 (logger \"\", 13 of 29 bytes): the beginning");
  CHECK(texts[1] == "next");
  CHECK(pipe.reader->delivered() == 2);
}

TEST_CASE("the last lines of a worker are kept whatever their level") {
  fresh_loggers loggers;
  spdlog::set_level(spdlog::level::err);
  hand_fed pipe;
  for (std::uint64_t i = 1; i <= 13; ++i) pipe.feed(fragment(i, log_body(fmt::format("line {}", i))));
  pipe.feed(fragment(14, log_body(std::string(3000, 'x'))));
  REQUIRE(hear(*pipe.reader));
  spdlog::set_level(spdlog::level::info);
  CHECK(loggers.sink->texts().empty());
  const auto lines = pipe.reader->last_lines();
  REQUIRE(lines.size() == 10);
  CHECK(lines[0].find("[info] line 5") != std::string::npos);
  CHECK(lines[0].find("2023-11-1") != std::string::npos);
  CHECK(lines[8].find("line 13") != std::string::npos);
  CHECK(lines[9].size() < 1200);
}

TEST_CASE("a crash report carries signal, address, frames and text") {
  fresh_loggers loggers;
  reporting_child child([] {
    void* const frames[] = {reinterpret_cast<void*>(0x1000), reinterpret_cast<void*>(0x2000)};
    write_crash_report(SIGSEGV, 1, reinterpret_cast<void*>(0xdead), frames, 2, "out of range");
  });
  REQUIRE(child.drain_to_death() == 0);
  const auto crash = child.reader().crash();
  REQUIRE(crash);
  CHECK(crash->signal == SIGSEGV);
  CHECK(crash->code == 1);
  CHECK(crash->address == 0xdead);
  CHECK(crash->frames == std::vector<std::uint64_t>{0x1000, 0x2000});
  CHECK(crash->text == "out of range");
  CHECK(crash->thread == static_cast<std::uint32_t>(child.pid()));
}

TEST_CASE("a crash report with more than fits is cut to one fragment") {
  fresh_loggers loggers;
  reporting_child child([] {
    std::vector<void*> frames(1000, reinterpret_cast<void*>(0x1000));
    write_crash_report(SIGABRT, 0, nullptr, frames.data(), frames.size(), std::string(10'000, 't'));
  });
  REQUIRE(child.drain_to_death() == 0);
  REQUIRE(child.reader().crash());
  CHECK(child.reader().crash()->frames.size() == 256);
  CHECK(child.reader().crash()->text.size() == 1024);
}

TEST_CASE("everything a worker has reported before a moment can be waited for") {
  fresh_loggers loggers;
  int ends[2];
  REQUIRE(sys::pipe(ends, 0) == 0);
  const descriptor told(ends[0]);
  const descriptor tell(ends[1]);
  reporting_child child([&] {
    for (int i = 0; i < 300; ++i) spdlog::info("record {}", i);
    const auto count = reports_written();
    if (::write(tell.get(), &count, sizeof count) != sizeof count) ::_exit(1);
    ::pause();
  });
  std::uint64_t count = 0;
  REQUIRE(::read(told.get(), &count, sizeof count) == sizeof count);
  CHECK(count == 300);
  child.reader().drain_until(count);
  CHECK(loggers.sink->texts().size() == 300);
  CHECK(child.reader().delivered() == 300);
}

TEST_CASE("a sink that drains the reader that is calling it does not wait for itself") {
  fresh_loggers loggers;
  struct meddling_sink final : spdlog::sinks::base_sink<std::mutex> {
    report_reader* reader = nullptr;
    std::size_t drained = 1;
    void sink_it_(const spdlog::details::log_msg&) override { drained = reader->drain(); }
    void flush_() override {}
  };
  auto sink = std::make_shared<meddling_sink>();
  spdlog::default_logger()->sinks() = {sink};
  hand_fed pipe;
  sink->reader = pipe.reader.get();
  pipe.feed(fragment(1, log_body("hello")));
  REQUIRE(hear(*pipe.reader));
  CHECK(sink->drained == 0);
}

TEST_CASE("a process that a worker forks reports too, and does not disturb the worker's count") {
  fresh_loggers loggers;
  reporting_child child([] {
    spdlog::info("worker");
    const auto inner = ::fork();
    if (inner == 0) {
      for (int i = 0; i < 5; ++i) spdlog::info("grandchild of size {}", std::string(9000, 'g').size());
      ::_exit(0);
    }
    ::waitpid(inner, nullptr, 0);
    spdlog::info("worker again");
  });
  REQUIRE(child.drain_to_death() == 0);
  const auto records = loggers.sink->records();
  REQUIRE(records.size() == 7);
  CHECK(records[0].origin == child.pid());
  CHECK(records[1].origin != child.pid());
  CHECK(records[1].thread == static_cast<std::size_t>(records[1].origin));
  CHECK(child.reader().delivered() == 2);
}

TEST_CASE("several threads may drain a reader and ask it while the parent logs and changes its loggers") {
  fresh_loggers loggers;
  constexpr int records = 3000;
  int ends[2];
  REQUIRE(sys::pipe(ends, 0) == 0);
  const descriptor wait_end(ends[0]);
  descriptor go_end(ends[1]);
  reporting_child child([&] {
    char byte;
    go_end.reset();
    static_cast<void>(::read(wait_end.get(), &byte, 1));
    for (int i = 0; i < records; ++i) spdlog::warn("record {}", i);
  });
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t)
    threads.emplace_back([&] {
      while (!stop) {
        child.reader().drain();
        child.reader().drain_until(records / 2);
        static_cast<void>(child.reader().last_lines());
        static_cast<void>(child.reader().delivered());
        static_cast<void>(child.reader().crash());
      }
    });
  threads.emplace_back([&] {
    for (int i = 0; !stop; ++i) {
      spdlog::set_level(i % 2 == 0 ? spdlog::level::debug : spdlog::level::warn);
      spdlog::drop("other");
      spdlog::register_logger(std::make_shared<spdlog::logger>("other", loggers.sink));
      spdlog::get("other")->debug("busy");
      refresh_levels();
    }
  });
  go_end.reset();
  const int status = child.drain_to_death();
  stop = true;
  for (auto& thread : threads) thread.join();
  spdlog::set_level(spdlog::level::info);
  REQUIRE(status == 0);
  int next = 0;
  for (const auto& record : loggers.sink->records())
    if (record.origin != 0 && record.text != fmt::format("record {}", next++)) FAIL("out of order: " << record.text);
  CHECK(next == records);
}

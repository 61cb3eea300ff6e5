#include <lenskit/progress.hpp>

#include <lenskit/detail/log/progress_board.hpp>

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <support/pseudo_terminal.hpp>
#include <support/reporting_child.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

using namespace lenskit;
using namespace lenskit::tests;

namespace {

void pause_ms(int count) { std::this_thread::sleep_for(std::chrono::milliseconds(count)); }

std::size_t occurrences(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

// Progress that shows nothing unless a test draws it on a terminal: in tests standard error may be one.
struct plain_terminal {
  plain_terminal() { ::setenv("TERM", "dumb", 1); }
};

void set_up_terminal(const char* color = nullptr) {
  ::setenv("TERM", "xterm", 1);
  ::setenv("LC_ALL", "C", 1);
  if (color != nullptr)
    ::unsetenv("NO_COLOR");
  else
    ::setenv("NO_COLOR", "1", 1);
}

}  // namespace

TEST_CASE("updates move items from state to state") {
  progress counts("jobs", 10);
  counts.update(5, "dispatched");
  counts.update(2, "in-progress", "dispatched");
  counts.update(1, {}, "in-progress");
  CHECK(counts.count("dispatched") == 3);
  CHECK(counts.count("in-progress") == 1);
  CHECK(counts.count() == 1);
  CHECK(counts.count("unheard of") == 0);
  CHECK(counts.counts() ==
        std::vector<std::pair<std::string, std::int64_t>>{{"dispatched", 3}, {"in-progress", 1}, {"finished", 1}});
  CHECK(counts.label() == "jobs");
  CHECK(counts.total() == 10U);
  CHECK_FALSE(counts.is_finished());
  counts.finish();
  CHECK(counts.is_finished());
}

TEST_CASE("users can subclass progress, with or without a label") {
  struct mine : progress {
    int calls = 0;
    void update(int n, std::string_view state, std::string_view from) override {
      ++calls;
      progress::update(n, state, from);
    }
  };
  const auto own = std::make_shared<mine>();
  const std::shared_ptr<progress> base = own;
  base->update();
  base->update(2, "dispatched");
  CHECK(own->calls == 2);
  CHECK(base->count() == 1);
  CHECK(base->total() == std::nullopt);
}

TEST_CASE("more states than fit are not counted and do no harm") {
  progress counts;
  for (int i = 0; i < 40; ++i) counts.update(1, "state " + std::to_string(i));
  CHECK(counts.counts().size() == 16);
  CHECK(counts.count("state 15") == 1);
  CHECK(counts.count("state 16") == 0);
}

TEST_CASE("several threads may update one progress") {
  plain_terminal plain;
  fresh_loggers loggers;
  const auto bar = invoke_progress("threads", 40'000);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 10'000; ++i) {
        bar->update(1, "dispatched");
        bar->update(1, {}, "dispatched");
      }
    });
  for (auto& thread : threads) thread.join();
  CHECK(bar->count() == 40'000);
  CHECK(bar->count("dispatched") == 0);
}

TEST_CASE("without a terminal a bar is one log line at its end") {
  plain_terminal plain;
  fresh_loggers loggers;
  {
    const auto bar = invoke_progress("recommending", 3);
    bar->update(3);
    bar->finish();
    bar->finish();
    const auto dropped = item_progress("left alone", 2);
    dropped->update();
  }
  const auto texts = loggers.sink->texts();
  REQUIRE(texts.size() == 2);
  CHECK(texts[0].find("recommending: 3 of 3 (100%) in 0.0 s") == 0);
  CHECK(texts[1].find("left alone: 1 of 2 (50%)") == 0);
}

TEST_CASE("a bar that fn captured counts what workers do") {
  plain_terminal plain;
  fresh_loggers loggers;
  const auto bar = item_progress("captured", 5000);
  bar->update(1000);
  reporting_child first([bar] {
    for (int i = 0; i < 1500; ++i) bar->update();
  });
  reporting_child second([bar] {
    bar->update(2500);
    bar->finish();  // one worker must not end the bar of all
  });
  REQUIRE(first.drain_to_death() == 0);
  REQUIRE(second.drain_to_death() == 0);
  CHECK(bar->count() == 5000);
  CHECK_FALSE(bar->is_finished());
}

TEST_CASE("states are forwarded as they are") {
  plain_terminal plain;
  fresh_loggers loggers;
  const auto bar = invoke_progress("states", 10);
  bar->update(10, "dispatched");
  reporting_child child([bar] {
    bar->update(6, "in-progress", "dispatched");
    bar->update(4, {}, "in-progress");
  });
  REQUIRE(child.drain_to_death() == 0);
  CHECK(bar->count("dispatched") == 4);
  CHECK(bar->count("in-progress") == 2);
  CHECK(bar->count() == 4);
}

TEST_CASE("a worker sends at most ten updates a second for a bar, and the rest at the end") {
  plain_terminal plain;
  fresh_loggers loggers;
  const auto bar = item_progress("limited", 1000);
  reporting_child child([bar] {
    for (int i = 0; i < 100; ++i) {
      bar->update(10);
      pause_ms(5);
    }
  });
  REQUIRE(child.drain_to_death() == 0);
  CHECK(bar->count() == 1000);
  CHECK(child.reader().delivered() >= 3);
  CHECK(child.reader().delivered() <= 12);
}

TEST_CASE("updates that found no room in the pipe come with a later one") {
  plain_terminal plain;
  fresh_loggers loggers;
  const auto bar = item_progress("crowded", 10);
  struct full : detail::sys::interceptor {
    int fail(detail::sys::call which) noexcept override { return which == detail::sys::call::write ? EAGAIN : 0; }
  };
  reporting_child child([bar] {
    bar->update(1);
    pause_ms(120);
    full hook;
    detail::sys::intercept(&hook);
    bar->update(4);  // would be sent now
    detail::sys::intercept(nullptr);
    bar->update(5);
  });
  REQUIRE(child.drain_to_death() == 0);
  CHECK(bar->count() == 10);
}

TEST_CASE("a worker of a worker moves the bar as well") {
  plain_terminal plain;
  fresh_loggers loggers;
  const auto bar = item_progress("nested", 7);
  reporting_child child([bar] {
    bar->update(3);
    reporting_child inner([bar] { bar->update(4); });
    if (inner.drain_to_death() != 0) ::_exit(1);
  });
  REQUIRE(child.drain_to_death() == 0);
  CHECK(bar->count() == 7);
}

TEST_CASE("a worker can be forked while threads of the parent update the bar it uses") {
  plain_terminal plain;
  fresh_loggers loggers;
  const auto bar = item_progress("busy");
  std::atomic<bool> stop{false};
  std::atomic<std::int64_t> own{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t)
    threads.emplace_back([&] {
      while (!stop) {
        bar->update();
        ++own;
      }
    });
  for (int i = 0; i < 50; ++i) {
    reporting_child child([bar] { bar->update(10); });
    REQUIRE(child.drain_to_death() == 0);
  }
  stop = true;
  for (auto& thread : threads) thread.join();
  CHECK(bar->count() == own + 500);
}

TEST_CASE("bars and the lines of console sinks share a terminal untorn") {
  const auto written = on_terminal(100, [] {
    set_up_terminal();
    spdlog::drop_all();
    auto out = spdlog::stdout_color_mt("out");
    auto err = spdlog::stderr_logger_mt("err");
    spdlog::set_pattern("%n %v");
    const auto jobs = invoke_progress("jobs", 60);
    const auto epochs = item_progress("epochs", 3);
    for (int i = 0; i < 60; ++i) {
      jobs->update();
      if (i % 20 == 19) epochs->update();
      out->info("line {}", i);
      if (i % 2 == 0) err->warn("line {}", i);
      pause_ms(10);
    }
    jobs->finish();
    epochs->finish();
    out->info("done");
  });
  const auto lines = screen_after(written);
  std::vector<std::string> expected;
  for (int i = 0; i < 60; ++i) {
    expected.push_back(fmt::format("out line {}", i));
    if (i % 2 == 0) expected.push_back(fmt::format("err line {}", i));
  }
  CAPTURE(lines);
  for (std::size_t i = 0; i < expected.size(); ++i) REQUIRE(lines.at(i) == expected[i]);
  REQUIRE(lines.size() == expected.size() + 4);
  const auto rest = expected.size();
  CHECK(lines[rest].find("jobs: 100%|###") == 0);
  CHECK(lines[rest].find("| 60/60 [") != std::string::npos);
  CHECK(lines[rest + 1].find("epochs: 100%|###") == 0);
  CHECK(lines[rest + 2] == "out done");
  CHECK(lines[rest + 3].empty());
}

TEST_CASE("bars are redrawn at most ten times a second, log lines or not") {
  const auto start = std::chrono::steady_clock::now();
  const auto written = on_terminal(100, [] {
    set_up_terminal();
    spdlog::drop_all();
    auto out = spdlog::stdout_logger_mt("out");
    const auto bar = item_progress("fast", 1'000'000);
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(1000);
    for (int i = 0; std::chrono::steady_clock::now() < end; ++i) {
      bar->update();
      if (i % 5000 == 0) out->info("line");
    }
  });
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const auto redraws = occurrences(written, "fast: ");
  CHECK(redraws >= 3);
  CHECK(static_cast<double>(redraws) <= 10 * seconds + 3);
}

TEST_CASE("a bar that a log line has hidden comes back without an update") {
  const auto written = on_terminal(100, [] {
    set_up_terminal();
    spdlog::drop_all();
    auto out = spdlog::stdout_logger_mt("out");
    const auto bar = item_progress("hidden", 10);
    pause_ms(110);
    bar->update();
    out->info("one");  // too early to draw again
    pause_ms(110);
    const int wait = detail::progress_board::instance().redraw_if_due();
    if (wait < 0 || wait > 1000) ::_exit(1);
    if (::write(STDERR_FILENO, "|", 1) != 1) ::_exit(2);
    ::_exit(0);
  });
  const auto lines = screen_after(written);
  CHECK(lines.back().find("hidden:  10%") == 0);
  CHECK(lines.back().back() == '|');
  CHECK(detail::progress_board::instance().redraw_if_due() == -1);
}

TEST_CASE("a bar that a log line has hidden comes back by itself") {
  const auto written = on_terminal(100, [] {
    set_up_terminal();
    spdlog::drop_all();
    auto out = spdlog::stdout_logger_mt("out");
    const auto bar = item_progress("hidden", 10);
    pause_ms(110);
    bar->update();
    out->info("one");  // too early to draw again
    pause_ms(1500);
    ::_exit(0);
  });
  CHECK(screen_after(written).back().find("hidden:  10%") == 0);
}

TEST_CASE("console sinks have their own formatters back when the last bar is gone") {
  const auto written = on_terminal(100, [] {
    set_up_terminal();
    spdlog::drop_all();
    auto out = spdlog::stdout_logger_mt("out");
    out->set_pattern("mine: %v");
    item_progress("first", 10)->update(10);
    out->info("one");
    const auto bar = item_progress("second", 10);
    pause_ms(110);
    bar->update();
    out->set_pattern("changed: %v");  // the user's word counts, at once
    pause_ms(110);
    bar->update();
    out->info("two");
  });
  const auto lines = screen_after(written);
  CHECK(std::find(lines.begin(), lines.end(), "mine: one") != lines.end());
  CHECK(std::find(lines.begin(), lines.end(), "changed: two") != lines.end());
}

TEST_CASE("a bar made in a worker is a line in the parent while it lives, and goes with a worker that dies") {
  const auto written = on_terminal(100, [] {
    set_up_terminal();
    fresh_loggers loggers;
    reporting_child child([] {
      const auto bar = item_progress("inside", 100);
      for (int i = 0; i < 50; ++i) {
        bar->update();
        pause_ms(10);
      }
      ::raise(SIGKILL);
    });
    child.drain_to_death();
    if (::write(STDERR_FILENO, "end", 3) != 3) ::_exit(2);
    ::_exit(0);
  });
  CHECK(occurrences(written, "inside: ") >= 2);
  CHECK(screen_after(written).back() == "end");
}

TEST_CASE("NO_COLOR and the width of the terminal are honoured") {
  const auto draw = [](const char* color) {
    return on_terminal(40, [color] {
      set_up_terminal(color);
      item_progress("a label that is much too long for this terminal", 2)->update();
    });
  };
  const auto plain = draw(nullptr);
  CHECK(plain.find("\x1b[32m") == std::string::npos);
  for (const auto& line : screen_after(plain)) CHECK(line.size() < 40);
  const auto colored = on_terminal(100, [] {
    set_up_terminal("color");
    item_progress("x", 2)->update();
  });
  CHECK(colored.find("\x1b[32m") != std::string::npos);
}

TEST_CASE("more bars than lines are summed up") {
  const auto written = on_terminal(100, [] {
    set_up_terminal();
    std::vector<std::shared_ptr<progress>> bars;
    for (int i = 0; i < 12; ++i) bars.push_back(item_progress("bar " + std::to_string(i), 2));
    pause_ms(110);
    bars[0]->update();
    ::_exit(0);
  });
  const auto lines = screen_after(written);
  REQUIRE(lines.size() == 8);
  CHECK(lines.back() == "... and 5 more");
}

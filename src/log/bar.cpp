#include <lenskit/detail/log/bar.hpp>
#include <lenskit/detail/log/progress_board.hpp>
#include <lenskit/detail/log/report_writer.hpp>
#include <lenskit/detail/log/worker_progress.hpp>
#include <lenskit/detail/os/clock.hpp>

#include <algorithm>
#include <cmath>

namespace lenskit::detail {
namespace {

constexpr std::int64_t second_ns = 1'000'000'000;

bar_id next_id() noexcept {
  static std::atomic<std::uint32_t> count{0};
  return bar_id{std::uint64_t{current_process()} << 32 | count.fetch_add(1)};
}

}  // namespace

bar::bar(bar_plan plan, std::initializer_list<std::string_view> states)
    : progress(plan.label, plan.total),
      plan_(std::move(plan)),
      id_(next_id()),
      via_(0),
      started_(now_ns()),
      last_plain_(started_),
      sampled_at_(started_) {
  for (const auto state : states) progress::update(0, state, {});
  if (!reports_started()) progress_board::instance().add(*this);
}

bar::bar(bar_plan plan, bar_id id, std::int64_t via)
    : progress(plan.label, plan.total),
      plan_(std::move(plan)),
      id_(id),
      via_(via),
      started_(now_ns()),
      last_plain_(started_),
      sampled_at_(started_) {
  progress_board::instance().add(*this);
}

bar::~bar() { bar::finish(); }

void bar::update(int n, std::string_view state, std::string_view from) {
  progress::update(n, state, from);
  if (reports_started())
    forward_progress(*this, n, state, from);
  else
    progress_board::instance().changed(*this);
}

void bar::finish() {
  if (reports_started()) {
    finish_forwarding(*this);
    progress::finish();
    return;
  }
  if (is_finished()) return;
  progress::finish();
  progress_board::instance().remove(*this);
}

std::int64_t bar::age() const noexcept { return now_ns() - started_; }

double bar::rate() noexcept {
  constexpr double memory = 5;  // seconds
  const auto now = now_ns();
  const auto done = count();
  const double overall = static_cast<double>(done) / std::max(static_cast<double>(now - started_) / second_ns, 1e-9);
  const double since = static_cast<double>(now - sampled_at_) / second_ns;
  if (now - started_ < 2 * second_ns) {
    rate_ = overall;
  } else if (since > 0.05) {
    const double recent = static_cast<double>(done - sampled_count_) / since;
    rate_ += (recent - rate_) * (1 - std::exp(-since / memory));
  } else {
    return rate_;
  }
  sampled_at_ = now;
  sampled_count_ = done;
  return rate_;
}

bool bar::plain_line_due() noexcept {
  const auto now = now_ns();
  auto last = last_plain_.load(std::memory_order_relaxed);
  return now - last >= 10 * second_ns && last_plain_.compare_exchange_strong(last, now);
}

std::shared_ptr<progress> make_bar(bar_plan plan, std::initializer_list<std::string_view> states) {
  return std::make_shared<bar>(std::move(plan), states);
}

}  // namespace lenskit::detail

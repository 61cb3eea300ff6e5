#include <lenskit/detail/log/bar.hpp>
#include <lenskit/detail/log/progress_board.hpp>
#include <lenskit/detail/log/report_writer.hpp>
#include <lenskit/detail/log/worker_progress.hpp>
#include <lenskit/detail/os/clock.hpp>

#include <algorithm>
#include <atomic>
#include <limits>
#include <map>
#include <mutex>
#include <vector>

namespace lenskit::detail {
namespace {

// The body of a progress report: this, the bar's plan, and for each state a count_fields and its name.
struct progress_fields {
  bar_id id;
  std::uint32_t states;
  std::uint32_t finished;
};
static_assert(sizeof(progress_fields) == 16);

struct count_fields {
  std::int64_t change;
  std::uint32_t name_bytes;
  std::uint32_t unused;
};

constexpr std::size_t longest_state = 256;
constexpr std::int64_t interval = 100'000'000;  // ns

struct pending_bar {
  bar_plan plan{};
  std::int64_t last_report = 0;
  std::vector<std::pair<std::string, std::int64_t>> changes{};

  void change(std::string_view state, std::int64_t n) {
    if (state.empty()) state = progress::finished_state;
    for (auto& [name, count] : changes)
      if (name == state) return static_cast<void>(count += n);
    changes.emplace_back(state.substr(0, longest_state), n);
  }
};

struct pending_bars {
  std::mutex mutex;
  std::map<bar_id, pending_bar> bars;
};

// Replaced, never destroyed, at each start: its mutex could be held by a thread that is not in this process.
std::atomic<pending_bars*> bars_of_worker{nullptr};

void append(std::string& to, const void* data, std::size_t bytes) { to.append(static_cast<const char*>(data), bytes); }

bool write_bar(bar_id id, pending_bar& bar, bool finished, patience wait) {
  const progress_fields fields{id, static_cast<std::uint32_t>(bar.changes.size()), finished ? 1U : 0U};
  std::string body;
  put_plan(body, bar.plan);
  for (const auto& [name, count] : bar.changes) {
    const count_fields each{count, static_cast<std::uint32_t>(name.size()), 0};
    append(body, &each, sizeof each);
    body += name;
  }
  bar.last_report = now_ns();
  if (!write_report(report_kind::progress, wait, {{&fields, sizeof fields}, {body.data(), body.size()}})) return false;
  bar.changes.clear();
  return true;
}

pending_bar& pending_for(pending_bars& all, const bar& source) {
  const auto [found, is_new] = all.bars.try_emplace(source.id());
  if (is_new) {
    found->second.plan = source.plan();
    found->second.last_report = now_ns();  // the bars of short tasks need one report, at their end
  }
  return found->second;
}

bool made_here(bar_id id) noexcept { return process_of(id) == current_process(); }

std::optional<progress_report> parse(std::string_view body) {
  body_reader reader(body);
  progress_fields fields;
  progress_report parsed;
  if (!reader.read(fields) || fields.states > 64 || !get_plan(reader, parsed.plan)) return std::nullopt;
  for (unsigned i = 0; i < fields.states; ++i) {
    count_fields each;
    std::string_view name;
    constexpr std::int64_t limit = std::numeric_limits<int>::max();
    if (!reader.read(each) || each.name_bytes > longest_state || !reader.take(each.name_bytes, name))
      return std::nullopt;
    if (each.change < -limit || each.change > limit) return std::nullopt;
    parsed.changes.emplace_back(name, each.change);
  }
  if (!reader.done()) return std::nullopt;
  parsed.id = fields.id;
  parsed.finished = fields.finished != 0;
  return parsed;
}

}  // namespace

void start_worker_progress() { bars_of_worker.store(new pending_bars); }

void forward_progress(const bar& source, int n, std::string_view state, std::string_view from) {
  auto* all = bars_of_worker.load();
  if (all == nullptr) return;
  const std::lock_guard held(all->mutex);
  auto& mine = pending_for(*all, source);
  mine.change(state, n);
  if (!from.empty()) mine.change(from, -std::int64_t{n});
  if (now_ns() - mine.last_report >= interval) write_bar(source.id(), mine, false, patience::none);
}

void finish_forwarding(const bar& source) noexcept try {
  auto* all = bars_of_worker.load();
  if (all == nullptr || source.is_finished()) return;
  const std::lock_guard held(all->mutex);
  const auto found = all->bars.find(source.id());
  if (found == all->bars.end()) return;
  write_bar(source.id(), found->second, made_here(source.id()), patience::full);
  all->bars.erase(found);
} catch (...) {  // no memory: the numbers are lost
}

void flush_worker_progress() noexcept try {
  auto* all = bars_of_worker.load();
  if (all == nullptr) return;
  const std::lock_guard held(all->mutex);
  for (auto& [id, bar] : all->bars)
    if (!bar.changes.empty()) write_bar(id, bar, false, patience::brief);
} catch (...) {}

bool is_progress_report(std::string_view body) { return parse(body).has_value(); }

bool deliver_progress(delivery_channel* from, std::string_view body) {
  if (reports_started()) {
    write_report(report_kind::progress, patience::brief, {{body.data(), body.size()}});
  } else if (auto parsed = parse(body)) {
    parsed->via = from->pid;
    progress_board::instance().apply(*parsed);
  }
  return true;
}

bool deliver_end_of_bars(delivery_channel* from, std::string_view) {
  if (!reports_started()) progress_board::instance().close_bars_of(from->pid);
  return true;
}

}  // namespace lenskit::detail

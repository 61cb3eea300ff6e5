#include "chaos_judge.hpp"

#include "chaos_faults.hpp"

#include <lenskit/error.hpp>
#include <lenskit/logging.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string_view>

namespace lenskit::soak::chaos {
namespace {

const task_fault& fault_of(const item& what) { return task_faults()[what.kind]; }

// What its own fault lets an item come to, after all attempts.
struct verdict {
  bool may_answer;
  bool may_die;
};

verdict verdict_on(const call& of, const item& what) {
  const auto& fate = fault_of(what).fate;
  const bool survives = static_cast<int>(what.strikes) <= of.max_retries;
  return {fate.answers || (fate.dies && (survives || the_board().reruns > 0)), fate.dies && !survives};
}

bool is_certain(const item& what) {
  const auto& fate = fault_of(what).fate;
  return !(fate.answers && (fate.dies || fate.is_late)) && the_board().strays == 0 && the_board().reruns == 0;
}

std::string describe(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& error) {
    const auto* where = dynamic_cast<const task_error*>(&error);
    return fmt::format("{} ({})", std::string_view(error.what()).substr(0, 200),
                       where ? where->type_name() : "no task");
  } catch (...) {
    return "no std::exception";
  }
}

bool is_timeout(const outcome<answer>& got) {
  if (got.has_value()) return false;
  try {
    std::rethrow_exception(got.error());
  } catch (const task_timeout&) {
    return true;
  } catch (...) {
    return false;
  }
}

// A machine that lets processes wait so much may keep a worker from its last step until its deadline has passed.
constexpr double busy = 1.5;

template <class Number>
bool read_number(std::string_view& from, Number& into) {
  const auto [stopped, error] = std::from_chars(from.data(), from.data() + from.size(), into);
  if (error != std::errc()) return false;
  from.remove_prefix(std::min(from.size(), static_cast<std::size_t>(stopped - from.data()) + 1));
  return true;
}

}  // namespace

void log_keeper::sink_it_(const spdlog::details::log_msg& message) {
  std::string_view text(message.payload.data(), message.payload.size());
  if (!text.starts_with("chaos ")) return;
  text.remove_prefix(6);
  std::uint32_t call = 0, index = 0, attempt = 0, thread = 0, number = 0;
  for (auto* each : {&call, &index, &attempt, &thread, &number}) {
    if (!read_number(text, *each))
      return complaints_.complain("G10 a torn log record: " + std::string(text.substr(0, 80)));
  }
  if (call >= most_calls || index >= most_items || text != filler(text.size(), number + index))
    return complaints_.complain(fmt::format("G10 a torn log record of task {} of call {}", index, call));
  ++received_[call][index];
  auto& next = next_[{call, index, attempt, thread}];
  if (number != next) {
    complaints_.complain(
        fmt::format("G10 log record {} of task {} of call {} where {} was due", number, index, call, next));
  }
  next = number + 1;
  const auto* origin = current_log_origin();
  if (origin == nullptr || thread != 0) return;
  auto& last = last_time_[origin->pid];
  if (origin->time < last)
    complaints_.complain(fmt::format("G10 worker {}'s log records are out of order", origin->pid));
  last = origin->time;
}

void judge::complain(const char* goal, const call& of, std::size_t index, const std::string& what) {
  const auto kind = index < of.items.size() ? of.items[index].kind : 0;
  complaints_.complain(fmt::format("{} call {} ({}), task {} ({}): {}", goal, of.number, of.about, index,
                                   task_faults()[kind].name, what));
}

void judge::settle(const call& of, std::size_t index, const outcome<answer>& got) {
  const std::lock_guard held(mutex_);
  if (index >= of.items.size()) return complain("G2", of, index, "a result of no task");
  const auto& what = of.items[index];
  if (got.has_value()) {
    judge_answer(of, what, *got);
  } else {
    judge_failure(of, what, got.error());
  }
  if (breakage_) return;
  judge_executions(of, what, got);
  judge_log(of, what);
}

void judge::judge_answer(const call& of, const item& what, const answer& got) {
  const bool right = got.value == expected_value(model_checksum_, what) && got.kind == what.kind &&
                     got.ballast == filler(what.answer_bytes, what.salt);
  if (!right) complain("G2", of, what.index, "a wrong result");
  if (!of.lots.empty() && got.lot != of.lots[what.index]) complain("G13", of, what.index, "other random numbers");
  if (!verdict_on(of, what).may_answer && !breakage_)
    complain("G2", of, what.index, "a result, but it cannot have one");
}

void judge::judge_failure(const call& of, const item& what, const std::exception_ptr& failure) {
  const auto& fate = fault_of(what).fate;
  const auto wrong = [&](const std::string& why) {
    if (!breakage_) complain("G2", of, what.index, why + ": " + describe(failure));
  };
  const auto check_name = [&](const std::exception& error) {
    const auto* where = dynamic_cast<const task_error*>(&error);
    if (where != nullptr && where->index() != what.index) wrong("a failure of another task");
    return where != nullptr && where->type_name() == fate.throws;
  };
  try {
    std::rethrow_exception(failure);
  } catch (const worker_died& death) {
    if (!fate.throws.empty() && check_name(death)) return;  // it threw one itself
    if (death.index() != what.index) wrong("the death of another task");
    if (!verdict_on(of, what).may_die) return spend_stray(of, what, describe(failure));
    const bool as_it_should =
        (!fate.signal || death.signal() == fate.signal) && (!fate.exit_code || death.exit_code() == fate.exit_code);
    if (!as_it_should) spend_stray(of, what, describe(failure));
  } catch (const task_timeout& late) {
    const auto& record = the_board().items[of.number][what.index];
    // The task itself, or its worker with the result, may have waited for a processor.
    const auto took = std::chrono::nanoseconds(record.finished_ns - record.started_ns) * slowness_since(begun_);
    const bool was_slow = record.finished_ns == 0 || took >= task_deadline || slowness_since(begun_) > busy;
    if (!fate.is_late && !was_slow) wrong("a timeout of a task in time");
    if (late.index() != what.index) wrong("a timeout of another task");
  } catch (const serialization_error& error) {
    if (!fate.is_refused && !check_name(error)) wrong("refused");
  } catch (const std::exception& error) {
    if (!check_name(error)) wrong("failed in another way");
  } catch (...) {
    wrong("failed in an unknown way");
  }
}

// A death that no fault of the task's own explains must be one that was dealt out to whoever it hits.
void judge::spend_stray(const call& of, const item& what, const std::string& otherwise) {
  if (++strays_spent_ <= the_board().strays || breakage_) return;
  complain("G9", of, what.index, "died, but nothing killed it: " + otherwise);
}

void judge::judge_executions(const call& of, const item& what, const outcome<answer>& got) {
  const auto times = static_cast<int>(the_board().items[of.number][what.index].executed);
  const auto most = 1 + of.max_retries + the_board().reruns;
  if (times > most)
    complain("G9", of, what.index, fmt::format("executed {} times, at most {} are allowed", times, most));
  if (what.set == trap::saving_argument || what.set == trap::loading_argument) {
    if (times != 0) complain("G9", of, what.index, "executed without its argument");
    return;
  }
  if (got.has_value() && times == 0) complain("G2", of, what.index, "a result without execution");
  if (!is_certain(what) || is_timeout(got)) return;
  const auto& fate = fault_of(what).fate;
  const int due = fate.dies ? std::min(static_cast<int>(what.strikes), of.max_retries) + 1 : 1;
  if (times != due) complain("G9", of, what.index, fmt::format("executed {} times where {} were due", times, due));
}

void judge::judge_log(const call& of, const item& what) {
  const auto& record = the_board().items[of.number][what.index];
  if (record.muffled) return;
  const auto received = logs_.received(what);
  const auto logged = record.logged.load();
  // One that was killed may have written a record in each of two threads and not have got round to counting them.
  const bool completed = is_certain(what) && record.finished_ns != 0;
  const auto uncounted = completed ? 0U : 2 * record.executed.load();
  if (received < logged || received > logged + uncounted)
    complain("G10", of, what.index, fmt::format("{} log records came, {} were written", received, logged));
}

void judge::close(const call& of) {
  for (const auto& each : of.items) {
    const auto times = static_cast<int>(the_board().items[of.number][each.index].executed);
    const auto most = 1 + of.max_retries + the_board().reruns;
    if (times > most && !breakage_) complain("G9", of, each.index, fmt::format("executed {} times in all", times));
  }
}

}  // namespace lenskit::soak::chaos

#include <lenskit/detail/engines/in_process.hpp>
#include <lenskit/detail/engines/processes.hpp>
#include <lenskit/detail/engines/table.hpp>
#include <lenskit/detail/engines/threads.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <utility>
#include <vector>

namespace lenskit::detail {
namespace {

constexpr std::array engines{
    engine_row{.which = lenskit::engine::in_process,
               .name = "in_process",
               .has_one_worker = true,
               .start = [](engine_start how) -> std::unique_ptr<worker_engine> {
                 return std::make_unique<in_process_engine>(std::move(how.place));
               }},
    engine_row{.which = lenskit::engine::threads,
               .name = "threads",
               .start = [](engine_start how) -> std::unique_ptr<worker_engine> {
                 return std::make_unique<threads_engine>(*how.place, how.workers);
               }},
    engine_row{.which = lenskit::engine::processes,
               .name = "processes",
               .isolates = true,
               .stops_tasks = true,
               .start = [](engine_start how) -> std::unique_ptr<worker_engine> {
                 process_options options{how.workers, how.keeps_time, std::move(how.enter_worker)};
                 return std::make_unique<processes_engine>(std::move(how.place), std::move(options));
               }},
};

}  // namespace

std::span<const engine_row> engine_table() noexcept { return engines; }

const engine_row& row_of(lenskit::engine which) {
  const auto* const found = std::ranges::find(engines, which, &engine_row::which);
  if (found == engines.end())
    throw std::invalid_argument(
        fmt::format("engine is {}, expected one of automatic, {}", static_cast<int>(which), engine_names()));
  return *found;
}

std::string engine_names(bool (*wanted)(const engine_row&)) {
  std::vector<std::string_view> names;
  for (const auto& each : engines)
    if (wanted(each)) names.push_back(each.name);
  if (names.size() < 2) return std::string(names.empty() ? "none" : names.front());
  const auto last = std::exchange(names.back(), {});
  names.pop_back();
  return fmt::format("{} and {}", fmt::join(names, ", "), last);
}

}  // namespace lenskit::detail

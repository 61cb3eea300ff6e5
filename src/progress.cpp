#include <lenskit/detail/log/bar.hpp>
#include <lenskit/detail/log/state_counts.hpp>
#include <lenskit/progress.hpp>

namespace lenskit {

progress::progress(std::string label, std::optional<std::size_t> total)
    : label_(std::move(label)), total_(total), counts_(std::make_unique<detail::state_counts>()) {}

progress::~progress() = default;

void progress::update(int n, std::string_view state, std::string_view from) {
  counts_->add(state.empty() ? finished_state : state, n);
  if (!from.empty()) counts_->add(from, -std::int64_t{n});
}

void progress::finish() { counts_->close(); }

std::int64_t progress::count(std::string_view state) const noexcept { return counts_->of(state); }

std::vector<std::pair<std::string, std::int64_t>> progress::counts() const { return counts_->all(); }

bool progress::is_finished() const noexcept { return counts_->closed(); }

std::shared_ptr<progress> invoke_progress(std::string label, std::optional<std::size_t> total) {
  return detail::make_bar({std::move(label), total}, {"dispatched", "in-progress", progress::finished_state});
}

std::shared_ptr<progress> item_progress(std::string label, std::optional<std::size_t> total) {
  return detail::make_bar({std::move(label), total}, {progress::finished_state});
}

}  // namespace lenskit

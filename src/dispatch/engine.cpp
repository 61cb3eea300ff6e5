#include <lenskit/detail/dispatch/engine.hpp>

#include <utility>

namespace lenskit::detail {
namespace {

thread_local const serving_scope* innermost = nullptr;

}  // namespace

std::list<results_event> make_results_event() {
  std::list<results_event> made(1);
  made.front().part.emplace_back();
  return made;
}

std::list<results_event> harvest(const journal_block& from, int worker, pid_t pid) {
  auto unsent = read_unsent(from);
  if (!unsent) return {};
  auto made = make_results_event();
  auto& event = made.front();
  event.worker = worker;
  event.head.chunk = unsent->chunk;
  event.head.offset = unsent->base;
  event.head.count = unsent->finished - unsent->base;
  event.head.elapsed_ns = -1;  // told when they are sent
  auto& part = event.part.front();
  part.count = event.head.count;
  part.payload = std::move(unsent->saved);
  part.worker_pid = pid;
  return made;
}

serving_scope::serving_scope(const worker_engine& engine) noexcept : engine_(&engine), outer_(innermost) {
  innermost = this;
}

serving_scope::~serving_scope() { innermost = outer_; }

bool serves_here(const worker_engine& engine) noexcept {
  for (const auto* each = innermost; each != nullptr; each = each->outer_) {
    if (each->engine_ == &engine) return true;
  }
  return false;
}

}  // namespace lenskit::detail

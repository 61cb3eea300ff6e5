#include <lenskit/detail/worker/body.hpp>

#include <atomic>

namespace lenskit::detail {
namespace {

// A list that only grows and is read without a lock, so that a forked worker can read it whatever the parent was at.
constinit std::atomic<const registered_body*> newest{nullptr};
constinit std::atomic<body_id> count{0};

}  // namespace

registered_body::registered_body(task_body body) noexcept : body_(body), id_(count.fetch_add(1)), next_(newest.load()) {
  while (!newest.compare_exchange_weak(next_, this)) {}
}

task_body find_body(body_id id) noexcept {
  for (const auto* entry = newest.load(); entry != nullptr; entry = entry->next_) {
    if (entry->id_ == id) return entry->body_;
  }
  return nullptr;
}

}  // namespace lenskit::detail

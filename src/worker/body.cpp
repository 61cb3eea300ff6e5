#include <lenskit/detail/worker/body.hpp>

#include <atomic>

namespace lenskit::detail {
namespace {

// A list that is read without a lock, so that a forked worker can read it whatever the parent was at. Its places are
// never freed: what lies in a plugin would be gone with it, and the rest of the list too. They are used again instead.
struct body_place {
  std::atomic<body_id> id{0};
  std::atomic<task_body> body{nullptr};
  std::atomic<bool> taken{true};
  body_place* next = nullptr;
};

constinit std::atomic<body_place*> newest_place{nullptr};
constinit std::atomic<body_id> bodies_registered{0};

body_place& take_place() {
  for (auto* each = newest_place.load(); each != nullptr; each = each->next) {
    bool taken = false;
    if (each->taken.compare_exchange_strong(taken, true)) return *each;
  }
  auto* fresh = new body_place;
  fresh->next = newest_place.load();
  while (!newest_place.compare_exchange_weak(fresh->next, fresh)) {}
  return *fresh;
}

body_place* find_place(body_id id) noexcept {
  for (auto* each = newest_place.load(); each != nullptr; each = each->next) {
    if (each->id.load() == id) return each;
  }
  return nullptr;
}

}  // namespace

registered_body::registered_body(task_body body) noexcept : id_(bodies_registered.fetch_add(1) + 1) {
  auto& own = take_place();
  own.id = 0;  // whoever looks for the body that was here before must not find this one
  own.body = body;
  own.id = id_;
}

// The place is free for another, but keeps what it holds until then: this runs at the end of the program, too, where
// pools may still be at work.
registered_body::~registered_body() {
  if (auto* own = find_place(id_)) own->taken = false;
}

task_body find_body(body_id id) noexcept {
  const auto* found = find_place(id);
  if (found == nullptr) return nullptr;
  const auto body = found->body.load();
  return found->id.load() == id ? body : nullptr;
}

}  // namespace lenskit::detail

#include <lenskit/detail/worker/registry.hpp>

#include <atomic>

namespace lenskit::detail {
namespace {

// A list that is read without a lock. Its entries are never freed: what lies in a plugin would be gone with it, and the
// rest of the list too. They are used again instead.
struct code_entry {
  std::atomic<code_id> id{0};
  std::atomic<code_kind> kind{};
  std::atomic<code_pointer> code{nullptr};
  std::atomic<bool> taken{true};
  code_entry* next = nullptr;
};

constinit std::atomic<code_entry*> newest_entry{nullptr};
constinit std::atomic<code_id> code_count{0};

code_entry& take_entry() {
  for (auto* each = newest_entry.load(); each != nullptr; each = each->next) {
    bool taken = false;
    if (each->taken.compare_exchange_strong(taken, true)) return *each;
  }
  auto* fresh = new code_entry;
  fresh->next = newest_entry.load();
  while (!newest_entry.compare_exchange_weak(fresh->next, fresh)) {}
  return *fresh;
}

code_entry* find_entry(code_id id) noexcept {
  for (auto* each = newest_entry.load(); each != nullptr; each = each->next) {
    if (each->id.load() == id) return each;
  }
  return nullptr;
}

}  // namespace

registered_code::registered_code(code_kind kind, code_pointer code) noexcept : id_(code_count.fetch_add(1) + 1) {
  auto& own = take_entry();
  own.id = 0;  // whoever looks for the code that was here before must not find this
  own.kind = kind;
  own.code = code;
  own.id = id_;
}

// The entry is free for another, but keeps what it holds until then: this runs at the end of the program, too, where
// pools may still be at work.
registered_code::~registered_code() {
  if (auto* own = find_entry(id_)) own->taken = false;
}

code_pointer find_code(code_kind kind, code_id id) noexcept {
  const auto* found = find_entry(id);
  if (found == nullptr || found->kind.load() != kind) return nullptr;
  const auto code = found->code.load();
  return found->id.load() == id ? code : nullptr;
}

}  // namespace lenskit::detail

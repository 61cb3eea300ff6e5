// getpid without a system call, for what is asked several times in each call of a map.
#include <lenskit/detail/os/system.hpp>

#include <sys/mman.h>

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <new>

namespace lenskit::detail::sys {
namespace {

using known_id = std::atomic<pid_t>;

// In a page of its own that the kernel empties in every forked child, whichever way it is forked. Never unmapped.
constinit std::atomic<known_id*> id_page{nullptr};
constinit std::atomic<bool> no_page{false};  // an old kernel, or one that is no Linux at heart

known_id* make_id_page() noexcept {
  const int error = errno;
  void* const at = ::mmap(nullptr, sizeof(known_id), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const bool mapped = at != MAP_FAILED;
  known_id* made = nullptr;
  if (mapped && ::madvise(at, sizeof(known_id), MADV_WIPEONFORK) == 0) {
    made = new (at) known_id(0);
    if (known_id* other = nullptr; !id_page.compare_exchange_strong(other, made)) made = other;
  }
  no_page = made == nullptr;
  if (mapped && made != at) ::munmap(at, sizeof(known_id));
  errno = error;
  return made;
}

}  // namespace

pid_t getpid() noexcept {
  known_id* page = id_page.load(std::memory_order_acquire);
  if (page == nullptr && !no_page) page = make_id_page();
  if (page == nullptr) return ::getpid();
  pid_t id = page->load(std::memory_order_relaxed);
  if (id == 0) page->store(id = ::getpid(), std::memory_order_relaxed);
  return id;
}

}  // namespace lenskit::detail::sys

// pthread_cancel of a thread that is inside the library.
#pragma once

namespace lenskit::detail {

/// While it lives, the calling thread is not cancelled: to be ended in the middle of a wait, in a function that throws
/// nothing or with a lock held, would take the whole program along. It ends at the next `cancellation_point`.
/// A process forked meanwhile stays shielded: whoever cancelled the thread did not mean its copy.
class cancel_shield {
 public:
  cancel_shield() noexcept;
  ~cancel_shield();
  cancel_shield(const cancel_shield&) = delete;
  cancel_shield& operator=(const cancel_shield&) = delete;

 private:
  int before_ = 0;
};

/// Where a thread that has been cancelled may end. It unwinds as with an exception, which only `catch (...)` sees.
void cancellation_point();

}  // namespace lenskit::detail

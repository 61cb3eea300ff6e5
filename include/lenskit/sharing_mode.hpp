// Tells a model's serialize() whether its bytes are for other processes of this run or for keeping.
#pragma once

namespace lenskit {

/// Marks the calling thread as serialising models for other processes, for as long as it lives.
///
///     template <class Archive> void serialize(Archive& ar, unsigned) {
///       ar & weights;
///       if (lenskit::in_share_context()) ar & inverse_index;  // left out of a model that is stored for good
///     }
///
/// `persist` holds one while it stores a model and while it loads one, so user code rarely needs its own. Nests: the
/// mode ends with the outermost object, which must be destroyed on the thread that made it. Neither throws nor blocks;
/// threads do not see one another's mode; a forked child inherits the mode of the thread that forked.
///
/// LensKit: the context manager `sharing_mode()` of lenskit.sharing; there it is one flag for all threads.
class [[nodiscard]] sharing_mode {
 public:
  sharing_mode() noexcept;
  ~sharing_mode();
  sharing_mode(const sharing_mode&) = delete;
  sharing_mode& operator=(const sharing_mode&) = delete;
};

/// Whether the calling thread is within a `sharing_mode`. Neither throws nor blocks.
///
/// LensKit: the same as lenskit.sharing.in_share_context.
[[nodiscard]] bool in_share_context() noexcept;

}  // namespace lenskit

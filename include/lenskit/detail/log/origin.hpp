// Marks the calling thread as passing on a record of a worker.
#pragma once

#include <lenskit/logging.hpp>

namespace lenskit::detail {

/// `current_log_origin()` is `origin` while this lives.
class origin_scope {
 public:
  explicit origin_scope(const log_origin& origin) noexcept;
  ~origin_scope();
  origin_scope(const origin_scope&) = delete;
  origin_scope& operator=(const origin_scope&) = delete;

 private:
  const log_origin* outer_;
};

}  // namespace lenskit::detail

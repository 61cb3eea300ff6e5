// What a forked worker process runs.
#pragma once

#include <lenskit/detail/engines/spawner.hpp>
#include <lenskit/detail/worker/body.hpp>
#include <lenskit/detail/worker/journal.hpp>

#include <functional>
#include <memory>

namespace lenskit::detail {

class worker_main final : public worker_program {
 public:
  struct options {
    bool ends_stopped_workers = true;
    bool fenced = false;  ///< see `recorder_options`
    std::function<void(int)> enter_worker{};
  };
  worker_main(std::shared_ptr<workplace> place, journal& journals, options how)
      : place_(std::move(place)), journals_(journals), options_(std::move(how)) {}

  [[nodiscard]] bool ends_stopped_workers() const noexcept override { return options_.ends_stopped_workers; }
  [[noreturn]] void run(int slot, worker_ends ends) noexcept override;

 private:
  std::shared_ptr<workplace> place_;
  journal& journals_;
  const options options_;
};

}  // namespace lenskit::detail

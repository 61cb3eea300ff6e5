#include <lenskit/detail/engines/processes.hpp>
#include <lenskit/detail/os/cancel_shield.hpp>
#include <lenskit/detail/os/worker_state.hpp>
#include <lenskit/random.hpp>
#include <lenskit/run_sp.hpp>
#include <lenskit/settings.hpp>

#include <fmt/format.h>

#include <stdexcept>

namespace lenskit::detail {
namespace {

/// The one task of a subprocess: no arguments.
class single_task final : public task_source {
 public:
  pulled_tasks pull(writer& into, std::uint32_t, std::size_t) override {
    pulled_tasks pulled;
    pulled.exhausted = true;
    if (std::exchange(pulled_, true)) return pulled;
    into.put(std::uint64_t{0});
    pulled.count = 1;
    return pulled;
  }
  [[nodiscard]] std::size_t record_bytes() const noexcept override { return 0; }
  [[nodiscard]] std::optional<std::uint64_t> remaining() const override { return pulled_ ? 0 : 1; }

 private:
  bool pulled_ = false;
};

call_plan plan_call(body_id body, const seed_sequence& seed) {
  return {body, result_order::of_input, call_seed(std::make_shared<const seed_sequence>(seed), seed.spawn_key())};
}

}  // namespace

std::unique_ptr<task_stream> start_subprocess(const run_sp_options& options, std::shared_ptr<workplace> place,
                                              body_id body) {
  if (options.timeout && options.timeout->count() <= 0) {
    throw std::invalid_argument(fmt::format("timeout is {} ns, expected more than 0", options.timeout->count()));
  }
  const cancel_shield shield;
  const auto seed = derive_seed();
  process_options how;
  how.keeps_time = options.timeout.has_value();
  how.enter_worker = [seed](int) {
    enter_role(process_role::subprocess, std::nullopt);
    enter_root_seed(seed);
  };
  auto engine = std::make_unique<processes_engine>(std::move(place), std::move(how));
  auto pool = std::make_shared<dispatcher>(
      std::move(engine), dispatch_options{.task_timeout = options.timeout, .stop_token = options.stop_token});
  return std::make_unique<task_stream>(std::move(pool), std::make_unique<single_task>(), plan_call(body, seed),
                                       stream_options{});
}

void begin_subprocess_call() noexcept { leave_task(); }

}  // namespace lenskit::detail

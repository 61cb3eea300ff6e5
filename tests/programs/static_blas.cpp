// Has a BLAS of its own, as far as its table of symbols tells. Status 0 if the library warns of it.
#include <lenskit/parallel.hpp>

#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string_view>
#include <thread>
#include <vector>

extern "C" [[gnu::used]] void openblas_set_num_threads(int) {}

namespace {

class listener final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  std::atomic<bool> heard{false};

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    const std::string_view text(message.payload.data(), message.payload.size());
    heard = heard || text.starts_with("OpenBLAS is linked into this program statically");
  }
  void flush_() override {}
};

}  // namespace

int main() {
  const auto sink = std::make_shared<listener>();
  spdlog::set_default_logger(std::make_shared<spdlog::logger>("", sink));
  lenskit::invoker inv(1, [](int model, int x) { return model + x; },
                       {.n_jobs = 2, .engine = lenskit::engine::processes});
  if (inv.map(std::vector{1, 2}).collect() != std::vector{2, 3}) return 1;
  constexpr int patience = 200;
  for (int i = 0; i < patience && !sink->heard; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  return sink->heard ? 0 : 2;
}

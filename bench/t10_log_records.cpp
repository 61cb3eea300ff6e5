// T10: log records from a worker to a null sink in the parent, against spdlog's own asynchronous logger.
#include <support/contest.hpp>

#include <lenskit/parallel.hpp>

#include <spdlog/async.h>
#include <spdlog/sinks/null_sink.h>
#include <spdlog/spdlog.h>

#include <array>
#include <atomic>
#include <memory>
#include <stdexcept>

namespace {

struct no_model {};

// A null sink that knows how much it swallowed.
class counting_sink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  [[nodiscard]] int swallowed() const { return swallowed_; }

 private:
  void sink_it_(const spdlog::details::log_msg&) override { ++swallowed_; }
  void flush_() override {}
  std::atomic<int> swallowed_ = 0;
};

void write_records(spdlog::logger& logger, int count) {
  for (int i = 0; i < count; ++i) logger.info("user {} has {} recommendations", i, 10);
}

double asynchronous_rate(int count) {
  const auto sink = std::make_shared<counting_sink>();
  const auto taken = bench::seconds_of([&] {
    // As spdlog makes them: one thread, 8192 records in the queue, and who logs waits for room.
    const auto pool =
        std::make_shared<spdlog::details::thread_pool>(spdlog::details::default_async_q_size, std::size_t{1});
    const auto logger = std::make_shared<spdlog::async_logger>("async", sink, pool);
    write_records(*logger, count);
  });  // ends when all are written
  if (sink->swallowed() != count) throw std::runtime_error("records are missing");
  return count / taken;
}

double worker_rate(auto& pool, const counting_sink& sink, int count) {
  const auto before = sink.swallowed();
  const std::array counts{count};
  const auto taken = bench::seconds_of([&] {
    if (*pool.map(counts).begin() != count) throw std::runtime_error("a result is wrong");
  });  // a result comes after what its task has logged
  if (sink.swallowed() - before != count) throw std::runtime_error("records are missing");
  return count / taken;
}

}  // namespace

int main(int argc, char** argv) {
  bench::initialize(argc, argv);
  const int count = bench::sized(400'000, 200'000);
  const auto sink = std::make_shared<counting_sink>();
  const auto logger = std::make_shared<spdlog::logger>("recommender", sink);
  spdlog::register_logger(logger);
  const auto log_many = [](const no_model&, int records) {
    write_records(*spdlog::get("recommender"), records);
    return records;
  };
  lenskit::invoker pool(no_model{}, log_many, bench::workers);
  bench::contest contest("T10", "records of one worker", "records/s");
  contest.add("lenskit", [&] { return worker_rate(pool, *sink, count); });
  contest.add("spdlog async", [&] { return asynchronous_rate(count); });
  contest.run();
}

// Inputs of a map call that a test lists: numbers, and where what goes wrong.
#pragma once

#include <lenskit/detail/dispatch/task_source.hpp>

#include <cstdint>
#include <exception>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

namespace lenskit::tests {

class listed_source final : public detail::task_source {
 public:
  struct faults {
    bool input_ends_badly = false;     ///< the input throws behind the numbers
    std::optional<std::size_t> bad{};  ///< this number cannot be encoded
    bool tells_length = false;
  };

  explicit listed_source(std::vector<int> numbers) : listed_source(std::move(numbers), faults{}) {}
  listed_source(std::vector<int> numbers, faults what) : numbers_(std::move(numbers)), faults_(what) {}

  detail::pulled_tasks pull(detail::writer& into, std::uint32_t most, std::size_t most_bytes) override {
    detail::pulled_tasks pulled;
    const auto before = into.size();
    while (pulled.count < most && (pulled.count == 0 || into.size() - before < most_bytes)) {
      if (next_ == numbers_.size()) {
        if (faults_.input_ends_badly)
          pulled.input_failure = std::make_exception_ptr(std::runtime_error("the input is over"));
        pulled.exhausted = !faults_.input_ends_badly;
        break;
      }
      const auto at = next_++;
      if (faults_.bad == at) {
        pulled.task_failure = std::make_exception_ptr(std::runtime_error("cannot be encoded"));
        break;
      }
      into.put(numbers_[at]);
      ++pulled.count;
    }
    return pulled;
  }
  [[nodiscard]] std::size_t record_bytes() const noexcept override { return sizeof(int); }
  [[nodiscard]] std::optional<std::uint64_t> remaining() const override {
    return faults_.tells_length ? std::optional<std::uint64_t>(numbers_.size() - next_) : std::nullopt;
  }

 private:
  const std::vector<int> numbers_;
  const faults faults_;
  std::size_t next_ = 0;
};

}  // namespace lenskit::tests

// Inputs that count how often they were asked, that never end, or that throw on the way.
#pragma once

#include <cstddef>
#include <iterator>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>

namespace lenskit::tests {

struct input_broke : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The numbers from 0 on, one pass, counting into `pulled`; throws `input_broke` in place of element `breaks_at`.
class counting_input {
 public:
  static constexpr int never = std::numeric_limits<int>::max();

  explicit counting_input(int& pulled, int size = never, int breaks_at = never)
      : pulled_(&pulled), size_(size), breaks_at_(breaks_at) {}

  class iterator {
   public:
    using value_type = int;
    using difference_type = std::ptrdiff_t;

    explicit iterator(counting_input* input) : input_(input) { arrive(); }
    int operator*() const { return at_; }
    iterator& operator++() {
      ++at_;
      arrive();
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const iterator& at, std::default_sentinel_t) { return at.at_end(); }

   private:
    void arrive() const {
      if (at_ == input_->breaks_at_) throw input_broke("the input broke at " + std::to_string(at_));
      if (at_ < input_->size_) ++*input_->pulled_;
    }
    [[nodiscard]] bool at_end() const { return at_ >= input_->size_; }
    counting_input* input_;
    int at_ = 0;
  };

  iterator begin() { return iterator(this); }
  [[nodiscard]] std::default_sentinel_t end() const { return {}; }

 private:
  int* pulled_;
  int size_;
  int breaks_at_;
};

}  // namespace lenskit::tests

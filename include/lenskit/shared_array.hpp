// An immutable array that models share between processes without copying it.
#pragma once

#include <lenskit/detail/share/array_codec.hpp>
#include <lenskit/detail/share/array_hook.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

namespace lenskit {

/// A contiguous array that never changes, for the large parts of a model.
///
///     lenskit::shared_array<float> items(std::move(factors));   // takes a std::vector<float> over, copies nothing
///     float first = items[0];
///     std::span<const float> row = items.span().subspan(user * n_features, n_features);
///
/// `T` is trivially copyable, or a pair or tuple of such, and holds no pointers. A copy costs a reference count; all
/// copies share the elements. In a model that `persist` stores, the elements lie out of band, aligned to 64 bytes
/// (more, if T asks for more), in the mapping that all processes share, and a model loaded from it points straight into
/// the mapping and keeps it alive; only elements that ask for more than a page are copied out of it. In any other
/// archive of Boost.Serialization, and as part of an argument or a result, the elements are stored inline: numbers as
/// numbers, structures as their bytes.
///
/// Building it from a span, an initializer list or an lvalue vector copies and throws std::bad_alloc when memory runs
/// out; nothing else throws. Never blocks. Reading is safe from any thread and in forked children; distinct objects may
/// be copied and destroyed in different threads.
///
/// LensKit: stands where a model has a numpy.ndarray, whose buffer LensKit shares by itself.
template <class T>
class shared_array {
  static_assert(std::is_same_v<T, std::remove_cv_t<T>> && (std::is_trivially_copyable_v<T> || detail::wire_bitwise<T>),
                "lenskit: the elements of a shared_array are shared as bytes: they must be trivially copyable");
  static_assert(!detail::dangles<T>(),
                "lenskit: the elements of a shared_array must not be or contain pointers, references or views, which "
                "would dangle in another process");

 public:
  using value_type = T;
  using size_type = std::size_t;
  using difference_type = std::ptrdiff_t;
  using reference = const T&;
  using const_reference = const T&;
  using iterator = const T*;
  using const_iterator = const T*;

  shared_array() noexcept = default;
  /// Takes the vector over: `std::move` it in and nothing is copied. Its elements become read-only.
  shared_array(std::vector<T> values) requires(!std::same_as<T, bool>) {  // NOLINT(google-explicit-constructor)
    if (values.empty()) return;
    auto held = std::make_shared<const std::vector<T>>(std::move(values));
    data_ = held->data();
    size_ = held->size();
    keeper_ = std::move(held);
  }
  shared_array(std::initializer_list<T> values) : shared_array(std::span<const T>(values.begin(), values.size())) {}
  /// Copies the elements.
  explicit shared_array(std::span<const T> values) : size_(values.size()) {
    if (values.empty()) return;
    auto elements = detail::allocate_elements<T>(size_);
    std::memcpy(static_cast<void*>(elements.get()), values.data(), values.size_bytes());
    data_ = elements.get();
    keeper_ = std::move(elements);
  }
  shared_array(const shared_array&) noexcept = default;
  shared_array& operator=(const shared_array&) noexcept = default;
  shared_array(shared_array&& other) noexcept { swap(other); }
  shared_array& operator=(shared_array&& other) noexcept {
    shared_array(std::move(other)).swap(*this);
    return *this;
  }
  ~shared_array() = default;

  /// Null when there are no elements.
  [[nodiscard]] const T* data() const noexcept { return data_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  /// `index` must be less than `size()`, which is not checked.
  [[nodiscard]] const T& operator[](std::size_t index) const noexcept { return data_[index]; }
  [[nodiscard]] const T& front() const noexcept { return data_[0]; }
  [[nodiscard]] const T& back() const noexcept { return data_[size_ - 1]; }
  [[nodiscard]] const T* begin() const noexcept { return data_; }
  [[nodiscard]] const T* end() const noexcept { return data_ + size_; }
  /// Valid for as long as this array or a copy of it lives.
  [[nodiscard]] std::span<const T> span() const noexcept { return {data_, size_}; }

  void swap(shared_array& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    keeper_.swap(other.keeper_);
  }
  friend void swap(shared_array& a, shared_array& b) noexcept { a.swap(b); }

  /// Whether the elements are equal.
  friend bool operator==(const shared_array& a, const shared_array& b) requires std::equality_comparable<T> {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
  }

  /// For Boost.Serialization.
  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    if constexpr (Archive::is_saving::value) {
      detail::save_array(archive, data_, size_);
    } else {
      *this = detail::load_array<T>(archive);
    }
  }

 private:
  friend struct detail::array_access;
  shared_array(std::shared_ptr<const void> keeper, const T* data, std::size_t size) noexcept
      : keeper_(std::move(keeper)), data_(data), size_(size) {}

  std::shared_ptr<const void> keeper_;  // what the elements lie in: a vector, an array or a mapping
  const T* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace lenskit

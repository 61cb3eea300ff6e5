// Matrices of Eigen as arguments, results and models. Empty where there is no Eigen.
//
// Not part of <lenskit/parallel.hpp>: include it beside it. Dense matrices, vectors and arrays and sparse matrices
// travel as values. What refers to a matrix or is still to be worked out (Map, Ref, a block, a product) is refused:
// return `.eval()`.
#pragma once

#if __has_include(<Eigen/SparseCore>)

#include <lenskit/detail/wire/codec.hpp>
#include <lenskit/shared_array.hpp>

#include <Eigen/Core>
#include <Eigen/SparseCore>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>

namespace lenskit::detail {

template <class T>
concept eigen_expression = requires {
  typename T::PlainObject;
}
&&std::derived_from<T, Eigen::EigenBase<T>> && !std::same_as<T, typename T::PlainObject>;

template <class T>
requires eigen_expression<T>
inline constexpr bool refers<T> = true;

// Rows and columns as they come, before anything is made of them.
template <class Index, class Source>
Index get_eigen_size(Source& source, Index fixed, Index most) {
  const auto size = get_value<std::uint64_t>(source);
  const bool fits = size <= static_cast<std::uint64_t>(PTRDIFF_MAX) &&
                    (fixed == Eigen::Dynamic || size == static_cast<std::uint64_t>(fixed)) &&
                    (most == Eigen::Dynamic || size <= static_cast<std::uint64_t>(most));
  if (!fits) fail_decoding("a matrix has a size that its type does not have");
  return static_cast<Index>(size);
}

template <class Matrix>
struct codec_of_dense {
  using scalar = typename Matrix::Scalar;
  using index = Eigen::Index;
  using parts = type_list<scalar>;

  template <class Sink>
  static void put(Sink& sink, const Matrix& matrix) {
    put_value(sink, static_cast<std::uint64_t>(matrix.rows()));
    put_value(sink, static_cast<std::uint64_t>(matrix.cols()));
    const auto size = static_cast<std::size_t>(matrix.size());
    if constexpr (wire_bitwise<scalar>) {
      bytes_of(sink).put(matrix.data(), size * sizeof(scalar));
    } else {
      for (std::size_t i = 0; i < size; ++i) put_value(sink, matrix.data()[i]);
    }
  }
  template <class Source>
  static Matrix get(Source& source) {
    const auto rows = get_eigen_size<index>(source, Matrix::RowsAtCompileTime, Matrix::MaxRowsAtCompileTime);
    const auto cols = get_eigen_size<index>(source, Matrix::ColsAtCompileTime, Matrix::MaxColsAtCompileTime);
    auto& in = bytes_of(source);
    if (cols != 0 && static_cast<std::size_t>(rows) > in.left() / least_bytes<scalar> / static_cast<std::size_t>(cols))
      fail_decoding("a matrix is larger than the message that it came in");
    Matrix matrix;
    matrix.resize(rows, cols);
    const auto size = static_cast<std::size_t>(matrix.size());
    if constexpr (wire_bitwise<scalar>) {
      in.get_into(matrix.data(), size * sizeof(scalar), "a matrix");
    } else {
      for (std::size_t i = 0; i < size; ++i) matrix.data()[i] = get_value<scalar>(source);
    }
    return matrix;
  }
};
template <class S, int Rows, int Cols, int Options, int MostRows, int MostCols>
struct codec<Eigen::Matrix<S, Rows, Cols, Options, MostRows, MostCols>>
    : codec_of_dense<Eigen::Matrix<S, Rows, Cols, Options, MostRows, MostCols>> {};
template <class S, int Rows, int Cols, int Options, int MostRows, int MostCols>
struct codec<Eigen::Array<S, Rows, Cols, Options, MostRows, MostCols>>
    : codec_of_dense<Eigen::Array<S, Rows, Cols, Options, MostRows, MostCols>> {};

/// Throws serialization_error unless these are the indices of a compressed matrix.
template <class Index>
void check_compressed(std::span<const Index> outer, std::span<const Index> inner, std::uint64_t inner_size) {
  bool sound = !outer.empty() && outer.front() == 0 && static_cast<std::size_t>(outer.back()) == inner.size();
  for (std::size_t i = 1; sound && i < outer.size(); ++i) sound = outer[i - 1] <= outer[i];
  for (std::size_t i = 0; sound && i < inner.size(); ++i)
    sound = inner[i] >= 0 && static_cast<std::uint64_t>(inner[i]) < inner_size;
  if (!sound) fail_decoding("the indices of a sparse matrix contradict one another");
}

template <class S, int Options, class Index>
struct codec<Eigen::SparseMatrix<S, Options, Index>> {
  using matrix_type = Eigen::SparseMatrix<S, Options, Index>;
  using parts = type_list<S>;
  static_assert(wire_bitwise<S>, "lenskit: the elements of a sparse matrix travel as bytes: they must be numbers");

  template <class Sink>
  static void put(Sink& sink, const matrix_type& matrix) {
    if (!matrix.isCompressed()) {
      matrix_type packed = matrix;
      packed.makeCompressed();
      return put(sink, packed);
    }
    auto& out = bytes_of(sink);
    out.put(static_cast<std::uint64_t>(matrix.rows()));
    out.put(static_cast<std::uint64_t>(matrix.cols()));
    out.put(static_cast<std::uint64_t>(matrix.nonZeros()));
    const auto count = static_cast<std::size_t>(matrix.nonZeros());
    out.put(matrix.outerIndexPtr(), (static_cast<std::size_t>(matrix.outerSize()) + 1) * sizeof(Index));
    out.put(matrix.innerIndexPtr(), count * sizeof(Index));
    out.put(matrix.valuePtr(), count * sizeof(S));
  }
  template <class Source>
  static matrix_type get(Source& source) {
    const auto rows = get_eigen_size<Eigen::Index>(source, Eigen::Dynamic, Eigen::Dynamic);
    const auto cols = get_eigen_size<Eigen::Index>(source, Eigen::Dynamic, Eigen::Dynamic);
    auto& in = bytes_of(source);
    const auto count = in.get_count(sizeof(Index) + sizeof(S), "a sparse matrix");
    const auto outer_size = static_cast<std::size_t>(matrix_type::IsRowMajor ? rows : cols);
    if (outer_size >= in.left() / sizeof(Index)) fail_decoding("a matrix is larger than the message that it came in");
    matrix_type matrix(rows, cols);
    matrix.resizeNonZeros(static_cast<Eigen::Index>(count));
    in.get_into(matrix.outerIndexPtr(), (outer_size + 1) * sizeof(Index), "a sparse matrix");
    in.get_into(matrix.innerIndexPtr(), count * sizeof(Index), "a sparse matrix");
    in.get_into(matrix.valuePtr(), count * sizeof(S), "a sparse matrix");
    check_compressed(std::span<const Index>(matrix.outerIndexPtr(), outer_size + 1),
                     std::span<const Index>(matrix.innerIndexPtr(), count),
                     static_cast<std::uint64_t>(matrix.innerSize()));
    return matrix;
  }
};

}  // namespace lenskit::detail

namespace lenskit {

/// A matrix that never changes, for the large parts of a model: what `shared_array` is to a vector.
///
///     struct als_model {
///       lenskit::shared_eigen<Eigen::MatrixXf> items;                 // items = std::move(matrix): copies nothing
///       lenskit::shared_eigen<Eigen::SparseMatrix<float>> ratings;
///       template <class Archive> void serialize(Archive& ar, unsigned) { ar & items & ratings; }
///     };
///     Eigen::VectorXf scores = model.items.map() * user;
///
/// In a stored model the elements lie in the mapping that all processes share, and `map()` points straight into it. A
/// copy costs a reference count. `Matrix` is an Eigen::Matrix or Eigen::Array with sizes known at run time, or an
/// Eigen::SparseMatrix, of numbers. Throws std::bad_alloc; loading throws serialization_error for what is no matrix.
/// Never blocks; reading is safe from any thread and in forked children.
///
/// LensKit: a numpy.ndarray or scipy.sparse matrix in a model, whose buffers LensKit shares by itself.
template <class Matrix>
class shared_eigen {
 public:
  using scalar = typename Matrix::Scalar;
  using map_type = Eigen::Map<const Matrix>;

  shared_eigen() = default;
  /// `std::move` it in and nothing is copied.
  shared_eigen(Matrix matrix) {  // NOLINT(google-explicit-constructor)
    auto held = std::make_shared<const Matrix>(std::move(matrix));
    const auto* data = held->data();
    rows_ = static_cast<std::uint64_t>(held->rows());
    cols_ = static_cast<std::uint64_t>(held->cols());
    const auto size = static_cast<std::size_t>(held->size());
    if (size != 0) values_ = detail::array_access::make<scalar>(std::move(held), data, size);
  }

  [[nodiscard]] Eigen::Index rows() const noexcept { return static_cast<Eigen::Index>(rows_); }
  [[nodiscard]] Eigen::Index cols() const noexcept { return static_cast<Eigen::Index>(cols_); }
  /// The matrix, for as long as this or a copy of it lives. Any expression takes it.
  [[nodiscard]] map_type map() const { return map_type(values_.data(), rows(), cols()); }

  /// For Boost.Serialization.
  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& rows_& cols_& values_;
    if constexpr (Archive::is_loading::value) {
      const bool sound =
          rows_ == 0 || cols_ == 0 ? values_.empty() : values_.size() / rows_ == cols_ && values_.size() % rows_ == 0;
      if (!sound) detail::fail_decoding("a matrix has another size than its elements");
    }
  }

 private:
  std::uint64_t rows_ = 0;
  std::uint64_t cols_ = 0;
  shared_array<scalar> values_;
};

template <class S, int Options, class Index>
class shared_eigen<Eigen::SparseMatrix<S, Options, Index>> {
 public:
  using matrix_type = Eigen::SparseMatrix<S, Options, Index>;
  using scalar = S;
  using map_type = Eigen::Map<const matrix_type>;

  shared_eigen() = default;
  /// `std::move` it in and nothing is copied, if it is compressed.
  shared_eigen(matrix_type matrix) {  // NOLINT(google-explicit-constructor)
    matrix.makeCompressed();
    auto held = std::make_shared<const matrix_type>(std::move(matrix));
    rows_ = static_cast<std::uint64_t>(held->rows());
    cols_ = static_cast<std::uint64_t>(held->cols());
    const auto outer = static_cast<std::size_t>(held->outerSize()) + 1;
    const auto count = static_cast<std::size_t>(held->nonZeros());
    if (held->outerIndexPtr() == nullptr) return;
    outer_ = detail::array_access::make<Index>(held, held->outerIndexPtr(), outer);
    if (count == 0) return;
    inner_ = detail::array_access::make<Index>(held, held->innerIndexPtr(), count);
    values_ = detail::array_access::make<S>(held, held->valuePtr(), count);
  }

  [[nodiscard]] Eigen::Index rows() const noexcept { return static_cast<Eigen::Index>(rows_); }
  [[nodiscard]] Eigen::Index cols() const noexcept { return static_cast<Eigen::Index>(cols_); }
  /// The matrix, for as long as this or a copy of it lives.
  [[nodiscard]] map_type map() const {
    static constexpr Index none[1] = {0};
    const auto* outer = outer_.empty() ? none : outer_.data();
    return map_type(rows(), cols(), static_cast<Index>(values_.size()), outer, inner_.data(), values_.data());
  }

  /// For Boost.Serialization.
  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& rows_& cols_& outer_& inner_& values_;
    if constexpr (Archive::is_loading::value) {
      const auto outer = matrix_type::IsRowMajor ? rows_ : cols_;
      const bool sound = outer_.empty() ? outer == 0 && values_.empty() : outer_.size() - 1 == outer;
      if (!sound || inner_.size() != values_.size())
        detail::fail_decoding("a sparse matrix has another size than its parts");
      if (!outer_.empty())
        detail::check_compressed(outer_.span(), inner_.span(), matrix_type::IsRowMajor ? cols_ : rows_);
    }
  }

 private:
  std::uint64_t rows_ = 0;
  std::uint64_t cols_ = 0;
  shared_array<Index> outer_;
  shared_array<Index> inner_;
  shared_array<S> values_;
};

}  // namespace lenskit

#endif

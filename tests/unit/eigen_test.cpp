// Only where there is an Eigen.
#if __has_include(<Eigen/SparseCore>)
#include <lenskit/eigen.hpp>
#include <lenskit/invoker.hpp>
#include <lenskit/persist.hpp>

#include <support/catch.hpp>

#include <Eigen/Core>
#include <Eigen/SparseCore>

#include <string>
#include <utility>
#include <vector>

#include "wire/trip.hpp"

using lenskit::shared_eigen;
using lenskit::detail::dangles;
using lenskit::tests::decoded;
using lenskit::tests::encoded;
using lenskit::tests::trip;

namespace {

using sparse = Eigen::SparseMatrix<float>;
using sparse_rows = Eigen::SparseMatrix<double, Eigen::RowMajor, long>;

sparse some_sparse() {
  sparse matrix(3, 4);
  matrix.insert(0, 1) = 2;
  matrix.insert(2, 3) = 5;
  return matrix;  // not compressed
}

struct als_model {
  shared_eigen<Eigen::MatrixXf> items;
  shared_eigen<sparse> ratings;
  template <class Archive>
  void serialize(Archive& ar, unsigned) {
    ar& items& ratings;
  }
};

}  // namespace

TEST_CASE("V2: dense matrices of Eigen travel, of whatever shape and order") {
  const Eigen::MatrixXf dynamic = Eigen::MatrixXf::Random(3, 5);
  CHECK(trip(dynamic) == dynamic);
  const Eigen::Matrix<double, 2, 3, Eigen::RowMajor> fixed = Eigen::Matrix<double, 2, 3, Eigen::RowMajor>::Random();
  CHECK(trip(fixed) == fixed);
  const Eigen::VectorXd empty;
  CHECK(trip(empty).size() == 0);
  CHECK(trip(Eigen::MatrixXf(0, 7)).cols() == 7);
  const std::vector<std::pair<int, Eigen::Vector4f>> list{{1, Eigen::Vector4f(1, 2, 3, 4)}};
  CHECK(trip(list) == list);
  const Eigen::ArrayXi array = Eigen::ArrayXi::LinSpaced(4, 0, 3);
  CHECK((trip(array) == array).all());
}

TEST_CASE("V2: sparse matrices of Eigen travel, compressed or not") {
  CHECK(trip(some_sparse()).isApprox(some_sparse()));
  CHECK(trip(sparse()).size() == 0);
  sparse_rows rows(2, 2);
  rows.insert(1, 0) = 7;
  rows.makeCompressed();
  CHECK(trip(rows).coeff(1, 0) == 7);
}

TEST_CASE("V2: bytes that are no matrix are refused") {
  auto bytes = encoded(some_sparse());
  bytes[bytes.size() - 2 * sizeof(float) - sizeof(int)] = std::byte{99};  // a row that there is not
  CHECK_THROWS_AS(decoded<sparse>(bytes), lenskit::serialization_error);
  CHECK_THROWS_AS(decoded<Eigen::Vector4f>(encoded(Eigen::Vector3f(1, 2, 3))), lenskit::serialization_error);
}

TEST_CASE("V2: what refers to a matrix or is still to be worked out is refused") {
  const Eigen::MatrixXf matrix = Eigen::MatrixXf::Random(3, 3);
  STATIC_REQUIRE(dangles<Eigen::Map<const Eigen::MatrixXf>>());
  STATIC_REQUIRE(dangles<Eigen::Ref<Eigen::VectorXf>>());
  STATIC_REQUIRE(dangles<decltype(matrix.row(0))>());
  STATIC_REQUIRE(dangles<std::pair<int, decltype(matrix * matrix)>>());
  STATIC_REQUIRE(!dangles<Eigen::MatrixXf>());
}

TEST_CASE("V2: a shared matrix lies in the mapping of a stored model, and is not copied when it is made") {
  Eigen::MatrixXf items = Eigen::MatrixXf::Random(100, 50);
  const auto expected = items;
  const auto* data = items.data();
  als_model model{std::move(items), some_sparse()};
  CHECK(model.items.map().data() == data);
  auto stored = lenskit::persist(model, {.method = lenskit::persist_method::shm});
  const auto& loaded = stored.get();
  CHECK(loaded.items.map() == expected);
  CHECK(sparse(loaded.ratings.map()).isApprox(some_sparse()));
  CHECK(reinterpret_cast<std::uintptr_t>(loaded.items.map().data()) % 64 == 0);
  CHECK(sparse(trip(model).ratings.map()).isApprox(some_sparse()));
  CHECK(shared_eigen<sparse>().map().nonZeros() == 0);
}

TEST_CASE("V2: matrices are arguments, results and models of an invoker") {
  const Eigen::MatrixXf model = Eigen::MatrixXf::Random(3, 3);
  lenskit::invoker inv(
      model, [](const Eigen::MatrixXf& m, const Eigen::VectorXf& x) -> Eigen::VectorXf { return m * x; }, 2);
  const std::vector<Eigen::VectorXf> inputs{Eigen::VectorXf::Ones(3), Eigen::VectorXf::Zero(3)};
  const auto results = inv.map(inputs).collect();
  CHECK(results.at(0).isApprox(model * inputs[0]));
  CHECK(results.at(1).isZero());
}
#endif

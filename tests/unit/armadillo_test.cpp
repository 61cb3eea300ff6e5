// Matrices of a library that knows nothing of serialization. Only where there is an Armadillo.
#if __has_include(<armadillo>)
#define ARMA_DONT_USE_WRAPPER  // nothing is to be linked
#define ARMA_DONT_USE_BLAS
#define ARMA_DONT_USE_LAPACK
#include <lenskit/invoker.hpp>
#include <lenskit/persist.hpp>

#include <support/catch.hpp>
#include <support/engines.hpp>

#include <boost/serialization/array_wrapper.hpp>
#include <boost/serialization/split_free.hpp>

#include <vector>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include <armadillo>
#pragma GCC diagnostic pop

// What a user writes once in the program.
BOOST_SERIALIZATION_SPLIT_FREE(arma::fmat)
namespace boost::serialization {

template <class Archive>
void save(Archive& ar, const arma::fmat& matrix, unsigned) {
  const arma::uword rows = matrix.n_rows, columns = matrix.n_cols;
  ar << rows << columns << make_array(matrix.memptr(), matrix.n_elem);
}

template <class Archive>
void load(Archive& ar, arma::fmat& matrix, unsigned) {
  arma::uword rows = 0, columns = 0;
  ar >> rows >> columns;
  matrix.set_size(rows, columns);
  auto elements = make_array(matrix.memptr(), matrix.n_elem);
  ar >> elements;
}

}  // namespace boost::serialization

using lenskit::invoker;
using lenskit::tests::on;

TEST_CASE("V2: Armadillo's matrices travel with a serialize() of the user's, as model, argument and result") {
  ON_EVERY_ENGINE(engine);
  const arma::fmat factors(5, 3, arma::fill::randu);
  invoker inv(
      lenskit::persist(factors), [](const arma::fmat& all, const arma::fmat& user) { return arma::fmat(all * user); },
      on(engine));
  const std::vector<arma::fmat> users{arma::fmat(3, 1, arma::fill::ones), arma::fmat(3, 2, arma::fill::zeros)};
  const auto scores = inv.map(users).collect();
  REQUIRE(scores.size() == 2);
  CHECK(arma::approx_equal(scores[0], factors * users[0], "absdiff", 1e-5F));
  CHECK(scores[1].n_rows == 5);
  CHECK(scores[1].n_cols == 2);
}

TEST_CASE("V2: Armadillo's matrices are models as they are: workers inherit them") {
  ON_EVERY_ENGINE(engine);
  const arma::mat factors(4, 2, arma::fill::randu);  // has no serialize()
  invoker inv(
      factors, [](const arma::mat& all, int item) { return arma::accu(all.row(static_cast<arma::uword>(item))); },
      on(engine));
  int item = 0;
  for (const double sum : inv.map(std::vector{0, 1, 2, 3})) {
    CHECK(sum == arma::accu(factors.row(static_cast<arma::uword>(item++))));
  }
}
#endif

// Where the tests find the MovieLens ratings, if this machine has them.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <optional>

namespace lenskit::tests {

/// The directory with `ratings.csv`: LENSKIT_MOVIELENS, or the shared data beside the checkout. Tests that get nothing
/// skip: `LENSKIT_SKIP("no MovieLens data")`.
inline std::optional<std::filesystem::path> movielens() {
  const char* chosen = std::getenv("LENSKIT_MOVIELENS");
  const std::filesystem::path place =
      chosen ? chosen : std::filesystem::path(LENSKIT_TESTS_SOURCE_DIR) / "../shared/data/ml-latest-small";
  if (!std::filesystem::exists(place / "ratings.csv")) return std::nullopt;
  return place;
}

}  // namespace lenskit::tests

// Ratings: read from MovieLens or generated.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <vector>

struct rating {
  std::uint32_t user = 0;  // indices, not the ids of the file
  std::uint32_t item = 0;
  float value = 0;
};

struct rating_data {
  std::vector<std::int64_t> user_ids;  // by index
  std::vector<std::int64_t> item_ids;
  std::vector<rating> ratings;
};

// A file that is not what it should be: says where and what.
class bad_ratings : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Reads `directory`/ratings.csv: userId,movieId,rating,timestamp under a header. Throws bad_ratings.
rating_data read_ratings(const std::filesystem::path& directory);

// Ratings with the size and skew of MovieLens: a few users rate much, a few items are rated by many, and users prefer
// items of some genres. Random, from the root seed: the same for the same seed.
rating_data generate_ratings(std::size_t n_users, std::size_t n_items);

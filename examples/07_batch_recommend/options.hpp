// The command line.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>

struct options {
  std::optional<std::filesystem::path> movielens{};  // the directory with ratings.csv; none: ratings are generated
  std::filesystem::path output = "recommendations.csv";
  int n_jobs = 2;
  std::uint64_t seed = 42;
  std::size_t users = 700;  // of generated ratings
  std::size_t items = 9000;
};

// Throws std::invalid_argument with a sentence about what is wrong.
options parse_options(int argc, char** argv);

extern const char* const usage;

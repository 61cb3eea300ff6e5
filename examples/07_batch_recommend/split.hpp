// What is trained on and what is held out.
#pragma once

#include "ratings.hpp"

#include <cstdint>
#include <vector>

struct rating_split {
  std::vector<rating> train;                         // by user
  std::vector<std::vector<std::uint32_t>> held_out;  // items, by user, sorted
};

// Holds out a fifth of each user's ratings, rounded down. Which ones depends on the root seed and the user's id alone.
rating_split hold_out_a_fifth(const rating_data& data);

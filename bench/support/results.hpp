// The results that tasks of T6 return, the same for every contestant.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace bench {

using pairs = std::vector<std::pair<int, float>>;

constexpr int n_pairs = 100;

[[nodiscard]] inline pairs make_pairs(int x) {
  pairs made(n_pairs);
  for (int i = 0; i < n_pairs; ++i) made[static_cast<std::size_t>(i)] = {x + i, 0.5F};
  return made;
}

[[nodiscard]] inline std::string make_string(int x) { return "the recommendations of user " + std::to_string(x); }

[[nodiscard]] inline std::map<int, float> make_map(int x) {
  std::map<int, float> made;
  constexpr int entries = 10;
  for (int i = 0; i < entries; ++i) made.emplace_hint(made.end(), x + i, 0.5F);
  return made;
}

struct item {
  int id = 0;
  std::string title;
  template <class Archive>
  void serialize(Archive& ar, unsigned) {
    ar& id& title;
  }
};

struct user_lists {
  int user = 0;
  std::vector<item> items;
  std::map<std::string, double> scores;
  template <class Archive>
  void serialize(Archive& ar, unsigned) {
    ar& user& items& scores;
  }
};

[[nodiscard]] inline user_lists make_lists(int x) {
  return {x,
          {{x, "the first title"}, {x + 1, "a second title"}, {x + 2, "one more"}},
          {{"precision", 0.5}, {"recall", 0.25}}};
}

}  // namespace bench

#include "ratings.hpp"

#include <array>
#include <charconv>
#include <fstream>
#include <string>
#include <string_view>
#include <unordered_map>

namespace {

// Ids in the order of their first use.
class numbering {
 public:
  explicit numbering(std::vector<std::int64_t>& ids) : ids_(ids) {}
  std::uint32_t operator()(std::int64_t id) {
    const auto [place, is_new] = indices_.try_emplace(id, static_cast<std::uint32_t>(ids_.size()));
    if (is_new) ids_.push_back(id);
    return place->second;
  }

 private:
  std::vector<std::int64_t>& ids_;
  std::unordered_map<std::int64_t, std::uint32_t> indices_;
};

// Takes one value off the front of `text`, up to a comma or the end.
template <class T>
bool take(std::string_view& text, T& value, bool last) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  if (last) return text.empty();
  if (text.empty() || text.front() != ',') return false;
  text.remove_prefix(1);
  return true;
}

struct fields {
  std::int64_t user = 0, item = 0, time = 0;
  float value = 0;
  bool parse(std::string_view line) {
    return take(line, user, false) && take(line, item, false) && take(line, value, false) && take(line, time, true) &&
           value > 0 && value <= 5;
  }
};

[[noreturn]] void refuse(const std::filesystem::path& file, std::size_t number, const char* wanted,
                         std::string_view line) {
  throw bad_ratings(file.string() + ":" + std::to_string(number) + ": expected " + wanted + ", found \"" +
                    std::string(line) + "\"");
}

}  // namespace

rating_data read_ratings(const std::filesystem::path& directory) {
  constexpr const char* header = "userId,movieId,rating,timestamp";
  const auto file = directory / "ratings.csv";
  std::ifstream in(file);
  if (!in) throw bad_ratings("cannot open " + file.string());

  rating_data data;
  numbering users(data.user_ids);
  numbering items(data.item_ids);
  std::string line;
  for (std::size_t number = 1; std::getline(in, line); ++number) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (number == 1) {
      if (line != header) refuse(file, number, header, line);
      continue;
    }
    fields found;
    if (!found.parse(line)) refuse(file, number, "userId,movieId,rating,timestamp with a rating up to 5", line);
    data.ratings.push_back({users(found.user), items(found.item), found.value});
  }
  if (in.bad()) throw bad_ratings("cannot read " + file.string());
  if (data.ratings.empty()) throw bad_ratings(file.string() + ": no ratings in it");
  return data;
}

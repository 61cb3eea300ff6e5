#include <lenskit/detail/share/task_seed.hpp>
#include <lenskit/error.hpp>

#include <limits>
#include <utility>

namespace lenskit::detail {

call_seed::call_seed(seed_sequence root, seed_sequence::key_type key)
    : state_(std::make_shared<const state>(state{std::move(root), std::move(key)})) {}

// Three lists, each after its length: the root's entropy, the root's key, the call's key.
std::vector<std::uint64_t> call_seed::words() const {
  std::vector<std::uint64_t> words;
  const auto append = [&words](const auto& list) {
    words.push_back(list.size());
    words.insert(words.end(), list.begin(), list.end());
  };
  append(root().entropy());
  append(root().spawn_key());
  append(key());
  return words;
}

call_seed call_seed::from_words(std::span<const std::uint64_t> words) {
  const auto take = [&words] {
    if (words.empty() || words.front() > words.size() - 1)
      throw serialization_error("cannot read the seed of a call: it is cut short");
    const auto list = words.subspan(1, static_cast<std::size_t>(words.front()));
    words = words.subspan(1 + list.size());
    return list;
  };
  std::vector<std::uint32_t> entropy;
  for (const std::uint64_t word : take()) {
    if (word > std::numeric_limits<std::uint32_t>::max())
      throw serialization_error("cannot read the seed of a call: its entropy is out of range");
    entropy.push_back(static_cast<std::uint32_t>(word));
  }
  const auto root_key = take();
  const auto call_key = take();
  if (!words.empty()) throw serialization_error("cannot read the seed of a call: it is too long");
  return call_seed(seed_sequence(entropy, {root_key.begin(), root_key.end()}), {call_key.begin(), call_key.end()});
}

}  // namespace lenskit::detail

#include <lenskit/detail/share/task_seed.hpp>
#include <lenskit/error.hpp>

#include <algorithm>
#include <limits>
#include <memory>
#include <utility>

namespace lenskit::detail {

// Three lists, each after its length: the root's entropy, the root's key, the call's key.
std::vector<std::uint64_t> call_seed::words() const {
  constexpr std::size_t lists = 3;
  std::vector<std::uint64_t> words;
  words.reserve(lists + root().entropy().size() + root().spawn_key().size() + key().size());
  const auto append = [&words](const auto& list) {
    words.push_back(list.size());
    words.insert(words.end(), list.begin(), list.end());
  };
  append(root().entropy());
  append(root().spawn_key());
  append(key());
  return words;
}

call_seed call_seed::from_words(std::span<const std::uint64_t> words, const call_seed* before) {
  const auto take = [&words] {
    if (words.empty() || words.front() > words.size() - 1)
      throw serialization_error("cannot read the seed of a call: it is cut short");
    const auto list = words.subspan(1, static_cast<std::size_t>(words.front()));
    words = words.subspan(1 + list.size());
    return list;
  };
  const auto root_entropy = take();
  const auto root_key = take();
  const auto call_key = take();
  if (!words.empty()) throw serialization_error("cannot read the seed of a call: it is too long");
  seed_sequence::key_type key(call_key.begin(), call_key.end());
  if (before != nullptr && std::ranges::equal(root_entropy, before->root().entropy()) &&
      std::ranges::equal(root_key, before->root().spawn_key())) {
    return before->with_key(std::move(key));
  }
  std::vector<std::uint32_t> entropy;
  for (const std::uint64_t word : root_entropy) {
    if (word > std::numeric_limits<std::uint32_t>::max())
      throw serialization_error("cannot read the seed of a call: its entropy is out of range");
    entropy.push_back(static_cast<std::uint32_t>(word));
  }
  seed_sequence::key_type key_of_root(root_key.begin(), root_key.end());
  return {std::make_shared<const seed_sequence>(entropy, std::move(key_of_root)), std::move(key)};
}

}  // namespace lenskit::detail

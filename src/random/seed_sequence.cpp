#include <lenskit/random.hpp>

#include <random>
#include <stdexcept>
#include <string>

namespace lenskit {
namespace {

// The constants of NumPy's SeedSequence, which are those of O'Neill's randutils.
constexpr std::uint32_t mix_start = 0x43b0d7e5U;
constexpr std::uint32_t mix_step = 0x931e8875U;
constexpr std::uint32_t stream_step = 0x58f38dedU;
constexpr std::uint32_t blend_left = 0xca01f9ddU;
constexpr std::uint32_t blend_right = 0x4973f715U;
constexpr int half = 16;

class mixer {
 public:
  std::uint32_t operator()(std::uint32_t value) noexcept {
    value ^= hash_;
    hash_ *= mix_step;
    value *= hash_;
    return value ^ (value >> half);
  }

 private:
  std::uint32_t hash_ = mix_start;
};

constexpr std::uint32_t blend(std::uint32_t x, std::uint32_t y) noexcept {
  const std::uint32_t result = blend_left * x - blend_right * y;
  return result ^ (result >> half);
}

}  // namespace

namespace detail {

void refuse_negative_seed(long long value) {
  throw std::invalid_argument("cannot use " + std::to_string(value) + " as a seed: it is negative");
}

void append_seed_words(std::vector<std::uint32_t>& words, std::uint64_t value) {
  words.push_back(static_cast<std::uint32_t>(value));
  if (value >> 32 != 0) words.push_back(static_cast<std::uint32_t>(value >> 32));
}

}  // namespace detail

seed_sequence::seed_sequence() {
  std::random_device device;
  for (std::size_t i = 0; i < pool_size; ++i) entropy_.push_back(device());
  mix();
}

seed_sequence::seed_sequence(const seed_sequence& other)
    : entropy_(other.entropy_),
      spawn_key_(other.spawn_key_),
      pool_(other.pool_),
      children_(other.n_children_spawned()) {}

seed_sequence::seed_sequence(seed_sequence&& other) noexcept
    : entropy_(std::move(other.entropy_)),
      spawn_key_(std::move(other.spawn_key_)),
      pool_(other.pool_),
      children_(other.n_children_spawned()) {}

seed_sequence& seed_sequence::operator=(const seed_sequence& other) { return *this = seed_sequence(other); }

seed_sequence& seed_sequence::operator=(seed_sequence&& other) noexcept {
  entropy_ = std::move(other.entropy_);
  spawn_key_ = std::move(other.spawn_key_);
  pool_ = other.pool_;
  children_.store(other.n_children_spawned(), std::memory_order_relaxed);
  return *this;
}

std::vector<seed_sequence> seed_sequence::spawn(std::size_t count) {
  // Claimed at once, so that the children of one call are consecutive whatever other threads do.
  std::uint64_t next = children_.fetch_add(count, std::memory_order_relaxed);
  std::vector<seed_sequence> children;
  children.reserve(count);
  key_type key = spawn_key_;
  key.push_back(0);
  for (; children.size() < count; ++next) {
    key.back() = next;
    children.emplace_back(entropy_, key);
  }
  return children;
}

seed_sequence seed_sequence::spawn() { return seed_sequence(entropy_, claim_key()); }

// The next child's key.
seed_sequence::key_type seed_sequence::claim_key() {
  key_type key;
  key.reserve(spawn_key_.size() + 1);
  key = spawn_key_;
  key.push_back(children_.fetch_add(1, std::memory_order_relaxed));
  return key;
}

std::vector<std::uint32_t> seed_sequence::assembled() const {
  std::vector<std::uint32_t> words = entropy_;
  // Short entropy is padded, or the words of the key would pass for entropy: NumPy issue 16539.
  if (!spawn_key_.empty() && words.size() < pool_size) words.resize(pool_size, 0);
  for (const std::uint64_t key : spawn_key_) detail::append_seed_words(words, key);
  return words;
}

void seed_sequence::mix() {
  const std::vector<std::uint32_t> words = assembled();
  mixer hashed;
  for (std::size_t i = 0; i < pool_size; ++i) pool_[i] = hashed(i < words.size() ? words[i] : 0);
  for (std::size_t from = 0; from < pool_size; ++from) {
    for (std::size_t to = 0; to < pool_size; ++to) {
      if (from != to) pool_[to] = blend(pool_[to], hashed(pool_[from]));
    }
  }
  for (std::size_t from = pool_size; from < words.size(); ++from) {
    for (std::uint32_t& to : pool_) to = blend(to, hashed(words[from]));
  }
}

std::uint32_t seed_sequence::word_stream::next() noexcept {
  std::uint32_t value = pool_[at_] ^ hash_;
  at_ = (at_ + 1) % pool_size;
  hash_ *= stream_step;
  value *= hash_;
  return value ^ (value >> half);
}

}  // namespace lenskit

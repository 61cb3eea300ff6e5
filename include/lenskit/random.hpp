// Reproducible randomness: NumPy's SeedSequence, a root seed for the program, and a seed of its own for each task.
#pragma once

#include <array>
#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <ranges>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace lenskit {

namespace detail {

class call_seed;

/// Integers that are numbers: `bool` and characters as seeds are mistakes.
template <class T>
concept seed_integer =
    std::integral<T> && !std::same_as<T, bool> && !std::same_as<T, char> && !std::same_as<T, wchar_t> &&
    !std::same_as<T, char8_t> && !std::same_as<T, char16_t> && !std::same_as<T, char32_t>;

template <class T>
concept seed_integers = std::ranges::input_range<const T> && seed_integer<std::ranges::range_value_t<const T>>;

template <class T>
concept seed_key = seed_integer<T> || std::convertible_to<const T&, std::string_view>;

[[noreturn]] void refuse_negative_seed(long long value);

template <seed_integer T>
std::uint64_t seed_number(T value) {
  if constexpr (std::is_signed_v<T>) {
    if (value < 0) refuse_negative_seed(value);
  }
  return static_cast<std::uint64_t>(value);
}

/// CRC-32 as zlib computes it.
std::uint32_t crc32(std::string_view text) noexcept;

template <seed_key T>
std::uint64_t key_number(const T& key) {
  if constexpr (seed_integer<T>) {
    return seed_number(key);
  } else {
    return crc32(std::string_view(key));
  }
}

/// Appends `value` as NumPy does: in 32-bit words, lowest first, without leading zeros but at least one word.
void append_seed_words(std::vector<std::uint32_t>& words, std::uint64_t value);

/// The seed of the next map call: the next child of the root, or inside a task the next child of the task.
call_seed next_call_seed();

}  // namespace detail

/// A source of seeds that gives the same bits as `numpy.random.SeedSequence` with its default pool of four words.
///
///     lenskit::seed_sequence seeds(42);
///     auto children = seeds.spawn(3);                 // independent streams, as in NumPy
///     std::mt19937_64 rng(children[0]);               // any engine of <random>
///     auto state = children[1].generate_state(4);     // == SeedSequence(42).spawn(3)[1].generate_state(4)
///
/// The entropy is an integer or a range of integers; an integer of more than 64 bits is given as its 32-bit words,
/// lowest first. The spawn key is a path of integers: two sequences of the same entropy and different paths give
/// independent streams. Negative numbers throw `std::invalid_argument`. Nothing blocks. `spawn` may be called from
/// several threads; everything else is const or value-like. Not changed by fork: a child has a copy.
///
/// It models the standard's SeedSequence with two exceptions: default construction takes fresh entropy from the
/// operating system, as in NumPy, and there is no initializer-list constructor, because `{42, {1}}` must be an entropy
/// and a spawn key. An engine's constructor wants an lvalue.
///
/// LensKit: is NumPy's class itself; `entropy()` is in 32-bit words here because C++ has no big integers.
class seed_sequence {
 public:
  using result_type = std::uint32_t;
  using key_type = std::vector<std::uint64_t>;
  static constexpr std::size_t pool_size = 4;  ///< 32-bit words that the entropy is mixed into

  seed_sequence();

  template <detail::seed_integer Entropy>
  explicit seed_sequence(Entropy entropy, key_type spawn_key = {}) : spawn_key_(std::move(spawn_key)) {
    detail::append_seed_words(entropy_, detail::seed_number(entropy));
    mix();
  }

  template <detail::seed_integers Entropy>
  explicit seed_sequence(const Entropy& entropy, key_type spawn_key = {}) : spawn_key_(std::move(spawn_key)) {
    for (const auto value : entropy) detail::append_seed_words(entropy_, detail::seed_number(value));
    mix();
  }

  template <std::input_iterator Iterator>
  requires detail::seed_integer<std::iter_value_t<Iterator>> seed_sequence(Iterator first, Iterator last) {
    for (; first != last; ++first) detail::append_seed_words(entropy_, detail::seed_number(*first));
    mix();
  }

  seed_sequence(const seed_sequence& other);
  seed_sequence(seed_sequence&& other) noexcept;
  seed_sequence& operator=(const seed_sequence& other);
  seed_sequence& operator=(seed_sequence&& other) noexcept;
  ~seed_sequence() = default;

  /// The entropy in 32-bit words.
  [[nodiscard]] const std::vector<std::uint32_t>& entropy() const noexcept { return entropy_; }
  /// The path from the sequence that was seeded to this one.
  [[nodiscard]] const key_type& spawn_key() const noexcept { return spawn_key_; }
  /// How many children `spawn` has made.
  [[nodiscard]] std::uint64_t n_children_spawned() const noexcept { return children_.load(std::memory_order_relaxed); }

  /// The next `count` children: sequences with this one's spawn key and one more number.
  [[nodiscard]] std::vector<seed_sequence> spawn(std::size_t count);
  /// The next child.
  [[nodiscard]] seed_sequence spawn();

  /// `count` words of seed material: `generate_state(n)` of NumPy, and with `std::uint64_t` its `dtype=np.uint64`.
  template <std::unsigned_integral Word = std::uint32_t>
  requires(sizeof(Word) == 4 || sizeof(Word) == 8)
      [[nodiscard]] std::vector<Word> generate_state(std::size_t count) const {
    std::vector<Word> state(count);
    word_stream words(pool_);
    for (Word& word : state) {
      word = static_cast<Word>(words.next());
      if constexpr (sizeof(Word) == 8) word |= static_cast<Word>(words.next()) << 32;
    }
    return state;
  }

  /// The standard's SeedSequence: fills the range with 32-bit numbers.
  template <std::forward_iterator Iterator>
  void generate(Iterator first, Iterator last) const {
    word_stream words(pool_);
    for (; first != last; ++first) *first = words.next();
  }
  /// The standard's SeedSequence: how many numbers `param` writes.
  [[nodiscard]] std::size_t size() const { return assembled().size(); }
  /// The standard's SeedSequence: numbers from which `seed_sequence(first, last)` gives the same bits.
  template <class Output>
  void param(Output out) const {
    for (const std::uint32_t word : assembled()) *out++ = word;
  }

  /// Whether both give the same bits for the same reason; children already spawned are not compared.
  friend bool operator==(const seed_sequence& a, const seed_sequence& b) noexcept {
    return a.entropy_ == b.entropy_ && a.spawn_key_ == b.spawn_key_;
  }

 private:
  using pool_type = std::array<std::uint32_t, pool_size>;

  // The endless words that a pool gives.
  class word_stream {
   public:
    explicit word_stream(const pool_type& pool) noexcept : pool_(pool) {}
    std::uint32_t next() noexcept;

   private:
    pool_type pool_;
    std::size_t at_ = 0;
    std::uint32_t hash_ = 0x8b51f9ddU;
  };

  friend detail::call_seed detail::next_call_seed();
  [[nodiscard]] key_type claim_key();

  [[nodiscard]] std::vector<std::uint32_t> assembled() const;
  void mix();

  std::vector<std::uint32_t> entropy_;
  key_type spawn_key_;
  pool_type pool_{};
  std::atomic<std::uint64_t> children_{0};
};

namespace detail {
seed_sequence next_child_seed();
seed_sequence keyed_seed(std::span<const std::uint64_t> keys);
}  // namespace detail

/// Seeds the program: everything that `derive_seed`, `task_seed` and map calls give follows from this number.
///
///     lenskit::init_rng(20260101);
///
/// Call it early and in the parent, before the map calls it is meant for; each call starts over with the children that
/// are handed out. Inside a task it has no effect on that task. Never blocks; safe in any thread.
///
/// LensKit: does not seed other generators (there is no global one in C++), and takes no further keys: `derive_seed`.
void init_rng(std::uint64_t seed);

/// The root seed: the one of `init_rng`, else fresh entropy of the operating system that is taken once.
///
///     std::mt19937_64 rng(lenskit::derive_seed("shuffle"));   // rather than from the root itself
///
/// Inside a task it is the root of the program that made the map call. The reference stays valid for the life of the
/// program, or inside a task as long as the task. Never blocks; safe in any thread.
///
/// LensKit: `get_root_seed`.
const seed_sequence& root_seed();

/// A new seed from the root: without keys its next child, with keys always the same one for the same keys.
///
///     auto seed = lenskit::derive_seed("split", fold);
///     std::mt19937_64 rng(seed);
///
/// Keys are non-negative integers and strings, which are appended to the root's spawn key, a string as the CRC-32 of
/// its bytes. So `derive_seed(0)` is also the first child that `derive_seed()` gives; begin the keys with a
/// string to keep clear of the children. A negative key throws `std::invalid_argument`.
///
/// Inside a task the call without keys gives the next child of the task's own seed, so that the result does not
/// depend on what else its worker ran; with keys it is the same function of the root's entropy as in the parent. In a
/// thread that a task started in a worker process it throws std::logic_error without keys: derive it in the task.
/// Never blocks; safe in any thread, but which thread gets which child depends on who comes first.
///
/// LensKit: the same numbers as `lenskit.util.random.derive_seed` of 0.13, strings included.
template <detail::seed_key... Keys>
[[nodiscard]] seed_sequence derive_seed(const Keys&... keys) {
  if constexpr (sizeof...(Keys) == 0) {
    return detail::next_child_seed();
  } else {
    const std::array<std::uint64_t, sizeof...(Keys)> numbers{detail::key_number(keys)...};
    return detail::keyed_seed(numbers);
  }
}

/// The seed of the task that is running: it depends on the root seed, the map call and the task's index alone.
///
///     auto sample = [](const model& m, int user) {
///       auto seed = lenskit::task_seed();
///       std::mt19937_64 rng(seed);
///       return draw(m, user, rng);
///     };
///
/// The same for any engine and number of workers, and when the task is run again after its worker died. Each call
/// returns the same sequence; its children are those that `derive_seed()` gives in the task, so use one of the two.
/// Throws `std::logic_error` outside of a task, which includes threads that `fn` starts. Never blocks.
///
/// LensKit: has none; its workers derive one seed per process.
[[nodiscard]] seed_sequence task_seed();

}  // namespace lenskit

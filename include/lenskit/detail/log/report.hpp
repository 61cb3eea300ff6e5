// The bytes of a report: what a worker tells its parent beside its results, over its private report pipe.
//
// A report is cut into fragments of at most PIPE_BUF bytes. The kernel writes each of them as one piece, so several
// threads of a worker can report at once without a lock, and what a dying worker wrote is whole (failures L1, L3).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace lenskit::detail {

enum class report_kind : std::uint8_t {
  log = 1,       ///< log_fields, then name, file, function and text
  progress = 2,  ///< progress_fields, then the label and the counts
  crash = 3,     ///< crash_fields, then raw addresses and text
  drops = 4,     ///< nothing but the header, whose `lost` counts; has no number of its own
};

/// In front of each fragment.
struct fragment_header {
  static constexpr std::uint16_t mark = 0x4c52;
  static constexpr std::uint8_t more = 1;     ///< the next fragment belongs to the same report
  static constexpr std::uint8_t foreign = 2;  ///< written by a process the worker forked: not in its count

  std::uint32_t check;     ///< of everything after this field
  std::uint16_t magic;     ///< `mark`
  std::uint16_t bytes;     ///< of this fragment, header included
  std::uint64_t report;    ///< counted from 1 in each process
  std::uint32_t process;   ///< that wrote it
  std::uint32_t thread;    ///< that wrote it
  std::uint32_t lost;      ///< reports that found no room before this one
  std::uint16_t position;  ///< of this fragment in its report, from 0
  report_kind kind;
  std::uint8_t flags;
};
static_assert(sizeof(fragment_header) == 32);

constexpr std::size_t max_fragment = 4096;  // PIPE_BUF on Linux
constexpr std::size_t max_report = std::size_t{16} << 20;
static_assert(max_report / (max_fragment - sizeof(fragment_header)) < 65'535, "a position has 16 bits");

/// A log record as plain fields: formatting waits for the parent (failure F2).
struct log_fields {
  std::int64_t time;       ///< ns since the epoch, system clock
  std::int64_t monotonic;  ///< ns, steady clock: the order of things in all processes of a machine
  std::uint32_t process;   ///< where the record was made: not the writer, if the writer passes it on
  std::uint32_t thread;
  std::int32_t line;
  std::uint32_t text_bytes;
  std::uint16_t name_bytes;
  std::uint16_t file_bytes;
  std::uint16_t function_bytes;
  std::uint8_t level;
  std::uint8_t has_source;
};
static_assert(sizeof(log_fields) == 40);

/// The last words of a worker.
struct crash_fields {
  std::int32_t signal;
  std::int32_t code;      ///< si_code
  std::uint64_t address;  ///< si_addr
  std::uint32_t frames;   ///< raw return addresses that follow
  std::uint32_t text_bytes;
};
static_assert(sizeof(crash_fields) == 24);

/// A check of `bytes` bytes that sees every change of a single word: against a worker that writes over its own
/// memory, not against an attacker, whom the anonymous pipe keeps out.
inline std::uint32_t report_check(const void* data, std::size_t bytes) noexcept {
  constexpr std::uint64_t factor = 0x9e3779b97f4a7c15;
  const auto* at = static_cast<const unsigned char*>(data);
  std::uint64_t sum = bytes * factor;
  const auto mix = [&sum](std::uint64_t word) {
    sum = (sum ^ word) * factor;
    sum ^= sum >> 32;
  };
  for (; bytes >= sizeof(std::uint64_t); at += sizeof(std::uint64_t), bytes -= sizeof(std::uint64_t)) {
    std::uint64_t word;
    std::memcpy(&word, at, sizeof word);
    mix(word);
  }
  std::uint64_t rest = 0;
  if (bytes > 0) std::memcpy(&rest, at, bytes);
  mix(rest);
  return static_cast<std::uint32_t>(sum);
}

}  // namespace lenskit::detail

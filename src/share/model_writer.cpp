#include <lenskit/detail/os/crew.hpp>
#include <lenskit/detail/os/system.hpp>
#include <lenskit/detail/share/model_writer.hpp>
#include <lenskit/detail/share/segment.hpp>
#include <lenskit/detail/wire/crc32c.hpp>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace lenskit::detail {
namespace {

// What is copied at a time: it stays in the cache between its checksum and its copy.
constexpr std::size_t window_bytes = std::size_t{256} << 10;

class writing {
 public:
  writing(const model_parts& parts, const model_target& target)
      : header_(parts.header()), runs_(parts.runs()), target_(target), checks_(block_count(header_)) {}

  void run(writers how) {
    const auto end = header_.checks_offset;
    const auto blocks = static_cast<std::size_t>((end + block_bytes - 1) / block_bytes);
    constexpr std::size_t most = 8;  // beyond that they only wait for one another in the kernel
    const auto threads = how == writers::one ? 1 : std::min({blocks / 2, usable_processors(), most});
    run_crew(blocks, threads, [this](std::size_t i) { copy_block(i); });
    put(header_.checks_offset, checks_.data(), checks_.size() * sizeof checks_[0]);
    header_.checks_check = crc32c(checks_.data(), checks_.size() * sizeof checks_[0]);
    close_header(header_);
    put(0, &header_, sizeof header_);
  }

 private:
  void put(std::uint64_t offset, const void* data, std::size_t bytes) {
    target_(offset, {static_cast<const std::byte*>(data), bytes});
  }

  void copy_block(std::size_t block) {
    const auto begin = std::max<std::uint64_t>(block * block_bytes, sizeof(model_header));
    const auto end = std::min<std::uint64_t>((block + 1) * block_bytes, header_.checks_offset);
    std::unique_ptr<std::byte[]> mixed;
    std::uint32_t check = 0;
    for (auto at = begin; at < end;) {
      const auto next = std::min<std::uint64_t>((at / window_bytes + 1) * window_bytes, end);
      const auto bytes = static_cast<std::size_t>(next - at);
      const auto* data = within_one_run(at, bytes);
      if (data == nullptr) {
        if (!mixed) mixed = std::make_unique_for_overwrite<std::byte[]>(window_bytes);
        gather(at, bytes, mixed.get());
        data = mixed.get();
      }
      check = checked(at, data, bytes, check);
      put(at, data, bytes);
      at = next;
    }
    if (block < checks_.size()) checks_[block] = check;
  }

  [[nodiscard]] std::uint32_t checked(std::uint64_t at, const std::byte* data, std::size_t bytes,
                                      std::uint32_t so_far) const noexcept {
    if (at >= header_.checked_end) return so_far;
    return crc32c(data, std::min(bytes, static_cast<std::size_t>(header_.checked_end - at)), so_far);
  }

  // The first run that ends behind `offset`.
  [[nodiscard]] std::vector<model_parts::run>::const_iterator run_at(std::uint64_t offset) const {
    return std::partition_point(runs_.begin(), runs_.end(),
                                [&](const auto& run) { return run.offset + run.bytes <= offset; });
  }
  [[nodiscard]] const std::byte* within_one_run(std::uint64_t begin, std::size_t bytes) const {
    const auto run = run_at(begin);
    if (run == runs_.end() || run->offset > begin || run->offset + run->bytes < begin + bytes) return nullptr;
    return run->data + (begin - run->offset);
  }
  void gather(std::uint64_t begin, std::size_t bytes, std::byte* into) const {
    std::memset(into, 0, bytes);
    const auto end = begin + bytes;
    for (auto run = run_at(begin); run != runs_.end() && run->offset < end; ++run) {
      const auto from = std::max(begin, run->offset);
      const auto to = std::min(end, run->offset + run->bytes);
      std::memcpy(into + (from - begin), run->data + (from - run->offset), static_cast<std::size_t>(to - from));
    }
  }

  model_header header_;
  const std::vector<model_parts::run>& runs_;
  const model_target& target_;
  std::vector<std::uint32_t> checks_;  // blocks are threads' own, and so are their elements
};

}  // namespace

void write_model(const model_parts& parts, const model_target& target, writers how) { writing(parts, target).run(how); }

model_target write_to(int fd, std::uint64_t total_bytes, std::string where) {
  return [=, where = std::move(where)](std::uint64_t offset, std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const auto written = sys::retry(
          [&]() noexcept { return sys::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset)); });
      if (written <= 0) fail_room("write", fd, total_bytes, where, written == 0 ? ENOSPC : errno);
      bytes = bytes.subspan(static_cast<std::size_t>(written));
      offset += static_cast<std::uint64_t>(written);
    }
  };
}

}  // namespace lenskit::detail

// A model on its way into storage: its stream, and the arrays that stay where they are until they are copied.
#pragma once

#include <lenskit/detail/share/model_format.hpp>
#include <lenskit/detail/wire/archive_store.hpp>
#include <lenskit/detail/wire/writer.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace lenskit::detail {

/// Collects what `encode` leaves out of band, and lays the model out. An array that two members share is stored once.
class model_parts final : public array_store {
 public:
  [[nodiscard]] writer& stream() noexcept { return stream_; }
  std::uint64_t put(const void* data, std::size_t bytes, std::size_t align) override;
  void keep(std::shared_ptr<const void> owner) override { owners_.push_back(std::move(owner)); }

  /// Fixes the layout: no `put` after it. With `check_all` the checks cover the arrays too.
  void lay_out(const model_type& type, bool check_all);

  /// A run of bytes and where it goes. Runs come in ascending order; zeros fill the gaps.
  struct run {
    std::uint64_t offset;
    const std::byte* data;
    std::size_t bytes;
  };
  [[nodiscard]] const std::vector<run>& runs() const noexcept { return runs_; }
  [[nodiscard]] const model_header& header() const noexcept { return header_; }

 private:
  writer stream_;
  std::vector<run> arrays_;
  std::vector<std::uint64_t> alignments_;  // of each of `arrays_`
  std::map<std::pair<const void*, std::size_t>, std::uint64_t> tokens_;
  std::vector<std::shared_ptr<const void>> owners_;  // of what `arrays_` points to
  std::vector<array_place> table_;
  std::vector<run> runs_;
  model_header header_;
};

}  // namespace lenskit::detail

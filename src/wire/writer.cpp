#include <lenskit/detail/wire/writer.hpp>
#include <lenskit/error.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace lenskit::detail {
namespace {

constexpr std::size_t smallest_block = 256;

}  // namespace

void writer::grow(std::size_t more) {
  const auto used = size();
  if (more > static_cast<std::size_t>(PTRDIFF_MAX) - used) throw std::bad_alloc();
  const auto wanted = std::max({used + more, capacity() * 2, smallest_block});
  if (heap_ && begin_ == heap_.get()) {
    // realloc moves the pages of a large block instead of copying them
    auto* moved = static_cast<std::byte*>(std::realloc(heap_.get(), wanted));
    if (moved == nullptr) throw std::bad_alloc();
    (void)heap_.release();
    heap_.reset(moved);
    heap_capacity_ = wanted;
  } else {
    if (heap_capacity_ < wanted) {  // what clear() kept does not do
      heap_.reset(allocate_block(wanted));
      heap_capacity_ = heap_ ? wanted : 0;
      if (!heap_) throw std::bad_alloc();
    }
    if (used != 0) std::memcpy(heap_.get(), begin_, used);
  }
  begin_ = heap_.get();
  next_ = begin_ + used;
  end_ = begin_ + heap_capacity_;
}

void writer::resize_down(std::size_t bytes) noexcept {
  next_ = begin_ + std::min(bytes, size());
  while (!attachments_.empty() && attached_at_[attachments_.size() - 1] >= bytes) attachments_.pop_back();
}

void writer::clear() noexcept {
  drop_attachments();
  if (external_ != nullptr) {
    begin_ = external_;
    end_ = external_ + external_capacity_;
  }
  next_ = begin_;
}

void writer::trim(std::size_t keep) noexcept {
  if (size() != 0 || heap_capacity_ <= keep) return;
  heap_.reset();
  heap_capacity_ = 0;
  begin_ = next_ = external_;
  end_ = external_ + external_capacity_;
}

byte_block writer::release() {
  const auto used = size();
  if (begin_ != heap_.get()) {
    if (used == 0) return {};
    byte_block copy{{static_cast<std::byte*>(std::malloc(used)), {}}, used};
    if (!copy.data) throw std::bad_alloc();
    std::memcpy(copy.data.get(), begin_, used);
    clear();
    return copy;
  }
  byte_block block{std::move(heap_), used};
  heap_capacity_ = 0;
  begin_ = next_ = external_;
  end_ = external_ + external_capacity_;
  drop_attachments();
  return block;
}

void writer::fail_depth() {
  throw serialization_error(fmt::format("cannot encode: values lie in one another more than {} deep", max_depth));
}

void writer::attach(descriptor what) {
  if (!carries_descriptors_) throw persist_error("cannot send a descriptor: this channel carries bytes only");
  attached_at_.resize(attachments_.size());  // without a place for one that there was no memory for
  attached_at_.push_back(size());
  attachments_.push_back(std::move(what));
}

std::vector<descriptor> writer::take_attachments() noexcept {
  attached_at_.clear();
  return std::exchange(attachments_, {});
}

void writer::drop_attachments() noexcept {
  attachments_.clear();
  attached_at_.clear();
}

}  // namespace lenskit::detail

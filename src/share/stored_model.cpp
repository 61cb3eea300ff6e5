#include <lenskit/detail/os/system.hpp>
#include <lenskit/detail/share/segment.hpp>
#include <lenskit/detail/share/stored_model.hpp>
#include <lenskit/error.hpp>

#include <fmt/format.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

namespace lenskit::detail {
namespace {

// A forked child must not close a descriptor of its parent: it was closed for it already, and the number may be in use
// again. It is put here, where it is never destroyed.
struct left_open {
  descriptor what;
  left_open* next;
};
std::atomic<left_open*> left_open_descriptors{nullptr};

void leave_open(descriptor what) noexcept {
  auto* const entry = new (std::nothrow) left_open{std::move(what), left_open_descriptors.load()};
  while (entry != nullptr && !left_open_descriptors.compare_exchange_weak(entry->next, entry)) {}
}

}  // namespace

std::span<const std::byte> model_source::get(std::uint64_t token, std::size_t bytes) {
  if (token >= arrays_.size()) throw persist_error("cannot load model: an array that it names does not exist");
  const auto place = arrays_[static_cast<std::size_t>(token)];
  if (place.bytes != bytes) throw persist_error("cannot load model: an array has another size than its stream says");
  used_ = true;
  return mapped_->bytes().subspan(static_cast<std::size_t>(place.offset), bytes);
}

stored_model stored_model::make(persist_method method, model_parts& parts, const model_type& type,
                                const file_choice& choice) {
  const auto& how = storage_of(method);
  parts.lay_out(type, how.made_here == model_origin::file);
  auto written = how.write(parts, choice);
  stored_model made;
  made.segment_ = std::move(written.bytes);
  made.path_ = std::move(written.path);
  made.method_ = method;
  made.origin_ = how.made_here;
  made.kept_ = written.kept;
  made.owner_ = made.maker_ = sys::getpid();
  made.map();
  return made;
}

stored_model stored_model::adopt(sent from) {
  if (!from.segment) throw persist_error("cannot take a model over: it was taken over before");
  const auto& how = storage_of(from.method);
  how.accept(from.segment.get());
  stored_model made;
  made.segment_ = std::move(from.segment);
  made.path_ = std::move(from.path);
  made.method_ = from.method;
  made.origin_ = how.taken;
  made.kept_ = from.kept;
  made.maker_ = sys::getpid();
  if (from.owned) made.owner_ = made.maker_;
  made.map();
  return made;
}

stored_model::sent stored_model::send() const {
  if (!made_here()) throw persist_error("cannot send a model that was inherited from the parent process");
  const auto gate = descriptor_gate();
  descriptor copy(sys::dup(segment_.get()));
  if (!copy) throw persist_error(fmt::format("cannot send a model: {}", std::strerror(errno)));
  return {std::move(copy), path_, method_, kept_, is_owner()};
}

verified_model stored_model::verify(const model_type& type) const {
  const auto bytes = mapped_->bytes();
  // Beyond the end of a file that was cut off lies SIGBUS.
  if (origin_ == model_origin::file && made_here() && size_of(segment_.get()) != bytes.size())
    throw persist_error(fmt::format("cannot load model: the size of its file is {}, expected {}",
                                    size_of(segment_.get()), bytes.size()));
  return verify_model(bytes, type, origin_);
}

void stored_model::unmap() noexcept {
  mapped_.reset();
  if (*this && !find_method(method_)->stored_as->lasts) *this = stored_model();
}

bool stored_model::is_owner() const noexcept { return owner_ != 0 && owner_ == sys::getpid(); }

bool stored_model::made_here() const noexcept { return maker_ == sys::getpid(); }

void stored_model::close() noexcept {
  const auto* const how = find_method(method_)->stored_as;
  if (is_owner() && !path_.empty() && !kept_ && how->remove != nullptr) how->remove(path_, segment_.get());
  if (segment_ && !made_here()) leave_open(std::move(segment_));
  segment_.reset();
  mapped_.reset();
  method_ = persist_method::automatic;
  owner_ = 0;
}

void stored_model::swap(stored_model& other) noexcept {
  std::swap(segment_, other.segment_);
  mapped_.swap(other.mapped_);
  path_.swap(other.path_);
  std::swap(origin_, other.origin_);
  std::swap(method_, other.method_);
  std::swap(kept_, other.kept_);
  std::swap(owner_, other.owner_);
  std::swap(maker_, other.maker_);
}

void stored_model::map() {
  const auto bytes = size_of(segment_.get());
  if (bytes < sizeof(model_header)) throw persist_error(fmt::format("cannot load model: {} bytes are too few", bytes));
  mapped_ = std::make_shared<const mapping>(segment_.get(), static_cast<std::size_t>(bytes));
}

}  // namespace lenskit::detail

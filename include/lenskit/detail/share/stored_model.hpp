// A model that is stored, in whatever way: what the processes that use it hold of it.
#pragma once

#include <lenskit/detail/os/descriptor.hpp>
#include <lenskit/detail/share/mapping.hpp>
#include <lenskit/detail/share/model_format.hpp>
#include <lenskit/detail/share/model_parts.hpp>
#include <lenskit/detail/share/storage.hpp>
#include <lenskit/persist_method.hpp>

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

namespace lenskit::detail {

/// Finds the arrays of a mapped model, and tells whether there were any that point into the mapping.
class model_source final : public array_source {
 public:
  model_source(std::shared_ptr<const mapping> mapped, std::span<const array_place> arrays) noexcept
      : mapped_(std::move(mapped)), arrays_(arrays) {}
  std::span<const std::byte> get(std::uint64_t token, std::size_t bytes) override;
  std::shared_ptr<const void> keeper() override { return mapped_; }
  [[nodiscard]] bool used() const noexcept { return used_; }

 private:
  std::shared_ptr<const mapping> mapped_;
  std::span<const array_place> arrays_;
  bool used_ = false;
};

/// Owns the descriptor and the mapping of a stored model, and the file's name if it is the owner. Move-only.
class stored_model {
 public:
  stored_model() noexcept = default;
  stored_model(stored_model&& other) noexcept { swap(other); }
  stored_model& operator=(stored_model&& other) noexcept {
    stored_model(std::move(other)).swap(*this);
    return *this;
  }
  ~stored_model() { close(); }

  /// Lays `parts` out, writes and maps them, and owns the result. Throws no_space or persist_error.
  [[nodiscard]] static stored_model make(persist_method method, model_parts& parts, const model_type& type,
                                         const file_choice& choice = {});

  /// Takes over what another process sent. Throws persist_error, std::invalid_argument.
  struct sent {
    descriptor segment;
    std::filesystem::path path{};
    persist_method method = persist_method::automatic;
    bool kept = false;
    bool owned = false;
  };
  [[nodiscard]] static stored_model adopt(sent from);
  /// What to send, a copy of the descriptor with it. Throws persist_error.
  [[nodiscard]] sent send() const;

  explicit operator bool() const noexcept { return method_ != persist_method::automatic; }
  [[nodiscard]] persist_method method() const noexcept { return method_; }
  [[nodiscard]] const std::shared_ptr<const mapping>& mapped() const noexcept { return mapped_; }
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  /// Verifies and finds the parts. Throws persist_error.
  [[nodiscard]] verified_model verify(const model_type& type) const;

  /// False in every process but one, a forked child included.
  [[nodiscard]] bool is_owner() const noexcept;
  void disown() noexcept { owner_ = 0; }
  /// For when no array points into the mapping: gives that up, and all the rest if it takes memory.
  void unmap() noexcept;
  /// Removes the file if it has a name, is not the user's and this process owns it. Idempotent.
  void close() noexcept;

 private:
  void swap(stored_model& other) noexcept;
  [[nodiscard]] bool made_here() const noexcept;
  void map();

  descriptor segment_;
  std::shared_ptr<const mapping> mapped_;
  std::filesystem::path path_;
  persist_method method_ = persist_method::automatic;  // nothing is stored
  model_origin origin_ = model_origin::own_memory;
  bool kept_ = false;
  pid_t owner_ = 0;  // 0: another process
  pid_t maker_ = 0;  // where the descriptor is ours
};

}  // namespace lenskit::detail

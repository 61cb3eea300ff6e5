// Memory that processes share: anonymous, sealed once it is filled, gone with its last user.
#pragma once

#include <lenskit/detail/os/descriptor.hpp>
#include <lenskit/detail/share/model_parts.hpp>
#include <lenskit/detail/share/storage.hpp>

#include <cstdint>
#include <string>

namespace lenskit::detail {

/// A memfd with the model in it, which nobody can change any more, in huge pages where the system has them to give.
/// It has no name and belongs to this user alone. Throws no_space or persist_error, and then leaves nothing behind.
[[nodiscard]] descriptor make_memory_segment(const model_parts& parts);

/// `persist_method::shm`.
extern const storage segment_storage;

/// Whether what a descriptor refers to is sealed memory. Throws persist_error that says what is missing.
void verify_seals(int fd);

/// The size of what a descriptor refers to, in bytes. Throws persist_error.
[[nodiscard]] std::uint64_t size_of(int fd);

/// Throws what a failure to `verb` a model means: no_space for ENOSPC, EDQUOT, EFBIG and ENOMEM, else persist_error.
[[noreturn]] void fail_room(const char* verb, int fd, std::uint64_t needed, const std::string& where, int error);

}  // namespace lenskit::detail

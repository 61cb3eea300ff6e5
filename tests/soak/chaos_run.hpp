// One chaos run.
#pragma once

#include "disposable.hpp"

#include <cstdint>
#include <filesystem>

namespace lenskit::soak::chaos {

/// Does everything that `seed` says, in this process, and complains of all that goes wrong. Each complaint begins with
/// the goal that it misses. `directory` is for temporary files, and must be empty afterwards.
void run(std::uint64_t seed, const std::filesystem::path& directory, notes& complaints);

}  // namespace lenskit::soak::chaos

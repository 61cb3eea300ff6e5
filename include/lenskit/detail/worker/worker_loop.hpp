// A worker process: takes chunks from its stream, runs them, sends results, until the stream closes.
#pragma once

#include <lenskit/detail/os/descriptor.hpp>
#include <lenskit/detail/worker/body.hpp>
#include <lenskit/detail/worker/journal.hpp>

namespace lenskit::detail {

/// Serves until the parent closes the stream. Throws nothing; a corrupt stream ends the process.
void serve_tasks(descriptor stream, workplace& place, journal_block& block) noexcept;

/// Runs one chunk at `place`: shared by all engines. `bytes` are the arguments. A body that this process does not know
/// makes every task of the chunk fail.
void run_chunk(workplace& place, body_id body, std::span<const std::byte> bytes, recorder& out) noexcept;

}  // namespace lenskit::detail

// A worker process: takes chunks from its link, runs them, sends results, until the link closes.
#pragma once

#include <lenskit/detail/worker/body.hpp>
#include <lenskit/detail/worker/journal.hpp>
#include <lenskit/detail/worker/message_link.hpp>

#include <cstddef>
#include <span>

namespace lenskit::detail {

/// Serves until the link is closed. `fenced`: see `recorder_options`. Throws nothing; a corrupt link ends the process.
void serve_tasks(message_link& link, workplace& place, journal_block& block, bool fenced) noexcept;

/// Runs one chunk at `place`: shared by all engines. `bytes` are the arguments. A body that this process does not know
/// makes every task of the chunk fail.
void run_chunk(workplace& place, body_id body, std::span<const std::byte> bytes, recorder& out) noexcept;

}  // namespace lenskit::detail

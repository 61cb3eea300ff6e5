// All of lenskit-parallel. Each header can also be included by itself.
#pragma once

#include <lenskit/engine.hpp>        // IWYU pragma: export
#include <lenskit/error.hpp>         // IWYU pragma: export
#include <lenskit/fork_guard.hpp>    // IWYU pragma: export
#include <lenskit/invoker.hpp>       // IWYU pragma: export
#include <lenskit/logging.hpp>       // IWYU pragma: export
#include <lenskit/map_range.hpp>     // IWYU pragma: export
#include <lenskit/persist.hpp>       // IWYU pragma: export
#include <lenskit/proc_count.hpp>    // IWYU pragma: export
#include <lenskit/progress.hpp>      // IWYU pragma: export
#include <lenskit/random.hpp>        // IWYU pragma: export
#include <lenskit/run_sp.hpp>        // IWYU pragma: export
#include <lenskit/settings.hpp>      // IWYU pragma: export
#include <lenskit/shared_array.hpp>  // IWYU pragma: export
#include <lenskit/sharing_mode.hpp>  // IWYU pragma: export
#include <lenskit/thread_limit.hpp>  // IWYU pragma: export
#include <lenskit/version.hpp>       // IWYU pragma: export
#include <lenskit/work_chunks.hpp>   // IWYU pragma: export
#include <lenskit/worker.hpp>        // IWYU pragma: export

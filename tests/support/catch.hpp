// Catch2, whichever of its two major versions the system has.
#pragma once

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
#define LENSKIT_TESTS_CATCH 3
using Catch::Approx;  // version 2 declares it there too, so that tests read the same
#else
#include <catch2/catch.hpp>
#define LENSKIT_TESTS_CATCH 2
#endif

/// Ends a test case that lacks what it needs; ctest then counts it as skipped. Version 2 has no SKIP of its own.
#define LENSKIT_SKIP(reason)     \
  do {                           \
    WARN("skipped: " << reason); \
    return;                      \
  } while (false)

// The version of the library. CMake reads the three numbers from here, so this is the only place to change them.
#pragma once

#define LENSKIT_PARALLEL_VERSION_MAJOR 0
#define LENSKIT_PARALLEL_VERSION_MINOR 1
#define LENSKIT_PARALLEL_VERSION_PATCH 0

#define LENSKIT_PARALLEL_DETAIL_QUOTE(x) #x
#define LENSKIT_PARALLEL_DETAIL_JOIN(a, b, c) \
  LENSKIT_PARALLEL_DETAIL_QUOTE(a) "." LENSKIT_PARALLEL_DETAIL_QUOTE(b) "." LENSKIT_PARALLEL_DETAIL_QUOTE(c)

/// "major.minor.patch", the version of the headers a program was compiled with.
#define LENSKIT_PARALLEL_VERSION_STRING                                                        \
  LENSKIT_PARALLEL_DETAIL_JOIN(LENSKIT_PARALLEL_VERSION_MAJOR, LENSKIT_PARALLEL_VERSION_MINOR, \
                               LENSKIT_PARALLEL_VERSION_PATCH)

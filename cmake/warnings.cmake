# The warnings that the library, its tests and its examples compile without.
function(lenskit_parallel_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 14)
    # Once inlined, GCC 12 sees overflows in std::string's own assignments that cannot happen (GCC bugs 105329, 105651).
    target_compile_options(${target} PRIVATE
      -Wno-restrict -Wno-array-bounds -Wno-stringop-overflow -Wno-stringop-overread)
  endif()
  if(LENSKIT_PARALLEL_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
endfunction()

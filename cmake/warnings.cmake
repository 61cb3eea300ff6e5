# The warnings that the library, its tests and its examples compile without.
function(lenskit_parallel_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion)
  if(LENSKIT_PARALLEL_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
endfunction()

# Instruments the library for LENSKIT_PARALLEL_SANITIZE and LENSKIT_PARALLEL_COVERAGE. The flags are public inside
# this build, because templates of the library are compiled in the programs that use them; never exported.
function(lenskit_parallel_instrument target)
  set(flags "")
  if(LENSKIT_PARALLEL_SANITIZE STREQUAL "address")
    list(APPEND flags -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  elseif(LENSKIT_PARALLEL_SANITIZE STREQUAL "thread")
    # Fences, which the thread sanitizer does not know, stand only between processes, or beside a lock that it does know.
    list(APPEND flags -fsanitize=thread -fno-omit-frame-pointer $<$<CXX_COMPILER_ID:GNU>:-Wno-tsan>)
  elseif(LENSKIT_PARALLEL_SANITIZE)
    message(FATAL_ERROR "LENSKIT_PARALLEL_SANITIZE is \"${LENSKIT_PARALLEL_SANITIZE}\": use \"address\" or \"thread\"")
  endif()
  if(LENSKIT_PARALLEL_COVERAGE)
    list(APPEND flags --coverage -fprofile-update=atomic)
    # Workers leave through _exit, which writes no counters: the library then dumps them itself.
    target_compile_definitions(${target} PRIVATE LENSKIT_PARALLEL_COVERAGE=1)
  endif()
  target_compile_options(${target} PUBLIC "$<BUILD_INTERFACE:${flags}>")
  target_link_options(${target} PUBLIC "$<BUILD_INTERFACE:${flags}>")
endfunction()

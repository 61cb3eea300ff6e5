# What the library needs. `scripts/bootstrap` installs all of it on Debian and Ubuntu.
if(POLICY CMP0167)
  cmake_policy(SET CMP0167 NEW) # Boost's own package files instead of FindBoost
endif()
set(THREADS_PREFER_PTHREAD_FLAG ON)

find_package(Threads REQUIRED)
find_package(Boost 1.81 REQUIRED COMPONENTS serialization)
find_package(fmt REQUIRED)
find_package(spdlog 1.10 REQUIRED)

# toml++ is header only and used inside the library alone. Its package file is not asked for, because on some
# systems that links a shared library which header-only use does not need.
find_path(TOMLPLUSPLUS_INCLUDE_DIR toml++/toml.h DOC "Where toml++/toml.h is")
if(NOT TOMLPLUSPLUS_INCLUDE_DIR)
  message(FATAL_ERROR "cannot find toml++/toml.h: install libtomlplusplus-dev or set TOMLPLUSPLUS_INCLUDE_DIR")
endif()

# Installs headers, library, doctor, the CMake package `lenskit_parallel` and the pkg-config file.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/lenskit_parallel")

install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/lenskit" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
        FILES_MATCHING PATTERN "*.hpp")
install(TARGETS lenskit_parallel EXPORT lenskit_parallel_targets
        ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}"
        LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
        INCLUDES DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
if(TARGET lenskit-doctor)
  # Found beside the library it was installed with, wherever the tree is moved to.
  file(RELATIVE_PATH lib_from_bin "/${CMAKE_INSTALL_BINDIR}" "/${CMAKE_INSTALL_LIBDIR}")
  set_target_properties(lenskit-doctor PROPERTIES INSTALL_RPATH "\$ORIGIN/${lib_from_bin}")
  install(TARGETS lenskit-doctor RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
endif()

install(EXPORT lenskit_parallel_targets NAMESPACE lenskit:: DESTINATION "${package_dir}")
configure_package_config_file(
  "${PROJECT_SOURCE_DIR}/cmake/lenskit_parallelConfig.cmake.in"
  "${PROJECT_BINARY_DIR}/lenskit_parallelConfig.cmake"
  INSTALL_DESTINATION "${package_dir}")
# Before 1.0 a minor version may change names.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/lenskit_parallelConfigVersion.cmake"
                                 COMPATIBILITY SameMinorVersion)
install(FILES
  "${PROJECT_BINARY_DIR}/lenskit_parallelConfig.cmake"
  "${PROJECT_BINARY_DIR}/lenskit_parallelConfigVersion.cmake"
  DESTINATION "${package_dir}")

# The pkg-config file finds its prefix from its own place, so an installed tree may be moved.
file(RELATIVE_PATH pc_prefix "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
string(REGEX REPLACE "/$" "" pc_prefix "${pc_prefix}")
set(pc_cflags "")
set(pc_libs "")
foreach(dir IN LISTS Boost_INCLUDE_DIRS)
  if(NOT dir STREQUAL "/usr/include")
    string(APPEND pc_cflags " -I${dir}")
  endif()
endforeach()
foreach(dir IN LISTS Boost_LIBRARY_DIRS)
  if(NOT dir MATCHES "^/usr/lib")
    string(APPEND pc_libs " -L${dir}")
  endif()
endforeach()
configure_file("${PROJECT_SOURCE_DIR}/cmake/lenskit_parallel.pc.in" "${PROJECT_BINARY_DIR}/lenskit_parallel.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/lenskit_parallel.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")

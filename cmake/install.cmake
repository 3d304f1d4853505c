# `cmake --install`, so that find_package(fathom) gives fathom::fathom elsewhere.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/fathom)
set(folders tensor autograd nn optim io probe)
list(TRANSFORM folders PREPEND fathom_ OUTPUT_VARIABLE targets)

install(TARGETS fathom ${targets} EXPORT fathom)
install(EXPORT fathom NAMESPACE fathom:: FILE fathom-targets.cmake DESTINATION ${package_dir})
install(FILES fathom.h DESTINATION include/fathom)
foreach(folder ${folders})
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/${folder} DESTINATION include/fathom FILES_MATCHING PATTERN "*.h")
endforeach()

write_basic_package_version_file(${PROJECT_BINARY_DIR}/fathom-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES cmake/fathom-config.cmake ${PROJECT_BINARY_DIR}/fathom-config-version.cmake
  DESTINATION ${package_dir})

# What the static libraries leave to link; then fathom::fathom, and a target for each folder, such as fathom::autograd.
include(CMakeFindDependencyMacro)
find_dependency(Threads)
find_dependency(ZLIB)
find_dependency(PkgConfig)
if(NOT TARGET PkgConfig::OPENBLAS)
  pkg_check_modules(OPENBLAS REQUIRED IMPORTED_TARGET openblas)
endif()
include(${CMAKE_CURRENT_LIST_DIR}/fathom-targets.cmake)

# find_package(vegas) gives the targets vegas::vegas, and vegas::static for programs
# that bring everything along.
include(CMakeFindDependencyMacro)
find_dependency(Threads)

get_filename_component(vegas_root "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)

if(NOT TARGET vegas::vegas)
  add_library(vegas::vegas SHARED IMPORTED)
  set_target_properties(vegas::vegas PROPERTIES
    IMPORTED_LOCATION "${vegas_root}/lib/libvegas.so"
    INTERFACE_INCLUDE_DIRECTORIES "${vegas_root}/include"
    INTERFACE_LINK_LIBRARIES Threads::Threads)
  add_library(vegas::static STATIC IMPORTED)
  set_target_properties(vegas::static PROPERTIES
    IMPORTED_LOCATION "${vegas_root}/lib/libvegas.a"
    INTERFACE_INCLUDE_DIRECTORIES "${vegas_root}/include"
    INTERFACE_LINK_LIBRARIES Threads::Threads)
endif()

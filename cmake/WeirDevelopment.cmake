# What a program of one's own links to have weir's command line with parts of its own (docs/extending.md): one archive, the
# public headers and a CMake package.
#
#   scripts/build release weir_development && cmake --install build/release --component development --prefix DIR
#   find_package(weir) ... target_link_libraries(my_weir PRIVATE weir::program)
set(_parts weir_proto weir_core weir_metrics weir_jwt weir_auth weir_config weir_table weir_batch weir_redis weir_kafka weir_session weir_http
           weir_embedded weir_dashboard weir_actors weir_cli)
add_library(weir_development STATIC EXCLUDE_FROM_ALL)
set_target_properties(weir_development PROPERTIES OUTPUT_NAME weir LINKER_LANGUAGE CXX)
foreach(_part ${_parts})
  target_sources(weir_development PRIVATE $<TARGET_OBJECTS:${_part}>)
  add_dependencies(weir_development ${_part})
endforeach()

include(CMakePackageConfigHelpers)
configure_package_config_file("${CMAKE_CURRENT_LIST_DIR}/weirConfig.cmake.in" "${PROJECT_BINARY_DIR}/weirConfig.cmake"
                              INSTALL_DESTINATION lib/cmake/weir)
# Until 1.0 any minor version may change the interface.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/weirConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES $<TARGET_FILE:weir_development> DESTINATION lib COMPONENT development EXCLUDE_FROM_ALL)
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/weir" DESTINATION include COMPONENT development EXCLUDE_FROM_ALL)
install(FILES "${PROJECT_BINARY_DIR}/weirConfig.cmake" "${PROJECT_BINARY_DIR}/weirConfigVersion.cmake" "${CMAKE_CURRENT_LIST_DIR}/FindCAF.cmake"
        DESTINATION lib/cmake/weir COMPONENT development EXCLUDE_FROM_ALL)

# A Debian package of the binary:  scripts/build release weir && cpack --config build/release/CPackConfig.cmake
# It depends on the libraries that the binary is linked to here, so it fits the Debian release that it was built on.
set(_debian "${PROJECT_SOURCE_DIR}/deploy/debian")
install(FILES "${_debian}/weir.service" DESTINATION lib/systemd/system)
install(FILES "${_debian}/topology.jsonc" DESTINATION /etc/weir)
install(FILES "${PROJECT_SOURCE_DIR}/README.md" "${PROJECT_SOURCE_DIR}/CHANGELOG.md" DESTINATION share/doc/weir)
install(FILES "${PROJECT_SOURCE_DIR}/deploy/prometheus/weir.rules.yml" "${PROJECT_SOURCE_DIR}/deploy/grafana/weir.json" DESTINATION share/weir)
# Manual pages are compressed in a package.
find_program(WEIR_GZIP gzip)
if(WEIR_GZIP)
  execute_process(COMMAND "${WEIR_GZIP}" -9nc "${_debian}/weir.1" OUTPUT_FILE "${PROJECT_BINARY_DIR}/weir.1.gz")
  install(FILES "${PROJECT_BINARY_DIR}/weir.1.gz" DESTINATION share/man/man1)
endif()

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
# Package and working folder, from wherever cpack is called.
set(CPACK_PACKAGE_DIRECTORY "${PROJECT_BINARY_DIR}")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_MAINTAINER "weir's authors <weir@localhost>")
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "ca-certificates, tzdata")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "redis-server")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA "${_debian}/conffiles;${_debian}/postinst;${_debian}/prerm;${_debian}/postrm")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
include(CPack)

# SPDX-License-Identifier: MIT
#
# Install rules: headers, libraries, CMake package, pkg-config file, and the tool when it was built.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/ealloc)

install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/ealloc DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
    FILES_MATCHING PATTERN "*.h" PATTERN config.h EXCLUDE)

# Header only, so it is there whether or not this machine has a C++ compiler.
install(FILES ${PROJECT_SOURCE_DIR}/bindings/cpp/ealloc.hpp
    DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

# Sources that a firmware adds to its own: malloc, new and delete over an allocator.
install(FILES ${PROJECT_SOURCE_DIR}/bindings/libc/ealloc_malloc.c
    ${PROJECT_SOURCE_DIR}/bindings/libc/ealloc_malloc.h
    ${PROJECT_SOURCE_DIR}/bindings/cpp/ealloc_new.cpp DESTINATION ${CMAKE_INSTALL_DATADIR}/ealloc)

# The installed config.h carries the configuration the library was built with, so that an application
# cannot be compiled against another one by forgetting a flag.
if(EALLOC_CONFIG_HEADER)
    file(READ ${PROJECT_SOURCE_DIR}/include/ealloc/config.h config_text)
    string(REPLACE "#ifdef EALLOC_CONFIG_HEADER\n"
        "#ifndef EALLOC_CONFIG_HEADER\n#define EALLOC_CONFIG_HEADER \"ealloc/config_built.h\"\n#endif\n\n#ifdef EALLOC_CONFIG_HEADER\n"
        config_text "${config_text}")
    file(WRITE ${PROJECT_BINARY_DIR}/installed/config.h "${config_text}")
    install(FILES ${PROJECT_BINARY_DIR}/installed/config.h
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/ealloc)
    install(FILES ${EALLOC_CONFIG_HEADER}
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/ealloc RENAME config_built.h)
else()
    install(FILES ${PROJECT_SOURCE_DIR}/include/ealloc/config.h
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/ealloc)
endif()

install(TARGETS ealloc EXPORT eallocTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(TARGET ealloc_shared)
    install(TARGETS ealloc_shared EXPORT eallocTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
if(TARGET ealloc_posix)
    install(FILES ${PROJECT_SOURCE_DIR}/bindings/posix/ealloc_posix.h
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
    install(TARGETS ealloc_posix EXPORT eallocTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
install(EXPORT eallocTargets NAMESPACE ealloc:: DESTINATION ${package_dir})

set(EALLOC_HAS_POSIX OFF)
if(TARGET ealloc_posix)
    set(EALLOC_HAS_POSIX ON)
endif()
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/eallocConfig.cmake.in
    ${PROJECT_BINARY_DIR}/eallocConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/eallocConfigVersion.cmake
    COMPATIBILITY SameMajorVersion)
install(FILES ${PROJECT_BINARY_DIR}/eallocConfig.cmake
    ${PROJECT_BINARY_DIR}/eallocConfigVersion.cmake DESTINATION ${package_dir})

# The pkg-config file finds its prefix from where it lies, so that the tree can be moved; absolute
# folders, as some distributions set them, stay what they are.
if(IS_ABSOLUTE ${CMAKE_INSTALL_LIBDIR} OR IS_ABSOLUTE ${CMAKE_INSTALL_INCLUDEDIR})
    set(pc_prefix ${CMAKE_INSTALL_PREFIX})
    set(pc_includedir ${CMAKE_INSTALL_FULL_INCLUDEDIR})
    set(pc_libdir ${CMAKE_INSTALL_FULL_LIBDIR})
else()
    file(RELATIVE_PATH pc_up /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
    string(REGEX REPLACE "/$" "" pc_up ${pc_up})
    set(pc_prefix "\${pcfiledir}/${pc_up}")
    set(pc_includedir "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
    set(pc_libdir "\${prefix}/${CMAKE_INSTALL_LIBDIR}")
endif()
configure_file(${PROJECT_SOURCE_DIR}/cmake/ealloc.pc.in ${PROJECT_BINARY_DIR}/ealloc.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/ealloc.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

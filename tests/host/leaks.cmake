# SPDX-License-Identifier: MIT
if(NOT TARGET ealloc_tool)
    return()
endif()
find_package(Python3 REQUIRED COMPONENTS Interpreter)
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(LEAKY_SQLITE REQUIRED IMPORTED_TARGET sqlite3)
pkg_check_modules(LEAKY_JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(LEAKY_ZLIB REQUIRED IMPORTED_TARGET zlib)

# Programs that leak when told to, at work with libraries as they come; without this build's sanitizers.
foreach(victim IN ITEMS store sessions workers)
    add_executable(leaky_${victim} leaky_${victim}.c)
    target_compile_options(leaky_${victim} PRIVATE -O1 -g -fno-sanitize=all)
    target_link_options(leaky_${victim} PRIVATE -fno-sanitize=all)
endforeach()
target_link_libraries(leaky_store PRIVATE PkgConfig::LEAKY_SQLITE ealloc_warnings)
target_link_libraries(leaky_sessions PRIVATE PkgConfig::LEAKY_JANSSON ealloc_warnings)
target_link_libraries(leaky_workers PRIVATE PkgConfig::LEAKY_ZLIB Threads::Threads ealloc_warnings)

add_test(NAME leaks_tool_test
    COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/leaks_test.py
        $<TARGET_FILE:ealloc_tool> $<TARGET_FILE:leaky_store> $<TARGET_FILE:leaky_sessions>
        $<TARGET_FILE:leaky_workers>)
set_tests_properties(leaks_tool_test PROPERTIES TIMEOUT 120)

# SPDX-License-Identifier: MIT
if(NOT TARGET ealloc_tool)
    return()
endif()
find_package(Python3 REQUIRED COMPONENTS Interpreter)

# What is inspected: a plain program with symbols, without this build's sanitizers.
get_target_property(library_sources ealloc SOURCES)
add_executable(dump_make dump_make.c ${library_sources})
target_include_directories(dump_make PRIVATE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
target_compile_options(dump_make PRIVATE -O1 -g -fno-sanitize=all)
target_link_options(dump_make PRIVATE -fno-sanitize=all -Wl,--build-id)
find_package(Threads REQUIRED)
target_link_libraries(dump_make PRIVATE Threads::Threads ealloc_warnings)

add_test(NAME inspect_test
    COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/inspect_test.py
        $<TARGET_FILE:ealloc_tool> $<TARGET_FILE:dump_make>)
set_tests_properties(inspect_test PROPERTIES TIMEOUT 180)

# Firmware for a board, built by the test itself, crashes in the emulator. Once is enough.
if(NOT EALLOC_SANITIZE AND NOT CMAKE_BUILD_TYPE STREQUAL "Release")
    add_test(NAME crash_test
        COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/crash_test.py
            $<TARGET_FILE:ealloc_tool>)
    set_tests_properties(crash_test PROPERTIES TIMEOUT 300 SKIP_RETURN_CODE 77)
endif()

# SPDX-License-Identifier: MIT
if(NOT TARGET ealloc_tool)
    return()
endif()
find_package(Python3 REQUIRED COMPONENTS Interpreter)

# What is inspected: a plain program with symbols, without this build's sanitizers; and the same one
# where its addresses are those of the ELF file, as firmware's are.
find_package(Threads REQUIRED)
get_target_property(library_sources ealloc SOURCES)
add_library(inspected OBJECT dump_make.c ${library_sources})
ealloc_compile_by_component(inspected)
target_include_directories(inspected PRIVATE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
target_compile_options(inspected PRIVATE -O1 -g -fno-sanitize=all)
target_link_libraries(inspected PRIVATE Threads::Threads ealloc_warnings)
foreach(program IN ITEMS dump_make ram_make)
    add_executable(${program} $<TARGET_OBJECTS:inspected>)
    target_link_options(${program} PRIVATE -fno-sanitize=all -Wl,--build-id)
    target_link_libraries(${program} PRIVATE Threads::Threads)
    set_target_properties(${program} PROPERTIES LINKER_LANGUAGE C)
endforeach()
target_link_options(ram_make PRIVATE -no-pie)

add_test(NAME inspect_test
    COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/inspect_test.py
        $<TARGET_FILE:ealloc_tool> $<TARGET_FILE:dump_make> $<TARGET_FILE:ram_make>)
set_tests_properties(inspect_test PROPERTIES TIMEOUT 180)

# Firmware for a board, built by the test itself, crashes in the emulator. Once is enough.
if(NOT EALLOC_SANITIZE AND NOT CMAKE_BUILD_TYPE STREQUAL "Release")
    add_test(NAME crash_test
        COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/crash_test.py
            $<TARGET_FILE:ealloc_tool>)
    set_tests_properties(crash_test PROPERTIES TIMEOUT 300 SKIP_RETURN_CODE 77)
endif()

# SPDX-License-Identifier: MIT
if(NOT TARGET ealloc_tool)
    return()
endif()
find_package(Threads REQUIRED)
find_package(Python3 REQUIRED COMPONENTS Interpreter)

# ThreadSanitizer has nothing to say of a reader in one thread, and takes a minute for it.
if(NOT EALLOC_SANITIZE STREQUAL "thread")
    ealloc_add_test(NAME recording_test SOURCES recording_test.c LIBS ealloc_recording HOST_ONLY)
endif()

ealloc_add_test(NAME common_test SOURCES common_test.c LIBS ealloc_json HOST_ONLY)

# What is recorded: plain programs, without this build's sanitizers.
add_executable(record_victim record_victim.c)
add_executable(record_victim_static record_victim.c)
foreach(victim IN ITEMS record_victim record_victim_static)
    target_compile_options(${victim} PRIVATE -O1 -g -fno-builtin -fno-sanitize=all)
    target_link_options(${victim} PRIVATE -fno-sanitize=all)
    target_link_libraries(${victim} PRIVATE Threads::Threads ${CMAKE_DL_LIBS} ealloc_warnings)
endforeach()
target_compile_definitions(record_victim PRIVATE RECORD_VICTIM_STATIC=0)
target_compile_definitions(record_victim_static PRIVATE RECORD_VICTIM_STATIC=1)
target_link_options(record_victim_static PRIVATE -static)
add_library(record_other MODULE record_other.c)
target_compile_options(record_other PRIVATE -fno-builtin -fno-sanitize=all)
target_link_options(record_other PRIVATE -fno-sanitize=all)
target_link_libraries(record_other PRIVATE ealloc_warnings)

add_test(NAME record_test
    COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/record_test.py
        $<TARGET_FILE:ealloc_tool> $<TARGET_FILE:ealloc_preload> $<TARGET_FILE:record_victim>
        $<TARGET_FILE:record_victim_static> $<TARGET_FILE:record_other>)
set_tests_properties(record_test PROPERTIES TIMEOUT 180)

if(EALLOC_SANITIZE STREQUAL "thread") # as above
    return()
endif()
add_test(NAME hostile_test
    COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/hostile_test.py
        $<TARGET_FILE:ealloc_tool> $<TARGET_FILE:ealloc_preload> $<TARGET_FILE:replay_synth>
        $<TARGET_FILE:record_victim>)
set_tests_properties(hostile_test PROPERTIES TIMEOUT 240)

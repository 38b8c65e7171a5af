# SPDX-License-Identifier: MIT
ealloc_add_test(NAME replay_unit SOURCES ${CMAKE_CURRENT_LIST_DIR}/replay/replay_unit.c LIBS ealloc_replay HOST_ONLY)
if(NOT EALLOC_SANITIZE STREQUAL "thread") # it has one
    ealloc_add_test(NAME bound_unit SOURCES ${CMAKE_CURRENT_LIST_DIR}/replay/bound_unit.c LIBS ealloc_replay HOST_ONLY)
endif()

if(TARGET ealloc_tool)
    find_package(Python3 REQUIRED COMPONENTS Interpreter)
    add_executable(replay_synth ${CMAKE_CURRENT_LIST_DIR}/replay/replay_synth.c)
    target_link_libraries(replay_synth PRIVATE ealloc_recording ealloc_warnings)
    add_test(NAME replay_tool
        COMMAND Python3::Interpreter ${CMAKE_CURRENT_LIST_DIR}/replay/replay_test.py
            $<TARGET_FILE:ealloc_tool> $<TARGET_FILE:replay_synth>)
    set_tests_properties(replay_tool PROPERTIES TIMEOUT 120 LABELS host)
endif()

# The demo is a promise to newcomers: it runs, and says what it says it says. (The recorder cannot be
# preloaded into programs when it is itself built with a sanitizer.)
if(TARGET ealloc_tool AND NOT EALLOC_SANITIZE)
    add_test(NAME demo COMMAND ${PROJECT_SOURCE_DIR}/scripts/demo)
    set_tests_properties(demo PROPERTIES TIMEOUT 120 LABELS host
        ENVIRONMENT "EALLOC=$<TARGET_FILE:ealloc_tool>;LIBEALLOC=$<TARGET_FILE:ealloc>;DEMO_OUT=${CMAKE_CURRENT_BINARY_DIR}/demo"
        PASS_REGULAR_EXPRESSION "smallest heap +[0-9]+ bytes.*throughput +[0-9.]+ ns an operation.* free +[0-9]+: median [0-9]+, 99 % [0-9]+.*write behind the block.*display, allocated by copy_title .demo_crash.c:[0-9]+.*leak suspects.  measure .demo_crash.c:[0-9]+"
        FAIL_REGULAR_EXPRESSION "DAMAGED")
endif()

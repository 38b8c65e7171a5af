# SPDX-License-Identifier: MIT
ealloc_add_test(NAME replay_unit SOURCES ${CMAKE_CURRENT_LIST_DIR}/replay/replay_unit.c LIBS ealloc_replay HOST_ONLY)

if(TARGET ealloc_tool)
    find_package(Python3 REQUIRED COMPONENTS Interpreter)
    add_executable(replay_synth ${CMAKE_CURRENT_LIST_DIR}/replay/replay_synth.c)
    target_link_libraries(replay_synth PRIVATE ealloc_recording ealloc_warnings)
    add_test(NAME replay_tool
        COMMAND Python3::Interpreter ${CMAKE_CURRENT_LIST_DIR}/replay/replay_test.py
            $<TARGET_FILE:ealloc_tool> $<TARGET_FILE:replay_synth>)
    set_tests_properties(replay_tool PROPERTIES TIMEOUT 120 LABELS host)
endif()

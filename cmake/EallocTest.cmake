# SPDX-License-Identifier: MIT
# ealloc_add_test(NAME <name> SOURCES <file>... [DEFINES <x>...] [LIBS <target>...] [HOST_ONLY]
#                 [TIMEOUT <seconds>])
# makes a test program of SOURCES, the harness and the library, and registers it in CTest: run
# directly on the host, in QEMU on every board of a cross tool chain. The first board's program and
# CTest entry are called <name>, a further board's <name>_<board>; a test whose every case is
# skipped there for want of RAM counts as skipped.
include_guard(GLOBAL)
get_filename_component(EALLOC_ROOT ${CMAKE_CURRENT_LIST_DIR}/.. ABSOLUTE)
include(${EALLOC_ROOT}/boards/boards.cmake)
include(${EALLOC_ROOT}/cmake/EallocByComponent.cmake)

add_library(tap STATIC ${EALLOC_ROOT}/tests/harness/tap.c)
target_include_directories(tap PUBLIC ${EALLOC_ROOT}/tests/harness)
target_include_directories(tap PRIVATE ${EALLOC_ROOT}/boards/common)
target_compile_features(tap PUBLIC c_std_11)
target_link_libraries(tap PRIVATE ealloc_warnings)

# The command that runs a program on a board, for add_test().
function(ealloc_board_command out board program)
    if(board STREQUAL "host")
        set(${out} ${program} PARENT_SCOPE)
    else()
        set(${out} ${EALLOC_ROOT}/boards/run ${board} ${program} PARENT_SCOPE)
    endif()
endfunction()

# The names of a test's CTest entries, one per board.
function(ealloc_test_names out name)
    set(names ${name})
    foreach(board IN LISTS EALLOC_BOARDS)
        if(TARGET ${name}_${board})
            list(APPEND names ${name}_${board})
        endif()
    endforeach()
    set(${out} ${names} PARENT_SCOPE)
endfunction()

# On the host a timer's signal plays the interrupt. ThreadSanitizer holds signals back until the
# thread calls something it intercepts, which code that waits for an interrupt need not do: such a
# test does not run there. Threads that wait for each other are in tests/threads.
function(ealloc_needs_a_prompt_signal target name)
    if(EALLOC_SANITIZE STREQUAL "thread" AND
            name MATCHES "^(pool_wait_test|monitor_wait_test|allocator_misuse_test.*|05_interrupt_to_task|06_command_queue)$")
        set_tests_properties(${target} PROPERTIES DISABLED TRUE)
    endif()
endfunction()

function(ealloc_add_test)
    cmake_parse_arguments(ARG "HOST_ONLY" "NAME;TIMEOUT" "SOURCES;DEFINES;LIBS" ${ARGN})
    if(NOT ARG_NAME OR NOT ARG_SOURCES OR ARG_UNPARSED_ARGUMENTS)
        message(FATAL_ERROR "ealloc_add_test: NAME and SOURCES are needed (got ${ARGN})")
    endif()
    if(ARG_HOST_ONLY AND CMAKE_CROSSCOMPILING)
        return()
    endif()
    if(NOT ARG_TIMEOUT)
        set(ARG_TIMEOUT 60)
    endif()
    list(GET EALLOC_BOARDS 0 main_board)
    foreach(board IN LISTS EALLOC_BOARDS)
        set(target ${ARG_NAME})
        if(NOT board STREQUAL main_board)
            string(APPEND target _${board})
        endif()
        add_executable(${target} ${ARG_SOURCES})
        if("${ARG_SOURCES}" MATCHES "/src/") # the library's, in a configuration of the test's own
            ealloc_compile_by_component(${target})
        endif()
        target_compile_definitions(${target} PRIVATE ${ARG_DEFINES})
        target_link_libraries(${target} PRIVATE ${ARG_LIBS} tap ealloc board_${board}
            ealloc_warnings)
        ealloc_board_command(command ${board} $<TARGET_FILE:${target}>)
        add_test(NAME ${target} COMMAND ${command})
        set_tests_properties(${target} PROPERTIES TIMEOUT ${ARG_TIMEOUT} SKIP_RETURN_CODE 77
            LABELS ${board})
        ealloc_needs_a_prompt_signal(${target} ${ARG_NAME})
    endforeach()
endfunction()

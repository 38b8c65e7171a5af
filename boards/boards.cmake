# SPDX-License-Identifier: MIT
# One INTERFACE target per board that this tool chain has: board_<name>. Linking it gives a program
# its start-up code, console and memory map. On the host there is one board, board_host.
include_guard(GLOBAL)
set(EALLOC_BOARDS_DIR ${CMAKE_CURRENT_LIST_DIR})
set(EALLOC_BOARDS_COMMON ${EALLOC_BOARDS_DIR}/common)

# ealloc_add_board(<name> [TICK_PS <n>] [SCRIPT <link.ld>] SOURCES ...)
#   TICK_PS  the period of SysTick in picoseconds.
function(ealloc_add_board name)
    cmake_parse_arguments(ARG "" "TICK_PS;SCRIPT" "SOURCES" ${ARGN})
    add_library(board_${name}_objects OBJECT ${ARG_SOURCES})
    target_include_directories(board_${name}_objects PRIVATE ${EALLOC_BOARDS_COMMON})
    target_compile_features(board_${name}_objects PRIVATE c_std_11)
    if(ARG_TICK_PS)
        target_compile_definitions(board_${name}_objects PRIVATE BOARD_TICK_PS=${ARG_TICK_PS}u)
    endif()
    target_link_libraries(board_${name}_objects PRIVATE ealloc_warnings)

    add_library(board_${name} INTERFACE)
    target_include_directories(board_${name} INTERFACE ${EALLOC_BOARDS_COMMON})
    target_sources(board_${name} INTERFACE $<TARGET_OBJECTS:board_${name}_objects>)
    if(ARG_SCRIPT)
        target_link_options(board_${name} INTERFACE -T${ARG_SCRIPT} -L${EALLOC_BOARDS_COMMON})
        set_target_properties(board_${name} PROPERTIES INTERFACE_LINK_DEPENDS
            "${ARG_SCRIPT};${EALLOC_BOARDS_COMMON}/cortex-m.ld;${EALLOC_BOARDS_COMMON}/riscv.ld")
    endif()
endfunction()

set(every ${EALLOC_BOARDS_COMMON}/put.c ${EALLOC_BOARDS_COMMON}/start.c
    ${EALLOC_BOARDS_COMMON}/stdio.c ${EALLOC_BOARDS_COMMON}/semihost.c)
set(cortex_m ${every} ${EALLOC_BOARDS_COMMON}/cortex-m.c
    ${EALLOC_BOARDS_COMMON}/count_call_arm.c ${EALLOC_BOARDS_COMMON}/count_call_arm.S
    ${EALLOC_BOARDS_COMMON}/tick_arm.c)
set(riscv ${every} ${EALLOC_BOARDS_COMMON}/riscv.S ${EALLOC_BOARDS_COMMON}/count_call_rv32.S
    ${EALLOC_BOARDS_COMMON}/tick_rv32.c)

if(NOT CMAKE_CROSSCOMPILING)
    set(EALLOC_BOARDS host)
    ealloc_add_board(host SOURCES ${EALLOC_BOARDS_DIR}/host/board.c
        ${EALLOC_BOARDS_COMMON}/put.c)
else()
    enable_language(ASM)
endif()
foreach(board IN LISTS EALLOC_BOARDS)
    set(script SCRIPT ${EALLOC_BOARDS_DIR}/${board}/link.ld)
    if(board STREQUAL "microbit")
        ealloc_add_board(${board} TICK_PS 62500 ${script} SOURCES ${cortex_m})
        # The same machine for programs that promise to live in half of its RAM.
        ealloc_add_board(microbit_8k TICK_PS 62500
            SCRIPT ${EALLOC_BOARDS_DIR}/microbit/link-8k.ld SOURCES ${cortex_m})
    elseif(board MATCHES "^mps2-an38[56]$")
        ealloc_add_board(${board} TICK_PS 40000 ${script} SOURCES ${cortex_m})
    elseif(board STREQUAL "mps2-an505")
        ealloc_add_board(${board} TICK_PS 50000 ${script} SOURCES ${cortex_m})
    elseif(board STREQUAL "virt-rv32")
        ealloc_add_board(${board} ${script} SOURCES ${riscv})
    elseif(NOT board STREQUAL "host")
        message(FATAL_ERROR "no board '${board}'")
    endif()
endforeach()

# SPDX-License-Identifier: MIT
# Cortex-M0 (ARMv6-M). Its code also runs on an M3 board, which has the RAM a microbit lacks.
set(EALLOC_TOOLS arm-none-eabi)
set(EALLOC_CPU_FLAGS "-mcpu=cortex-m0 -mthumb")
set(EALLOC_BOARDS mps2-an385 microbit) # the one for most work first
include(${CMAKE_CURRENT_LIST_DIR}/bare-metal.cmake)

# SPDX-License-Identifier: MIT
# Cortex-M3 (ARMv7-M).
set(EALLOC_TOOLS arm-none-eabi)
set(EALLOC_CPU_FLAGS "-mcpu=cortex-m3 -mthumb")
set(EALLOC_BOARDS mps2-an385) # the one for most work first
include(${CMAKE_CURRENT_LIST_DIR}/bare-metal.cmake)

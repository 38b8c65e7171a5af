# SPDX-License-Identifier: MIT
# Cortex-M33 (ARMv8-M main line, single precision).
set(EALLOC_TOOLS arm-none-eabi)
set(EALLOC_CPU_FLAGS "-mcpu=cortex-m33 -mthumb -mfloat-abi=hard -mfpu=fpv5-sp-d16")
set(EALLOC_BOARDS mps2-an505) # the one for most work first
include(${CMAKE_CURRENT_LIST_DIR}/bare-metal.cmake)

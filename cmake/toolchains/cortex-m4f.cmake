# SPDX-License-Identifier: MIT
# Cortex-M4F (ARMv7E-M, single precision).
set(EALLOC_TOOLS arm-none-eabi)
set(EALLOC_CPU_FLAGS "-mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16")
set(EALLOC_BOARDS mps2-an386) # the one for most work first
include(${CMAKE_CURRENT_LIST_DIR}/bare-metal.cmake)

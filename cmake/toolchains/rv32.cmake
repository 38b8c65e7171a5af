# SPDX-License-Identifier: MIT
# RV32IMAC.
set(EALLOC_TOOLS riscv64-unknown-elf)
set(EALLOC_CPU_FLAGS "-march=rv32imac -mabi=ilp32 -mcmodel=medany")
set(EALLOC_BOARDS virt-rv32) # the one for most work first
include(${CMAKE_CURRENT_LIST_DIR}/bare-metal.cmake)

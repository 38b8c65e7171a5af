# SPDX-License-Identifier: MIT
# What the tool chain files here have in common; each sets before:
#   EALLOC_TOOLS      prefix of the compiler
#   EALLOC_CPU_FLAGS  core and ABI
#   EALLOC_BOARDS     the emulated boards its programs run on (boards/boards.cmake)
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR ${EALLOC_TOOLS})
set(CMAKE_C_COMPILER ${EALLOC_TOOLS}-gcc)
set(CMAKE_ASM_COMPILER ${EALLOC_TOOLS}-gcc)
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY) # there is no system to link a program for

# libc is picolibc: of it we use memcpy, memmove, memset and memcmp.
set(CMAKE_C_FLAGS_INIT
    "${EALLOC_CPU_FLAGS} -ffunction-sections -fdata-sections --specs=picolibc.specs")
set(CMAKE_ASM_FLAGS_INIT "${EALLOC_CPU_FLAGS}")
set(CMAKE_EXE_LINKER_FLAGS_INIT
    "-nostartfiles -Wl,--gc-sections -Wl,--no-warn-rwx-segments -Wl,--fatal-warnings")

set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)

# SPDX-License-Identifier: MIT
# Builds the heap in every configuration that instances.h names, as the library heap_test_instances.
include_guard(GLOBAL)
include(${CMAKE_CURRENT_LIST_DIR}/../../cmake/EallocByComponent.cmake)
file(GLOB heap_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/stores/heap*.c)
add_library(heap_test_instances STATIC EXCLUDE_FROM_ALL
    ${PROJECT_SOURCE_DIR}/src/base/bits.c ${PROJECT_SOURCE_DIR}/src/base/status.c)
target_include_directories(heap_test_instances
    PUBLIC ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src ${CMAKE_CURRENT_LIST_DIR})

function(heap_test_instance name profile align link_bits level stats)
    add_library(heap_test_${name} OBJECT EXCLUDE_FROM_ALL ${heap_sources})
    ealloc_compile_by_component(heap_test_${name})
    target_include_directories(heap_test_${name} PRIVATE
        ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
    target_compile_definitions(heap_test_${name} PRIVATE EA_HEAP_INSTANCE=${name}
        EA_CFG_HEAP_PROFILE=${profile} EA_CFG_HEAP_ALIGN=${align}
        EA_CFG_HEAP_LINK_BITS=${link_bits} EA_CFG_CHECK_LEVEL=${level}
        EA_CFG_HEAP_STATS=${stats})
    target_compile_options(heap_test_${name} PRIVATE -include stores/heap_instance.h)
    target_link_libraries(heap_test_${name} PRIVATE ealloc_warnings)
    target_sources(heap_test_instances PRIVATE $<TARGET_OBJECTS:heap_test_${name}>)
endfunction()

# default, fast, quick lists (throughput), tiny; alignment; link width: all with level 1 and counters.
set(profile_number 0)
foreach(profile IN ITEMS d f q t)
    foreach(align IN ITEMS 8 16)
        foreach(link_bits IN ITEMS 16 32)
            heap_test_instance(${profile}${align}l${link_bits}
                ${profile_number} ${align} ${link_bits} 1 1)
        endforeach()
    endforeach()
    math(EXPR profile_number "${profile_number} + 1")
endforeach()
# Without checks and counters; with level 2; with level 3.
heap_test_instance(d8l16bare   0  8 16 0 0)
heap_test_instance(f8l32bare   1  8 32 0 0)
heap_test_instance(q8l32bare   2  8 32 0 0)
heap_test_instance(t8l16bare   3  8 16 0 0)
heap_test_instance(d8l16hard   0  8 16 2 1)
heap_test_instance(f8l32hard   1  8 32 2 1)
heap_test_instance(q16l32hard  2 16 32 2 1)
heap_test_instance(t8l16hard   3  8 16 2 1)
heap_test_instance(d8l32full   0  8 32 3 1)

# SPDX-License-Identifier: MIT
include_guard(GLOBAL)
# Tests and the library's variants are many, and what they are about is not the optimiser: it has its say
# in the library's own configuration and on the boards. Compiling them so takes a quarter of the time;
# those that run millions of operations are optimised somewhat.
set(EALLOC_VARIANT_OPTIONS "")
set(EALLOC_MODEL_OPTIONS "")
if(NOT CMAKE_CROSSCOMPILING AND NOT CMAKE_BUILD_TYPE STREQUAL "Release")
    set(EALLOC_VARIANT_OPTIONS -O0 -g1)
    set(EALLOC_MODEL_OPTIONS -O1 -g1)
endif()

# The library's sources in target, one translation unit a component instead of one a file: the many
# configurations that only tests see compile in a third of the time. (Parts of a component share its
# names; components need not differ in theirs.)
function(ealloc_compile_by_component target)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_MODE GROUP)
    get_target_property(sources ${target} SOURCES)
    foreach(source IN LISTS sources)
        if(source MATCHES "src/([a-z]+)/([a-z]+)[a-z_]*\\.c$")
            set(folder ${CMAKE_MATCH_1})
            set(group ${folder}_${CMAKE_MATCH_2})
            if(group MATCHES "^base_|^memory_" AND NOT group STREQUAL "memory_allocator")
                set(group ${folder}) # small ones
            endif()
            set_source_files_properties(${source} TARGET_DIRECTORY ${target}
                PROPERTIES UNITY_GROUP ${group})
        endif()
    endforeach()
endfunction()

# ealloc_add_variant(<target> SOURCES <file>... [DEFINES <x>...] [LIBS <target>...])
# Sources of the library in another configuration, for those who link it: they have its definitions too.
function(ealloc_add_variant target)
    cmake_parse_arguments(ARG "" "" "SOURCES;DEFINES;LIBS" ${ARGN})
    add_library(${target} STATIC EXCLUDE_FROM_ALL ${ARG_SOURCES})
    ealloc_compile_by_component(${target})
    target_include_directories(${target}
        PUBLIC ${PROJECT_SOURCE_DIR}/include PRIVATE ${PROJECT_SOURCE_DIR}/src)
    target_compile_definitions(${target} PUBLIC ${ARG_DEFINES})
    target_link_libraries(${target} PUBLIC ${ARG_LIBS} PRIVATE ealloc_warnings)
endfunction()

# What an allocator's configuration is made of: the sources that see its knobs. The rest comes from the
# library as it is.
function(ealloc_allocator_sources out)
    get_target_property(sources ealloc SOURCES)
    list(FILTER sources INCLUDE REGEX
        "/(base|accounts|memory|ports)/|/stores/(heap|pool|arena)|/observe/(dump|scope)")
    set(${out} ${sources} PARENT_SCOPE)
endfunction()
